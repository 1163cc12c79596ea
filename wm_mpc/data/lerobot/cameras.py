"""The cameras of a LeRobot dataset that an import reads."""

from __future__ import annotations

from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.lerobot.info import LeRobotError
from wm_mpc.data.lerobot.layout import CAMERAS, LeRobotFolder
from wm_mpc.spec import CameraSpec, ImageSpec

_SIZE = 64  # pixels of a side


def camera_keys(folder: LeRobotFolder, config: BagConfig) -> tuple[str, ...]:
    """Return the keys of the cameras, the main one first.

    Args:
        folder: The dataset.
        config: Settings of the import.

    Raises:
        LeRobotError: A camera is missing, or several could be meant.
    """
    if not config.image.cameras:
        return (_camera(folder, config),)
    for camera in config.image.cameras:
        if camera.key not in folder.cameras:
            listed = ", ".join(folder.cameras) or "none"
            raise LeRobotError(
                f"camera {camera.name} has the feature {camera.key!r}; the cameras are: {listed}"
            )
    return tuple(camera.key for camera in config.image.cameras)


def _camera(folder: LeRobotFolder, config: BagConfig) -> str:
    cameras = folder.cameras
    wanted = config.image.feature
    listed = ", ".join(cameras) or "none"
    if wanted is not None:
        if wanted not in cameras:
            raise LeRobotError(f"image.feature is {wanted!r}; the cameras are: {listed}")
        return wanted
    if len(cameras) != 1:
        raise LeRobotError(
            f"the dataset has {len(cameras)} cameras ({listed}); choose one with --image, or name "
            "several in image.cameras of --config"
            if cameras
            else f"the dataset has no camera; accepted: a feature of type {' or '.join(CAMERAS)}"
        )
    return cameras[0]


def image_of(config: BagConfig) -> ImageSpec:
    """Return the image that the settings of an import describe.

    Args:
        config: The settings.
    """
    if config.image.cameras:
        cameras = []
        for camera in config.image.cameras:
            height, width = config.image.size_of(camera, _SIZE)
            stated = camera.value_range
            values = None if stated is None else (stated[0], stated[1])
            topic = camera.topic or ""
            cameras.append(CameraSpec(camera.name, height, width, topic, value_range=values))
        return ImageSpec.of(*cameras)
    height = config.image.height or config.image.width or _SIZE
    stated = config.image.value_range
    return ImageSpec(
        height,
        config.image.width or height,
        value_range=None if stated is None else (stated[0], stated[1]),
    )
