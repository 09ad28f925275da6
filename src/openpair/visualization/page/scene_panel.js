import {breakable, make, percent, seconds, svgElement, svgGroup} from "./dom.js";
import {Player, placed} from "./player.js";

const LAST_STEP = 40;

// One scene: the drawing that plays over 4 s, what each plan scores, and why. `data` is what scene_data.py makes.
// Options: onTime(step), time: the first moment shown, hidden: keys of plans that are not shown, all: every sub-metric
// has its sentence, lost or not.
export class ScenePanel {
  constructor(root, data, options = {}) {
    this.root = root;
    this.data = data;
    this.options = options;
    this.hidden = new Set(options.hidden || []);
    root.replaceChildren();
    root.classList.add("scene-panel");
    root.append(this.stage(), this.reasons());
    for (const key of this.hidden) this.setShown(key, false);
    this.show(options.time ?? data.first);
  }

  stage() {
    const svg = (this.svg = svgElement(this.data.svg));
    this.movers = [...svg.querySelectorAll("[data-who]")];
    this.lights = lightsOf(svg);
    this.marks = [...svg.querySelectorAll("[data-step]")];
    const marks = this.offences().map(({plan, finding}) => ({step: finding.step, tone: toneOf(plan), title: `${plan.label}: ${finding.short} at ${seconds(finding.step)}`, label: `Go to ${finding.short} of ${plan.label} at ${seconds(finding.step)}`}));
    this.player = new Player({last: LAST_STEP, marks, onShow: (at) => this.draw(at), onTime: this.options.onTime});
    this.caption = make("p", {class: "moment", "aria-live": "polite"});
    return make("div", {class: "stage"},
      make("div", {class: "from-above"}, svg),
      this.player.element,
      this.caption, drawingKey(this.data));
  }

  reasons() {
    const {plans} = this.data;
    const head = plans.map((plan) => this.planHead(plan));
    this.leafBox = make("div", {class: "leaf-box"});
    this.extra = make("div", {class: "extra"});
    const box = make("div", {class: "reasons"},
      make("ul", {class: "plan-heads"}, head),
      plans.length ? this.matrix() : null,
      this.happened(),
      make("details", {class: "arithmetic", open: this.options.all}, make("summary", {}, "The arithmetic"), plans.map((plan) => make("div", {"data-of": plan.key}, make("h4", {}, plan.label), make("pre", {}, plan.arithmetic.join("\n"))))),
      this.leafBox, this.extra);
    if (this.data.camera) this.addCamera(this.data.camera);
    if (this.data.leaves.length) this.addLeaves(this.data.leaves, null);
    return box;
  }

  planHead(plan) {
    const box = make("input", {type: "checkbox", checked: !this.hidden.has(plan.key), "aria-label": `Show ${plan.label}`, onchange: () => this.setShown(plan.key, box.checked)});
    return make("li", {"data-of": plan.key},
      make("label", {}, box, swatch(plan), make("b", {class: "name"}, plan.label), make("b", {class: `score ${plan.score >= 0.9995 ? "whole" : plan.score < 0.0005 ? "lost" : ""}`}, percent(plan.score))),
      make("p", {}, plan.headline, plan.notes.length ? ` (${plan.notes.join("; ")})` : ""));
  }

  matrix() {
    const {plans} = this.data;
    const rows = plans[0].findings.map((one, row) => make("tr", {},
      make("th", {scope: "row", title: one.name}, one.short, make("small", {}, one.name)),
      plans.map((plan) => this.cell(plan, plan.findings[row]))));
    return make("div", {class: "matrix-box"}, make("table", {class: plans.length > 2 ? "matrix many" : "matrix"},
      make("thead", {}, make("tr", {}, make("th", {}, this.data.score_name), plans.map((plan) => make("th", {scope: "col", "data-of": plan.key}, swatch(plan), breakable(plan.label))))),
      make("tbody", {}, rows)));
  }

  cell(plan, finding) {
    const text = finding.value === null ? "–" : percent(finding.value);
    const lost = finding.step !== null && finding.kind !== "whole";
    return make("td", {class: finding.kind, "data-of": plan.key, title: finding.text},
      lost ? make("button", {type: "button", onclick: () => this.player.jump(finding.step)}, text) : text);
  }

  // What was lost, in the order of time; what has no moment (progress) last.
  offences() {
    const found = [];
    for (const plan of this.data.plans) for (const finding of plan.findings) if (finding.step !== null && finding.kind !== "whole") found.push({plan, finding});
    return found.sort((a, b) => a.finding.step - b.finding.step);
  }

  happened() {
    const {plans} = this.data;
    const rest = [];
    for (const plan of plans) for (const finding of plan.findings) if (finding.step === null || finding.kind === "whole") if (this.options.all || (finding.kind !== "whole" && finding.kind !== "aside")) rest.push({plan, finding});
    const items = [...this.offences(), ...rest].map(({plan, finding}) => make("li", {class: `${finding.kind}${finding.first ? " first" : ""}`, "data-of": plan.key},
      finding.step === null ? make("span", {class: "when"}) : make("button", {type: "button", class: "when", onclick: () => this.player.jump(finding.step)}, seconds(finding.step)),
      make("span", {class: "who"}, swatch(plan), plans.length > 1 ? `${plan.label} ` : null, make("b", {title: finding.name}, finding.short, " ", finding.value === null ? "–" : percent(finding.value))),
      make("span", {class: "why"}, finding.text, finding.gain === null || finding.gain < plan.explained + 5e-4 ? null : make("em", {}, ` With ${finding.short} 1 the score would be ${Number(finding.gain.toFixed(4))}.`))));
    return make("div", {class: "happened"}, make("h4", {}, this.options.all ? "What each value says" : "What was lost, and when"), items.length ? make("ol", {}, items) : make("p", {}, "Nothing was lost."));
  }

  addCamera(camera) {
    this.root.querySelector(".camera")?.remove();
    const image = make("img", {src: camera.src, width: camera.width, height: camera.height, alt: "Left, front and right camera"});
    (this.extra || this.root).append(make("figure", {class: "camera"}, image, make("figcaption", {}, "Left, front and right camera, now")));
  }

  addLidar(parts) {
    this.svg.querySelector(".lidar-layer")?.remove();
    const layer = svgGroup(parts, "lidar-layer");
    this.svg.querySelector(".agents").before(layer);
    return layer;
  }

  // Candidates of the tree by true or predicted score. `parts`: their paths, or null where the drawing has them.
  addLeaves(leaves, parts, note = "") {
    if (parts !== null) {
      this.svg.querySelector("g.leaves")?.remove();
      const first = this.svg.querySelector("g.drive") || this.svg.lastElementChild;
      first.before(svgGroup(parts, "leaves"));
    }
    const paths = new Map([...this.svg.querySelectorAll("[data-leaf]")].map((path) => [Number(path.dataset.leaf), path]));
    const asked = leaves.some((leaf) => leaf.predicted !== null);
    const said = make("p", {class: "leaf-said", "aria-live": "polite"});
    const byPrediction = (on) => leaves.forEach((leaf, i) => paths.get(i)?.setAttribute("stroke", on ? leaf.predicted_colour : leaf.colour));
    const tell = (i) => {
      for (const [j, path] of paths) path.setAttribute("stroke-opacity", i === null || i === j ? 0.9 : 0.12);
      const leaf = i === null ? null : leaves[i];
      said.textContent = leaf === null ? "" : `${leaf.label}: ${Object.entries(leaf.metrics).map(([name, value]) => `${name} ${percent(value)}${name in leaf.predicted_metrics ? ` (predicted ${percent(leaf.predicted_metrics[name])})` : ""}`).join(", ")}`;
    };
    const order = leaves.map((_, i) => i).sort((a, b) => (leaves[b].score ?? -1) - (leaves[a].score ?? -1));
    const rows = order.map((i) => {
      const bar = make("i", {});
      bar.style.width = `${100 * (leaves[i].score ?? 0)}%`;
      bar.style.background = leaves[i].colour;
      return make("tr", {tabindex: 0, onpointerenter: () => tell(i), onfocus: () => tell(i), onpointerleave: () => tell(null), onblur: () => tell(null)},
        make("th", {scope: "row"}, leaves[i].label), make("td", {class: "bar"}, bar), make("td", {}, percent(leaves[i].score)), asked ? make("td", {}, percent(leaves[i].predicted)) : null);
    });
    const choose = make("select", {"aria-label": "Colour of the candidates", onchange: () => byPrediction(choose.value === "predicted")}, make("option", {value: "true"}, "coloured by true score"), make("option", {value: "predicted"}, "coloured by predicted score"));
    this.leafBox.replaceChildren(make("h4", {}, "Candidates"), note ? make("p", {}, note) : "", asked ? choose : "",
      make("table", {class: "leaf-table"}, make("thead", {}, make("tr", {}, make("th", {}, "candidate"), make("th", {}), make("th", {}, "true"), asked ? make("th", {}, "predicted") : null)), make("tbody", {}, rows)), said);
  }

  // Pictures of what networks see.
  addMaps(maps) {
    this.root.querySelector(".maps")?.remove();
    this.extra.append(make("div", {class: "maps"}, maps.map((map) => make("figure", {}, make("img", {src: map.src, alt: map.title}), make("figcaption", {}, map.title)))));
  }

  setShown(key, on) {
    if (on) this.hidden.delete(key); else this.hidden.add(key);
    for (const part of this.svg.querySelectorAll("[data-plan]")) if (part.dataset.plan === key) part.setAttribute("display", on ? "inline" : "none");
    for (const part of this.root.querySelectorAll(".matrix [data-of], .happened [data-of]")) if (part.dataset.of === key) part.classList.toggle("off", !on);
    this.options.onHidden?.([...this.hidden]);
  }

  // Draws a moment; between two steps everything moves straight.
  draw(at) {
    const low = Math.floor(at), part = at - low;
    for (const mover of this.movers) {
      const places = this.data.moves[mover.dataset.who] || [];
      const here = places[low], next = places[Math.min(low + 1, LAST_STEP)];
      mover.setAttribute("visibility", here ? "visible" : "hidden");
      if (here) mover.setAttribute("transform", placed(here, next || here, part));
    }
    showLights(this.lights, low);
    for (const mark of this.marks) mark.classList.toggle("later", at + 1e-6 < Number(mark.dataset.step));
    const now = this.offences().filter(({plan, finding}) => !this.hidden.has(plan.key) && at >= finding.step && at < finding.step + 6);
    this.caption.replaceChildren(...now.slice(-2).map(({plan, finding}) => make("span", {}, swatch(plan), make("b", {}, `${plan.label}, ${finding.short}: `), finding.text)));
  }

  show(step) { this.player.show(step); }

  stop() { this.player.stop(); }

  key(event) { return this.player.key(event); }
}

export function toneOf(plan) {
  return plan.tone === null ? "human" : `tone${plan.tone}`;
}

export function swatch(plan) {
  return make("i", {class: `swatch ${toneOf(plan)}`, "aria-hidden": "true"});
}

// Lights of a drawing with the spans of steps at which they are red.
export function lightsOf(svg) {
  return [...svg.querySelectorAll("[data-red]")].map((light) => [light, light.dataset.red.split(" ").map((span) => span.split("-").map(Number))]);
}

export function showLights(lights, step) {
  for (const [light, spans] of lights) light.setAttribute("visibility", spans.some(([from, to]) => step >= from && step <= to) ? "visible" : "hidden");
}

// What the colours of a drawing mean.
export function drawingKey(data, reference = true) {
  const entries = [...(reference ? [["k-reference", "PDM-Closed"]] : []), ["k-route", "route"], ["k-car", "vehicle"], ["k-ped", "pedestrian"], ["k-bike", "bicycle"], ["k-static", "object"], ["k-red", "red light"], ["k-offence", "offence"]];
  const lines = data.plans.map((plan) => make("li", {}, swatch(plan), plan.label));
  return make("ul", {class: "key"}, lines, entries.map(([name, text]) => make("li", {}, make("i", {class: name}), text)));
}

// Pages with scenes inside: `<div data-scene="..."></div>` shows the scene of that name in `scenes`; keys go to the
// scene that has the focus or the pointer.
export function showScenes(scenes, options = {}) {
  const panels = [];
  for (const root of document.querySelectorAll("[data-scene]")) {
    const data = scenes[root.dataset.scene];
    const open = () => { if (!root.panel) { root.panel = new ScenePanel(root, data, options); panels.push(root.panel); } };
    if (Object.keys(scenes).length > 4 && "IntersectionObserver" in window) {
      const watch = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) { watch.disconnect(); open(); } }, {rootMargin: "800px"});
      watch.observe(root);
    } else open();
  }
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea, button, summary")) return;
    const panel = panels.find((one) => one.root.matches(":hover, :focus-within")) || (panels.length === 1 ? panels[0] : null);
    if (panel?.key(event)) event.preventDefault();
  });
  return panels;
}
