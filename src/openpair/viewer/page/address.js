// What the page shows stands in its address, behind the "#": so a link shows the same.
const DEFAULTS = {tab: "scenes", scene: "", a: "", b: "", show: "", q: "", lost: "", what: "", only: "", sort: "", t: "", off: "", follow: "", figure: "", branch: "", smooth: "", head: ""};

export class Address {
  constructor(onChange) {
    this.values = this.read();
    window.addEventListener("hashchange", () => { const next = this.read(); if (this.text(next) !== this.text(this.values)) { this.values = next; onChange(); } });
  }

  read() {
    const given = new URLSearchParams(location.hash.slice(1));
    return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, given.get(name) ?? value]));
  }

  get(name) { return this.values[name]; }

  list(name) { return this.values[name] ? this.values[name].split("~") : []; }

  // `step`: a new entry in the browser's history, so that "back" undoes it.
  set(changes, step = false) {
    for (const [name, value] of Object.entries(changes)) this.values[name] = Array.isArray(value) ? value.join("~") : String(value);
    const text = this.text(this.values);
    if (`#${text}` === location.hash) return;
    history[step ? "pushState" : "replaceState"](null, "", `#${text}`);
  }

  text(values) {
    const set = new URLSearchParams();
    for (const [name, value] of Object.entries(values)) if (value !== DEFAULTS[name]) set.set(name, value);
    return set.toString();
  }
}
