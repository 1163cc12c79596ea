"""Compare the model's predictions with what then happens, while a robot runs.

The unit of all values is the error that 99 of 100 held-out moments stay below
(`model/familiarity.py`). At 1 the model is as wrong as it rarely was on its data. Far above 1 it
does not know the scene.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wm_mpc.control.effect import Effect
from wm_mpc.control.looking import USUAL, Look
from wm_mpc.control.seeing import Seeing
from wm_mpc.control.timeline import Timeline
from wm_mpc.model.camera_shift import Shift
from wm_mpc.model.conditions import Conditions, ForeignObject
from wm_mpc.model.familiarity import image_errors, prediction_error
from wm_mpc.model.lighting import Light
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision
from wm_mpc.planning.objective import squared_distance
from wm_mpc.units import SECOND

_WINDOW = 10  # errors whose median counts, so one contact or late image is no surprise
_FEWEST = 5
# A scene that moves faster than this, in typical motions per model step, was put elsewhere. In the
# simulated tasks, the pace from one control step to the next is up to 5; where an episode begins,
# it is 6 to 37.
_JUMP = 7.0
_KNOWN = 3.0  # image error up to which a light is believed


@dataclasses.dataclass(frozen=True)
class Surprise:
    """How wrong the model is now, in multiples of the usual error; NaN if unknown.

    Attributes:
        prediction: Error of the prediction made one model step ago for the present latent; median
            of the latest few.
        image: Error of the model's reconstruction of the present image. What the light explains
            does not count, if the checkpoint says how much is usual without it. Of several
            cameras, the largest one.
        camera: Name of the camera whose picture has that error; empty if there is only one.
    """

    prediction: float = math.nan
    image: float = math.nan
    camera: str = ""


class SurpriseMonitor:
    """Measures the surprise of one model. Knows nothing of ROS. Times are integer nanoseconds.

    Args:
        model: The world model.
        shifts: How far the picture of each camera is known to be moved; empty: not.
        foreign: A foreign object that is known to be in the picture; None: none. It does not count
            if the model's pictures are of another size, or if it cannot look for such objects.

    Attributes:
        foreign: The foreign object of the last picture; None if there is none.
        jumps: How many times the scene has jumped.
        effect: Evidence that actions lack the predicted effect.
        camera_errors: `Surprise.image` of each camera, by name; empty before the first image.
    """

    def __init__(
        self,
        model: WorldModel,
        shifts: tuple[Shift, ...] = (),
        foreign: ForeignObject | None = None,
    ) -> None:
        self._model, self._familiarity, spec = model, model.familiarity, model.spec
        self._seeing = Seeing(model, shifts)
        self._looked = -1
        self._light: Light | None = None
        same = foreign is not None and foreign.place.shape == (spec.image.height, spec.image.width)
        self.foreign = foreign if same and self._seeing.knows_light else None
        self._is_strange = self.foreign is not None  # the last picture
        self._unsought: tuple[np.ndarray, Tensor, tuple[float, ...]] | None = None
        self.camera_errors: dict[str, float] = {}
        self._names = [tile.name for tile in spec.image.tiles]
        self._past, self._skip = spec.history, spec.frame_skip
        self._control = round(spec.control_period * SECOND)
        # stamp, latent, and the normalised action of rest there
        self._seen: deque[tuple[int, Tensor, np.ndarray | None]] = deque(maxlen=1000)
        self._errors: deque[float] = deque(maxlen=_WINDOW)
        self._last: tuple[int, Tensor] | None = None  # the last observation
        self._is_steady = True  # predictions came since the last jump
        self.jumps = 0  # of the scene
        self.effect = Effect()

    @property
    def is_calibrated(self) -> bool:
        """Whether the checkpoint holds the usual errors. Without them, nothing can be compared."""
        return self._familiarity is not None

    def forget(self) -> None:
        """Forget all observations, because the robot is elsewhere or time has jumped. The
        conditions stay."""
        self._seen.clear()
        self._errors.clear()
        self.effect.forget()
        self._last = None

    @torch.no_grad()
    def look(
        self,
        image: np.ndarray,
        latent: Tensor,
        used: Conditions | None = None,
        stamp: int | None = None,
    ) -> float:
        """Measure `Surprise.image`, the light and `camera_errors`.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Latent of the image, (latent size,).
            used: What was taken out of the image before it was encoded; None: nothing.
            stamp: When it was taken, ns; None: after all images before.
        """
        usual = self._familiarity
        if usual is None:
            return math.nan
        if self._seeing.knows_light:
            light, left = self._seeing.compare(image, latent, used)
            error = self._worst(left, usual.usual_unexplained)
            self.foreign = None if used is None else used.foreign
            self._is_strange = error > USUAL or self.foreign is not None
            self._light = light if error <= _KNOWN else None
            if stamp is None or stamp != self._looked:  # each image is one piece of evidence
                state = self._model.split(latent)[1]
                self._unsought = image, state, () if self.foreign is not None else left
            self._looked = -1 if stamp is None else stamp
            return error
        pixels, vision = torch.from_numpy(image), native_vision(self._model)
        if vision is not None:
            return self._worst([vision.image_error(pixels, latent)], usual.usual_images)
        errors = image_errors(self._model, pixels[None], latent[None])[0].tolist()
        return self._worst(errors, usual.usual_images)

    def seek(self) -> None:
        """Look for shifts of the cameras in the last image, if the model does not know it well.

        That takes longer than a plan may wait, so call it when the plan or the hold has left.
        """
        if self._unsought is None:
            return
        image, state, left = self._unsought
        self._unsought = None
        if self._seeing.seek(image, state, left):
            self._seen.clear()  # latents of such pictures differ
            self._last = None

    @property
    def shifts(self) -> tuple[Shift, ...]:
        """How far the picture of each camera is moved, as far as it is known."""
        return self._seeing.shifts

    @property
    def last_look(self) -> Look | None:
        """The look at the last image; None if the checkpoint does not say enough to find foreign
        objects."""
        return self._seeing.last

    @property
    def looks_for_shifts(self) -> bool:
        """Whether the checkpoint says enough to look for shifts and foreign objects."""
        return self._seeing.knows_light

    @property
    def conditions(self) -> Conditions | None:
        """What to take out of the next image; None if nothing is known. Several pictures showed the
        shifts. The light counts only if the model knows the last picture."""
        shifts = self._seeing.shifts
        is_usual = self._light is None and not self._is_strange
        if is_usual and not any(shift.size for shift in shifts):
            return None
        tiles = self._model.spec.image.tiles
        return Conditions(self._light, shifts, tiles, self.foreign, self._is_strange)

    def _worst(self, errors: Sequence[float], usual: Sequence[float]) -> float:
        """The largest of the errors of all cameras, in multiples of the usual ones."""
        found = [error / known for error, known in zip(errors, usual, strict=True)]
        self.camera_errors = dict(zip(self._names, found, strict=True))
        return max(found)

    @property
    def worst_camera(self) -> str:
        """Name of the camera with the largest error in its last picture; empty if there is only
        one."""
        errors = self.camera_errors
        return max(errors, key=lambda name: errors[name]) if len(errors) > 1 else ""

    @torch.no_grad()
    def follow(
        self, stamp: int, latent: Tensor, executed: Timeline, rest: np.ndarray | None = None
    ) -> float:
        """Measure `Surprise.prediction` and `effect` with one more observation.

        Args:
            stamp: When it was taken, ns.
            latent: Its latent, (latent size,).
            executed: The actions sent so far.
            rest: Action (action size,) that keeps the robot where it was then; None: that of
                `executed`.
        """
        usual = self._familiarity
        if usual is None:
            return math.nan
        if self._seen and stamp < self._seen[-1][0]:
            self.forget()
        self._cut_at_jump(stamp, latent)
        rest = executed.idle if rest is None else rest
        still = None if rest is None else self._model.spec.normalise_action(rest)
        self._seen.append((stamp, latent, still))
        while self._seen[0][0] < stamp - (self._past + 1) * self._skip * self._control:
            self._seen.popleft()
        predicted = self._predicted(stamp, executed)
        if predicted is not None:
            self._is_steady = True
            self._errors.append(float(prediction_error(predicted[0], latent)) / usual.prediction)
            if len(predicted) > 1:
                compared = torch.cat([latent[None], predicted]).numpy() / usual.prediction
                self.effect.add(*compared)
        enough = len(self._errors) >= _FEWEST
        return statistics.median(self._errors) if enough else math.nan

    def _cut_at_jump(self, stamp: int, latent: Tensor) -> None:
        """Let no prediction cross a jump of the scene.

        The scene jumps when somebody puts the robot elsewhere, or a simulated episode begins.
        Earlier errors still count, because the robot is the same. If the scene jumps again before
        any prediction, that jump counts as an error. So images that keep jumping do not switch this
        check off.
        """
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
        """The prediction made one model step ago for now, (1, latent size), and the one at rest, if
        rest was known, (2, latent size); None if nothing was seen then."""
        spec, step = self._model.spec, self._skip * self._control
        past = [self._seen_at(stamp - k * step) for k in range(self._past, 0, -1)]
        known = [entry for entry in past if entry is not None]
        if len(known) < len(past):
            return None
        begin = stamp - self._past * step
        ticks = range(self._past * self._skip)
        low_level = [executed.at(begin + k * self._control) for k in ticks]
        actions = [action for action in low_level if action is not None]
        if len(actions) < len(low_level):  # where the robot rested then is unknown
            return None
        blocks = torch.from_numpy(spec.normalise_action(np.array(actions)))
        blocks = blocks.view(1, self._past, spec.block_size)
        history = torch.stack([latent for _, latent, _ in known])[None]
        last, still = blocks[:, -1:], known[-1][2]
        if still is not None:
            resting = torch.from_numpy(still).repeat(self._skip)
            last = torch.cat([last, resting.view(1, 1, -1)])
        carry = self._model.start(history, blocks[:, :-1])
        return self._model.rollout(carry, last)[:, 0]

    def _seen_at(self, stamp: int) -> tuple[int, Tensor, np.ndarray | None] | None:
        """What was seen within half a control period of a time."""
        nearest = min(self._seen, key=lambda entry: abs(entry[0] - stamp))
        return nearest if 2 * abs(nearest[0] - stamp) <= self._control else None
