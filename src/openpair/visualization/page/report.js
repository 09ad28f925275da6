import {applyTheme} from "./dom.js";
import {showScenes} from "./scene_panel.js";

applyTheme();
// Charts: the nearest points under the pointer.
for (const chart of document.querySelectorAll("svg.chart")) {
  const data = JSON.parse(chart.dataset.chart);
  const box = chart.viewBox.baseVal, cursor = chart.querySelector(".cursor"), output = chart.nextElementSibling;
  const hide = () => { output.classList.remove("on"); cursor.setAttribute("d", ""); };
  chart.addEventListener("pointerleave", hide);
  chart.addEventListener("pointermove", (event) => {
    const frame = chart.getBoundingClientRect();
    const x = (event.clientX - frame.left) / frame.width * box.width;
    let best = null;
    for (const series of data.series) {
      for (const [px] of series.at) if (best === null || Math.abs(px - x) < Math.abs(best - x)) best = px;
    }
    if (best === null) return hide();
    output.replaceChildren();
    let head = null;
    data.series.forEach((series, index) => {
      let near = -1;
      series.at.forEach(([px], i) => { if (near < 0 || Math.abs(px - best) < Math.abs(series.at[near][0] - best)) near = i; });
      if (near < 0 || Math.abs(series.at[near][0] - best) > 12) return;
      if (head === null) {
        head = document.createElement("div");
        head.textContent = `${data.x} ${series.x[near]}`;
        output.append(head);
      }
      const line = document.createElement("div"), dot = document.createElement("i"), value = document.createElement("b");
      line.className = `c${index % 6}`;
      value.textContent = series.y[near] + (data.percent ? " %" : "");
      line.append(value, dot, series.label);
      output.append(line);
    });
    cursor.setAttribute("d", `M${best} 12V${box.height - 40}`);
    output.classList.add("on");
    const left = best / box.width * frame.width;
    output.style.left = left > frame.width / 2 ? "auto" : `${left + 12}px`;
    output.style.right = left > frame.width / 2 ? `${frame.width - left + 12}px` : "auto";
  });
}
// Filters of the gallery.
const buttons = [...document.querySelectorAll(".filters button")];
for (const button of buttons) {
  button.addEventListener("click", () => {
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    for (const scene of document.querySelectorAll(".gallery")) {
      scene.hidden = button.dataset.tag !== "" && !scene.dataset.tags.split("|").includes(button.dataset.tag);
    }
  });
}
showScenes(SCENES);
