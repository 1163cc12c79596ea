"""The node `take_picture`: what the camera sees now, as a file, to be a goal later."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from rclpy.node import Node

from wm_mpc.arguments import Parser
from wm_mpc.model.checkpoint import CheckpointError, read_metadata
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros.camera import camera_of
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.running import Stopped, own_arguments, run
from wm_mpc.spec import RobotSpec, SpecError


class TakePicture(Node):
    """Listens to the camera, or to all cameras of `robot`. `options` go to `rclpy.node.Node`."""

    def __init__(self, *, compressed: bool, robot: RobotSpec | None = None, **options: Any) -> None:
        super().__init__("take_picture", **options)
        self.camera = camera_of(self, robot, compressed=compressed)


def parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="take_picture",
        description="Save what the camera sees. The picture is a goal for "
        "send_goal: put things where you want them, take the picture, and put them back.",
        epilog="example: take_picture shelf.png --ros-args -r camera/image_raw:=/front/image",
    )
    parser.add_argument(
        "picture", type=Path, help="file to write; PNG loses nothing, and other kinds work, too"
    )
    parser.add_argument(
        "--compressed", action="store_true", help="listen to the compressed topic of the camera"
    )
    parser.add_argument(
        "--checkpoint", metavar="FILE",
        help="the robot's world model, a file or the name of a shipped one: it says which cameras "
        "there are. A robot with several cameras needs it: their pictures are put side by side",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S",
        help="how long to wait for the camera; default: 10",
    )  # fmt: skip
    return parser


def _work(options: argparse.Namespace, node: TakePicture, stopped: Stopped) -> None:
    picture = node.camera.picture(options.timeout, stopped)
    path: Path = options.picture
    try:
        known, data = cv2.imencode(path.suffix or ".png", picture[..., ::-1])
    except cv2.error:
        known = False
    if not known:
        raise ClientError(
            f"{path}: no kind of picture ends in {path.suffix!r}; accepted: .png, ..."
        )
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}") from None
    height, width = picture.shape[:2]
    print(f"{path}: {width}x{height} pixels of {node.camera.topic}", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc take_picture`; the exit code."""
    arguments = list(sys.argv if args is None else ["take_picture", *args])
    options = parser().parse_args(own_arguments(arguments))
    try:
        robot = None
        if options.checkpoint is not None:
            path = resolve_checkpoint(options.checkpoint)
            robot = RobotSpec.from_dict(read_metadata(path))
        return run(
            lambda: TakePicture(compressed=options.compressed, robot=robot),
            functools.partial(_work, options),
            arguments,
        )
    except (ClientError, CheckpointError, SpecError) as error:
        print(f"take_picture: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
