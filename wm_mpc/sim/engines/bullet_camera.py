"""A fixed pinhole camera in PyBullet (TinyRenderer on the CPU), and its intrinsics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wm_mpc.sim.task import CameraView
from wm_mpc.spec import ImageSpec


class Camera:
    """Renders images of a PyBullet scene.

    Args:
        view: Where the camera stands.
        image: Size of the images.
        client: PyBullet client.

    Attributes:
        view: Where it stands.
        field_of_view: Vertical field of view, rad.
        settings: Arguments of PyBullet's `getCameraImage`.
    """

    def __init__(self, view: CameraView, image: ImageSpec, client: Any) -> None:
        self._client = client
        self.view = view
        self._image = image
        self.field_of_view = math.radians(view.field_of_view)
        self.settings: dict[str, Any] = {
            "width": image.width,
            "height": image.height,
            "viewMatrix": client.computeViewMatrix(view.position, view.target, view.up),
            "projectionMatrix": client.computeProjectionMatrixFOV(
                view.field_of_view, image.width / image.height, view.near, view.far
            ),
            "shadow": 0,
            "lightDirection": (0.3, 0.2, 1.0),
            "lightAmbientCoeff": 0.75,
            "lightDiffuseCoeff": 0.3,
            "lightSpecularCoeff": 0.0,
            "flags": client.ER_NO_SEGMENTATION_MASK,
            "renderer": client.ER_TINY_RENDERER,
        }

    def render(self) -> np.ndarray:
        """Render the present image, uint8 (height, width, 3) rgb."""
        height, width = self._image.height, self._image.width
        _, _, rgba, _, _ = self._client.getCameraImage(**self.settings)
        pixels = np.asarray(rgba, np.uint8).reshape(height, width, 4)
        return np.ascontiguousarray(pixels[:, :, :3])

    def bodies(self) -> np.ndarray:
        """Return the number of the body that each pixel shows, int (height, width); -1: none."""
        settings = {**self.settings, "flags": 0}
        _, _, _, _, bodies = self._client.getCameraImage(**settings)
        return np.asarray(bodies).reshape(self._image.height, self._image.width)

    def intrinsics(self) -> tuple[float, ...]:
        """Return the 3x3 camera matrix K row by row, in pixels (sensor_msgs/CameraInfo.k)."""
        focal = self._image.height / 2.0 / math.tan(self.field_of_view / 2.0)
        centre_x, centre_y = self._image.width / 2.0, self._image.height / 2.0
        return (focal, 0.0, centre_x, 0.0, focal, centre_y, 0.0, 0.0, 1.0)
