"""Prepared scenes on disk: memory-mapped, without pickles, refused when schema or source changed.

A store is a folder: ``store.json`` (what it holds), ``maps/`` (one file for each town, shared by its scenes) and
``shards/`` (scene ingredients, some dozens to a file).
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from openpair.checksums import read_sealed_json, sealed_json
from openpair.damage import reading
from openpair.datatypes.columns import Protocol
from openpair.datatypes.scoring_scene import ScoringScene
from openpair.errors import OpenPairError
from openpair.files import write_atomically
from openpair.preparation.ingredients import SceneIngredients, assemble
from openpair.preparation.map_shapes import MapShapes
from openpair.preparation.store_format import SCHEMA_VERSION, unpack_scene, unpack_shapes
from openpair.preparation.tensor_file import TensorFile

MANIFEST = "store.json"
OPEN_SHARDS = 512
"""Mapped shards kept at a time."""


@dataclass(frozen=True)
class StoreManifest:
    """What a store holds.

    Attributes:
        schema: layout version.
        protocol: "v1.1" or "v2.2".
        source: fingerprint of the logs and maps the scenes were prepared from.
        shards: tokens of each shard's scenes, in their order.
        failures: token -> why that scene could not be prepared.
    """

    schema: int
    protocol: str
    source: str
    shards: list[list[str]]
    failures: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write it at once, in place of an older one."""
        write_atomically(folder / MANIFEST, sealed_json(asdict(self)))

    @staticmethod
    def read(folder: Path) -> StoreManifest:
        """Raises OpenPairError if there is none or it is damaged."""
        path = folder / MANIFEST
        if not path.exists():
            raise OpenPairError(
                "there is no store of prepared scenes", where=folder, fix="Build it, or name the folder of one"
            )
        with reading(path, "the store's list", fix=_REBUILD):
            manifest = StoreManifest(**read_sealed_json(path))
            Protocol(manifest.protocol)
            tokens = [token for shard in manifest.shards for token in shard]
            if not all(isinstance(token, str) for token in tokens):
                raise TypeError("tokens are not text")
            return manifest


class PreparedStore:
    """Scoring scenes by token, from disk.

    Args:
        folder: the store.
        protocol: None = take what it has; otherwise it must be this one.
        source: None = do not check; otherwise the fingerprint of the data as they are now.

    Raises:
        OpenPairError: there is no store, or it was made with another schema, for another protocol or from other data.
    """

    def __init__(self, folder: Path, *, protocol: Protocol | None = None, source: str | None = None) -> None:
        self.folder = Path(folder)
        self.manifest = StoreManifest.read(self.folder)
        check_manifest(self.manifest, self.folder, protocol=protocol, source=source)
        self.protocol = Protocol(self.manifest.protocol)
        self._place = {
            token: (shard, row) for shard, tokens in enumerate(self.manifest.shards) for row, token in enumerate(tokens)
        }
        self._shards: OrderedDict[int, tuple[TensorFile, list[str]]] = OrderedDict()
        self._verified: set[int] = set()
        self._shapes: dict[str, MapShapes] = {}

    @property
    def tokens(self) -> Sequence[str]:
        """All scenes, in the order they were asked for."""
        return tuple(self._place)

    @property
    def failures(self) -> dict[str, str]:
        """Scenes that could not be prepared, with the reason."""
        return self.manifest.failures

    def __len__(self) -> int:
        return len(self._place)

    def __contains__(self, token: object) -> bool:
        return token in self._place

    def __getstate__(self) -> dict[str, object]:
        """Without mapped files, so that a store can travel to worker processes."""
        return {**self.__dict__, "_shards": OrderedDict(), "_verified": set(), "_shapes": {}}

    def load(self, token: str) -> ScoringScene:
        """The scoring scene of a token, as :func:`~openpair.preparation.prepare.prepare_scene` would make it.

        A shard's checksum is verified when the first of its scenes is loaded.

        Raises OpenPairError if it is unknown or could not be prepared, or where the shard is damaged.
        """
        ingredients, map_name = self._ingredients(token)
        return assemble(ingredients, self._map(map_name))

    def _ingredients(self, token: str) -> tuple[SceneIngredients, str]:
        if token not in self._place:
            if token in self.failures:
                raise OpenPairError(
                    f"scene {token} could not be prepared: {self.failures[token]}", where=self.folder, fix=""
                )
            raise OpenPairError(f"there is no scene {token}", where=self.folder, fix="Check dataset and split")
        number, row = self._place[token]
        shard, map_names = self._shard(number)
        ingredients, map_number = unpack_scene(shard, row, self.protocol)
        if ingredients.token != token:
            raise OpenPairError("list and scenes of the store do not belong together", where=shard.path, fix=_REBUILD)
        return ingredients, map_names[map_number]

    def _shard(self, number: int) -> tuple[TensorFile, list[str]]:
        if number not in self._shards:
            file = TensorFile(shard_path(self.folder, number), verify=number not in self._verified)
            self._verified.add(number)
            self._shards[number] = (file, json.loads(file.metadata.get("maps", "[]")))
            if len(self._shards) > OPEN_SHARDS:
                self._shards.popitem(last=False)
        return self._shards[number]

    def _map(self, name: str) -> MapShapes:
        if name not in self._shapes:
            self._shapes[name] = unpack_shapes(TensorFile(map_file_path(self.folder, name)))
        return self._shapes[name]


def check_manifest(
    manifest: StoreManifest, folder: Path, *, protocol: Protocol | None = None, source: str | None = None
) -> None:
    """Raises OpenPairError if a store was made otherwise than it is wanted."""
    if manifest.schema != SCHEMA_VERSION:
        raise OpenPairError(
            f"the store has schema {manifest.schema}, this version reads {SCHEMA_VERSION}", where=folder, fix=_REBUILD
        )
    if protocol is not None and manifest.protocol != protocol.value:
        raise OpenPairError(
            f"the store was prepared for protocol {manifest.protocol}, not {protocol.value}",
            where=folder,
            fix="Keep one store for each protocol",
        )
    if source is not None and manifest.source != source:
        raise OpenPairError("the logs or maps changed since the store was built", where=folder, fix=_REBUILD)


def shard_path(folder: Path, number: int) -> Path:
    """File of a shard."""
    return folder / "shards" / f"{number:05d}.safetensors"


def map_file_path(folder: Path, name: str) -> Path:
    """File of a town's shapes."""
    return folder / "maps" / f"{name}.safetensors"


_REBUILD = "Build the store again (delete the old folder first)"
