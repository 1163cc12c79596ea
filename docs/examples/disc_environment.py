"""An environment of somebody else: a round robot pushes a disc over a square floor."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

SIZE = 96  # pixels
ROBOT, DISC = 0.12, 0.18  # m; radii
STEP = 0.08  # m; farthest way in a step


class PushDisc(gymnasium.Env[np.ndarray, np.ndarray]):
    """The floor reaches from -1 to 1 m. An action is a part of the farthest step along x and y."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-1.0, 1.0, (4,), np.float64)
        self.robot, self.disc = np.zeros(2), np.ones(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.robot, self.disc = self.np_random.uniform(-0.6, 0.6, (2, 2))
        self._push()
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.robot = np.clip(self.robot + STEP * np.asarray(action, float), ROBOT - 1, 1 - ROBOT)
        self._push()
        return self._seen(), 0.0, False, False, {}

    def _push(self) -> None:
        """The disc gives way, but not through the border; there the robot gives way."""
        touching = ROBOT + DISC
        for _ in range(2):
            between = self.disc - self.robot
            distance = float(np.linalg.norm(between))
            if distance >= touching:
                return
            along = between / distance if distance > 0.0 else np.array([1.0, 0.0])
            self.disc = np.clip(self.robot + touching * along, DISC - 1, 1 - DISC)
            self.robot = self.disc - touching * along

    def _seen(self) -> np.ndarray:
        return np.concatenate([self.robot, self.disc])

    def render(self) -> Any:
        if self.render_mode != "rgb_array":
            return None
        line = (np.arange(SIZE) + 0.5) * 2.0 / SIZE - 1.0
        x, y = np.meshgrid(line, -line)
        picture = np.full((SIZE, SIZE, 3), (225, 225, 215), np.uint8)
        for place, radius, colour in (
            (self.disc, DISC, (40, 90, 200)),
            (self.robot, ROBOT, (220, 60, 30)),
        ):
            picture[np.hypot(x - place[0], y - place[1]) < radius] = colour
        return picture


gymnasium.register("examples/PushDisc-v0", entry_point="disc_environment:PushDisc")
