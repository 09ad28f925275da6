import {make, seconds} from "./dom.js";

// The time of a scene or a drive: play button, slider with marks above it, clock. Plays at 10 steps a second.
// last: last step. marks: [{step, tone, title, label}]. onShow(step): draws a moment; between two steps it is a fraction.
// onTime(step): told where it rests. speeds: factors to choose from, the first holds at first.
export class Player {
  constructor({last, marks, onShow, onTime, speeds = [1]}) {
    Object.assign(this, {last, onShow, onTime});
    this.step = 0;
    this.running = 0;
    this.speed = speeds[0];
    this.slider = make("input", {type: "range", min: 0, max: last, step: 1, "aria-label": "Time", oninput: () => this.jump(Number(this.slider.value))});
    this.clock = make("output", {});
    this.button = make("button", {type: "button", class: "play", "aria-label": "Play", onclick: () => this.toggle()}, "▶");
    this.ticks = make("div", {class: "ticks"}, marks.map((mark) => {
      const tick = make("button", {type: "button", class: `tick ${mark.tone}`, "data-at": mark.step, title: mark.title, "aria-label": mark.label, onclick: () => this.jump(mark.step)});
      tick.style.left = `${(100 * mark.step) / last}%`;
      return tick;
    }));
    const choose = speeds.length < 2 ? null : make("select", {class: "speed", "aria-label": "Speed", onchange: () => { const on = this.running; this.stop(); this.speed = Number(choose.value); if (on) this.play(); }}, speeds.map((speed) => make("option", {value: speed}, `${speed}×`)));
    this.element = make("div", {class: "clock"}, this.button, make("div", {class: "rail"}, this.ticks, this.slider), this.clock, choose);
  }

  show(step) {
    this.step = Math.max(0, Math.min(this.last, step));
    this.onShow(this.step);
    this.slider.value = Math.round(this.step);
    this.clock.textContent = seconds(this.step);
    if (!this.running) this.onTime?.(this.step);
  }

  jump(step) { this.stop(); this.show(step); }

  toggle() { if (this.running) this.stop(); else this.play(); }

  play() {
    if (this.step >= this.last) this.show(0);
    const began = performance.now(), from = this.step;
    this.button.textContent = "❚❚";
    this.button.setAttribute("aria-label", "Pause");
    const tick = (time) => {
      const step = from + (this.speed * (time - began)) / 100;
      if (step >= this.last) { this.stop(); this.show(this.last); return; }
      this.show(Math.max(from, step));
      this.running = requestAnimationFrame(tick);
    };
    this.running = requestAnimationFrame(tick);
  }

  stop() {
    if (this.running) cancelAnimationFrame(this.running);
    this.running = 0;
    this.button.textContent = "▶";
    this.button.setAttribute("aria-label", "Play");
    this.onTime?.(this.step);
  }

  // Space plays, arrows step (with shift half a second), Home and End. True where the key was one of these.
  key(event) {
    const whole = Math.round(this.step), move = event.shiftKey ? 5 : 1;
    const actions = {" ": () => this.toggle(), ArrowRight: () => this.jump(whole + move), ArrowLeft: () => this.jump(whole - move), Home: () => this.jump(0), End: () => this.jump(this.last)};
    if (!(event.key in actions)) return false;
    actions[event.key]();
    return true;
  }
}

// Transform of a body between two places (x, y, turn).
export function placed(here, next, part) {
  const at = between(here, next, part);
  return `translate(${at[0].toFixed(2)} ${at[1].toFixed(2)}) rotate(${at[2].toFixed(1)})`;
}

// The place between two places; it turns the short way.
export function between(here, next, part) {
  let turn = next[2] - here[2];
  if (turn > 180) turn -= 360; else if (turn < -180) turn += 360;
  return [here[0] + part * (next[0] - here[0]), here[1] + part * (next[1] - here[1]), here[2] + part * turn];
}
