"""Writes feature tables into a new GeoPackage with the standard library and shapely."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from openpair.datasets.navsim.geopackage import geometry_blob
from openpair.errors import OpenPairError
from openpair.files import whole_file

Row: TypeAlias = tuple[int, BaseGeometry, dict[str, Any]]
"""Id, geometry, attributes by column; absent attributes become NULL."""

_SCHEMA = """
PRAGMA application_id = 0x47504B47;
PRAGMA user_version = 10200;
CREATE TABLE gpkg_spatial_ref_sys(srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents(table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT '2000-01-01T00:00:00.000Z',
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER);
CREATE TABLE gpkg_geometry_columns(table_name TEXT NOT NULL, column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
    PRIMARY KEY(table_name, column_name));
CREATE TABLE meta(fid INTEGER PRIMARY KEY NOT NULL, key TEXT, value TEXT);
"""


def write_geopackage(
    path: Path,
    layers: Mapping[str, tuple[str, dict[str, str]]],
    rows: Mapping[str, Sequence[Row]],
    *,
    epsg: int,
    meta: Mapping[str, str],
) -> None:
    """Write a GeoPackage. The file appears whole or not at all, and the same content gives the same file.

    Args:
        path: the file; an existing one is replaced.
        layers: geometry type (POLYGON, LINESTRING, POINT) and attribute columns with SQL types, by table name.
        rows: content of each table.
        epsg: coordinate system of all geometry.
        meta: key and value pairs of the table ``meta``.

    Raises:
        OpenPairError: a geometry is not of its layer's type, or the file cannot be written.
    """
    try:
        with whole_file(path) as part, closing(sqlite3.connect(part)) as connection:
            connection.executescript(_SCHEMA)
            with connection:
                _write_head(connection, epsg, meta)
                for name, (kind, columns) in layers.items():
                    _write_layer(connection, name, kind, columns, rows[name], epsg)
    except sqlite3.Error as error:
        raise OpenPairError(f"the map cannot be written ({error})", where=path) from None


def _write_head(connection: sqlite3.Connection, epsg: int, meta: Mapping[str, str]) -> None:
    definition = pyproj.CRS.from_epsg(epsg).to_wkt("WKT1_GDAL")
    connection.executemany(
        "INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, '')",
        [
            ("undefined cartesian", -1, "NONE", -1, "undefined"),
            ("undefined geographic", 0, "NONE", 0, "undefined"),
            (f"EPSG:{epsg}", epsg, "EPSG", epsg, definition),
        ],
    )
    connection.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", meta.items())
    connection.execute(
        "INSERT INTO gpkg_contents(table_name, data_type, identifier, srs_id) VALUES ('meta', 'attributes', 'meta', 0)"
    )


def _write_layer(
    connection: sqlite3.Connection, name: str, kind: str, columns: dict[str, str], rows: Sequence[Row], epsg: int
) -> None:
    declared = "".join(f', "{column}" {sql_type}' for column, sql_type in columns.items())
    connection.execute(f'CREATE TABLE "{name}"(fid INTEGER PRIMARY KEY NOT NULL, geom {kind}{declared})')
    wrong = [fid for fid, shape, _ in rows if shape.geom_type.upper() != kind]
    if wrong:
        raise OpenPairError(f"element {wrong[0]} of layer '{name}' must be one {kind.lower()}")
    geometry = np.array([row[1] for row in rows], dtype=object)
    bounds = shapely.total_bounds(geometry).tolist() if len(rows) else [None] * 4
    connection.execute(
        "INSERT INTO gpkg_contents(table_name, data_type, identifier, min_x, min_y, max_x, max_y, srs_id) "
        "VALUES (?, 'features', ?, ?, ?, ?, ?, ?)",
        (name, name, *bounds, epsg),
    )
    connection.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (name, kind, epsg))
    if not len(rows):
        return
    wkb = shapely.to_wkb(shapely.force_2d(geometry), byte_order=1, flavor="iso")
    values = [
        (fid, geometry_blob(blob, epsg), *(attributes.get(column) for column in columns))
        for (fid, _, attributes), blob in zip(rows, wkb, strict=True)
    ]
    marks = ", ".join("?" * (2 + len(columns)))
    connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
