"""Runs one traffic episode in SUMO and records every road user at 10 Hz.

One simulation per process: SUMO is deterministic in a fresh process only. Run as
``python -m openpair.worldgen.traffic FOLDER SEED RNG_SEED``; writes ``FOLDER/traffic.npz``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openpair.errors import OpenPairError
from openpair.worldgen.demand import EGO_KIND, EPISODE_S
from openpair.worldgen.streets import sumo_binary

STEP_S = 0.1
BRAKES_PER_S, CUT_INS_PER_S, UNLOADS_PER_S = 0.3, 0.5, 0.08


@dataclass(frozen=True)
class RawTraffic:
    """What SUMO said, one row per road user and step.

    Attributes:
        names: road user names; vehicles "v<i>_<kind>_<driver>", bicycles "b<i>", pedestrians "p<i>".
        lane_names: SUMO lane ids that ``lane`` refers to.
        step, user, lane: (rows,) int64.
        xy: (rows, 2) front bumper (vehicles) or centre (pedestrians) [m].
        angle: (rows,) SUMO angle [deg, clockwise from north].
        speed: (rows,) [m/s].
        routes: vehicle name -> edges.
        light_names: traffic light ids; lights: (steps, L) state strings.
    """

    names: list[str]
    lane_names: list[str]
    step: NDArray[np.int64]
    user: NDArray[np.int64]
    lane: NDArray[np.int64]
    xy: NDArray[np.float64]
    angle: NDArray[np.float64]
    speed: NDArray[np.float64]
    routes: dict[str, list[str]]
    light_names: list[str]
    lights: NDArray[np.str_]


def simulate(folder: Path, seed: int) -> RawTraffic:
    """Run the episode of ``folder`` (network and demand) in a process of its own."""
    command = [sys.executable, "-m", "openpair.worldgen.traffic", str(folder), str(seed)]
    home = str(Path(sumo_binary("sumo")).parent.parent)
    env = {**os.environ, "SUMO_HOME": home, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OpenPairError(f"the SUMO simulation failed: {done.stderr.strip()[-400:]}", where=folder)
    with np.load(folder / "traffic.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads((folder / "traffic.json").read_text())
    return RawTraffic(**meta, **arrays)


def _record(folder: Path, seed: int) -> None:
    import libsumo as sumo
    from libsumo import constants as c

    sumo.start(
        ["sumo", "-n", str(folder / "town.net.xml"), "-r", str(folder / "demand.rou.xml"), "--seed", str(seed),
         "--step-length", f"{STEP_S}", "--lateral-resolution", "0.5", "--no-step-log", "--no-warnings",
         "--time-to-teleport", "90", "--collision.action", "none", "--pedestrian.model", "striping",
         "--pedestrian.striping.stripe-width", "0.75", "--default.speeddev", "0"]
    )  # fmt: skip
    rng = np.random.default_rng([seed, 5])
    names: dict[str, int] = {}
    lanes: dict[str, int] = {}
    rows: list[tuple[int, int, int, float, float, float, float]] = []
    routes: dict[str, list[str]] = {}
    light_names = sorted(sumo.trafficlight.getIDList())
    lights: list[list[str]] = []
    wanted = [c.VAR_POSITION, c.VAR_ANGLE, c.VAR_SPEED, c.VAR_LANE_ID]
    for step in range(int(EPISODE_S / STEP_S)):
        sumo.simulationStep()
        for name in sumo.simulation.getDepartedIDList():
            sumo.vehicle.subscribe(name, wanted)
            routes[name] = list(sumo.vehicle.getRoute(name))
        for name in sumo.simulation.getDepartedPersonIDList():
            sumo.person.subscribe(name, wanted)
        found = {**sumo.vehicle.getAllSubscriptionResults(), **sumo.person.getAllSubscriptionResults()}
        for name, values in found.items():
            x, y = values[c.VAR_POSITION]
            lane = lanes.setdefault(values[c.VAR_LANE_ID], len(lanes))
            user = names.setdefault(name, len(names))
            rows.append((step, user, lane, x, y, values[c.VAR_ANGLE], values[c.VAR_SPEED]))
        lights.append([sumo.trafficlight.getRedYellowGreenState(name) for name in light_names])
        if step % 10 == 0:
            _disturb(sumo, rng)
    sumo.close()
    table = np.array(rows, dtype=np.float64)
    np.savez(
        folder / "traffic.npz",
        step=table[:, 0].astype(np.int64), user=table[:, 1].astype(np.int64), lane=table[:, 2].astype(np.int64),
        xy=table[:, 3:5], angle=table[:, 5], speed=table[:, 6],
        lights=np.array(lights, dtype=np.str_).reshape(len(lights), len(light_names)),
    )  # fmt: skip
    meta = {"names": list(names), "lane_names": list(lanes), "routes": routes, "light_names": light_names}
    (folder / "traffic.json").write_text(json.dumps(meta))


def _disturb(sumo: Any, rng: np.random.Generator) -> None:
    """Once a second, now and then: a driver brakes hard, pushes into the next lane or stops to unload.

    Cars that may become an ego are spared: a demonstration does nothing without a reason that can be seen.
    """
    vehicles = sorted(n for n in sumo.vehicle.getIDList() if n.startswith("v") and f"_{EGO_KIND}_" not in n)
    if not vehicles:
        return
    brakes, cuts_in, unloads = rng.random(3) < (BRAKES_PER_S, CUT_INS_PER_S, UNLOADS_PER_S)
    name = str(rng.choice(vehicles))
    road, lane, speed = sumo.vehicle.getRoadID(name), sumo.vehicle.getLaneIndex(name), sumo.vehicle.getSpeed(name)
    if brakes and speed > 6:
        sumo.vehicle.slowDown(name, rng.uniform(0.1, 0.6) * speed, rng.uniform(1.0, 2.0))
    if road.startswith(":") or speed < 4:
        return
    open_lanes = [i for i in range(sumo.edge.getLaneNumber(road)) if not _closed(sumo, f"{road}_{i}")]
    if len(open_lanes) < 2:
        return
    if cuts_in:
        beside = [i for i in (lane - 1, lane + 1) if i in open_lanes]
        sumo.vehicle.changeLane(name, int(rng.choice(beside)), 4.0)
    position = sumo.vehicle.getLanePosition(name) + 12 + speed**2 / 5
    if unloads and position < sumo.lane.getLength(f"{road}_{lane}") - 35:
        sumo.vehicle.setStop(name, road, position, open_lanes[0], rng.uniform(20, 60))


def _closed(sumo: Any, lane_id: str) -> bool:
    allowed = sumo.lane.getAllowed(lane_id)
    return "passenger" not in allowed if allowed else "passenger" in sumo.lane.getDisallowed(lane_id)


if __name__ == "__main__":
    _record(Path(sys.argv[1]), int(sys.argv[2]))
