"""What PaIR was to reach, fixed before it was measured, and whether it did. Points of PDMS unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from openpair.evaluation.judge import EXTENDED_COMFORT
from openpair.evaluation.statistics import Estimate
from openpair.reproduction.agents import BASE, HUMAN
from openpair.reproduction.scoring import V1, V2
from openpair.reproduction.seed_scores import SCORE


class Rule(Enum):
    """How a measured difference is compared with its bar."""

    AT_LEAST = "at least"
    ABOVE = "above"
    SURELY_ABOVE = "surely above"


@dataclass(frozen=True)
class Target:
    """A bar for one difference ``first - second``.

    Attributes:
        what: in words.
        first, second: agents, as tables name them; "best_sequential" is the scheme that validation chose.
        base: whose plans they start from.
        bar: what is to be reached [points].
        good: what would be good [points].
        paper: the paper's margin on its data [points]; None where it gives none.
        rule: how the bar is meant; SURELY_ABOVE asks the whole interval.
        protocol, metric: what is compared.
        scenes: "all", or "human_good": those in which the human scores at least 85 PDMS.
    """

    what: str
    first: str
    second: str
    base: str
    bar: float
    good: float
    paper: float | None = None
    rule: Rule = Rule.AT_LEAST
    protocol: str = V1
    metric: str = SCORE
    scenes: str = "all"

    @property
    def difference(self) -> str:
        """Name of the difference in tables."""
        return f"{self.first} - {self.second}"

    def is_met(self, measured: Estimate) -> bool:
        """Whether a measured difference [points] reaches the bar."""
        if self.rule is Rule.SURELY_ABOVE:
            return measured.low > self.bar
        return measured.mean > self.bar if self.rule is Rule.ABOVE else measured.mean >= self.bar

    def bar_text(self) -> str:
        """The bar in words: ``at least +5.7``."""
        if self.rule is Rule.SURELY_ABOVE:
            return f"interval above {self.bar:g}"
        return f"{self.rule.value} {self.bar:+.1f}" if self.bar else f"{self.rule.value} 0"


TARGETS = (
    Target("over imitation alone", "pair", "il", BASE, 5.7, 9.0, paper=5.7),
    Target(
        "over the fair control: the same reward model and number of candidates, no tree",
        *("pair", "il_rwm", BASE, 0.0, 2.0),
        rule=Rule.SURELY_ABOVE,
    ),
    Target("over the best sequential scheme", "pair", "best_sequential", BASE, 1.8, 5.0, paper=1.8),
    Target("over that scheme with the reward model", "pair", "sequential_rwm", BASE, 0.0, 2.0, rule=Rule.ABOVE),
    Target("corrects the human", "human_pair", "human", HUMAN, 1.0, 3.0, paper=0.8),
    Target("spoils no good human", "human_pair", "human", HUMAN, -1.5, 0.0, scenes="human_good"),
    Target("keeps comfort", "pair", "il", BASE, -1.0, 0.0, paper=-6.9, metric="comfort"),
    Target("keeps extended comfort", "pair", "il", BASE, -2.0, 0.0, paper=-13.6, protocol=V2, metric=EXTENDED_COMFORT),
)
"""Targets of the main comparison."""


def plug_in_target(base: str) -> Target:
    """The target on a second imitation policy, without retraining anything."""
    return Target("on a second imitation policy, nothing retrained", "pair", "il", base, 3.1, 8.0, paper=3.1)
