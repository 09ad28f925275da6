"""From a scored run to the results page: the one entry point."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from openpair.configs.experiment import preset
from openpair.configs.run_list import SETTINGS_FILE
from openpair.damage import reading
from openpair.datasets.base import Dataset
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.reproduction.agents import HUMAN, RULES
from openpair.reproduction.choices import CHOICES, VALIDATION_FILE, Choices, read_tables
from openpair.reproduction.curves import ablation_panels, drift_panels, learning_panels, read_curves
from openpair.reproduction.drives import driven_splits, read_drive_scores
from openpair.reproduction.figures import Bar, curves_figure, intervals_figure
from openpair.reproduction.page_rows import SCORE_NAMES, STEMS, PageInput, Picture, agents_of, shown
from openpair.reproduction.page_text import results_page
from openpair.reproduction.page_training import training_panels
from openpair.reproduction.provenance import read_record, read_seconds
from openpair.reproduction.results import Evidence, NetworkInput, ResultRow, find, result_rows, results_json
from openpair.reproduction.scene_pictures import scene_pictures
from openpair.reproduction.scoring import TEST_SCENES, UNFILTERED, V1, V2, scored_with, seed_folder
from openpair.reproduction.seed_scores import SCORE, read_seed_scores, scored_seeds
from openpair.training.data import DataSpec

IMAGES = "images"


@dataclass(frozen=True)
class WrittenResults:
    """What was written.

    Attributes:
        page, figures: results.md and results.json.
        images: the SVG files.
        rows: what results.json holds.
    """

    page: Path
    figures: Path
    images: tuple[Path, ...]
    rows: tuple[ResultRow, ...]


def write_results(
    run: Path,
    docs: Path,
    *,
    seeds: Sequence[int] | None = None,
    spec: DataSpec = TEST_SCENES,
    scenes_per_kind: int = 2,
    network_input: NetworkInput = "sensors",
    trainings: Sequence[Path] = (),
) -> WrittenResults:
    """Write ``docs/results.md``, ``docs/results.json`` and ``docs/images/results-*.svg`` of a scored run; of the known
    track ``known-results.md`` and so on.

    The same run gives the same bytes, whenever and wherever it is written.

    Args:
        run: run folder: ``seed-<k>/scores`` (:func:`~openpair.reproduction.scoring.score_seed`) and, where they are
            there, ``choices.json``, ``seed-<k>/validation.json``, ``run.json``, ``timing.json`` and learning curves.
        docs: folder of the page.
        seeds: which seeds; None for all that are scored.
        spec: the test scenes, to draw some.
        scenes_per_kind: scenes of each kind (gains, losses, random) in the gallery; 0 draws none.
        network_input: what the networks read.
        trainings: run folders of the same comparison that trained for other lengths.

    Raises OpenPairError where nothing is scored, or seeds were scored on different scenes.
    """
    seeds = scored_seeds(run) if seeds is None else tuple(seeds)
    evidence = read_evidence(run, seeds)
    budget = budget_of(run, seeds[0])
    if trainings:
        evidence = replace(evidence, trainings={_length(run, budget): evidence, **read_trainings(trainings, budget)})
    rows = result_rows(evidence)
    dataset = spec.open() if scenes_per_kind else None
    stem = STEMS[network_input]
    drawings = draw_figures(run, seeds, rows, evidence.choices, dataset, scenes_per_kind, f"{stem}-")
    images = docs / IMAGES
    images.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in drawings.values():
        for name, (_, drawing) in kind.items():
            write_atomically(images / name, drawing)
            written.append(images / name)
    for stale in set(images.glob(f"{stem}-*.svg")) - set(written):
        stale.unlink()
    page = PageInput(
        evidence=evidence,
        rows=rows,
        seeds=seeds,
        records=[record for seed in seeds if (record := read_record(run, seed)) is not None],
        scored={seed: scored_with(run, seed) for seed in seeds},
        seconds={seed: read_seconds(run, seed) for seed in seeds},
        pictures={
            kind: [Picture(f"{IMAGES}/{name}", caption) for name, (caption, _) in own.items()]
            for kind, own in drawings.items()
        },
        network_input=network_input,
        budget=budget,
    )
    paths = docs / f"{stem}.md", docs / f"{stem}.json"
    write_atomically(paths[1], results_json(rows, network_input))
    write_atomically(paths[0], results_page(page))
    return WrittenResults(*paths, tuple(written), tuple(rows))


def read_evidence(run: Path, seeds: Sequence[int]) -> Evidence:
    """Scores, choices and validation figures of a run."""
    scores = {variant: read_seed_scores(run, seeds, variant) for variant in (V1, V2, UNFILTERED)}
    choices = Choices.read(run / CHOICES) if (run / CHOICES).exists() else None
    validation = {}
    for seed in seeds:
        path = seed_folder(run, seed) / VALIDATION_FILE
        if path.exists():
            validation[seed] = read_tables(path)
    drives = {split: read_drive_scores(run, split, seeds) for split in driven_splits(run)}
    return Evidence(scores, choices, validation, drives)


def read_trainings(runs: Sequence[Path], budget: int | None) -> dict[int, Evidence]:
    """Length of training -> evidence of the run that trained so long.

    Raises OpenPairError for a run that does not say how long it trained, for two that trained equally long, and for one
    that trained ``budget`` times as long as its preset.
    """
    found: dict[int, Evidence] = {}
    for run in runs:
        seeds = scored_seeds(run)
        length = _length(run, budget_of(run, seeds[0]))
        if length == budget or length in found:
            raise OpenPairError(f"two reproductions trained {length} times as long", where=run, fix="Leave one out")
        found[length] = read_evidence(run, seeds)
    return found


def _length(run: Path, budget: int | None) -> int:
    if budget is None:
        raise OpenPairError("the run does not say how long it trained", where=run, fix="Train it again")
    return budget


def budget_of(run: Path, seed: int) -> int | None:
    """Length of a seed's training, in multiples of its preset's; None where its settings were not kept."""
    path = seed_folder(run, seed) / SETTINGS_FILE
    if not path.exists():
        return None
    with reading(path, "the settings of a seed", fix="Train the seed again"):
        kept = json.loads(path.read_text())
        return round(kept["imitation"]["steps"] / preset(kept["name"]).imitation.steps)


Drawings = dict[str, dict[str, tuple[str, str]]]
"""Kind -> name of the file -> (caption, text of the file)."""


def draw_figures(
    run: Path,
    seeds: Sequence[int],
    rows: Sequence[ResultRow],
    choices: Choices | None,
    dataset: Dataset | None,
    scenes_per_kind: int,
    prefix: str,
) -> Drawings:
    """All figures of the page; kinds that there is nothing to show of are left out."""
    drawings: Drawings = {}
    bars = comparison_bars(rows, choices)
    if bars:
        caption = "PDMS and EPDMS of all agents with 95% intervals over seeds and logs"
        drawings["comparison"] = {f"{prefix}comparison.svg": (caption, intervals_figure(bars))}
    curves = read_curves(run, seeds)
    for kind, panels, caption in (
        ("learning", learning_panels(curves), "Learning curves of both branches and of the reward model"),
        ("drift", drift_panels(curves), "Score, drift and sub-metrics of the sequential schemes along training"),
        ("ablations", ablation_panels(curves), "Learning curves of the ablations"),
        ("training", training_panels(rows, choices), "PDMS by length of training"),
    ):
        if panels:
            columns = 2 if kind == "ablations" else 3
            drawings[kind] = {f"{prefix}{kind}.svg": (caption, curves_figure(panels, columns))}
    if dataset is not None:
        pictures = scene_pictures(run, seeds, dataset, per_kind=scenes_per_kind)
        if pictures:
            drawings["scenes"] = {
                f"{prefix}scene-{i + 1}.svg": (picture.caption, picture.drawing) for i, picture in enumerate(pictures)
            }
    return drawings


COLOUR_OF_BASE: Mapping[str, int] = {HUMAN: 3, RULES: 5}


def comparison_bars(rows: Sequence[ResultRow], choices: Choices | None) -> list[tuple[str, list[Bar]]]:
    """PDMS and EPDMS of the main table: PaIR blue, other learned ones orange, human roots violet, PDM-Closed grey.

    Constant velocity is so far below that it would squeeze all others; the table has it.
    """
    main = find(rows, table="main", metric=SCORE)
    agents = [agent for agent in agents_of(main, choices, truth=False) if agent != "constant_velocity"]
    columns = []
    for protocol, title in SCORE_NAMES.items():
        found = {row.agent: row for row in find(main, protocol=protocol)}
        bars = [
            Bar(shown(agent, choices), row.estimate, 0 if agent == "pair" else COLOUR_OF_BASE.get(row.base, 1))
            for agent in agents
            if (row := found.get(agent)) is not None
        ]
        columns.append((title, bars))
    return columns if len(columns[0][1]) == len(columns[1][1]) > 0 else []
