"""Scenes of the gallery are chosen by rule."""

from openpair.evaluation.examples import example_scenes
from openpair.evaluation.records import ScoreRow


def rows_of(differences: dict[str, tuple[str, float | None]]) -> list[ScoreRow]:
    rows = []
    for token, (log, gain) in differences.items():
        rows.append(ScoreRow("toy", log, token, "old", "v1.1", score=0.5))
        rows.append(ScoreRow("toy", log, token, "new", "v1.1", score=None if gain is None else 0.5 + gain))
    return rows


def test_gains_losses_and_a_sample_from_different_logs():
    rows = rows_of(
        {
            "a1": ("a", 0.4),
            "a2": ("a", 0.3),
            "b1": ("b", 0.1),
            "b2": ("b", -0.5),
            "c1": ("c", -0.1),
            "c2": ("c", 0.0),
            "c3": ("c", None),
        }
    )
    examples = example_scenes(rows, "new", "old", per_kind=2)
    assert [(e.token, e.kind) for e in examples[:4]] == [
        ("a1", "better"),
        ("b1", "better"),  # not a2: log a has its example
        ("b2", "worse"),
        ("c1", "worse"),
    ]
    assert {e.token for e in examples[4:]} == {"a2", "c2"}  # c3 failed
    assert round(examples[0].difference, 9) == 0.4


def test_the_sample_is_drawn_by_the_seed():
    rows = rows_of({f"t{i:02d}": ("log", 0.0) for i in range(40)})
    draw = [[e.token for e in example_scenes(rows, "new", "old", seed=seed)] for seed in (0, 0, 1)]
    assert draw[0] == draw[1] != draw[2]
    assert all(e.kind == "random" for e in example_scenes(rows, "new", "old"))
