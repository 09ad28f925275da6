"""A planner trained with OpenPaIR as an agent of NAVSIM's scripts, v1.1 and v2.2.

NAVSIM runs on Python 3.9. This module does, too, and imports NAVSIM only when NAVSIM asks for something. Where its
interpreter has no OpenPaIR, planning happens in a process of the interpreter that has (``openpair_python``).
"""

from __future__ import annotations

import io
import struct
import subprocess
from typing import Any, Dict, List, Optional, Sequence  # noqa: UP035  Hydra reads the signature on Python 3.9

import numpy as np
import torch

CAMERAS = ("cam_l0", "cam_f0", "cam_r0")
SENSORS = (*CAMERAS, "lidar")
"""What networks may read; those of one kind may do without the other."""

NOW = 3
"""Position of the current frame among the four that NAVSIM hands over."""

HEADER = struct.Struct("<q")
"""Length of a message between the processes; negative: the message is an error's text."""


MAX_INPUT_BYTES = 1 << 28
"""Three images of 1080p and a point cloud take some 20 MB."""

MAX_ANSWER_BYTES = 1 << 20
"""A plan takes some 300 bytes, an error a few lines."""


class OpenPairAgent(torch.nn.Module):
    """Has every method that NAVSIM's scripts call; see its AbstractAgent.

    Args:
        checkpoint: run folder of ``openpair train``, or a policy's checkpoint file.
        mode: how to plan with it; None = the tree where all networks are there, else the imitation policy.
        trajectory_sampling: nuPlan's TrajectorySampling of 4 s in steps of 0.5 s; None = made when it is needed.
        requires_scene: NAVSIM's flag for agents that look at the truth; this one does not.
        openpair_python: interpreter that has OpenPaIR; None = this one.
    """

    def __init__(
        self,
        checkpoint: str,
        mode: Optional[str] = None,  # noqa: UP045
        trajectory_sampling: Any = None,
        requires_scene: bool = False,
        openpair_python: Optional[str] = None,  # noqa: UP045
    ) -> None:
        super().__init__()
        if requires_scene:
            raise ValueError("OpenPairAgent does not look at the scene; leave requires_scene at False")
        self.requires_scene = False
        self._trajectory_sampling = trajectory_sampling
        self._checkpoint, self._mode, self._python = str(checkpoint), mode, openpair_python
        self._planner = None  # type: Any

    def name(self) -> str:
        """Name of the agent."""
        return self.__class__.__name__

    def get_sensor_config(self) -> Any:
        """Of the current frame, what the networks read of the three front cameras and the LiDAR. Loads them."""
        from navsim.common.dataclasses import SensorConfig

        others = ("cam_l1", "cam_l2", "cam_r1", "cam_r2", "cam_b0")
        reads = self._loaded().reads
        wanted = {name: [NOW] if name in reads else False for name in CAMERAS}  # type: Dict[str, Any]
        wanted["lidar_pc"] = [NOW] if "lidar" in reads else False
        return SensorConfig(**wanted, **dict.fromkeys(others, False))

    def initialize(self) -> None:
        """Load the networks. Raises an error that says what is wrong with the checkpoint."""
        if self._python is not None:
            self._planner = PlanProcess(self._python, self._checkpoint, self._mode)
            return
        try:
            from openpair.interop.planner import SensorPlanner
        except (ImportError, SyntaxError, TypeError) as error:
            raise RuntimeError(
                f"this interpreter cannot run OpenPaIR ({error}); set agent.openpair_python to one that has it"
            ) from error
        self._planner = SensorPlanner(self._checkpoint, self._mode)

    def compute_trajectory(self, agent_input: Any, *_: Any) -> Any:
        """NAVSIM's Trajectory of one AgentInput."""
        from navsim.common.dataclasses import Trajectory

        planner = self._loaded()
        poses = checked_plan(planner.plan(inputs_of(agent_input, planner.reads)))
        return Trajectory(np.asarray(poses, dtype=np.float32), self._sampling())

    def _loaded(self) -> Any:
        if self._planner is None:
            self.initialize()
        return self._planner

    def _sampling(self) -> Any:
        if self._trajectory_sampling is None:
            from nuplan.planning.simulation.trajectory.trajectory_sampling import TrajectorySampling

            self._trajectory_sampling = TrajectorySampling(time_horizon=4, interval_length=0.5)
        return self._trajectory_sampling

    def forward(self, features: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:  # noqa: UP006
        """Not part of driving. Raises NotImplementedError: OpenPaIR trains its networks itself."""
        raise NotImplementedError("train with 'openpair train'; NAVSIM's scripts evaluate this agent")

    def get_feature_builders(self) -> List[Any]:  # noqa: UP006
        """None: features are built where the networks run."""
        return []

    def get_target_builders(self) -> List[Any]:  # noqa: UP006
        """None: this agent is not trained by NAVSIM."""
        return []

    def get_training_callbacks(self) -> List[Any]:  # noqa: UP006
        """None: this agent is not trained by NAVSIM."""
        return []


def inputs_of(agent_input: Any, reads: Sequence[str] = SENSORS) -> Dict[str, np.ndarray]:  # noqa: UP006
    """What the planner needs of NAVSIM's AgentInput, as plain arrays.

    Args:
        agent_input: NAVSIM's.
        reads: which of SENSORS the networks read; the others need not be there.

    Returns:
        cam_l0, cam_f0, cam_r0 (H, W, 3) uint8 RGB and lidar (P, 3) float32 x, y, z [m], as far as they are read;
        driving_command (4,), velocity (2,) [m/s], acceleration (2,) [m/s^2], ego axes.
    """
    status = agent_input.ego_statuses[-1]
    inputs = {
        name: np.ascontiguousarray(getattr(agent_input.cameras[-1], name).image) for name in CAMERAS if name in reads
    }
    if "lidar" in reads:
        inputs["lidar"] = np.ascontiguousarray(agent_input.lidars[-1].lidar_pc[:3].T, dtype=np.float32)
    inputs["driving_command"] = np.asarray(status.driving_command, dtype=np.int64).reshape(4)
    inputs["velocity"] = np.asarray(status.ego_velocity, dtype=np.float64).reshape(2)
    inputs["acceleration"] = np.asarray(status.ego_acceleration, dtype=np.float64).reshape(2)
    return inputs


class PlanProcess:
    """A planner in a process of another interpreter (``openpair.interop.plan_server``).

    Attributes:
        reads: which of SENSORS its networks read.
    """

    def __init__(self, python: str, checkpoint: str, mode: Optional[str]) -> None:  # noqa: UP045
        command = [python, "-m", "openpair.interop.plan_server", checkpoint] + ([] if mode is None else [mode])
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise RuntimeError(
                f"agent.openpair_python: '{python}' cannot be started ({error.strerror}); it must be the path of the "
                "Python interpreter that has OpenPaIR, such as its environment's bin/python"
            ) from error
        ready = read_message(self._process.stdout)  # or the reason why not
        self.reads = tuple(ready.decode("utf-8", "replace").split()[1:])

    def plan(self, inputs: Dict[str, np.ndarray]) -> np.ndarray:  # noqa: UP006
        """(8, 3) plan. Raises RuntimeError with the other process's reason where there is none."""
        packed = io.BytesIO()
        named = dict(inputs)  # type: Dict[str, Any]
        np.savez(packed, **named)
        if packed.tell() > MAX_INPUT_BYTES:
            raise RuntimeError(f"the sensors take {packed.tell()} bytes, more than the {MAX_INPUT_BYTES} of a message")
        write_message(self._process.stdin, packed.getvalue())
        return checked_plan(np.load(io.BytesIO(read_message(self._process.stdout)), allow_pickle=False))

    def close(self) -> None:
        """End the process; one that does not end by itself, on a busy machine, is killed: it has nothing to lose."""
        if self._process.poll() is None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()


def checked_plan(plan: Any) -> np.ndarray:
    """The plan itself, (8, 3). Raises ValueError for another shape, and where a pose is NaN or infinite."""
    poses = np.asarray(plan, dtype=np.float64)
    if poses.shape != (8, 3):
        raise ValueError(f"the plan has the shape {poses.shape}, not (8, 3)")
    if not np.isfinite(poses).all():
        raise ValueError("the plan holds NaN or infinity; look for such values in velocity, acceleration and sensors")
    return poses


def write_message(stream: Any, content: bytes, *, is_error: bool = False) -> None:
    """One message to the other process. An error without text goes out with one: its sign is its length's."""
    if is_error:
        content = content[:MAX_ANSWER_BYTES] or b"an error without text"
    stream.write(HEADER.pack(-len(content) if is_error else len(content)) + content)
    stream.flush()


def read_message(stream: Any) -> bytes:
    """One message of the other process. Raises RuntimeError with its text if it is an error, or if it is gone."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        raise RuntimeError("the OpenPaIR process ended; its message stands above")
    (length,) = HEADER.unpack(header)
    if length == 0 or abs(length) > MAX_ANSWER_BYTES:
        raise RuntimeError(f"the OpenPaIR process sent a message of {length} bytes, which is none of its own")
    content = stream.read(abs(length))
    if len(content) < abs(length):
        raise RuntimeError("the OpenPaIR process ended in the middle of a message")
    if length < 0:
        raise RuntimeError(content.decode("utf-8", "replace"))
    return content
