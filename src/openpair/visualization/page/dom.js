// Elements made from plain text: nothing that comes from a file is ever read as HTML.
export function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== "") element.append(child);
  return element;
}

// An SVG drawing made by openpair, as an element.
export function svgElement(text) {
  return document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);
}

// Parts of a drawing ("<path .../>...") in a group of its own.
export function svgGroup(parts, name) {
  const group = svgElement(`<svg xmlns="http://www.w3.org/2000/svg"><g class="${name}">${parts}</g></svg>`);
  return group.firstElementChild;
}

// A name that a narrow column may break after a dot or a line, rather than anywhere.
export function breakable(name) {
  return name.split(/(?<=[._])/).flatMap((part, k) => (k ? [make("wbr"), part] : [part]));
}

// 0.9346 -> "93.5"; a dash where there is no number.
export function percent(value) {
  return value === null || value === undefined ? "–" : (100 * value).toFixed(1);
}

export function seconds(step) {
  return `${(step / 10).toFixed(1)} s`;
}

// Notes when something is on the screen for the first time: `openpair bench view` and the browser's own tools read it.
export function mark(name) {
  if (performance.getEntriesByName(name).length) return;
  requestAnimationFrame(() => setTimeout(() => performance.mark(name)));
}

// Light or dark, as asked for in this browser before.
export function applyTheme() {
  let chosen = null;
  try { chosen = localStorage.getItem("openpair-theme"); } catch { /* a page from a disk may have no storage */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

export function toggleTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("openpair-theme", root.dataset.theme); } catch { /* likewise */ }
}
