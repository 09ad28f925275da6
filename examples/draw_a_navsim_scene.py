"""Read a scene of NAVSIM and draw it: from above, and through its cameras.

    python examples/draw_a_navsim_scene.py --root DIR --split mini [--token TOKEN] [--out picture]

Without --root it first writes one town of the embedded world in NAVSIM's format, files of sensors included, and reads
that: the same code, without a download.
"""

import argparse
from pathlib import Path

import cv2

import openpair
from openpair.datasets.world.materialise import materialise_world
from openpair.datasets.world.unpack import unpack_world
from openpair.visualization.camera_strip import camera_strip
from openpair.visualization.drawing import draw_scene, svg_file
from openpair.visualization.scene_view import view_scene


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="holds navsim_logs/, maps/ and sensor_blobs/")
    parser.add_argument("--split", default="mini", help="folder below navsim_logs/")
    parser.add_argument("--token", help="scene to draw; default: the first one")
    parser.add_argument("--out", type=Path, default=Path("picture"))
    options = parser.parse_args()

    root, split = options.root, options.split
    if root is None:
        root, split = write_a_town_as_navsim(options.out.parent / "world_as_navsim")
    navsim = openpair.open_dataset("navsim", root, split=split)
    token = options.token or next(key.token for key in navsim.keys() if has_sensor_files(navsim, key.token))
    scene = navsim.load_scene(token)
    sensors = navsim.load_sensors(scene, size=(1920, 1080))  # recorded images come at their own size
    print(f"scene {token} of log {scene.log_name}: {len(scene.frames)} frames, {len(scene.current.agents)} agents now")
    print(f"cameras {', '.join(sensors.images)}; {len(sensors.lidar_points)} LiDAR points")

    prepared = openpair.prepare_scene(scene, openpair.Protocol.V2_2)
    view = view_scene(prepared, [("human", scene.human_trajectory())], surroundings=scene)
    print(f"the human's plan scores {view.plans[0].explanation.score:.2f} EPDMS")
    drawing = svg_file(draw_scene(view))
    above, cameras = options.out.with_suffix(".svg"), options.out.with_suffix(".jpg")
    above.write_text(drawing)
    cv2.imwrite(str(cameras), camera_strip(sensors)[..., ::-1])  # OpenCV wants blue, green, red
    print(f"{above}, {cameras}")


def write_a_town_as_navsim(out: Path) -> tuple[Path, str]:
    """The validation towns as NAVSIM logs and maps, one scene with sensor files; returns (folder, split)."""
    first = unpack_world(out, splits=("val",))[0]
    materialise_world(out, "val", max_scenes=1)
    return out / first.folder, first.split


def has_sensor_files(navsim: openpair.Dataset, token: str) -> bool:
    """Whether the images of a scene are there: a download may hold logs without sensors."""
    cameras = navsim.load_scene(token).current.cameras.values()
    return any(camera.image_path and Path(camera.image_path).is_file() for camera in cameras)


if __name__ == "__main__":
    main()
