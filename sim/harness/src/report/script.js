"use strict";
// Shows one profile, and the details of one workload, at a time; hides engines in the figures; saves
// figures. Without it, all stand below each other.
(() => {
  const main = document.querySelector("main");
  const marked = [...document.querySelectorAll("[data-profile]")];
  const choices = (key) => [...new Set(marked.map((m) => m.dataset[key]).filter(Boolean))];
  const kinds = { profile: "settings", workload: "details of" };
  const keys = Object.keys(kinds).filter((key) => choices(key).length > 1);
  const chosen = Object.fromEntries(keys.map((key) => [key, choices(key)[0]]));
  const bar = document.createElement("div");
  bar.className = "tabs";
  const group = (label) => {
    const box = document.createElement("div");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", label);
    box.append(`${label} `);
    bar.append(box);
    return box;
  };
  const button = (box, text, pressed, act) => {
    const one = document.createElement("button");
    one.type = "button";
    one.textContent = text;
    if (pressed !== null) one.setAttribute("aria-pressed", String(pressed));
    one.addEventListener("click", () => act(one));
    box.append(one);
    return one;
  };
  const show = () => {
    const isOther = (m) => (key) => m.dataset[key] && m.dataset[key] !== chosen[key];
    for (const m of marked) m.hidden = keys.some(isOther(m));
    for (const one of bar.querySelectorAll("[data-key]")) {
      const { key, value } = one.dataset;
      one.setAttribute("aria-pressed", String(chosen[key] === value));
    }
  };
  for (const key of keys) {
    const box = group(kinds[key]);
    for (const value of choices(key)) {
      const one = button(box, value, false, () => {
        chosen[key] = value;
        show();
      });
      Object.assign(one.dataset, { key, value });
    }
  }

  // Engines: a look is one engine in all figures.
  const looks = JSON.parse(main.dataset.looks || "[]");
  if (looks.length > 1) {
    const box = group("engines drawn");
    for (const [look, label] of looks) {
      const one = button(box, label, true, () => {
        const hide = one.getAttribute("aria-pressed") === "true";
        one.setAttribute("aria-pressed", String(!hide));
        for (const g of document.querySelectorAll(`svg g[data-look="${look}"]`)) {
          g.style.display = hide ? "none" : "";
        }
      });
      one.dataset.toggles = look;
    }
  }

  // A figure as it stands, hidden engines left out.
  const save = (figure) => {
    const svg = figure.querySelector("svg").cloneNode(true);
    for (const g of svg.querySelectorAll("g")) if (g.style.display === "none") g.remove();
    const text = new XMLSerializer().serializeToString(svg);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    link.download = `${figure.dataset.file}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  for (const figure of document.querySelectorAll("figure[data-file]")) {
    const caption = figure.querySelector("figcaption");
    const one = button(caption, "SVG", null, () => save(figure));
    one.dataset.saves = figure.dataset.file;
    one.setAttribute("aria-label", `Picture “${figure.querySelector("title").textContent}” as SVG`);
  }

  // The value under the pointer, at once; the titles of the points say it to everybody else.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  const point = (event) => event.target.closest && event.target.closest("svg g > title, svg g");
  document.addEventListener("pointermove", (event) => {
    const near = point(event);
    const title = near && [...near.children].find((c) => c.tagName === "title");
    tip.hidden = !title;
    if (!title) return;
    tip.textContent = title.textContent;
    const left = Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8);
    tip.style.left = `${Math.max(left, 4)}px`;
    tip.style.top = `${event.clientY + 16}px`;
  });
  tip.hidden = true;

  if (bar.childElementCount > 0) document.querySelector("nav").append(bar);
  show();
  // Paper shows all.
  const details = [...document.querySelectorAll("details")];
  let open = [];
  addEventListener("beforeprint", () => {
    open = details.map((d) => d.open);
    marked.forEach((m) => (m.hidden = false));
    details.forEach((d) => (d.open = d.id !== "plan"));
  });
  addEventListener("afterprint", () => {
    details.forEach((d, i) => (d.open = open[i]));
    show();
  });
})();
