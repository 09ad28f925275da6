"""Training state on disk: safetensors + JSON, written whole or not at all, resumable."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors.torch import load_file, save_file

from openpair.checksums import CHECKSUM, UNSEALED, check_file, read_sealed_json, seal_file, sealed_json
from openpair.damage import reading
from openpair.errors import OpenPairError
from openpair.files import whole_file, write_atomically
from openpair.training.branch import Branch

STATE_VERSION = 1


@dataclass(frozen=True)
class ResumePoint:
    """Where a run stands.

    Attributes:
        next_step: first step still to do.
        seconds: time spent training so far.
        pending: figures of steps since the last logged mean.
    """

    next_step: int
    seconds: float
    pending: list[dict[str, float]] = field(default_factory=list)


def save_state(folder: Path, branch: Branch, point: ResumePoint, *, fingerprint: str) -> None:
    """Write the branch's state into ``folder``; an interruption leaves the previous state in place.

    Args:
        folder: run folder of the branch.
        branch: what to save.
        point: where the run stands.
        fingerprint: hash of configuration and data; a state is only resumed by the same run.
    """
    # The JSON names the tensor file, so replacing the JSON switches both at once.
    tensor_file = f"state-{point.next_step:07d}.safetensors"
    tensors = {name: tensor.contiguous() for name, tensor in branch.state_tensors().items()}
    with whole_file(folder / tensor_file, size_bytes=sum(tensor.nbytes for tensor in tensors.values())) as part:
        save_file(tensors, part, {CHECKSUM: UNSEALED})
        seal_file(part)
    record = {
        "version": STATE_VERSION,
        "branch": branch.name,
        "tensors": tensor_file,
        **asdict(point),
        "fingerprint": fingerprint,
        "scalars": branch.scalars(),
    }
    write_atomically(folder / "state.json", sealed_json(record, indent=2))
    for old in folder.glob("state-*.safetensors"):
        if old.name != tensor_file:
            old.unlink()


def load_state(folder: Path, branch: Branch, *, fingerprint: str) -> ResumePoint:
    """Bring the branch to where the run in ``folder`` stopped; a fresh folder gives step 0.

    Raises OpenPairError where the folder holds another run (other configuration or data) or is damaged.
    """
    path = folder / "state.json"
    if not path.exists():
        return ResumePoint(0, 0.0)
    with reading(path, "the saved training state", fix="Delete the folder to start again"):
        record = read_sealed_json(path)
        if record["version"] != STATE_VERSION or record["fingerprint"] != fingerprint:
            raise OpenPairError(
                "this folder holds a training run with another configuration or other data",
                where=folder,
                fix="Give another --out, or delete the folder to start again",
            )
        tensor_file = folder / record["tensors"]
        with reading(tensor_file, "the saved training state", fix="Delete the folder to start again"):
            check_file(tensor_file)
            branch.restore_tensors(load_file(tensor_file))
        branch.restore_scalars(record["scalars"])
        return ResumePoint(int(record["next_step"]), float(record["seconds"]), list(record["pending"]))
