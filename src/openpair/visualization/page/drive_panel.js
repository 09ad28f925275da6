import {make, percent, seconds, svgElement, svgGroup} from "./dom.js";
import {Player, between, placed} from "./player.js";
import {drawingKey, lightsOf, showLights, swatch, toneOf} from "./scene_panel.js";

const SHOWN_STEPS = 15, ZOOMS = [0.5, 0.75, 1, 1.4, 2];

// Drives of one log, played from beginning to end: the drawing follows one of them. `data` is what drive_book.py makes.
// Options: onTime(step), onHidden(keys), onFollow(key), time, hidden, follow, camera(key, step): a promise of a picture.
export class DrivePanel {
  constructor(root, data, options = {}) {
    Object.assign(this, {root, data, options});
    this.hidden = new Set(options.hidden || []);
    this.followed = data.plans.find((plan) => plan.key === options.follow) ?? data.plans[0];
    this.zoom = 2;
    root.replaceChildren();
    root.classList.add("scene-panel", "drive-panel");
    root.append(this.stage(), this.reasons());
    for (const key of this.hidden) this.setShown(key, false);
    this.follow(this.followed);
    this.show(options.time ?? 0);
  }

  stage() {
    const svg = (this.svg = svgElement(this.data.svg));
    this.world = svg.querySelector("g.world");
    this.lights = lightsOf(svg);
    this.marks = [...svg.querySelectorAll("[data-step]")];
    this.egos = new Map([...svg.querySelectorAll("[data-who]")].map((ego) => [ego.dataset.who, ego]));
    const marks = this.events().map(({plan, event}) => ({step: event.step, tone: `${toneOf(plan)} ${event.kind}`, title: `${plan.label}: ${event.short} at ${seconds(event.step)}`, label: `Go to ${event.short} of ${plan.label} at ${seconds(event.step)}`}));
    this.player = new Player({last: this.data.last, marks, speeds: [1, 2, 4], onShow: (at) => this.draw(at), onTime: (at) => { this.options.onTime?.(at); this.see(); }});
    this.caption = make("p", {class: "moment", "aria-live": "polite"});
    this.readout = make("p", {class: "readout"});
    this.choose = make("select", {"aria-label": "Follow", onchange: () => { this.follow(this.data.plans.find((plan) => plan.key === this.choose.value)); this.options.onFollow?.(this.choose.value); this.draw(this.player.step); this.see(); }}, this.data.plans.map((plan) => make("option", {value: plan.key}, plan.label)));
    const nearer = (step) => make("button", {type: "button", "aria-label": step < 0 ? "Nearer" : "Wider", onclick: () => this.widen(step)}, step < 0 ? "+" : "−");
    return make("div", {class: "stage"}, make("div", {class: "from-above"}, svg),
      make("div", {class: "following"}, make("label", {}, "follow ", this.choose), this.readout, make("span", {class: "zoom"}, nearer(-1), nearer(1))),
      this.player.element, this.caption, drawingKey(this.data, false));
  }

  reasons() {
    const {plans} = this.data;
    const head = plans.map((plan) => {
      const box = make("input", {type: "checkbox", checked: !this.hidden.has(plan.key), "aria-label": `Show ${plan.label}`, onchange: () => this.setShown(plan.key, box.checked)});
      return make("li", {"data-of": plan.key}, make("label", {}, box, swatch(plan), make("b", {class: "name"}, plan.label), make("b", {class: `score ${plan.score === 0 ? "lost" : ""}`}, plan.score === null ? "failed" : percent(plan.score))), make("p", {}, plan.headline));
    });
    const rows = plans[0].values.map(([short, name, , meaning], row) => make("tr", {}, make("th", {scope: "row", title: meaning}, short, make("small", {}, name)), plans.map((plan) => { const value = plan.values[row][2]; return make("td", {class: value === 0 ? "lost" : value !== null && value < 1 ? "partly" : "whole"}, percent(value)); })));
    const items = this.events().map(({plan, event}) => make("li", {class: event.kind, "data-of": plan.key}, make("button", {type: "button", class: "when", onclick: () => this.player.jump(event.step)}, seconds(event.step)), make("span", {class: "who"}, swatch(plan), plans.length > 1 ? `${plan.label} ` : null, make("b", {}, event.short)), make("span", {class: "why"}, event.text)));
    this.extra = make("div", {class: "extra"});
    return make("div", {class: "reasons"}, make("ul", {class: "plan-heads"}, head),
      make("div", {class: "matrix-box"}, make("table", {class: plans.length > 2 ? "matrix many" : "matrix"}, make("thead", {}, make("tr", {}, make("th", {}, this.data.score_name), plans.map((plan) => make("th", {scope: "col", "data-of": plan.key}, swatch(plan), plan.label)))), make("tbody", {}, rows))),
      make("div", {class: "happened"}, make("h4", {}, "What happened, and when"), items.length ? make("ol", {}, items) : make("p", {}, "Nothing happened.")),
      make("details", {class: "arithmetic"}, make("summary", {}, "The arithmetic"), plans.map((plan) => make("div", {"data-of": plan.key}, make("h4", {}, plan.label), make("pre", {}, plan.arithmetic.join("\n") || "It failed and has no score.")))),
      this.extra);
  }

  // What happened to all, in the order of time.
  events() {
    const found = [];
    for (const plan of this.data.plans) for (const event of plan.events) found.push({plan, event});
    return found.sort((a, b) => a.event.step - b.event.step);
  }

  // Follows a drive: its traffic is shown, too.
  follow(plan) {
    this.followed = plan;
    this.choose.value = plan.key;
    const cast = this.data.casts[plan.cast];
    if (cast === this.cast) return;
    this.cast = cast;
    const layer = svgGroup(cast.parts, "agents");
    this.svg.querySelector("g.agents").replaceWith(layer);
    this.movers = [...layer.querySelectorAll("[data-who]")].map((mover) => [mover, ...cast.moves[mover.dataset.who]]);
  }

  widen(step) {
    this.zoom = Math.max(0, Math.min(ZOOMS.length - 1, this.zoom + step));
    const [aside, ahead, behind] = this.data.view.map((one) => one * ZOOMS[this.zoom]);
    this.svg.setAttribute("viewBox", `${-aside} ${-ahead} ${2 * aside} ${ahead + behind}`);
  }

  draw(at) {
    const {stride} = this.data, low = Math.floor(at), index = Math.floor(at / stride), part = at / stride - index;
    for (const [mover, first, places] of this.movers) {
      const here = places[index - first], next = places[index - first + 1];
      mover.setAttribute("visibility", here ? "visible" : "hidden");
      if (here) mover.setAttribute("transform", placed(here, next || here, part));
    }
    for (const plan of this.data.plans) {
      const ego = this.egos.get(`ego:${plan.key}`), last = plan.ego.length - 1, here = plan.ego[Math.min(low, last)], next = plan.ego[Math.min(low + 1, last)];
      ego.setAttribute("transform", placed(here, next, at - low));
      ego.classList.toggle("later", low > last);
      const path = ego.parentElement.querySelector(".plan"), made = low > last ? null : newest(plan.plans, low);
      path.setAttribute("d", made ? made.d : "");
      if (made) path.setAttribute("transform", made.at);
      if (plan === this.followed) {
        const [x, y, turn] = between(here, next, at - low);
        this.world.setAttribute("transform", `rotate(${(-turn).toFixed(2)}) translate(${(-x).toFixed(2)} ${(-y).toFixed(2)})`);
        this.readout.textContent = `${(3.6 * plan.speed[Math.min(low, last)]).toFixed(0)} km/h${made && made.score !== null ? ` · plan ${percent(made.score)}` : ""}${low > last ? " · ended" : ""}`;
      }
    }
    showLights(this.lights, low);
    for (const mark of this.marks) mark.classList.toggle("later", at + 1e-6 < Number(mark.dataset.step));
    const now = this.events().filter(({plan, event}) => !this.hidden.has(plan.key) && at >= event.step && at < event.step + SHOWN_STEPS);
    this.caption.replaceChildren(...now.slice(-2).map(({plan, event}) => make("span", {}, swatch(plan), make("b", {}, `${plan.label} `), event.text)));
    if (this.player.running) this.see();
  }

  // The front camera of the followed drive at this moment; the next picture is asked for when this one is there.
  showCamera() {
    if (this.figure || !this.options.camera) return;
    this.picture = make("img", {alt: "Front camera", width: 640, height: 360});
    this.figure = make("figure", {class: "camera"}, this.picture, make("figcaption", {}, "Front camera, at the moment shown"));
    this.root.querySelector(".from-above").after(this.figure);
    this.see();
  }

  async see() {
    const wanted = `${this.followed.key} ${Math.round(this.player.step)}`;
    if (!this.figure || this.asking || wanted === this.seen) return;
    this.asking = true;
    try {
      const seen = await this.options.camera(this.followed.key, Math.round(this.player.step));
      this.picture.src = seen.src;
      this.seen = wanted;
    } catch (error) {
      this.figure.replaceChildren(make("p", {class: "bad", role: "alert"}, error.message));
      this.options.camera = null;
      return;
    } finally { this.asking = false; }
    if (wanted !== `${this.followed.key} ${Math.round(this.player.step)}`) this.see();
  }

  setShown(key, on) {
    if (on) this.hidden.delete(key); else this.hidden.add(key);
    for (const part of this.svg.querySelectorAll("[data-plan]")) if (part.dataset.plan === key) part.setAttribute("display", on ? "inline" : "none");
    for (const part of this.root.querySelectorAll(".matrix [data-of], .happened [data-of]")) if (part.dataset.of === key) part.classList.toggle("off", !on);
    this.options.onHidden?.([...this.hidden]);
  }

  show(step) { this.player.show(step); }

  stop() { this.player.stop(); }

  key(event) {
    if (event.key === "+" || event.key === "-") { this.widen(event.key === "+" ? -1 : 1); return true; }
    return this.player.key(event);
  }
}

function newest(plans, step) {
  let found = null;
  for (const plan of plans) { if (plan.step > step) break; found = plan; }
  return found;
}
