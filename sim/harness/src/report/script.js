"use strict";
// Shows one profile, and the details of one workload, at a time. Without it, all stand below each
// other.
(() => {
  const marked = [...document.querySelectorAll("[data-profile]")];
  const choices = (key) => [...new Set(marked.map((m) => m.dataset[key]).filter(Boolean))];
  const kinds = { profile: "settings", workload: "details of" };
  const keys = Object.keys(kinds).filter((key) => choices(key).length > 1);
  if (keys.length === 0) return;
  const chosen = Object.fromEntries(keys.map((key) => [key, choices(key)[0]]));
  const bar = document.createElement("div");
  bar.className = "tabs";
  const show = () => {
    const isOther = (m) => (key) => m.dataset[key] && m.dataset[key] !== chosen[key];
    for (const m of marked) m.hidden = keys.some(isOther(m));
    for (const button of bar.querySelectorAll("button")) {
      const { key, value } = button.dataset;
      button.setAttribute("aria-pressed", String(chosen[key] === value));
    }
  };
  for (const key of keys) {
    const group = document.createElement("div");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", kinds[key]);
    group.append(`${kinds[key]} `);
    for (const value of choices(key)) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = value;
      Object.assign(button.dataset, { key, value });
      button.addEventListener("click", () => {
        chosen[key] = value;
        show();
      });
      group.append(button);
    }
    bar.append(group);
  }
  document.querySelector("nav").append(bar);
  show();
  // Paper shows all.
  addEventListener("beforeprint", () => marked.forEach((m) => (m.hidden = false)));
  addEventListener("afterprint", show);
})();
