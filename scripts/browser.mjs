// Checks a report in headless Chromium over its debugging pipe: no package but node itself.
// node scripts/browser.mjs CHROMIUM PAGE FOLDER
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [chromium, page, shots] = process.argv.slice(2);
const url = pathToFileURL(page).href;
const MOST_PAGE = 2 * 1024 * 1024;
const MOST_SCRIPT = 60 * 1024;

let failed = 0;
const check = (name, ok, figure) => {
  if (!ok) failed += 1;
  console.log(`${ok ? "PASS" : "FAIL"} ${name} (${figure})`);
};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// The debugging pipe: messages are JSON, each ended by a NUL.
const profile = mkdtempSync(join(tmpdir(), "browser-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
  `--user-data-dir=${profile}`, "--no-first-run", "--disable-background-networking", "about:blank"];
const browser = spawn(chromium, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const [, , , input, output] = browser.stdio;
let next = 1;
const pending = new Map();
const heard = [];
let rest = Buffer.alloc(0);
output.on("data", (data) => {
  rest = Buffer.concat([rest, data]);
  for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) {
    const message = JSON.parse(rest.subarray(0, end).toString());
    if (!message.id) heard.push(message);
    else {
      const { resolve, reject } = pending.get(message.id);
      pending.delete(message.id);
      if (message.error) reject(new Error(message.error.message));
      else resolve(message.result);
    }
  }
});
const send = (method, params = {}, sessionId) => new Promise((resolve, reject) => {
  const id = next++;
  pending.set(id, { resolve, reject });
  input.write(`${JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) })}\0`);
});

const run = async () => {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const tab = (method, params) => send(method, params, sessionId);
  const evaluate = async (expression) => {
    const answer = await tab("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true, userGesture: true });
    if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
    return answer.result.value;
  };
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await tab(`${domain}.enable`);
  await send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: shots });
  const size = (width, height) =>
    tab("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
  const media = (type, scheme) =>
    tab("Emulation.setEmulatedMedia", { media: type, features: [{ name: "prefers-color-scheme", value: scheme }] });
  const shoot = async (name, clip) => {
    const { data } = await tab("Page.captureScreenshot", clip ? { clip: { x: 0, y: 0, scale: 1, ...clip }, captureBeyondViewport: true } : {});
    writeFileSync(join(shots, `${name}.png`), Buffer.from(data, "base64"));
  };

  await size(1400, 900);
  await media("screen", "light");
  await tab("Page.navigate", { url });
  for (let i = 0; i < 200 && !heard.some((m) => m.method === "Page.loadEventFired"); i++) await wait(50);

  // What it weighs.
  const bytes = readFileSync(page).length;
  const script = await evaluate("[...document.scripts].reduce((n, s) => n + new Blob([s.textContent]).size, 0)");
  check("page weight", bytes <= MOST_PAGE, `${bytes} of ${MOST_PAGE} bytes`);
  check("script weight", script <= MOST_SCRIPT, `${script} of ${MOST_SCRIPT} bytes`);
  check("first screen", await evaluate(`(() => {
    const q = document.querySelector("h1"), m = document.querySelector(".matrix");
    return q.getBoundingClientRect().top < 300 && (!m || m.getBoundingClientRect().top < 900);
  })()`), "question, and the matrix if there is one, begin above 900 px");

  // Toggles.
  const toggles = await evaluate(`(() => {
    const bad = [];
    const marked = [...document.querySelectorAll("[data-profile]")];
    const buttons = [...document.querySelectorAll("[data-key]")];
    for (const b of buttons) {
      b.click();
      const { key, value } = b.dataset;
      if (b.getAttribute("aria-pressed") !== "true") bad.push(value);
      if (marked.some((m) => m.dataset[key] && m.dataset[key] !== value && !m.hidden)) bad.push(value);
      if (!marked.some((m) => m.dataset[key] === value && !m.hidden)) bad.push(value);
    }
    for (const key of new Set(buttons.map((b) => b.dataset.key))) buttons.find((b) => b.dataset.key === key).click();
    return { bad, n: buttons.length };
  })()`);
  check("settings and workloads", toggles.bad.length === 0, `${toggles.n} buttons, ${toggles.bad.length} wrong`);
  const engines = await evaluate(`(() => {
    const bad = [];
    const buttons = [...document.querySelectorAll("[data-toggles]")];
    for (const b of buttons) {
      const lines = [...document.querySelectorAll('svg g[data-look="' + b.dataset.toggles + '"]')];
      b.click();
      if (lines.length === 0 || lines.some((g) => getComputedStyle(g).display !== "none")) bad.push(b.textContent);
      b.click();
      if (lines.some((g) => getComputedStyle(g).display === "none")) bad.push(b.textContent);
    }
    return { bad, n: buttons.length };
  })()`);
  check("engines hide and show", engines.bad.length === 0, `${engines.n} buttons, wrong: ${engines.bad.join(", ") || "none"}`);
  const hover = await evaluate(`[...document.querySelectorAll("svg g > title")].length`);
  check("values at points", hover > 0, `${hover} titles`);

  // Downloads.
  const figures = await evaluate(`[...document.querySelectorAll("figure[data-file]")].map((f) => f.dataset.file)`);
  const complete = await evaluate(`[...document.querySelectorAll("figure")].every((f) => f.querySelector("a[download]") && f.querySelector("[data-saves]"))`);
  check("every figure can be saved", complete, `${figures.length} figures`);
  const file = figures[0];
  for (const kind of ["svg", "csv"]) if (existsSync(join(shots, `${file}.${kind}`))) rmSync(join(shots, `${file}.${kind}`));
  await evaluate(`document.querySelector("[data-saves]").click()`);
  await wait(800);
  await evaluate(`document.querySelector("figure a[download]").click()`);
  for (let i = 0; i < 60 && !(existsSync(join(shots, `${file}.svg`)) && existsSync(join(shots, `${file}.csv`))); i++) await wait(100);
  const saved = (kind) => (existsSync(join(shots, `${file}.${kind}`)) ? readFileSync(join(shots, `${file}.${kind}`), "utf8") : "");
  check("SVG is saved", saved("svg").startsWith("<svg") && saved("svg").trimEnd().endsWith("</svg>"), `${saved("svg").length} characters`);
  check("CSV is saved", saved("csv").split("\n").length > 2, `${saved("csv").split("\n").length} lines`);

  // Names, order, contrast.
  const names = await evaluate(`(() => {
    const all = (s) => [...document.querySelectorAll(s)];
    const bad = [];
    for (const s of all("svg")) if (s.getAttribute("role") !== "img" || !s.querySelector("title")?.textContent) bad.push("svg");
    for (const t of all("table")) if (!t.caption?.textContent || t.querySelectorAll("th[scope=col]").length === 0) bad.push("table");
    for (const r of all("tbody tr")) if (!r.querySelector("th[scope=row]")) bad.push("row");
    for (const b of all("button, a")) if (!(b.getAttribute("aria-label") || b.textContent.trim())) bad.push("button");
    for (const g of all("[role=region], [role=group]")) if (!g.getAttribute("aria-label")) bad.push("region");
    const ids = all("[id]").map((e) => e.id);
    if (new Set(ids).size !== ids.length) bad.push("ids");
    for (const a of all('a[href^="#"]')) if (!document.getElementById(a.getAttribute("href").slice(1))) bad.push("link " + a.getAttribute("href"));
    if (!document.documentElement.lang || !document.title) bad.push("document");
    return { bad, svg: all("svg").length, tables: all("table").length };
  })()`);
  check("names", names.bad.length === 0, `${names.svg} pictures, ${names.tables} tables; wrong: ${names.bad.join(", ") || "none"}`);
  const headings = await evaluate(`(() => {
    const levels = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].map((h) => Number(h.tagName[1]));
    const jumps = levels.filter((l, i) => i > 0 && l > levels[i - 1] + 1).length;
    return { ok: levels[0] === 1 && levels.filter((l) => l === 1).length === 1 && jumps === 0, n: levels.length };
  })()`);
  check("headings in order", headings.ok, `${headings.n} headings`);
  const CONTRAST = `(() => {
    const rgb = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
    const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] > 0) return c; } return [255, 255, 255, 1]; };
    let least = 99, where = "";
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let n; (n = walk.nextNode()); ) {
      const e = n.parentElement;
      if (!n.textContent.trim() || e.closest("script, style, title, desc") || e.checkVisibility?.() === false) continue;
      const svg = e.closest("svg");
      const fore = rgb(svg ? getComputedStyle(e).fill : getComputedStyle(e).color);
      // A picture has white paper; what the dark scheme does to it, it does to both.
      const back = svg ? [255, 255, 255, 1] : ground(e);
      const [a, b] = [lum(fore), lum(back)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05);
      if (ratio < least) { least = ratio; where = e.tagName + ": " + n.textContent.trim().slice(0, 30); }
    }
    return { least, where };
  })()`;
  for (const scheme of ["light", "dark"]) {
    await media("screen", scheme);
    const { least, where } = await evaluate(CONTRAST);
    check(`contrast, ${scheme}`, least >= 4.5, `least ${least.toFixed(2)} at ${where}`);
  }
  await media("screen", "light");

  // By keyboard.
  await evaluate("document.activeElement.blur(); scrollTo(0, 0)");
  const key = async (name, code) => {
    await tab("Input.dispatchKeyEvent", { type: "keyDown", key: name, code: name, windowsVirtualKeyCode: code, text: name === "Enter" ? "\r" : undefined });
    await tab("Input.dispatchKeyEvent", { type: "keyUp", key: name, code: name, windowsVirtualKeyCode: code });
  };
  await key("Tab", 9);
  const first = await evaluate("document.activeElement.className");
  const visible = await evaluate("document.activeElement.getBoundingClientRect().left >= 0");
  check("first stop is the skip link, and it shows", first === "skip" && visible, first || "nothing");
  const order = await evaluate(`[...document.querySelectorAll("[tabindex]")].every((e) => e.tabIndex === 0)`);
  check("focus follows the text", order, "no positive tabindex");

  // Pictures for a person.
  await evaluate("document.activeElement.blur()");
  const clip = { width: 1400, height: Math.min(5000, await evaluate("document.documentElement.scrollHeight")) };
  await shoot("light", clip);
  await shoot("first-screen");
  const low = await evaluate(`document.querySelector("#cost, #network, #method").getBoundingClientRect().top + scrollY`);
  const whole = await evaluate("document.documentElement.scrollHeight");
  await tab("Page.captureScreenshot", { clip: { x: 0, y: Math.max(0, low - 900), width: 1400, height: Math.min(3000, whole - low + 900), scale: 1 }, captureBeyondViewport: true })
    .then(({ data }) => writeFileSync(join(shots, "lower.png"), Buffer.from(data, "base64")));
  await media("screen", "dark");
  await shoot("dark", clip);
  await media("screen", "light");
  await evaluate(`document.documentElement.style.filter = "grayscale(1)"`);
  await shoot("grey", { ...clip, height: Math.min(2400, clip.height) });
  await evaluate(`document.documentElement.style.filter = ""`);
  await size(390, 844);
  const wide = await evaluate("document.documentElement.scrollWidth");
  check("narrow screen", wide <= 390, `${wide} px at 390 px`);
  await shoot("narrow", { width: 390, height: 4000 });
  await size(1000, 1400);
  const { data } = await tab("Page.printToPDF", { preferCSSPageSize: true, printBackground: false });
  const pdf = Buffer.from(data, "base64");
  writeFileSync(join(shots, "print.pdf"), pdf);
  const pages = (pdf.toString("latin1").match(/\/Type\s*\/Page\b/g) || []).length;
  check("prints", pages > 0, `${pages} pages of A4`);
  await media("print", "light");
  await shoot("print", { width: 1000, height: 4000 });

  const errors = heard.filter((m) => m.method === "Runtime.exceptionThrown"
    || (m.method === "Log.entryAdded" && m.params.entry.level === "error")
    || (m.method === "Runtime.consoleAPICalled" && m.params.type === "error"));
  check("console", errors.length === 0, `${errors.length} errors${errors.length ? `: ${JSON.stringify(errors[0].params)}` : ""}`);
  const asked = heard.filter((m) => m.method === "Network.requestWillBeSent").map((m) => m.params.request.url);
  const beyond = asked.filter((u) => u !== url && !u.startsWith("data:text/csv") && !u.startsWith("blob:"));
  check("requests", beyond.length === 0, `${beyond.length} beyond the file itself${beyond.length ? `: ${beyond[0]}` : ""}`);
  console.log(`pictures in ${shots}: ${readdirSync(shots).filter((f) => f.endsWith(".png")).join(" ")}`);
};

run()
  .catch((error) => {
    failed += 1;
    console.log(`FAIL browser (${error.message})`);
  })
  .finally(() => {
    browser.kill();
    setTimeout(() => {
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
      process.exit(failed === 0 ? 0 : 1);
    }, 500);
  });
