"""Folders that users have set in their environment, or in a file. The only place that reads variables of data.

NAVSIM's users know OPENSCENE_DATA_ROOT (holds navsim_logs and sensor_blobs), NUPLAN_MAPS_ROOT and NUPLAN_MAP_VERSION.
The file holds the same names: :func:`settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

from openpair.damage import reading
from openpair.errors import OpenPairError
from openpair.folders import expanded, writable_or_temporary

DEFAULT_MAP_VERSION = "nuplan-maps-v1.0"

OPENSCENE_LOGS = "meta_datas"
"""Folder of logs in OpenScene's own downloads: the same pickles, <split>/<log>.pkl, under another name."""

CONFIG_VARIABLE = "OPENPAIR_CONFIG"
"""Names the file of settings, where it is not the user's usual one."""

FOLDER_SETTINGS = ("OPENSCENE_DATA_ROOT", "NUPLAN_MAPS_ROOT", "NAVSIM_DEVKIT_ROOT", "NAVSIM_EXP_ROOT")
SETTINGS = (*FOLDER_SETTINGS, "NUPLAN_MAP_VERSION")
"""What the file may set: NAVSIM's own variables."""


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
    variables = settings(environment)
    data_root, maps_root = variables.get("OPENSCENE_DATA_ROOT"), variables.get("NUPLAN_MAPS_ROOT")
    if root is None:
        if not data_root:
            raise OpenPairError(
                "no dataset folder is given",
                fix="Use --root FOLDER, or set OPENSCENE_DATA_ROOT and NUPLAN_MAPS_ROOT as for NAVSIM, in the "
                "environment or in ~/.config/openpair/config.yaml",
            )
        root = Path(data_root)
    root = expanded(root)
    if not root.is_dir():
        raise OpenPairError("there is no such dataset folder", where=root)
    logs = root / "navsim_logs"
    if not logs.is_dir() and (root / OPENSCENE_LOGS).is_dir():
        raise OpenPairError(
            f"the folder holds OpenScene's {OPENSCENE_LOGS}/, where NAVSIM expects navsim_logs/",
            where=root,
            fix=f"Link it, whose splits hold the same logs: ln -s {OPENSCENE_LOGS} {logs}",
        )
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
    """Folder for files that can be made again: XDG_CACHE_HOME/openpair, or ~/.cache/openpair.

    A folder of the user's below the temporary one where that cannot be written.
    """
    variables = os.environ if environment is None else environment
    base = variables.get("XDG_CACHE_HOME")
    return writable_or_temporary(expanded(base or "~/.cache") / "openpair")


def scene_filter_file(name: str, environment: Mapping[str, str] | None = None) -> Path:
    """File of one of NAVSIM's own scene filters ("navtest"), below NAVSIM_DEVKIT_ROOT.

    Raises:
        OpenPairError: the variable is not set, or there is no such filter.
    """
    return _devkit_file(f"scene_filter/{name}.yaml", f"--tokens {name}.yaml", environment)


def mapping_file(name: str, environment: Mapping[str, str] | None = None) -> Path:
    """File that says which second-stage scenes follow which in one of NAVSIM's two-stage sets ("navhard_two_stage").

    Raises:
        OpenPairError: NAVSIM_DEVKIT_ROOT is not set, or there is no such file below it.
    """
    return _devkit_file(f"{name}.yaml", f"--mapping {name}.yaml", environment)


def _devkit_file(file: str, option: str, environment: Mapping[str, str] | None) -> Path:
    devkit = settings(environment).get("NAVSIM_DEVKIT_ROOT")
    if not devkit:
        raise OpenPairError(
            f"'{Path(file).stem}' is one of NAVSIM's own splits, and its file is not known",
            fix=f"Give {option}, or set NAVSIM_DEVKIT_ROOT to a checkout of NAVSIM",
        )
    folder = Path(devkit) / "navsim/planning/script/config/common/train_test_split"
    if not (folder / file).is_file():
        raise OpenPairError(
            f"there is no {file}", where=folder, fix=f"Check NAVSIM_DEVKIT_ROOT and NAVSIM's version, or give {option}"
        )
    return folder / file


def settings(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment's variables and, for those of NAVSIM that are not set there, the file's.

    The file is YAML with NAVSIM's names (:data:`SETTINGS`); OPENPAIR_CONFIG names it, else it is
    XDG_CONFIG_HOME/openpair/config.yaml or ~/.config/openpair/config.yaml, where there is one. Relative folders are
    relative to the file.

    Args:
        environment: variables; None = those of the process.

    Raises:
        OpenPairError: the file that OPENPAIR_CONFIG names is missing, or a file sets something else.
    """
    variables = dict(os.environ if environment is None else environment)
    for name in FOLDER_SETTINGS:
        if variables.get(name):
            variables[name] = str(expanded(variables[name]))
    path = config_file(variables)
    if path is None:
        return variables
    return {**_read_settings(path), **{name: value for name, value in variables.items() if value}}


def config_file(variables: Mapping[str, str]) -> Path | None:
    """The file of settings; None where there is none. Raises OpenPairError for a named one that is missing."""
    if named := variables.get(CONFIG_VARIABLE):
        if not expanded(named).is_file():
            raise OpenPairError(f"there is no such file ({CONFIG_VARIABLE})", where=named, fix="Correct it or unset it")
        return expanded(named)
    home = variables.get("HOME")
    base = variables.get("XDG_CONFIG_HOME") or (home and str(Path(home) / ".config"))
    usual = expanded(base) / "openpair" / "config.yaml" if base else None
    return usual if usual is not None and usual.is_file() else None


def _read_settings(path: Path) -> dict[str, str]:
    with reading(path, "the file of settings", fix="It is YAML with lines NAME: VALUE"):
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    if not isinstance(content, dict):
        raise OpenPairError("the file is no list of NAME: VALUE", where=path, fix=f"It may set {', '.join(SETTINGS)}")
    for name, value in content.items():
        if name not in SETTINGS:
            close = get_close_matches(str(name), SETTINGS, n=1)
            raise OpenPairError(
                f"there is no setting '{name}'",
                where=path,
                fix=f"Did you mean '{close[0]}'" if close else f"It may set {', '.join(SETTINGS)}",
            )
        if not isinstance(value, str) or not value:
            raise OpenPairError(f"the setting {name} is {value!r}, not text", where=path)
    return {
        name: str(path.parent / expanded(value)) if name in FOLDER_SETTINGS else value
        for name, value in content.items()
    }
