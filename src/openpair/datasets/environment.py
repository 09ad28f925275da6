"""Folders that users have set in their environment. The only place that reads environment variables of data.

NAVSIM's users know OPENSCENE_DATA_ROOT (holds navsim_logs and sensor_blobs), NUPLAN_MAPS_ROOT and NUPLAN_MAP_VERSION.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from openpair.errors import OpenPairError

DEFAULT_MAP_VERSION = "nuplan-maps-v1.0"


@dataclass(frozen=True)
class NavsimFolders:
    """Where NAVSIM's data lies.

    Attributes:
        logs: folder with one folder of log pickles per split.
        maps: folder with the index of maps.
        sensor_blobs: folder with one folder of sensor files per split; it need not exist.
        map_version: name of the index of maps.
    """

    logs: Path
    maps: Path
    sensor_blobs: Path
    map_version: str = DEFAULT_MAP_VERSION


def navsim_folders(root: Path | None = None, environment: Mapping[str, str] | None = None) -> NavsimFolders:
    """NAVSIM's folders below ``root``, or where the environment says.

    Args:
        root: holds navsim_logs/, maps/ and, where there are any, sensor_blobs/. Without maps/ below it,
            NUPLAN_MAPS_ROOT is used. None: OPENSCENE_DATA_ROOT.
        environment: variables; None = those of the process.

    Raises:
        OpenPairError: neither is given, or a folder is missing.
    """
    variables = os.environ if environment is None else environment
    data_root, maps_root = variables.get("OPENSCENE_DATA_ROOT"), variables.get("NUPLAN_MAPS_ROOT")
    if root is None:
        if not data_root:
            raise OpenPairError(
                "no dataset folder is given",
                fix="Use --root FOLDER, or set OPENSCENE_DATA_ROOT and NUPLAN_MAPS_ROOT as for NAVSIM",
            )
        root = Path(data_root)
    if not root.is_dir():
        raise OpenPairError("there is no such dataset folder", where=root)
    logs = root / "navsim_logs"
    if not logs.is_dir():
        raise OpenPairError(
            "the folder holds no navsim_logs/, so it is not a NAVSIM dataset",
            where=root,
            fix="Point --root to the folder with navsim_logs/, maps/ and sensor_blobs/",
        )
    maps = root / "maps"
    if not maps.is_dir():
        if not maps_root:
            raise OpenPairError(
                "the folder holds no maps/", where=root, fix="Put the maps there or set NUPLAN_MAPS_ROOT"
            )
        maps = Path(maps_root)
        if not maps.is_dir():
            raise OpenPairError("there is no such folder of maps (NUPLAN_MAPS_ROOT)", where=maps)
    return NavsimFolders(logs, maps, root / "sensor_blobs", variables.get("NUPLAN_MAP_VERSION") or DEFAULT_MAP_VERSION)


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Folder for files that can be made again: XDG_CACHE_HOME/openpair, or ~/.cache/openpair."""
    variables = os.environ if environment is None else environment
    base = variables.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "openpair"


def scene_filter_file(name: str, environment: Mapping[str, str] | None = None) -> Path:
    """File of one of NAVSIM's own scene filters ("navtest"), below NAVSIM_DEVKIT_ROOT.

    Raises:
        OpenPairError: the variable is not set, or there is no such filter.
    """
    variables = os.environ if environment is None else environment
    devkit = variables.get("NAVSIM_DEVKIT_ROOT")
    if not devkit:
        raise OpenPairError(
            f"'{name}' is one of NAVSIM's scene filters, and its file is not known",
            fix=f"Give the file {name}.yaml, or set NAVSIM_DEVKIT_ROOT to a checkout of NAVSIM",
        )
    folder = Path(devkit) / "navsim/planning/script/config/common/train_test_split/scene_filter"
    if not (folder / f"{name}.yaml").is_file():
        raise OpenPairError(f"there is no scene filter '{name}'", where=folder, fix="Check NAVSIM_DEVKIT_ROOT")
    return folder / f"{name}.yaml"
