"""``openpair serve``: a planner as a server."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import tyro

from openpair.datatypes.front_view import FRONT_CAMERAS
from openpair.errors import OpenPairError
from openpair.planning.changes import NO_CHANGES, PlannerChanges

if TYPE_CHECKING:
    from openpair.wire.server import Plan

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GRACE_S = 2.0


@dataclass(frozen=True)
class Serve:
    """Let simulators and other processes plan with an agent: AlpaSim's driver interface (EgodriverService) over gRPC.

    Serves on this machine until interrupted, without encryption; docs/serving.md has what is spoken. Needs the extra
    'serve'.

    Example: openpair serve runs/demo@pair --port 50051

    Example: openpair drive --dataset world --agent mine=grpc://127.0.0.1:50051 --out drives
    """

    agent: tyro.conf.Positional[str]
    """Who plans: CHECKPOINT[@MODE], a run folder or a network that reads sensors; or constant_velocity."""

    planner: PlannerChanges = NO_CHANGES
    """Changes to how trained networks plan; the settings beside them (planner.json) hold otherwise."""

    camera: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Name of a camera on the wire and ours, as camera_front_wide_120fov=cam_f0; repeat it. Ours pass as they are."""

    host: str = "127.0.0.1"
    """Address to serve on. Anything but this machine's own lets others in: whoever reaches it can use it."""

    port: int = 50051
    """Port to serve on; 0 takes a free one."""

    def run(self) -> int:
        """Serve until interrupted or asked to end; return the exit status."""
        from openpair.wire.server import Driver, serve

        cameras = self._cameras()
        plan, reads = self._planner()
        ended = threading.Event()
        on_loopback = self.host in LOOPBACK
        driver = Driver(plan, reads, cameras, ended.set if on_loopback else None)
        server, port = serve(driver, self.host, self.port)
        if not on_loopback:
            print(f"openpair serve: serving on {self.host}: whoever reaches it can use it")
        print(f"{self.agent} reads {', '.join(reads) or 'no sensors'}: grpc://{self.host}:{port}")
        print("(Ctrl-C ends it)", flush=True)
        try:
            ended.wait()
        finally:
            server.stop(GRACE_S).wait()
        return 0

    def _cameras(self) -> dict[str, str]:
        found = {}
        for given in self.camera:
            theirs, _, ours = given.partition("=")
            if not theirs or ours not in FRONT_CAMERAS:
                raise OpenPairError(
                    f"'{given}' maps no camera to one of ours",
                    where="--camera",
                    fix=f"Give NAME=CAMERA, with one of {', '.join(FRONT_CAMERAS)}",
                )
            found[theirs] = ours
        return found

    def _planner(self) -> tuple[Plan, tuple[str, ...]]:
        """The planner and what it reads. Raises OpenPairError for agents that need more than sensors."""
        from openpair.evaluation.sources import parse_agent

        source = parse_agent(self.agent)
        if source.kind == "constant_velocity":
            from openpair.interop.planner import constant_velocity

            return constant_velocity, ()
        if source.kind != "checkpoint" or source.path is None or source.root is not None:
            raise OpenPairError(
                "it plans from scenes of a dataset, and a server is sent sensors alone",
                where=self.agent,
                fix="Serve CHECKPOINT[@MODE] or constant_velocity",
            )
        from openpair.interop.planner import SensorPlanner

        planner = SensorPlanner(source.path, source.mode, self.planner)
        return planner.plan, planner.reads
