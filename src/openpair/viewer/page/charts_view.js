import {make, percent} from "../../visualization/page/dom.js";
import {difference, mean} from "./rows.js";

const BINS = 20;
const SMOOTH = ["1", "5", "20"];
const DASHES = [[], [7, 4], [2, 3], [9, 3, 2, 3], [5, 3, 1, 3], [1, 4]];

// Scores: distributions and means over the scenes that the filters leave. Learning: curves of runs over one another,
// calibration and regret of reward models.
export class ChartsView {
  constructor(app) {
    this.app = app;
    this.element = make("div", {class: "charts-view", hidden: true});
    this.visible = false;
    this.plots = [];
  }

  show(tab) {
    this.tab = tab;
    this.visible = tab === "scores" || tab === "learning";
    this.element.hidden = !this.visible;
    if (this.visible) this.draw();
  }

  async draw() {
    for (const plot of this.plots) plot.destroy();
    this.plots = [];
    this.element.replaceChildren();
    if (this.tab === "scores") this.scores(); else await this.learning();
  }

  scores() {
    const {rows, data, shown} = this.app;
    if (!shown?.length) { this.element.append(make("p", {class: "wait"}, "No scenes are open.")); return; }
    const names = this.app.metrics();
    this.element.append(make("h2", {}, "Scores"), make("p", {class: "lead"}, `Over the ${rows.length} scenes that the filters of the table leave, for the agents shown there. Percent; higher is better.`));
    const body = shown.map((column, k) => make("tr", {}, make("th", {scope: "row"}, lineKey(k), column.label), make("td", {class: "score"}, percent(mean(rows.map((i) => column.scores[i])))), names.map((name) => make("td", {}, percent(mean(rows.map((i) => column.metrics[name]?.[i] ?? null))))), make("td", {}, rows.filter((i) => column.scores[i] === 0).length), make("td", {}, rows.filter((i) => i in column.errors).length)));
    this.element.append(make("div", {class: "matrix-box"}, make("table", {class: "matrix means"}, make("thead", {}, make("tr", {}, ["agent", "score", ...names, "at 0", "failed"].map((text) => make("th", {}, text)))), make("tbody", {}, body))));
    const edges = Array.from({length: BINS}, (_, k) => (100 * (k + 0.5)) / BINS);
    const shares = shown.map((column) => {
      const known = rows.map((i) => column.scores[i]).filter((value) => value !== null);
      const counts = new Array(BINS).fill(0);
      for (const value of known) counts[Math.min(BINS - 1, Math.floor(value * BINS))]++;
      return counts.map((count) => (known.length ? (100 * count) / known.length : null));
    });
    this.chart("How the scores are distributed", "score, in steps of 5", "share of scenes (%)", edges, shown.map((column, k) => ({label: column.label, values: shares[k]})), {x: [0, 100]});
    const grid = Array.from({length: 101}, (_, k) => k);
    const below = shown.map((column) => {
      const known = rows.map((i) => column.scores[i]).filter((value) => value !== null).sort((x, y) => x - y);
      let at = 0;
      return grid.map((limit) => { while (at < known.length && 100 * known[at] <= limit) at++; return known.length ? (100 * at) / known.length : null; });
    });
    this.chart("Share of scenes at or below a score", "score", "share of scenes (%)", grid, shown.map((column, k) => ({label: column.label, values: below[k]})), {x: [0, 100], y: [0, 100]});
    this.differences();
  }

  // Gains and losses between the two agents compared, from the greatest loss to the greatest gain.
  differences() {
    const {rows, a, b} = this.app;
    const gains = a && b ? rows.map((i) => difference(a, b, i)).filter((gain) => gain !== null).sort((x, y) => x - y) : [];
    if (gains.length < 2) return;
    const share = gains.map((_, k) => (100 * k) / (gains.length - 1));
    this.chart(`${a.label} against ${b.label}: differences, sorted`, "share of scenes (%)", "difference", share, [{label: `${a.label} − ${b.label}`, values: gains.map((gain) => 100 * gain)}], {x: [0, 100]});
  }

  async learning() {
    const turn = (this.turn = (this.turn ?? 0) + 1), box = make("p", {class: "wait"}, "Loading …");
    this.element.append(make("h2", {}, "Learning"), box);
    let charts;
    try { charts = await this.app.source.charts(); } catch (error) { box.textContent = error.message; return; }
    if (this.tab !== "learning" || turn !== this.turn) return; // drawn anew meanwhile
    box.remove();
    if (!charts.curves.length && !charts.calibration.length) { this.element.append(make("p", {class: "wait"}, "No training runs belong to these results.")); return; }
    this.curves(charts.curves);
    this.calibration(charts.calibration);
  }

  // One of several: a labelled choice whose value stands in the address.
  choice(text, name, values, chosen, words = (value) => value) {
    const select = make("select", {"aria-label": text, onchange: () => { this.app.address.set({[name]: select.value}); this.draw(); }}, values.map((value) => make("option", {value}, words(value))));
    select.value = chosen;
    return make("label", {class: "field"}, make("span", {}, text), select);
  }

  chosen(name, values, fallback) {
    const asked = this.app.address.get(name);
    return values.includes(asked) ? asked : fallback;
  }

  // Curves of one figure, of all runs over one another.
  curves(all) {
    if (!all.length) return;
    const branches = ["", ...new Set(all.map((curve) => curve.branch))];
    const branch = this.chosen("branch", branches, "");
    const curves = all.filter((curve) => !branch || curve.branch === branch);
    const figures = [...new Set(curves.flatMap((curve) => Object.keys(curve.figures)))].sort((x, y) => Number(y.startsWith("val_")) - Number(x.startsWith("val_")) || x.localeCompare(y));
    const figure = this.chosen("figure", figures, figures.find((name) => name === "val_best_of_tree") ?? figures[0]);
    const smooth = this.chosen("smooth", SMOOTH, "1");
    this.element.append(make("div", {class: "choices"}, this.choice("network", "branch", branches, branch, (name) => name || "all"), this.choice("figure (val_: on the validation scenes)", "figure", figures, figure), this.choice("mean of", "smooth", SMOOTH, smooth, (count) => (count === "1" ? "1 point" : `${count} points`))));
    const runs = curves.filter((curve) => figure in curve.figures);
    const steps = [...new Set(runs.flatMap((curve) => curve.figures[figure].map(([step]) => step)))].sort((x, y) => x - y);
    this.chart(`${figure} while learning`, "step", figure, steps, runs.map((curve) => { const known = new Map(smoothed(curve.figures[figure], Number(smooth))); return {label: curve.label, values: steps.map((step) => known.get(step) ?? null)}; }), {});
  }

  // How far reward models can be trusted.
  calibration(models) {
    if (!models.length) return;
    this.element.append(make("h2", {}, "Reward models"), make("p", {class: "lead"}, "On candidates of the validation scenes. A model is calibrated where the truth equals the prediction: on the diagonal. Error: mean distance from it. AUC: how often a candidate that passes is rated above one that fails. Regret: what choosing by prediction costs against choosing by truth."));
    const heads = ["score", ...new Set(models.flatMap((one) => Object.keys(one.sub_scores)))];
    const report = (one, head) => (head === "score" ? one.score : one.sub_scores[head]);
    const figure = (value, digits) => (value === undefined || value === null ? "–" : digits ? value.toFixed(digits) : percent(value));
    const rows = models.map((one) => make("tr", {}, make("th", {scope: "row"}, one.label), make("td", {}, percent(one.regret)), make("td", {}, figure(one.rank_correlation, 2)), heads.map((head) => make("td", {}, `${figure(report(one, head)?.calibration_error)} / ${figure(report(one, head)?.auc, 2)}`))));
    this.element.append(make("div", {class: "matrix-box"}, make("table", {class: "matrix means"}, make("thead", {}, make("tr", {}, ["model", "regret", "rank correlation", ...heads.map((head) => `${words(head)}: error / AUC`)].map((text) => make("th", {}, text)))), make("tbody", {}, rows))));
    const head = this.chosen("head", heads, "score");
    this.element.append(make("div", {class: "choices"}, this.choice("calibration of", "head", heads, head, words)));
    const there = models.filter((one) => report(one, head));
    const bins = report(there[0], head).table;
    const centers = bins.map((bin) => 50 * (bin.low + bin.high));
    const lines = there.map((one) => ({label: one.label, values: report(one, head).table.map((bin) => (bin.count ? 100 * bin.observed : null))}));
    this.chart(`${words(head)}: predicted against true`, "predicted (%), in steps of 10", "mean truth (%)", centers, [...lines, {label: "calibrated", values: centers, thin: true}], {x: [0, 100], y: [0, 100]});
    const shares = there.map((one) => { const {table} = report(one, head), total = table.reduce((sum, bin) => sum + bin.count, 0); return {label: one.label, values: table.map((bin) => (total ? (100 * bin.count) / total : null))}; });
    this.chart(`${words(head)}: how often what is predicted`, "predicted (%), in steps of 10", "share of candidates (%)", centers, shares, {x: [0, 100], y: [0, 100]});
  }

  // A chart of lines over x by uPlot, with its figures as a table for those who do not see it.
  chart(title, xLabel, yLabel, x, series, ranges) {
    const figure = make("figure", {class: "chart"});
    this.element.append(make("h3", {}, title), figure);
    const ink = colourOf("--soft"), rule = colourOf("--rule");
    const axis = (label) => ({label, stroke: ink, grid: {stroke: rule, width: 1}, ticks: {stroke: rule, width: 1}, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif"});
    const options = {
      width: Math.max(300, Math.min(1000, this.element.clientWidth - 8)),
      height: 300,
      scales: {x: {time: false, ...(ranges.x ? {range: ranges.x} : {})}, y: ranges.y ? {range: ranges.y} : {}},
      axes: [axis(xLabel), axis(yLabel)],
      legend: {live: true},
      series: [{label: xLabel, value: (_, value) => round(value)}, ...series.map((one, k) => ({label: one.label, stroke: one.thin ? ink : colourOf(`--c${k % 6}`), width: one.thin ? 1 : 2, dash: one.thin ? [4, 4] : DASHES[k % 6], spanGaps: true, points: {show: x.length < 30 && !one.thin}, value: (_, value) => round(value)}))],
    };
    this.plots.push(new uPlot(options, [x, ...series.map((one) => one.values)], figure));
    figure.querySelector("canvas")?.setAttribute("role", "img");
    figure.querySelector("canvas")?.setAttribute("aria-label", `${title}: ${series.map((one) => one.label).join(", ")} over ${xLabel}; the figures are in the table below`);
    const few = x.length > 40 ? x.filter((_, i) => i % Math.ceil(x.length / 20) === 0) : x;
    figure.append(make("details", {}, make("summary", {}, "as a table"), make("div", {class: "matrix-box"}, make("table", {class: "matrix"}, make("thead", {}, make("tr", {}, make("th", {}, xLabel), series.map((one) => make("th", {}, one.label)))), make("tbody", {}, few.map((value) => make("tr", {}, make("th", {scope: "row"}, round(value)), series.map((one) => make("td", {}, round(one.values[x.indexOf(value)])))))))))); 
  }
}

function words(head) {
  return head.replaceAll("_", " ");
}

// Points (step, value), each the mean of the last so many.
function smoothed(points, count) {
  return points.map(([step], k) => [step, mean(points.slice(Math.max(0, k + 1 - count), k + 1).map(([, value]) => value))]);
}

function round(value) {
  return value === null || value === undefined ? "–" : String(Math.round(1e4 * value) / 1e4);
}

function lineKey(k) {
  return make("i", {class: `line-key c${k % 6}`, "aria-hidden": "true"});
}

// A colour of the style sheet as the canvas wants it.
export function colourOf(name) {
  const probe = make("i", {hidden: true});
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}
