import {applyTheme, make, mark, percent, toggleTheme} from "../../visualization/page/dom.js";
import {DrivePanel} from "../../visualization/page/drive_panel.js";
import {ScenePanel} from "../../visualization/page/scene_panel.js";
import {Address} from "./address.js";
import {ChartsView} from "./charts_view.js";
import {decisiveStep, differenceInWords} from "./difference_words.js";
import {difference, filtered, mean, sorted} from "./rows.js";
import {SceneTable} from "./table.js";
import {Source} from "./source.js";

const MOST_SHOWN = 4;

class App {
  constructor() {
    this.source = new Source();
    this.address = new Address(() => this.follow());
    this.masks = [];
    this.main = document.getElementById("main");
  }

  async start() {
    try {
      this.data = await this.source.table();
    } catch (error) {
      this.main.replaceChildren(make("p", {class: "wait bad", role: "alert"}, error.message));
      return;
    }
    this.columns = new Map(this.data.columns.map((column) => [column.key, column]));
    const title = this.data.results.map((result) => result.name).join(" and ") || "Training runs";
    document.getElementById("title").textContent = title;
    this.drives = this.data.kind === "drives";
    this.thing = this.drives ? "log" : "scene";
    document.title = `${title}: ${this.data.kind}`;
    this.place = new Map(this.data.token.map((token, i) => [token, i]));
    this.tabs();
    this.build();
    document.addEventListener("keydown", (event) => this.key(event));
    document.getElementById("theme").addEventListener("click", () => this.theme());
    document.getElementById("help").addEventListener("click", () => this.help());
    this.follow();
    this.scan();
  }

  tabs() {
    const names = [["scenes", `${this.drives ? "Logs" : "Scenes"} ${this.data.token.length}`], ["scores", "Scores"], ...(this.drives ? [] : [["learning", "Learning"]])];
    this.tabButtons = names.map(([name, text]) => make("button", {type: "button", role: "tab", "data-tab": name, onclick: () => { this.address.set({tab: name}, true); this.follow(); }}, text));
    document.getElementById("tabs").replaceChildren(...this.tabButtons);
  }

  build() {
    const change = (name) => (event) => { this.address.set({[name]: event.target.value}); this.refresh(); };
    const agents = this.data.columns.map((column) => make("option", {value: column.key}, column.label));
    this.search = make("input", {type: "search", placeholder: this.drives ? "log" : "token or log", "aria-label": this.drives ? "Search by log" : "Search by token or log", oninput: change("q")});
    this.first = make("select", {"aria-label": "Agent", onchange: change("a")}, agents);
    this.second = make("select", {"aria-label": "Compared with", onchange: change("b")}, make("option", {value: "-"}, "nobody"), agents.map((one) => one.cloneNode(true)));
    this.lost = make("select", {"aria-label": "Sub-metric that the agent lost", onchange: change("lost")}, make("option", {value: ""}, "anything or nothing"));
    this.what = make("select", {"aria-label": "What happens", onchange: change("what")}, make("option", {value: ""}, "anything"), this.data.happenings.map((name, bit) => make("option", {value: name, title: this.data.meanings[bit]}, name)));
    this.only = make("select", {"aria-label": "Which scenes", onchange: change("only")}, ...[["", `all ${this.thing}s`], ["losses", "losses"], ["gains", "gains"], ["zero", "score 0"], ["failed", "failed"]].map(([value, text]) => make("option", {value}, text)));
    this.agentBoxes = make("div", {class: "agent-boxes"});
    this.count = make("p", {class: "count", "aria-live": "polite"});
    this.extremes = make("div", {class: "extremes", role: "group", "aria-label": "Scenes in which the agents differ most"});
    this.scanNote = make("span", {class: "scan"});
    this.copy = make("button", {type: "button", onclick: () => this.copyTokens()}, this.listText("Copy"));
    this.save = make("button", {type: "button", onclick: () => this.saveTokens()}, this.listText("Save"));
    this.table = new SceneTable({open: (i) => this.open(this.data.token[i], true), sort: (order) => { this.address.set({sort: order}); this.refresh(); }, select: () => this.tellSelection()});
    const field = (text, input) => make("label", {class: "field"}, make("span", {}, text), input);
    const controls = make("form", {class: "controls", onsubmit: (event) => event.preventDefault()},
      field("agent", this.first), field("against", this.second), field("show", this.only), field("lost", this.lost), this.data.happenings.length ? field("what happens", this.what) : null, field("search", this.search));
    const shown = make("details", {class: "agents-shown"}, make("summary", {}, "agents shown"), this.agentBoxes);
    const list = make("section", {class: "list", "aria-label": "Table of scenes"}, controls, make("div", {class: "quick"}, this.extremes, shown), make("div", {class: "summary-line"}, this.count, this.scanNote, this.copy, this.save), this.table.element);
    this.detail = make("section", {class: "detail", "aria-label": "Scene", "aria-live": "off"});
    this.scenesView = make("div", {class: "scenes-view"}, list, this.detail);
    this.charts = new ChartsView(this);
    this.main.replaceChildren(this.scenesView, this.charts.element);
    if (!this.data.columns.length) this.scenesView.replaceChildren(make("p", {class: "wait"}, "No scenes are open."));
  }

  // Agents compared: those of the address, else a good guess: the first that is no baseline against imitation.
  agents() {
    const find = (wanted, fallback) => this.columns.get(wanted) ?? fallback;
    const learned = this.data.columns.filter((column) => !/(^|\.)(human|constant_velocity|pdm_closed)$/.test(column.agent) && !column.truth);
    const pair = learned.find((column) => /(^|\.)pair$/.test(column.agent)), il = learned.find((column) => /(^|\.)il$/.test(column.agent));
    const first = find(this.address.get("a"), pair ?? learned[0] ?? this.data.columns.at(-1) ?? null);
    const guess = first === pair && il && il !== first ? il : learned.find((column) => column !== first) ?? this.data.columns.find((column) => column !== first) ?? null;
    const second = this.address.get("b") === "-" ? null : find(this.address.get("b"), guess);
    return {a: first, b: second === first ? null : second};
  }

  shownAgents(a, b) {
    const asked = this.address.list("show").map((key) => this.columns.get(key)).filter(Boolean);
    if (asked.length) return asked;
    const human = this.data.columns.find((column) => /(^|\.)human$/.test(column.agent));
    const rest = this.data.columns.filter((column) => ![a, b, human].includes(column));
    return [...new Set([a, b, human, ...(this.data.columns.length <= MOST_SHOWN ? rest : [])])].filter(Boolean);
  }

  metrics() {
    const names = [];
    for (const result of this.data.results) for (const name of result.metrics) if (!names.includes(name)) names.push(name);
    return names;
  }

  // Shows what the address says.
  follow() {
    const tab = this.address.get("tab");
    for (const button of this.tabButtons) button.setAttribute("aria-selected", String(button.dataset.tab === tab));
    this.scenesView.hidden = tab !== "scenes";
    this.search.value = this.address.get("q");
    this.refresh();
    this.charts.show(tab);
    const token = this.address.get("scene");
    if (tab !== "scenes") return;
    if (token) this.open(token);
    else { this.close(); this.openFirst(); }
  }

  // Where there is room for both, the first scene of the table is open from the start.
  openFirst() {
    if (this.rows?.length && matchMedia("(min-width: 861px)").matches) this.open(this.data.token[this.rows[0]]);
  }

  refresh() {
    if (!this.data.columns.length) return;
    const {a, b} = this.agents(), columns = this.shownAgents(a, b), names = this.metrics();
    const wanted = Object.fromEntries(["q", "lost", "what", "only"].map((name) => [name, this.address.get(name)]));
    const order = this.address.get("sort") || (b ? "diff" : a?.key ?? "scene");
    const rows = sorted(filtered(this.data, this.masks, wanted, a, b), this.data, order, a, b);
    Object.assign(this, {a, b, shown: columns, rows});
    this.first.value = a?.key ?? "";
    this.second.value = b?.key ?? "-";
    this.lost.replaceChildren(make("option", {value: ""}, "anything"), ...names.map((name) => make("option", {value: name}, name)));
    this.lost.value = wanted.lost;
    this.what.value = wanted.what;
    this.only.value = wanted.only;
    this.agentBoxes.replaceChildren(...this.data.columns.map((column) => {
      const box = make("input", {type: "checkbox", checked: columns.includes(column), onchange: () => {
        const kept = this.data.columns.filter((one) => (one === column ? box.checked : columns.includes(one)));
        this.address.set({show: kept.map((one) => one.key)});
        this.refresh();
        if (this.address.get("scene")) this.open(this.address.get("scene"));
      }});
      return make("label", {}, box, column.label, column.plans ? "" : " (scores alone)");
    }));
    this.table.set({table: this.data, masks: this.masks, rows, columns, a, b, metrics: names, order});
    this.tell();
    this.tellExtremes();
    if (this.charts.visible) this.charts.draw();
  }

  tell() {
    const {rows, a, b} = this;
    let text = `${rows.length} of ${this.data.token.length} ${this.source.exported ? "chosen " : ""}${this.thing}s`;
    if (a) text += `; ${a.label} ${percent(mean(rows.map((i) => a.scores[i])))}`;
    if (a && b) {
      const gains = rows.map((i) => difference(a, b, i)).filter((value) => value !== null);
      const all = mean(gains);
      text += `, ${b.label} ${percent(mean(rows.map((i) => b.scores[i])))}; mean difference ${all === null ? "–" : `${all > 0 ? "+" : ""}${(100 * all).toFixed(1)}`}, ${gains.filter((x) => x === 0).length} equal`;
    }
    const notes = this.data.results.map((result) => result.note).filter(Boolean);
    this.count.replaceChildren(text, ...notes.map((note) => make("span", {class: "note"}, ` (${note})`)));
    this.tellSelection();
  }

  // One click to what most readers look for: where the agent loses most, or gains most, against the other.
  tellExtremes() {
    const {a, b} = this, chosen = this.address.get("only");
    if (!a || !b) { this.extremes.replaceChildren(); return; }
    const gains = this.data.token.map((_, i) => difference(a, b, i));
    const button = (only, sort, text, count) => make("button", {type: "button", "aria-pressed": String(chosen === only), disabled: !count, onclick: () => this.showExtremes(chosen === only ? "" : only, chosen === only ? "" : sort)}, `${text} (${count})`);
    this.extremes.replaceChildren(
      button("losses", "diff", "greatest losses", gains.filter((gain) => gain !== null && gain < 0).length),
      button("gains", "-diff", "greatest gains", gains.filter((gain) => gain > 0).length));
  }

  showExtremes(only, sort) {
    this.address.set({only, sort, scene: "", t: ""}, true);
    this.follow();
  }

  tellSelection() {
    this.copy.textContent = this.listText("Copy");
    this.save.textContent = this.listText("Save");
  }

  listText(verb) {
    const count = this.table?.selected.size, names = this.drives ? "logs" : "tokens";
    return count ? `${verb} ${count} ${names}` : `${verb} ${names}`;
  }

  tokens() {
    const chosen = this.table.selected.size ? [...this.table.selected].sort((x, y) => x - y) : this.rows;
    return `${chosen.map((i) => this.data.token[i]).join("\n")}\n`;
  }

  async copyTokens() {
    try {
      await navigator.clipboard.writeText(this.tokens());
      this.copy.textContent = "Copied";
    } catch {
      this.copy.textContent = "Not allowed here: save them";
    }
  }

  saveTokens() {
    const link = make("a", {href: URL.createObjectURL(new Blob([this.tokens()], {type: "text/plain"})), download: this.drives ? "logs.txt" : "tokens.txt"});
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  close() {
    this.openToken = "";
    this.panel?.stop();
    this.panel = null;
    document.body.classList.remove("scene-open");
    this.table.show(-1);
    this.detail.replaceChildren(make("p", {class: "wait"}, `Choose a ${this.thing} of the table.`));
  }

  async open(token, step = false) {
    const i = this.place.get(token);
    const keys = this.shown.filter((column) => column.plans).map((column) => column.key);
    const changed = token !== this.openToken;
    if (step && changed) this.address.set({scene: token, t: "", off: this.address.get("off")}, true);
    this.panel?.stop();
    this.openToken = token;
    document.body.classList.add("scene-open");
    if (i === undefined) {
      this.detail.replaceChildren(this.sceneHead(token, null), make("p", {class: "wait bad", role: "alert"}, `There is no ${this.thing} ${token} in these results.`));
      return;
    }
    this.table.show(i);
    const root = make("div", {class: "scene-root"});
    if (!this.panel) this.detail.replaceChildren(make("p", {class: "wait"}, `The ${this.thing} is loaded …`));
    let data;
    try {
      data = await this.source.scene(token, keys);
    } catch (error) {
      if (this.openToken === token) this.detail.replaceChildren(this.sceneHead(token, i), this.numbers(i), make("p", {class: "wait bad", role: "alert"}, error.message));
      return;
    }
    if (this.openToken !== token) return;
    const given = this.address.get("t");
    const options = {
      time: given !== "" ? 10 * Number(given) : this.drives ? undefined : decisiveStep(data.plans, this.a, this.b),
      hidden: this.address.list("off"),
      onTime: (at) => this.address.set({t: (at / 10).toFixed(1)}),
      onHidden: (hidden) => this.address.set({off: hidden}),
    };
    if (!data.plans.length && this.drives) this.panel = null;
    else if (this.drives) this.panel = new DrivePanel(root, data, {...options, follow: this.address.get("follow"), onFollow: (key) => this.address.set({follow: key}), camera: async (key, step) => (await this.source.sensors(token, key, step)).camera});
    else this.panel = new ScenePanel(root, data, options);
    const missing = (data.missing || []).map(([label, reason]) => make("li", {}, make("b", {}, label), `: ${reason}`));
    const scoresAlone = this.shown.filter((column) => !column.plans).map((column) => make("li", {}, make("b", {}, column.label), ": the result holds its scores alone, without plans"));
    this.detail.replaceChildren(this.sceneHead(token, i), ...(missing.length || scoresAlone.length ? [make("ul", {class: "missing"}, missing, scoresAlone)] : []), ...this.why(data), root);
    this.detail.scrollTop = 0;
    mark(`scene:${token}`);
    if (!this.source.exported) this.prefetch(keys);
  }

  // Why the two agents compared differ in this scene.
  why(data) {
    const words = this.drives ? null : differenceInWords(data.plans, this.a, this.b, (step) => this.panel?.player.jump(step));
    return words ? [words] : [];
  }

  sceneHead(token, i) {
    const next = (step) => () => this.open(this.data.token[this.table.neighbour(step)], true);
    const networks = this.source.exported || i === null ? [] : this.shown.filter((column) => column.networks);
    return make("div", {class: "scene-head"},
      make("button", {type: "button", class: "back", onclick: () => { this.address.set({scene: "", t: ""}, true); this.close(); }}, "← table"),
      make("h2", {}, token), i === null ? null : make("span", {class: "log"}, this.data.logs[this.data.log[i]], this.whatText(i)),
      make("span", {class: "head-buttons"}, i === null ? null : [make("button", {type: "button", onclick: next(-1), "aria-label": `Previous ${this.thing}`}, "‹"), make("button", {type: "button", onclick: next(1), "aria-label": `Next ${this.thing}`}, "›")],
        this.source.exported || i === null ? null : make("button", {type: "button", class: "sensors", onclick: () => this.sensors()}, this.drives ? "camera" : "cameras and LiDAR"),
        networks.map((column) => make("button", {type: "button", onclick: () => this.inside(column)}, `inside ${column.label}`))));
  }

  whatText(i) {
    const names = this.data.happenings.filter((_, bit) => (this.masks[i] ?? 0) & (1 << bit));
    return names.length ? ` · ${names.join(", ")}` : "";
  }

  // What is known of a scene that cannot be drawn.
  numbers(i) {
    const names = this.metrics();
    return make("table", {class: "matrix numbers"}, make("thead", {}, make("tr", {}, make("th", {}, "agent"), make("th", {}, "score"), names.map((name) => make("th", {}, name)))),
      make("tbody", {}, this.data.columns.map((column) => make("tr", {}, make("th", {scope: "row"}, column.label), make("td", {}, i in column.errors ? column.errors[i] : percent(column.scores[i])), names.map((name) => make("td", {}, percent(column.metrics[name]?.[i])))))));
  }

  prefetch(keys) {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => { const next = this.table.neighbour(1); if (next !== undefined) this.source.scene(this.data.token[next], keys).catch(() => null); }, 100);
  }

  async sensors() {
    const {panel} = this;
    if (!panel) return;
    if (this.drives) { panel.showCamera(); return; }
    try {
      const seen = await this.source.sensors(panel.data.token);
      if (panel !== this.panel) return;
      if (seen.camera) panel.addCamera(seen.camera);
      panel.addLidar(seen.lidar);
    } catch (error) {
      panel.extra.append(make("p", {class: "bad", role: "alert"}, error.message));
    }
  }

  async inside(column) {
    const {panel} = this;
    if (!panel) return;
    panel.leafBox.replaceChildren(make("p", {class: "wait"}, "The networks are asked …"));
    try {
      const seen = await this.source.inside(panel.data.token, column.key);
      if (panel !== this.panel) return;
      panel.addLeaves(seen.leaves, seen.parts, seen.note);
      panel.addMaps(seen.maps);
    } catch (error) {
      panel.leafBox.replaceChildren(make("p", {class: "bad", role: "alert"}, error.message));
    }
  }

  async scan() {
    const state = await this.source.happenings().catch((error) => ({masks: [], done: true, problem: error.message}));
    this.masks = state.masks;
    const known = state.masks.filter((mask) => mask !== null).length;
    this.scanNote.textContent = state.problem ? `What happens in the scenes is not known: ${state.problem}` : state.done ? "" : `looking through the scenes: ${known} of ${this.data.token.length}`;
    if (this.address.get("what")) {
      this.refresh();
      if (!this.openToken && this.address.get("tab") === "scenes") this.openFirst();
    } else this.table.masks = this.masks, this.table.later();
    if (!state.done) setTimeout(() => this.scan(), known < 200 ? 400 : 1500);
  }

  theme() {
    toggleTheme();
    if (this.charts.visible) this.charts.draw();
  }

  help() {
    const keys = document.getElementById("keys");
    keys.hidden = !keys.hidden;
    document.getElementById("help").setAttribute("aria-expanded", String(!keys.hidden));
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (event.key === "Escape") {
      if (typing) event.target.blur(); else if (this.openToken) { this.address.set({scene: "", t: ""}, true); this.close(); }
      return;
    }
    if (typing) return;
    const open = (step) => { const i = this.table.neighbour(this.table.current < 0 ? 1 : step); if (i !== undefined) this.open(this.data.token[i], true); };
    const actions = {j: () => open(1), k: () => open(-1), ArrowDown: () => open(1), ArrowUp: () => open(-1), "/": () => this.search.focus(), t: () => this.theme(), "?": () => this.help(), c: () => this.sensors(), x: () => { if (this.table.current >= 0) { this.table.select(this.table.current, !this.table.selected.has(this.table.current)); this.table.later(); } }};
    if (this.address.get("tab") !== "scenes") return;
    if (event.key in actions) { actions[event.key](); event.preventDefault(); }
    else if (!event.target.matches("button, summary, input") && this.panel?.key(event)) event.preventDefault();
  }
}

applyTheme();
new App().start();
