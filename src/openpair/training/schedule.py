"""Learning-rate schedules as functions of the step."""

from __future__ import annotations

import math


def warmup_cosine(step: int, total_steps: int, *, warmup_steps: int, final_fraction: float) -> float:
    """Factor on the base learning rate: linear warm-up, then half a cosine down to ``final_fraction``.

    Args:
        step: 0 .. total_steps - 1.
        total_steps: length of the run.
        warmup_steps: steps until the factor first reaches 1.
        final_fraction: factor at the last step.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(total_steps - 1 - warmup_steps, 1)
    return final_fraction + (1.0 - final_fraction) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
