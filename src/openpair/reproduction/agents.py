"""Names of agents: in files (``<base>.<agent>.npz``), in result rows, and for readers."""

from __future__ import annotations

from pathlib import Path

from openpair.errors import OpenPairError

BASE = "transfuser"
"""The imitation policy of the main comparison; every other policy is a plug-in."""

HUMAN, RULES = "human", "rules"
"""Bases that are no policy: the human's plan, and planners by rule."""

SEEDLESS = ("human", "constant_velocity", "pdm_closed")
"""Agents that nothing is trained for: the same whatever the seed."""

LABELS = {
    "constant_velocity": "constant velocity",
    "pdm_closed": "PDM-Closed (sees boxes and map)",
    "human": "human",
    "il": "IL",
    "tree_mean": "mean of the tree, no reward model",
    "sequential": "IL → RL, sequential",
    "sequential_regularised": "IL → RL, sequential, regularised",
    "iterative": "IL ⇄ RL, iterative",
    "sequential_rwm": "sequential + reward model",
    "il_rwm": "IL + reward model (fair control)",
    "il_rwm_mild": "IL + reward model, mild neighbours",
    "il_rwm_wide": "IL + reward model, wide neighbours",
    "il_rwm_untrained_tree": "IL + reward model, untrained tree",
    "pair": "PaIR + reward model",
    "human_pair": "human + PaIR",
    "pair_best_of_6": "PaIR, best of 6",
}
"""Agents of the main table in their order, and what readers call them."""

MODE_OF_AGENT = {
    "il": "il",
    "tree_mean": "tree_mean",
    "il_rwm_mild": "il_rwm",
    "il_rwm_wide": "il_rwm_wide",
    "pair": "pair",
    "pair_best_of_6": "pair_best_of_6",
    "il_rwm_untrained_tree": "il_rwm_untrained_tree",
}
"""Agents with a policy's root -> how they plan (:data:`openpair.planning.config.MODES`)."""

BASE_LABELS = {"transfuser": "TransFuser", "diffusiondrive": "DiffusionDrive"}


def name_of_file(path: Path) -> str:
    """``<base>.<agent>`` of a file of plans. Raises OpenPairError for a file that is named otherwise."""
    base, dot, agent = path.stem.partition(".")
    if not (base and dot and agent):
        raise OpenPairError(
            "the name does not say whose plans these are", where=path, fix="Name it <base>.<agent>.npz (transfuser.il)"
        )
    return path.stem


def split_name(name: str) -> tuple[str, str]:
    """Base and agent of a name: ``transfuser.il`` -> ("transfuser", "il")."""
    base, _, agent = name.partition(".")
    return base, agent


def is_seedless(name: str) -> bool:
    """Whether an agent is the same for every seed."""
    return split_name(name)[1] in SEEDLESS


OVER = " over "


def label_of(agent: str) -> str:
    """What readers call an agent, or a difference ``a - b`` of two: "a over b"."""
    return OVER.join(LABELS.get(part, part.replace("_", " ")) for part in agent.split(" - "))
