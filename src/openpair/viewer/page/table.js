import {breakable, make, mark, percent} from "../../visualization/page/dom.js";
import {difference, lostOf} from "./rows.js";

const ROW_PX = 46, SPARE = 6;

// The table of scenes. Only the rows that are in sight are elements, so that any number of scenes scrolls at once.
// on: open(i), sort(key), select(i, on).
export class SceneTable {
  constructor(on) {
    this.on = on;
    this.rows = [];
    this.selected = new Set();
    this.current = -1;
    this.head = make("div", {class: "t-head", role: "row"});
    this.space = make("div", {class: "t-space", role: "rowgroup"});
    this.body = make("div", {class: "t-body", tabindex: 0, role: "rowgroup", "aria-label": "Scenes", onscroll: () => this.later()}, this.space);
    this.element = make("div", {class: "t-table", role: "table", "aria-label": "Scenes"}, this.head, this.body);
    new ResizeObserver(() => this.later()).observe(this.body);
  }

  // What is shown. columns: agents in order; a, b: those compared, or null.
  set({table, masks, rows, columns, a, b, metrics, order}) {
    Object.assign(this, {table, masks, rows, columns, a, b, metrics});
    const heads = [["scene", table.kind === "drives" ? "log" : "scene", ""], ...columns.map((column) => [column.key, column.label, column === a ? "agent-a" : column === b ? "agent-b" : "other"]), ...(b ? [["diff", "diff.", "diff"]] : []), ["", a ? `lost by ${a.label}` : "lost", "lost"]];
    const by = order.replace(/^-/, ""), falling = order.startsWith("-");
    this.head.replaceChildren(make("span", {role: "columnheader", class: "pick"}, make("input", {type: "checkbox", "aria-label": "Select all shown", onchange: (event) => this.selectAll(event.target.checked)})), ...heads.map(([key, text, name]) => {
      const state = key && key === by ? (falling ? "descending" : "ascending") : null;
      const label = key ? make("button", {type: "button", title: `Sort by ${text}`, onclick: () => this.on.sort(key === by && !falling ? `-${key}` : key)}, breakable(text), state ? make("span", {"aria-hidden": "true"}, falling ? " ▼" : " ▲") : null) : text;
      return make("span", {role: "columnheader", class: name || "scene", "aria-sort": state}, label);
    }));
    this.element.style.setProperty("--agents", columns.length);
    this.element.classList.toggle("compares", Boolean(b));
    this.element.setAttribute("aria-rowcount", rows.length + 1);
    this.space.style.height = `${rows.length * ROW_PX}px`;
    this.later();
  }

  later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    if (!this.table) return;
    const first = Math.max(0, Math.floor(this.body.scrollTop / ROW_PX) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((this.body.scrollTop + this.body.clientHeight) / ROW_PX) + SPARE);
    const shown = [];
    for (let place = first; place < last; place++) shown.push(this.row(place));
    this.space.replaceChildren(...shown);
    if (shown.length) mark("table");
    if (!this.rows.length) this.space.append(make("p", {class: "none"}, `No ${this.table.kind === "drives" ? "log" : "scene"} passes these filters.`));
  }

  row(place) {
    const i = this.rows[place], {table} = this;
    const what = table.happenings.filter((_, bit) => (this.masks[i] ?? 0) & (1 << bit)).filter((name) => name !== "straight on");
    const pick = make("input", {type: "checkbox", checked: this.selected.has(i), "aria-label": `Select ${table.token[i]}`, onclick: (event) => event.stopPropagation(), onchange: (event) => this.select(i, event.target.checked)});
    const gain = this.b ? difference(this.a, this.b, i) : null;
    const row = make("div", {class: `t-row${i === this.current ? " current" : ""}`, role: "row", "aria-rowindex": place + 2, "data-token": table.token[i], onclick: () => this.on.open(i)},
      make("span", {role: "cell", class: "pick"}, pick),
      make("span", {role: "cell", class: "scene"}, make("a", {href: `#scene=${encodeURIComponent(table.token[i])}`, tabindex: -1, onclick: (event) => { if (!event.ctrlKey && !event.metaKey) event.preventDefault(); }}, table.token[i]), make("small", {}, table.logs[table.log[i]], what.length ? ` · ${what.join(", ")}` : "")),
      this.columns.map((column) => this.score(column, i)),
      this.b ? make("span", {role: "cell", class: `diff ${gain > 0 ? "gain" : gain < 0 ? "loss" : ""}`}, gain === null ? "" : `${gain > 0 ? "+" : gain < 0 ? "−" : ""}${Math.abs(100 * gain).toFixed(gain !== 0 && Math.abs(gain) < 5e-4 ? 2 : 1)}`) : null,
      make("span", {role: "cell", class: "lost"}, this.a ? lostOf(this.a, i, this.metrics).filter((name) => !["EP", "plans", "nuPlan"].includes(name)).join(" ") : ""));
    row.style.top = `${place * ROW_PX}px`;
    return row;
  }

  score(column, i) {
    const name = column === this.a ? "agent-a" : column === this.b ? "agent-b" : "other";
    if (i in column.errors) return make("span", {role: "cell", class: `score failed ${name}`, title: column.errors[i]}, "failed");
    const value = column.scores[i];
    return make("span", {role: "cell", class: `score ${name} ${value === 0 ? "zero" : ""}`}, percent(value));
  }

  select(i, on) {
    if (on) this.selected.add(i); else this.selected.delete(i);
    this.on.select(this.selected);
  }

  selectAll(on) {
    for (const i of this.rows) if (on) this.selected.add(i); else this.selected.delete(i);
    this.on.select(this.selected);
    this.later();
  }

  // Marks the open scene and brings it into sight.
  show(i) {
    this.current = i;
    const place = this.rows.indexOf(i);
    if (place >= 0) {
      const top = place * ROW_PX;
      if (top < this.body.scrollTop || top + ROW_PX > this.body.scrollTop + this.body.clientHeight) this.body.scrollTop = Math.max(0, top - this.body.clientHeight / 3);
    }
    this.later();
  }

  // The scene after (or before) the open one.
  neighbour(step) {
    const place = this.rows.indexOf(this.current) + step;
    return this.rows[Math.max(0, Math.min(this.rows.length - 1, place))];
  }
}
