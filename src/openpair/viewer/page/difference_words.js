import {make, percent} from "../../visualization/page/dom.js";

// Why one of two agents scores less in a scene, in words; null where one of them is not drawn. `plans`: of the scene's
// data. `jump(step)`: shows a moment.
export function differenceInWords(plans, a, b, jump) {
  const {first, second, loser, winner, why} = compared(plans, a, b);
  if (!first || !second) return null;
  if (!loser) return make("p", {class: "difference"}, `${first.label} and ${second.label} score the same here: ${percent(first.score)}.`);
  const name = (plan) => make("b", {}, plan.label);
  const text = [name(loser), ` scores ${percent(loser.score)} here, `, name(winner), ` ${percent(winner.score)}. `];
  if (!why) return make("p", {class: "difference"}, text);
  const {finding, other} = why;
  const moment = finding.step === null || !jump ? null : make("button", {type: "button", onclick: () => jump(finding.step)}, "show the moment");
  return make("p", {class: "difference"}, text, `What decides is ${finding.name} (${finding.short}), ${percent(finding.value)} against ${percent(other.value)}. `, name(loser), `: ${finding.text}. `, name(winner), `: ${other.text}. `, moment);
}

// Moment of what decides between two agents (steps of 0.1 s); undefined where there is none.
export function decisiveStep(plans, a, b) {
  return compared(plans, a, b).why?.finding.step ?? undefined;
}

function compared(plans, a, b) {
  const first = plans.find((plan) => plan.key === a?.key), second = plans.find((plan) => plan.key === b?.key);
  if (!first || !second || Math.abs(first.score - second.score) < 5e-4) return {first, second};
  const [loser, winner] = first.score < second.score ? [first, second] : [second, first];
  return {first, second, loser, winner, why: decisive(loser, winner)};
}

// The sub-metric on which the loser falls behind, and that costs it most. Of factors that are 0 together, none alone
// changes the score: then the first offence counts.
function decisive(loser, winner) {
  const behind = loser.findings.map((finding, row) => ({finding, other: winner.findings[row]})).filter(({finding, other}) => finding.kind !== "aside" && other.value !== null && finding.value < other.value - 5e-5);
  const cost = ({finding}) => (finding.gain ?? loser.explained) - loser.explained;
  const order = (x, y) => cost(y) - cost(x) || Number(y.finding.first) - Number(x.finding.first) || x.finding.value - y.finding.value;
  return behind.sort(order)[0] ?? null;
}
