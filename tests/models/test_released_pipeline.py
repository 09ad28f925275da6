"""The released pipeline as an agent: base policy -> tree -> reward world model -> plan, at full size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import model_goldens as golden
import pytest
import torch

from openpair.checkpoints import load_released, recognise
from openpair.cli.main import main
from openpair.datasets.registry import open_dataset
from openpair.errors import OpenPairError
from openpair.evaluation.records import read_scores
from openpair.evaluation.sources import AgentContext, AgentSource, parse_agent
from openpair.features.config import FeatureConfig
from openpair.planning.inputs import features_of
from openpair.planning.network_files import NetworkFiles
from openpair.planning.networks import load_networks
from openpair.planning.scene_planner import ScenePlanner
from openpair.samplers.parallel_ir import PUBLISHED_CODES

assert_close = partial(torch.testing.assert_close, rtol=1e-5, atol=1e-4)
"""The agent runs the networks' fast forms: processors differ in the last bits of float32 numbers of up to 60 m."""

OPTIONS = {"policy": "--base", "sampler": "--tree", "reward_model": "--rwm"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkFiles]:
    """Seeded weights under the released names."""
    folder = tmp_path_factory.mktemp("released")
    paths = []
    for kind, prefix in (("diffusiondrive", "agent._transfuser_model."), ("parallel_ir", ""), ("rwm", "WoTE_model.")):
        state = {prefix + name: value for name, value in golden.seeded_state(kind).items()}
        paths.append(folder / f"{kind}.ckpt")
        torch.save({"state_dict": state}, paths[-1])
    yield NetworkFiles(*paths)
    load_networks.cache_clear()
    for path in paths:  # 700 MB that no one needs to keep
        path.unlink()


@golden.needs_goldens
def test_the_agent_is_the_composition_of_the_released_networks(files: NetworkFiles) -> None:
    dataset = open_dataset("world", split="test", max_scenes=1)
    scene = dataset.load_scene(dataset.keys()[0].token)

    def planner(seed: int) -> ScenePlanner:
        agent = parse_agent("released", files).build(AgentContext(dataset, lambda _: pytest.fail("no truth"), seed))
        assert isinstance(agent, ScenePlanner)
        return agent

    choice = planner(0).choose([scene])
    assert torch.equal(planner(0).choose([scene]).candidates, choice.candidates)
    assert not torch.equal(planner(1).choose([scene]).candidates[:, -1], choice.candidates[:, -1])

    features = features_of(dataset, [scene], FeatureConfig.published())
    root = choice.candidates[:, -1]
    with torch.no_grad():
        tree = load_released(golden.seeded_state("parallel_ir"), "parallel_ir")(**features, expert_feature=root)
        assert list(PUBLISHED_CODES) == sorted(PUBLISHED_CODES)
        assert_close(choice.candidates[:, :15], tree["selected"])
        model = load_released(golden.seeded_state("rwm"), "rwm")
        logits = model(**features, agent_trajectory=choice.candidates)["sim_logits"][:, 0]
    assert_close(choice.predicted, logits)
    assert torch.equal(choice.plan[0], choice.candidates[0, logits[0].argmax()])


@golden.needs_goldens
def test_the_agent_is_evaluated_by_name(files: NetworkFiles, tmp_path: Path) -> None:
    networks = [word for part, file in files.by_part().items() for word in (OPTIONS[part], str(file))]
    arguments = ["--dataset", "world", "--max-scenes", "1", "--workers", "1", "--out", str(tmp_path / "out")]
    agents = ["--agent", "released", "--agent", "human+released"]
    with pytest.raises(SystemExit) as finished:
        main(["eval", *arguments, *agents, *networks])
    assert not finished.value.code
    rows = read_scores(tmp_path / "out" / "scores.csv")
    assert [row.agent for row in rows] == ["released", "human+released"]
    assert all(row.score is not None and 0 <= row.score <= 1 for row in rows)


@golden.needs_goldens
def test_released_files_are_told_apart_by_their_parameters() -> None:
    for kind in ("transfuser", "diffusiondrive", "parallel_ir", "rwm"):
        names = [e["key"] for e in golden.read_json(f"listings/{kind}.json")["tensors"]]
        assert recognise({f"agent._transfuser_model.{name}": torch.zeros(1) for name in names}, where="file") == kind
    with pytest.raises(OpenPairError, match="none of the released networks"):
        recognise({"conv.weight": torch.zeros(1)}, where="file")


def test_without_files_the_agent_says_what_it_needs() -> None:
    with pytest.raises(OpenPairError, match="--base FILE --tree FILE --rwm FILE"):
        parse_agent("released")
    assert isinstance(parse_agent("mine=released", NetworkFiles(Path("a"))), AgentSource)
