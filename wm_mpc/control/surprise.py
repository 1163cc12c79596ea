"""What a model predicted against what then happened, while a robot runs.

Everything is told in multiples of the error that 99 of 100 held-out moments stay below
(`model/familiarity.py`): at 1 the model is as wrong as it seldom was in its data, far above it
knows nothing of what it sees.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import deque

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.timeline import Timeline
from wm_mpc.model.familiarity import image_error, prediction_error
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision
from wm_mpc.planning.objective import squared_distance
from wm_mpc.units import SECOND

_WINDOW = 10  # errors whose median counts: a contact or a late image is not a surprise yet
_FEWEST = 5
# Usual model steps that a scene covers in a model step without having been put elsewhere. In the
# simulated tasks it covers up to 5 at that pace from one control step to the next; where an episode
# begins, 6 to 37.
_JUMP = 7.0


@dataclasses.dataclass(frozen=True)
class Surprise:
    """How wrong the model is now, in multiples of what is usual; NaN where that is unknown.

    Attributes:
        prediction: Error of the present latent against its prediction one model step ago; median of
            the latest few.
        image: Error of the present image against what the model draws of it.
    """

    prediction: float = math.nan
    image: float = math.nan


class SurpriseMonitor:
    """Compares; knows nothing of ROS. Times are integer nanoseconds."""

    def __init__(self, model: WorldModel) -> None:
        self._model, self._familiarity, spec = model, model.familiarity, model.spec
        self._past, self._skip = spec.history, spec.frame_skip
        self._control = round(spec.control_period * SECOND)
        self._seen: deque[tuple[int, Tensor]] = deque(maxlen=1000)
        self._errors: deque[float] = deque(maxlen=_WINDOW)
        self._last: tuple[int, Tensor] | None = None  # the last observation
        self._is_steady = True  # predictions came since the last jump
        self.jumps = 0  # of the scene

    @property
    def is_calibrated(self) -> bool:
        """Whether the model says what is usual; nothing can be told else."""
        return self._familiarity is not None

    def forget(self) -> None:
        """What was seen before has nothing to do with what comes: another place, another time."""
        self._seen.clear()
        self._errors.clear()
        self._last = None

    @torch.no_grad()
    def look(self, image: np.ndarray, latent: Tensor) -> float:
        """`Surprise.image` of an image, uint8 (height, width, 3), and its latent (latent size,)."""
        usual = self._familiarity
        if usual is None:
            return math.nan
        pixels, vision = torch.from_numpy(image), native_vision(self._model)
        if vision is not None:
            return vision.image_error(pixels, latent) / usual.image
        return float(image_error(self._model, pixels[None], latent[None])[0]) / usual.image

    @torch.no_grad()
    def follow(self, stamp: int, latent: Tensor, executed: Timeline) -> float:
        """`Surprise.prediction` with the latent (latent size,) of a further observation. executed:
        the actions sent so far."""
        usual = self._familiarity
        if usual is None:
            return math.nan
        if self._seen and stamp < self._seen[-1][0]:
            self.forget()
        self._cut_at_jump(stamp, latent)
        self._seen.append((stamp, latent))
        while self._seen[0][0] < stamp - (self._past + 1) * self._skip * self._control:
            self._seen.popleft()
        predicted = self._predicted(stamp, executed)
        if predicted is not None:
            self._is_steady = True
            self._errors.append(float(prediction_error(predicted, latent)) / usual.prediction)
        enough = len(self._errors) >= _FEWEST
        return statistics.median(self._errors) if enough else math.nan

    def _cut_at_jump(self, stamp: int, latent: Tensor) -> None:
        """Where the scene jumps, as when somebody puts the robot elsewhere or a simulated episode
        begins, no prediction is made across it. The errors up to there still count: the robot is
        the same. So does a jump that follows another one before anything could be predicted, as
        the error that it is: pictures that keep jumping do not switch this check off."""
        usual, last = self._familiarity, self._last
        self._last = stamp, latent
        if usual is None or last is None or not usual.step > 0.0:
            return
        periods = max(1.0, (stamp - last[0]) / self._control)
        goal = self._model.embed(last[1])
        distance = float(squared_distance(self._model, latent, goal, None, 0.0).sqrt())
        if distance <= _JUMP * usual.step * periods / self._skip:
            return
        self.jumps += 1
        self._seen.clear()
        if not self._is_steady:
            self._errors.append(float(prediction_error(last[1], latent)) / usual.prediction)
        self._is_steady = False

    def _predicted(self, stamp: int, executed: Timeline) -> Tensor | None:
        """The latent of now as it would have been predicted a model step ago; None when nothing was
        seen then."""
        spec, step = self._model.spec, self._skip * self._control
        past = [self._seen_at(stamp - k * step) for k in range(self._past, 0, -1)]
        if any(latent is None for latent in past):
            return None
        begin = stamp - self._past * step
        ticks = range(self._past * self._skip)
        low_level = [executed.at(begin + k * self._control) for k in ticks]
        known = [action for action in low_level if action is not None]
        if len(known) < len(low_level):  # where the robot rested then is unknown
            return None
        blocks = torch.from_numpy(spec.normalise_action(np.array(known)))
        blocks = blocks.view(1, self._past, spec.block_size)
        history = torch.stack([latent for latent in past if latent is not None])[None]
        carry = self._model.start(history, blocks[:, :-1])
        return self._model.rollout(carry, blocks[:, -1:])[0, 0]

    def _seen_at(self, stamp: int) -> Tensor | None:
        """The latent seen within half a control period of a time."""
        nearest, latent = min(self._seen, key=lambda entry: abs(entry[0] - stamp))
        return latent if 2 * abs(nearest - stamp) <= self._control else None
