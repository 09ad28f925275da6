"""The rules of a drawing's style sheet, for programs that paint it themselves: classes, element names, descendants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from openpair.visualization.assets import light_style, read_asset

Names = frozenset[str]
"""What an element is called: its tag, and its classes with a dot before each."""

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")


@dataclass(frozen=True)
class Rule:
    """Declarations for elements that have the last names of a selector, inside of ones that have those before.

    Attributes:
        selector: outermost first.
        weight: what is more specific wins over what is less, and later rules over earlier ones.
        declarations: property -> value.
    """

    selector: tuple[Names, ...]
    weight: tuple[int, int, int]
    declarations: Mapping[str, str]

    def applies(self, path: Sequence[Names]) -> bool:
        """Whether the last element of a path from the root is meant."""
        *outer, own = self.selector
        if not own <= path[-1]:
            return False
        above = iter(path[:-1])
        return all(any(wanted <= names for names in above) for wanted in outer)


@cache
def scene_rules() -> tuple[Rule, ...]:
    """Those of ``page/scene.css`` with light colours, the weakest first."""
    rules: list[Rule] = []
    for selectors, body in _RULE.findall(light_style(read_asset("scene.css"))):
        pairs = (line.split(":", 1) for line in body.split(";") if ":" in line)
        declarations = {name.strip(): value.strip() for name, value in pairs}
        for selector in selectors.split(","):
            names = tuple(frozenset(re.findall(r"\.?[\w-]+", part)) for part in selector.split())
            classes = sum(name.startswith(".") for part in names for name in part)
            tags = sum(map(len, names)) - classes
            rules.append(Rule(names, (classes, tags, len(rules)), declarations))
    return tuple(sorted(rules, key=lambda rule: rule.weight))


def style_of(path: Sequence[Names], attributes: Mapping[str, str]) -> dict[str, str]:
    """Property -> value of the last element of a path from the root; rules win over its attributes."""
    style = dict(attributes)
    for rule in scene_rules():
        if rule.applies(path):
            style |= rule.declarations
    return style
