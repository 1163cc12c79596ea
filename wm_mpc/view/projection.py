"""Between places in the world and pixels of a camera's picture."""

from __future__ import annotations

import dataclasses

import numpy as np

_NEAR = 1e-3  # m; what is nearer to the camera, or behind it, has no pixel


@dataclasses.dataclass(frozen=True)
class Projection:
    """A pinhole camera without distortion.

    Attributes:
        matrix: Intrinsics (3, 3), pixels.
        height: Of the picture that the intrinsics are of, pixels.
        width: Likewise.
        position: Of the camera in the world (3,), m.
        axes: Right, down and forward of the camera in the world, as columns (3, 3).
    """

    matrix: np.ndarray
    height: int
    width: int
    position: np.ndarray
    axes: np.ndarray

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Where points appear.

        Args:
            points: (n, 3), m, in the world.

        Returns:
            (n, 2): column and row as shares of the picture's width and height, 0 to 1 inside; NaN
            for points behind the camera.
        """
        local = (np.asarray(points, np.float64).reshape(-1, 3) - self.position) @ self.axes
        depth = local[:, 2:3]
        with np.errstate(divide="ignore", invalid="ignore"):
            flat = (local @ self.matrix.T)[:, :2] / depth
        shares = flat / np.array([self.width, self.height], np.float64)
        return np.where(depth > _NEAR, shares, np.nan)

    def on_plane(self, column: float, row: float, height: float) -> tuple[float, float] | None:
        """The place on a level plane that a pixel shows.

        Args:
            column: Share of the picture's width, 0 to 1.
            row: Share of its height.
            height: Of the plane, m.

        Returns:
            x and y in the world, m; None where the pixel shows no point of the plane.
        """
        pixel = np.array([column * self.width, row * self.height, 1.0])
        ray = self.axes @ np.linalg.solve(self.matrix, pixel)
        if abs(ray[2]) < 1e-9:
            return None
        distance = (height - self.position[2]) / ray[2]
        if distance <= _NEAR:
            return None
        x, y, _ = self.position + distance * ray
        return float(x), float(y)


def rotation(x: float, y: float, z: float, w: float) -> np.ndarray:
    """The rotation matrix (3, 3) of a quaternion. Raises ValueError for one without a direction."""
    norm = x * x + y * y + z * z + w * w
    if not np.isfinite(norm) or norm < 1e-9:
        raise ValueError(f"the quaternion ({x}, {y}, {z}, {w}) has no direction")
    s = 2.0 / norm
    return np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    )


def rotation_of_angles(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """The rotation matrix (3, 3) of turns about the fixed axes x, y and z (rad), as in URDF."""
    (cr, cp, cy), (sr, sp, sy) = np.cos([roll, pitch, yaw]), np.sin([roll, pitch, yaw])
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
