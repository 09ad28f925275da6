"""Feature tables of a GeoPackage: an SQLite file whose geometry column is a small header and WKB.

Read with the standard library and shapely. Only what NAVSIM's maps use is here: tables with an integer key, attribute
columns and one geometry column.
"""

from __future__ import annotations

import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from openpair.damage import reading
from openpair.errors import OpenPairError

MAX_VALUE_BYTES: Final = 32 << 20
"""Of one value, such as a polygon; the largest of nuPlan's have some hundred kB."""

MAX_ROWS: Final = 2_000_000
"""Of a layer; nuPlan's largest has some 100,000. A view may make rows without end."""

MAX_LAYER_BYTES: Final = 1 << 30
MAX_SECONDS: Final = 600.0
STEPS_BETWEEN_LOOKS: Final = 1_000_000
"""Reading a map is given up after so long; the clock is looked at after so many steps of SQLite's machine."""

_ENVELOPE_BYTES: Final = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
"""Length of the bounding box that stands between the 8-byte header and the WKB, by its code."""


@dataclass(frozen=True)
class Layer:
    """One feature table, rows in file order.

    Attributes:
        name: table name.
        fid: (n,) int64 primary keys.
        geometry: (n,) shapely geometries, reprojected; None where the file has NULL.
        columns: attribute columns by name, NULL as None.
    """

    name: str
    fid: NDArray[np.int64]
    geometry: NDArray[np.object_]
    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.fid)


def geometry_blob(wkb: bytes, srs_id: int) -> bytes:
    """GeoPackage blob of a geometry: header without envelope, little endian, then WKB."""
    return b"GP" + struct.pack("<BBi", 0, 1, srs_id) + wkb


def wkb_of_blob(blob: bytes) -> bytes:
    """WKB inside a GeoPackage blob. Raises ValueError for anything else."""
    if len(blob) < 8 or blob[:2] != b"GP":
        raise ValueError("a geometry without GeoPackage header")
    code = (blob[3] >> 1) & 7
    if code not in _ENVELOPE_BYTES:
        raise ValueError("a geometry with an invalid GeoPackage header")
    return blob[8 + _ENVELOPE_BYTES[code] :]


class GeoPackage:
    """An open GeoPackage. Use :func:`open_geopackage`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        self._geometry_columns = {
            table: (column, srs)
            for table, column, srs in connection.execute(
                "SELECT table_name, column_name, srs_id FROM gpkg_geometry_columns"
            )
        }
        self.epsg = self._target_epsg()

    def layer_names(self) -> list[str]:
        """Names of all feature tables."""
        return list(self._geometry_columns)

    def has_layer(self, name: str) -> bool:
        """True if the file has a feature table of this name."""
        return name in self._geometry_columns

    def layer(self, name: str, columns: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> Layer:
        """A feature table with its geometry in the map's projected system.

        Args:
            name: table.
            columns: attribute columns that must exist.
            optional: attribute columns that read as None where the table lacks them.

        Raises:
            OpenPairError: the table or a needed column is missing, or a geometry is damaged.
        """
        if name not in self._geometry_columns:
            raise OpenPairError(
                f"the map has no layer '{name}'",
                where=self.path,
                fix="NAVSIM needs nuPlan's maps v1.0 (map.gpkg of each location)",
            )
        geometry_column, srs = self._geometry_columns[name]
        table_info = self._connection.execute(f"PRAGMA table_info({_quoted(name)})").fetchall()
        present = {row[1] for row in table_info}
        missing = [column for column in columns if column not in present]
        if missing:
            raise OpenPairError(f"layer '{name}' of the map lacks the column {', '.join(missing)}", where=self.path)
        wanted = [*columns, *(column for column in optional if column in present)]
        select = ", ".join(["rowid", _quoted(geometry_column), *map(_quoted, wanted)])
        self._check_table(name)
        rows = self._connection.execute(
            f"SELECT {select} FROM {_quoted(name)} ORDER BY rowid LIMIT {MAX_ROWS + 1}"
        ).fetchall()
        size = sum(len(row[1]) for row in rows if isinstance(row[1], bytes))
        if len(rows) > MAX_ROWS or size > MAX_LAYER_BYTES:
            raise OpenPairError(f"layer '{name}' of the map is larger than any of nuPlan's", where=self.path)
        values: dict[str, list[Any]] = {column: [row[2 + i] for row in rows] for i, column in enumerate(wanted)}
        for column in optional:
            values.setdefault(column, [None] * len(rows))
        return Layer(
            name=name,
            fid=np.array([row[0] for row in rows], dtype=np.int64),
            geometry=self._geometries([row[1] for row in rows], name, srs),
            columns=values,
        )

    def _check_table(self, name: str) -> None:
        """Layers are tables: a view or a virtual table runs a program of the file's."""
        kinds = self._connection.execute("SELECT type, sql FROM sqlite_master WHERE name = ?", (name,)).fetchall()
        if any(kind != "table" or str(sql).lstrip().upper().startswith("CREATE VIRTUAL") for kind, sql in kinds):
            raise OpenPairError(f"layer '{name}' of the map is no plain table", where=self.path)

    def _geometries(self, blobs: list[bytes | None], name: str, srs: int) -> NDArray[np.object_]:
        try:
            wkb = np.array([None if blob is None else wkb_of_blob(blob) for blob in blobs], dtype=object)
            geometry = shapely.force_2d(shapely.from_wkb(wkb))
        except (ValueError, TypeError, shapely.errors.ShapelyError) as error:
            raise OpenPairError(
                f"layer '{name}' of the map holds a damaged geometry ({error})", where=self.path
            ) from None
        return self._reprojected(np.asarray(geometry, dtype=object), srs)

    def _reprojected(self, geometry: NDArray[np.object_], srs: int) -> NDArray[np.object_]:
        if self.epsg is None or len(geometry) == 0:
            return geometry
        source = self._crs_of_srs(srs)
        target = pyproj.CRS.from_epsg(self.epsg)
        if source is None or source == target:
            return geometry
        transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)

        def project(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=1)

        return np.asarray(shapely.transform(geometry, project), dtype=object)

    def _crs_of_srs(self, srs: int) -> pyproj.CRS | None:
        row = self._connection.execute(
            "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?",
            (srs,),
        ).fetchone()
        if row is None or srs in (-1, 0):  # the GeoPackage codes for "undefined": taken as the projected system
            return None
        organization, code, definition = row
        try:
            if str(organization).upper() == "EPSG":
                return pyproj.CRS.from_epsg(int(code))
            return pyproj.CRS.from_user_input(definition)
        except pyproj.exceptions.CRSError as error:
            raise OpenPairError(
                f"the map's coordinate system {organization}:{code} is unknown ({error})", where=self.path
            ) from None

    def _target_epsg(self) -> int | None:
        """EPSG code under ``projectedCoordSystem`` of the table ``meta``; None where the map names none."""
        try:
            rows = self._connection.execute("SELECT value FROM meta WHERE key = 'projectedCoordSystem'").fetchall()
        except sqlite3.OperationalError:
            rows = []
        if not rows:
            return self._common_projected_epsg()
        text = str(rows[0][0])
        try:
            code = pyproj.CRS.from_user_input(text).to_epsg()
        except pyproj.exceptions.CRSError:
            code = None
        if code is None:
            raise OpenPairError(f"the map names an unknown coordinate system '{text}'", where=self.path)
        return int(code)

    def _common_projected_epsg(self) -> int | None:
        """Without a table ``meta``: the layers' own system, which must be metric for the map to be of use."""
        systems = {srs for _, srs in self._geometry_columns.values()}
        crs = self._crs_of_srs(systems.pop()) if len(systems) == 1 else None
        if crs is not None and crs.is_geographic:
            raise OpenPairError(
                "the map is in degrees and does not say which metric system its logs use",
                where=self.path,
                fix="Add a table 'meta' with the key projectedCoordSystem, for instance EPSG:32619",
            )
        return None if crs is None else crs.to_epsg()


@contextmanager
def open_geopackage(path: Path) -> Iterator[GeoPackage]:
    """Open a GeoPackage for reading only.

    Raises:
        OpenPairError: the file is missing, is not a GeoPackage, or is damaged (also while it is read).
    """
    if not path.is_file():
        raise OpenPairError("there is no such map file", where=path, fix="Download the maps, or set NUPLAN_MAPS_ROOT")
    with (
        reading(path, "the GeoPackage", fix="Copy or download the map again"),
        # immutable: no lock files, so that maps in read-only folders open
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection,
    ):
        if sys.version_info >= (3, 11):
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")  # a map's schema may name functions
        connection.text_factory = lambda data: data.decode("utf-8")
        started = time.monotonic()
        connection.set_progress_handler(lambda: time.monotonic() - started > MAX_SECONDS, STEPS_BETWEEN_LOOKS)
        yield GeoPackage(connection, path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
