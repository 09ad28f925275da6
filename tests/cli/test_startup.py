"""Starting is cheap: nothing heavy is imported before it is needed, each case in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openpair.benchmarks.startup import HELP, BenchStartup, Cost, command_names, cost_of_process, table
from openpair.cli.main import SUBCOMMANDS
from openpair.errors import OpenPairError

NETWORK_LIBRARIES = ("torch", "torchvision", "timm")
HEAVY = (*NETWORK_LIBRARIES, "scipy", "cv2", "matplotlib", "pandas")

HELP_AND_MISTAKES = """
import contextlib, io
from openpair.cli.main import SUBCOMMANDS, main
for name in SUBCOMMANDS:
    for words in ([name, "--help"], [name, "--a-word-that-is-no-option"]):
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
            with contextlib.redirect_stderr(io.StringIO()):
                main(words)
"""

EVALUATION = """
from pathlib import Path
from openpair.datatypes.columns import Protocol
from openpair.evaluation.chunk import Task
from openpair.evaluation.runner import evaluate
from openpair.evaluation.sources import DatasetSource, parse_agents
agents = parse_agents(("human", "constant_velocity", "pdm_closed"))
evaluation = evaluate(Task(DatasetSource("world"), agents, Protocol.V1_1), max_scenes=1)
assert evaluation.exit_status() == 0
"""

SETTINGS = """
from openpair.configs.experiment import preset
preset("demo"), preset("published"), preset("quick_known")
"""


def imported_by(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of some modules a fresh process has imported after running code."""
    code += f"\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def test_help_and_mistakes_import_nothing_heavy() -> None:
    assert imported_by(HELP_AND_MISTAKES, (*HEAVY, "warp")) == []


def test_presets_import_nothing_heavy() -> None:
    assert imported_by(SETTINGS, (*HEAVY, "warp")) == []


def test_evaluating_baselines_imports_what_scoring_needs_alone() -> None:
    assert imported_by(EVALUATION, (*HEAVY, "warp")) == ["warp"]


def test_driving_baselines_does_without_network_libraries(tmp_path: Path) -> None:
    words = ["drive", "--dataset", "world", "--agent", "human", "--max-drives", "1", "--workers", "1", "--replan", "4"]
    code = (
        "import contextlib\n"
        "from openpair.cli.main import main\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    main({[*words, '--out', str(tmp_path / 'out')]!r})\n"
    )
    assert imported_by(code, NETWORK_LIBRARIES) == []
    assert (tmp_path / "out" / "drives.csv").exists()


def test_small_networks_need_neither_timm_nor_torchvision() -> None:
    code = (
        "from openpair.configs.experiment import preset\n"
        "from openpair.policies.transfuser import Transfuser\n"
        "from openpair.samplers.kinematic_tree import KinematicTree\n"
        "from openpair.rewards.pose_aware import PoseAwareRewardModel\n"
        "from openpair.planning import scene_planner\n"
        "networks = preset('demo').networks\n"
        "Transfuser(networks.policy), KinematicTree(networks.sampler), PoseAwareRewardModel(networks.reward_model)\n"
    )
    names = (*NETWORK_LIBRARIES, "scipy.optimize", "torch._dynamo")
    assert imported_by(code, names) == ["torch"]


def test_without_torch_a_command_says_which_extra_it_needs(tmp_path: Path) -> None:
    words = ["eval", "--dataset", "world", "--agent", "pretrained", "--max-scenes", "1", "--workers", "1"]
    code = (
        "import sys\n"
        "sys.modules['torch'] = None  # importing it is a ModuleNotFoundError\n"
        "from openpair.cli.main import main\n"
        f"main({[*words, '--out', str(tmp_path / 'out')]!r})\n"
    )
    done = subprocess.run((sys.executable, "-c", code), capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "torch is not installed" in done.stderr and "openpair[train]" in done.stderr


def test_the_benchmark_measures_every_command() -> None:
    assert command_names() == list(SUBCOMMANDS)
    cpu_s, peak_mb = cost_of_process((sys.executable, "-c", "bytearray(100 << 20)"))
    assert cpu_s > 0 and 100 < peak_mb < 200
    with pytest.raises(OpenPairError, match="status 3, not 0"):
        cost_of_process((sys.executable, "-c", "raise SystemExit(3)"))
    cheap, dear = Cost("eval --help", 0.1, 30.0, HELP), Cost("train --help", 0.1, 900.0, HELP)
    assert cheap.met and not dear.met
    assert table([cheap, dear]).row_count == 2


def test_the_benchmark_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OpenPairError, match="nothing"):
        BenchStartup(networks=tmp_path / "nothing").run()
