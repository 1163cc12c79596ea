"""The camera images of a robot: one camera, or several side by side in one joined picture.

`wm_mpc.spec` makes them a part of `RobotSpec`. Import them from there.

A robot with several cameras has one joined picture: the pictures of all cameras of one moment, side
by side, from left to right, in the order of `ImageSpec.cameras`. Each touches the top. What is
below a lower picture is black. Datasets, goals and plans hold joined pictures, so a picture of one
moment can never lack a camera. The model and the guard take them apart (`Tile`).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wm_mpc.spec_parts import SpecError, require

if TYPE_CHECKING:
    from torch import Tensor

IMAGE_ENCODINGS = ("rgb8",)
FIRST_CAMERA = "camera"  # name of the only camera of a robot, and of its topics
# No robot needs larger images. They would be a mistake, and would use up all memory.
_LARGEST_IMAGE = 8192  # pixels of a side
_MOST_CAMERAS = 8
_NAME = re.compile("[a-z][a-z0-9_]*")
_TOPIC = re.compile("/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


@dataclasses.dataclass(frozen=True)
class CameraSpec:
    """One camera of several.

    Attributes:
        name: A word of small letters, digits and underscores. Statuses name the camera by it.
        height: Height of its picture as the model sees it, pixels.
        width: Width of its picture, pixels.
        topic: Topic of its images (`sensor_msgs/Image`), relative to the node's namespace. Empty:
            `camera/image_raw` for the first camera, `<name>/image_raw` for the others. Compressed
            images come on this topic with `/compressed` appended.
        encoding: One of `IMAGE_ENCODINGS`.
        value_range: As in `ImageSpec`.

    Raises:
        SpecError: A value is not accepted.
    """

    name: str
    height: int
    width: int
    topic: str = ""
    encoding: str = "rgb8"
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        require(
            isinstance(self.name, str) and bool(_NAME.fullmatch(self.name)),
            f"camera name is {self.name!r}; accepted: small letters, digits and underscores, a "
            "letter first",
        )
        require(
            isinstance(self.topic, str) and (not self.topic or bool(_TOPIC.fullmatch(self.topic))),
            f"topic of camera {self.name} is {self.topic!r}; the name of a ROS topic is needed",
        )
        try:
            self.image  # noqa: B018  (its checks)
        except SpecError as error:
            raise SpecError(f"camera {self.name}: {error}") from None

    @property
    def image(self) -> ImageSpec:
        """The picture of this camera alone."""
        return ImageSpec(self.height, self.width, self.encoding, self.value_range)


@dataclasses.dataclass(frozen=True)
class Tile:
    """Where the picture of one camera is in a joined picture.

    Attributes:
        name: Name of the camera.
        height: Height of its picture, pixels; it touches the top.
        width: Width of its picture, pixels.
        left: First column of its picture.
    """

    name: str
    height: int
    width: int
    left: int

    def of(self, pictures: np.ndarray) -> np.ndarray:
        """Cut the camera's pictures out.

        Args:
            pictures: Joined pictures, (..., height, width, channels).

        Returns:
            A view, (..., height, width, channels).
        """
        return pictures[..., : self.height, self.left : self.left + self.width, :]

    def of_planes(self, pictures: Tensor) -> Tensor:
        """Cut the camera's pictures out.

        Args:
            pictures: Joined pictures, (..., channels, height, width).

        Returns:
            A view, (..., channels, height, width).
        """
        return pictures[..., : self.height, self.left : self.left + self.width]


@dataclasses.dataclass(frozen=True)
class ImageSpec:
    """The camera image as the model sees it; with several cameras, the joined picture.

    Attributes:
        height: Height, pixels; with several cameras, the largest of their heights.
        width: Width, pixels; with several cameras, the sum of their widths.
        encoding: One of `IMAGE_ENCODINGS`.
        value_range: For a camera with more than 8 bits (depth, mono16): the values, in the camera's
            unit, that become black and white. None if nobody gave them. With several cameras, each
            has its own.
        cameras: The cameras, if there are several; else empty.

    Raises:
        SpecError: A value is not accepted.
    """

    height: int
    width: int
    encoding: str = "rgb8"
    value_range: tuple[float, float] | None = None
    cameras: tuple[CameraSpec, ...] = ()

    def __post_init__(self) -> None:
        require(
            self.height >= 16 and self.width >= 16,
            f"image is {self.height}x{self.width}; at least 16x16 is needed",
        )
        require(
            max(self.height, self.width) <= _LARGEST_IMAGE,
            f"image is {self.height}x{self.width}; at most {_LARGEST_IMAGE} pixels a side are "
            "accepted",
        )
        require(
            self.encoding in IMAGE_ENCODINGS,
            f"image.encoding is {self.encoding!r}; accepted: {', '.join(IMAGE_ENCODINGS)}",
        )
        if self.value_range is not None:
            require(
                len(self.value_range) == 2
                and all(map(math.isfinite, self.value_range))
                and self.value_range[0] != self.value_range[1],
                f"image.value_range is {self.value_range}; two different finite numbers, for black "
                "and for white, or null",
            )
        if self.cameras:
            self._check_cameras()

    def _check_cameras(self) -> None:
        count = len(self.cameras)
        require(
            1 < count <= _MOST_CAMERAS,
            f"image.cameras has {count} entries; accepted: none for one camera, or 2 to "
            f"{_MOST_CAMERAS}",
        )
        for field in ("name", "topic"):
            values = [getattr(camera, field) for camera in self.cameras_and_topics()]
            require(
                len(set(values)) == count, f"image.cameras repeats a {field}: {', '.join(values)}"
            )
        height = max(camera.height for camera in self.cameras)
        width = sum(camera.width for camera in self.cameras)
        require(
            (self.height, self.width) == (height, width),
            f"image is {self.height}x{self.width}, but the pictures of its cameras make "
            f"{height}x{width} side by side",
        )
        require(
            self.value_range is None, "image.value_range is given; with several cameras, each has "
            "its own",
        )  # fmt: skip

    @classmethod
    def of(cls, *cameras: CameraSpec) -> ImageSpec:
        """Return the joined picture of several cameras.

        Args:
            cameras: From left to right; the first is the main one, which tools for one camera show.

        Raises:
            SpecError: They are fewer than two, or a name or topic repeats.
        """
        require(len(cameras) > 1, f"{len(cameras)} cameras are given; two or more are joined")
        height, width = max(one.height for one in cameras), sum(one.width for one in cameras)
        return cls(height, width, cameras=cameras)

    def cameras_and_topics(self) -> tuple[CameraSpec, ...]:
        """Return all cameras, also if there is only one, each with its topic."""
        if not self.cameras:
            only = CameraSpec(
                FIRST_CAMERA, self.height, self.width, f"{FIRST_CAMERA}/image_raw", self.encoding,
                self.value_range,
            )  # fmt: skip
            return (only,)
        usual = [FIRST_CAMERA, *(camera.name for camera in self.cameras[1:])]
        return tuple(
            dataclasses.replace(camera, topic=camera.topic or f"{name}/image_raw")
            for camera, name in zip(self.cameras, usual, strict=True)
        )

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Where the picture of each camera is; one tile that covers everything for one camera."""
        tiles, left = [], 0
        for camera in self.cameras_and_topics():
            tiles.append(Tile(camera.name, camera.height, camera.width, left))
            left += camera.width
        return tuple(tiles)

    def joined(self, pictures: Sequence[np.ndarray] | Mapping[str, np.ndarray]) -> np.ndarray:
        """Join the pictures of all cameras of one moment.

        Args:
            pictures: uint8 (height, width, 3) rgb of each camera, by name or in their order.

        Returns:
            uint8 (height, width, 3) rgb; for one camera, its picture itself.

        Raises:
            SpecError: A picture is missing, unknown, or of another size.
        """
        tiles = self.tiles
        names = [tile.name for tile in tiles]
        if isinstance(pictures, Mapping):
            require(
                set(pictures) == set(names),
                f"pictures of {', '.join(sorted(pictures))} are given; the cameras are "
                f"{', '.join(names)}",
            )
            pictures = [pictures[name] for name in names]
        require(
            len(pictures) == len(tiles),
            f"{len(pictures)} pictures are given; the cameras are {', '.join(names)}",
        )
        for tile, picture in zip(tiles, pictures, strict=True):
            require(
                picture.shape == (tile.height, tile.width, 3),
                f"the picture of {tile.name} has shape {picture.shape}; "
                f"({tile.height}, {tile.width}, 3) is needed",
            )
        if not self.cameras:
            return pictures[0]
        result = np.zeros((self.height, self.width, 3), np.uint8)
        for tile, picture in zip(tiles, pictures, strict=True):
            tile.of(result)[...] = picture
        return result
