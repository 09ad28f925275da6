"""Why a plan scored what it scored: each sub-metric with its step, its object and its arithmetic in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openpair.datatypes.columns import Protocol
from openpair.datatypes.scores import SHORT_NAMES, PlanScores, metric_names
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.datatypes.sub_metrics import multipliers, weights
from openpair.scoring import score_prepared
from openpair.scoring.prepared import prepare
from openpair.visualization.findings import Finding, find


@dataclass(frozen=True)
class Explanation:
    """One plan of one scene, explained.

    Attributes:
        scene: what the scorer knows of the scene.
        label: name of the plan.
        plan: (8, 3) ego rear-axle frame.
        score: PDMS or EPDMS.
        score_unfiltered: the same without the human filter.
        findings: one for each sub-metric, in the order of the protocol's tables.
        states: (41, 11) what the vehicle does with the plan, global frame.
        reference_states: (41, 11) the same for PDM-Closed's plan.
    """

    scene: ScoringScene
    label: str
    plan: NDArray[np.float64]
    score: float
    score_unfiltered: float
    findings: tuple[Finding, ...]
    states: NDArray[np.float64]
    reference_states: NDArray[np.float64]

    @property
    def protocol(self) -> Protocol:
        return self.scene.protocol

    @property
    def score_name(self) -> str:
        return "PDMS" if self.protocol is Protocol.V1_1 else "EPDMS"

    @property
    def offences(self) -> tuple[Finding, ...]:
        """What takes something from the score and has a time, in order of time."""
        found = [f for f in self.findings if f.step is not None and f.value < 1.0 and f.counts]
        return tuple(sorted(found, key=lambda finding: finding.step or 0))

    @property
    def first(self) -> Finding | None:
        """The earliest offence among those that multiply the score, or, where there is none, among the others."""
        factors = parts(self.protocol)[0]
        multiplying = [finding for finding in self.offences if finding.name in factors]
        return next(iter(multiplying or self.offences), None)

    def value(self, name: str) -> float:
        """Value of a sub-metric as it enters the score."""
        return next(finding.value for finding in self.findings if finding.name == name)

    def score_with(self, name: str) -> float:
        """The score if this sub-metric alone were 1."""
        return combine({f.name: 1.0 if f.name == name else f.value for f in self.findings}, self.protocol)

    def arithmetic(self) -> tuple[str, ...]:
        """The score's formula with the plan's numbers, line by line."""
        factors, weights = parts(self.protocol)
        known = {name: weight for name, weight in weights.items() if not np.isnan(self.value(name))}
        total = sum(known.values())
        product = float(np.prod([self.value(name) for name in factors]))
        mean = sum(weight * self.value(name) for name, weight in known.items()) / total
        named = " + ".join(f"{weight:.0f} {SHORT_NAMES[name]}" for name, weight in known.items())
        filled = " + ".join(f"{weight:.0f}·{plain(self.value(name))}" for name, weight in known.items())
        return (
            f"{self.score_name} = {' × '.join(SHORT_NAMES[name] for name in factors)} × ({named}) / {total:.0f}",
            f"= {' × '.join(plain(self.value(name)) for name in factors)} × ({filled}) / {total:.0f}",
            f"= {plain(product)} × {plain(mean)}",
            f"= {plain(self.score)}",
        )

    def headline(self) -> str:
        """One sentence: what decided the score."""
        stopping = [f for f in self.findings if f.name in parts(self.protocol)[0] and f.value == 0.0]
        if stopping:
            names = " and ".join(f.short for f in stopping)
            verbs = "is 0 and multiplies" if len(stopping) == 1 else "are 0 and multiply"
            return f"{names} {verbs} the rest: nothing remains."
        losses = [(self.score_with(f.name) - self.score, f) for f in self.findings if f.value < 1.0 and f.counts]
        losses = [loss for loss in losses if loss[0] > 5e-5]
        if not losses:
            return "Nothing is lost: every sub-metric that counts is 1."
        gain, worst = max(losses, key=lambda loss: loss[0])
        return f"{worst.short} costs most: with {worst.short} 1 the score would be {plain(self.score + gain)}."


def explain(
    scene: ScoringScene, plan: NDArray[np.float64], label: str = "plan", *, human_filter: bool = True
) -> Explanation:
    """Score one plan and say why.

    Args:
        scene: a prepared scene.
        plan: (8, 3) x [m], y [m], heading [rad] at 0.5 s .. 4.0 s, ego rear-axle frame.
        label: name of the plan.
        human_filter: v2.2: forgive what the human himself did.

    Raises:
        OpenPairError: the plan or the scene cannot be scored.
    """
    return explain_all(scene, [plan], [label], human_filter=human_filter)[0]


def explain_all(
    scene: ScoringScene,
    plans: Sequence[NDArray[np.float64]],
    labels: Sequence[str],
    *,
    human_filter: bool = True,
) -> list[Explanation]:
    """The same for several plans (N, 8, 3) of one scene, scored in one call."""
    if not plans:
        return []
    every = np.asarray(plans, np.float64)
    scores = score_prepared(scene, every, human_filter=human_filter)
    reference = np.asarray(prepare(scene).raw.states[0])
    return [_explanation(scene, _only(scores, i), every[i], label, reference) for i, label in enumerate(labels)]


def _explanation(
    scene: ScoringScene,
    scores: PlanScores,
    plan: NDArray[np.float64],
    label: str,
    reference_states: NDArray[np.float64],
) -> Explanation:
    """The explanation of the only plan of ``scores``."""
    return Explanation(
        scene=scene,
        label=label,
        plan=plan,
        score=float(scores.score[0]),
        score_unfiltered=float(scores.evidence.get("score_unfiltered", scores.score)[0]),
        findings=tuple(_finding(scene, scores, name) for name in metric_names(scene.protocol)),
        states=scores.evidence["simulated_states"][0],
        reference_states=reference_states,
    )


def _only(scores: PlanScores, index: int) -> PlanScores:
    """The scores of one plan: every array is (N, ...)."""
    row = slice(index, index + 1)
    metrics = {name: values[row] for name, values in scores.metrics.items()}
    evidence = {name: values[row] for name, values in scores.evidence.items()}
    return PlanScores(scores.protocol, scores.score[row], metrics, evidence)


def _finding(scene: ScoringScene, scores: PlanScores, name: str) -> Finding:
    """What is to be said of one sub-metric of plan 0."""
    value = float(scores.metrics[name][0])
    own = float(scores.evidence.get(f"unfiltered_{name}", scores.metrics[name])[0])
    return find(scene, scores, name, value, own)


def parts(protocol: Protocol) -> tuple[tuple[str, ...], dict[str, float]]:
    """Sub-metrics that multiply, and those of the weighted mean with their weights."""
    return multipliers(protocol), weights(protocol)


def combine(values: dict[str, float], protocol: Protocol) -> float:
    """The score of sub-metrics by name; NaN drops out of the weighted mean."""
    factors, weights = parts(protocol)
    known = {name: weight for name, weight in weights.items() if not np.isnan(values[name])}
    mean = sum(weight * values[name] for name, weight in known.items()) / sum(known.values())
    return float(np.prod([values[name] for name in factors])) * mean


def plain(value: float) -> str:
    """``1``, ``0``, ``0.5`` or four decimals."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
