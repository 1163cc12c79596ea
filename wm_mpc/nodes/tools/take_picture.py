"""The node `take_picture`: what the camera sees now, as a file, to be a goal later."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from wm_mpc.messages.errors import MessageError
from wm_mpc.ros import qos
from wm_mpc.ros.messages import compressed_to_rgb, image_to_rgb
from wm_mpc.ros.running import Stopped, own_arguments, run, wait_until
from wm_mpc.ros.topics import image_topic
from wm_mpc.spec import ImageSpec, SpecError


class PictureError(RuntimeError):
    """A picture that cannot be taken; the text says why."""


class TakePicture(Node):
    """Listens for a picture on `camera/image_raw`, or `camera/image_raw/compressed`."""

    def __init__(self, *, compressed: bool, **options: Any) -> None:
        super().__init__("take_picture", **options)
        self._message: Any = None
        kind = CompressedImage if compressed else Image
        topic = "camera/image_raw/compressed" if compressed else "camera/image_raw"
        topic = image_topic(self, topic)
        self.topic = self.create_subscription(kind, topic, self._keep, qos.SENSOR_DATA).topic_name

    def _keep(self, message: Any) -> None:
        self._message = message

    def picture(self, timeout: float, stopped: Stopped) -> np.ndarray:
        """uint8 (height, width, 3) rgb, as large as it came. timeout: s. Raises PictureError."""
        if not wait_until(lambda: self._message is not None, timeout, stopped):
            raise PictureError(f"no picture came on {self.topic}")
        message = self._message
        try:
            read = image_to_rgb if isinstance(message, Image) else compressed_to_rgb
            picture = read(message, None)
            ImageSpec(*picture.shape[:2])  # too small for any model?
            return picture
        except (MessageError, SpecError, cv2.error) as error:
            raise PictureError(f"{self.topic}: {error}") from None


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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
        "--timeout", type=float, default=10.0, metavar="S",
        help="how long to wait for the camera; default: 10",
    )  # fmt: skip
    return parser


def _work(options: argparse.Namespace, node: TakePicture, stopped: Stopped) -> None:
    picture = node.picture(options.timeout, stopped)
    path: Path = options.picture
    try:
        known, data = cv2.imencode(path.suffix or ".png", picture[..., ::-1])
    except cv2.error:
        known = False
    if not known:
        raise PictureError(
            f"{path}: no kind of picture ends in {path.suffix!r}; accepted: .png, ..."
        )
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise PictureError(f"{path} cannot be written: {error.strerror}") from None
    height, width = picture.shape[:2]
    print(f"{path}: {width}x{height} pixels of {node.topic}", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc take_picture`; the exit code."""
    arguments = list(sys.argv if args is None else ["take_picture", *args])
    options = parser().parse_args(own_arguments(arguments))
    try:
        return run(
            lambda: TakePicture(compressed=options.compressed),
            functools.partial(_work, options),
            arguments,
        )
    except PictureError as error:
        print(f"take_picture: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
