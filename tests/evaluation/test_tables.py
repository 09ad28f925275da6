"""The results table: same content in every form, truth apart, failures said."""

from dataclasses import replace

import numpy as np
from rich.console import Console
from test_runner import run, toy_task
from toy_town import ToySource

from openpair.evaluation.agents import CheckpointAgent
from openpair.evaluation.sources import parse_agents, ready_agent
from openpair.evaluation.tables import csv_rows, markdown_table, results_table, terminal_table


def table_with_truth():
    def candidates(scene):
        return np.stack([scene.human_trajectory() * [1.1, 1, 1], scene.human_trajectory()])

    best = CheckpointAgent(lambda s: candidates(s)[0], "best_of_2", uses_truth=True, candidates=candidates)
    agents = (ready_agent(best), *parse_agents(["human"]))
    source = ToySource((("log-a", 3), ("log-b", 3)), broken=("log-b-001",))
    return results_table(run(toy_task(dataset=source, agents=agents)).summary, {"human": "Human"})


def test_rows_that_use_the_truth_come_last_and_are_marked():
    table = table_with_truth()
    assert [(row.agent, row.uses_truth) for row in table.rows] == [("Human", False), ("best_of_2 †", True)]
    assert "upper bound" in table.caption


def test_markdown_has_rounded_numbers_and_says_what_failed():
    text = markdown_table(table_with_truth())
    assert "| Human | 100.0 | 100.0 | 80.0 | 100.0 | 100.0 | 100.0 | **80.0** | 80.0 to 80.0 | 5 (1 failed) |" in text
    assert "5 of 6 scenes scored by all agents" in text
    assert "1 scene FAILED" in text


def test_the_terminal_shows_the_same():
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(terminal_table(table_with_truth()))
    text = console.export_text()
    assert "80.0 to 80.0" in text and "5 (1 failed)" in text and "PDMS" in text


def test_csv_rows_keep_all_digits_and_leave_undefined_ones_empty():
    table = table_with_truth()
    header, human, _ = csv_rows(table)
    assert header[0] == "agent" and len(header) == len(human)
    assert float(human[header.index("PDMS")]) == table.rows[0].score
    lone = replace(table, rows=(replace(table.rows[0], low=float("nan")),))
    assert csv_rows(lone)[1][header.index("low")] == ""
