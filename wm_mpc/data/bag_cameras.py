"""Several cameras in a recording: their description, and their pictures side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from wm_mpc.data.bag import BagError, Topic
from wm_mpc.data.bag_config import BagConfig, CameraConfig
from wm_mpc.data.bag_messages import picture
from wm_mpc.data.stream import Clock, PictureStream
from wm_mpc.messages.camera_pairs import CameraPairs, Frame
from wm_mpc.messages.errors import MessageError
from wm_mpc.spec import CameraSpec, ImageSpec, RobotSpec
from wm_mpc.units import SECOND

_COMPRESSED = "/compressed"


def describe_cameras(
    topics: dict[str, Topic],
    config: BagConfig,
    usual: int,
    range_of: Callable[[Topic, CameraConfig], tuple[float, float] | None],
) -> ImageSpec:
    """Describe several cameras.

    Args:
        topics: Topics by role.
        config: Settings of the import, with several cameras.
        usual: Side of a picture whose size is not stated, pixels.
        range_of: Returns the values of a camera that become black and white.

    Raises:
        SpecError: A camera is not accepted.
    """
    found = []
    for number, camera in enumerate(config.image.cameras):
        topic = topics[f"image:{camera.name}" if number else "image"]
        height, width = config.image.size_of(camera, usual)
        name = topic.name.removesuffix(_COMPRESSED)
        found.append(
            CameraSpec(camera.name, height, width, name, value_range=range_of(topic, camera))
        )
    return ImageSpec.of(*found)


class CameraJoiner:
    """Joins the pictures of several cameras, as the node `mpc` does, into one stream.

    Args:
        spec: The robot.
        stream: Receives the joined pictures, each with the time of its first camera.
        clock: Turns messages into times.
    """

    def __init__(self, spec: RobotSpec, stream: PictureStream, clock: Clock) -> None:
        self._spec, self._stream, self._clock = spec, stream, clock
        self._pairs = CameraPairs(len(spec.images), spec.control_period)
        self._counts: Counter[str] = Counter()
        self._joined = 0

    def add(self, number: int, kind: str, message: Any, received: int) -> None:
        """Add a message.

        Args:
            number: Of the camera.
            kind: Type of the message.
            message: The message.
            received: Arrival time, ns.
        """
        self._counts[self._spec.images[number].name] += 1
        # Not the stream's clock: it counts messages without a stamp.
        stamp = Clock(self._clock.rule).moment(message, received)
        frame = Frame((kind, message, received), stamp, received / SECOND)
        whole = self._pairs.add(number, frame)
        if whole is None:
            return
        parts = whole[0].messages
        self._joined += 1

        def pixels() -> Any:
            pictures = []
            for camera, (kind_of, each, _) in zip(self._spec.images, parts, strict=True):
                try:
                    pictures.append(picture(kind_of, each, camera.image))
                except MessageError as error:
                    raise MessageError(f"camera {camera.name}: {error}") from None
            return self._spec.image.joined(pictures)

        _, first, arrived = parts[0]
        self._stream.add_picture(first, arrived, pixels)

    def notes(self) -> list[str]:
        """Say how many pictures found their partners.

        Raises:
            BagError: None did.
        """
        names = [camera.name for camera in self._spec.images]
        counts = ", ".join(f"{self._counts[name]} of {name}" for name in names)
        if not self._joined:
            raise BagError(
                f"no images of the cameras are of one moment (read: {counts}): are their stamps "
                "from different clocks? --stamps receive uses arrival times"
            )
        return [f"{self._joined} pictures of {' and '.join(names)} of one moment (read: {counts})"]
