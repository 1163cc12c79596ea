"""Whether a plan may be trusted: the model knows what it sees, its predictions came true, and the
plan passes the last check before the robot.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wm_mpc.control.codes import HoldCode, HoldError
from wm_mpc.control.observing import ClockWatch
from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.control.settings import ControlSettings, SurpriseSettings
from wm_mpc.control.surprise import Surprise, SurpriseMonitor
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.validator import PlanValidator, Validation, Verdict
from wm_mpc.model.world_model import WorldModel
from wm_mpc.units import SECOND

_AGAIN = 2.0  # s; a robot too far from its commands twice in that time does not follow them
_SWING = 3.0  # control periods of motion at the rate limit that a robot may go beyond it


class Trust:
    """For one robot, from the moment it may be moved until it may not. Times are nanoseconds."""

    def __init__(self, model: WorldModel) -> None:
        self._spec = model.spec
        self._validator = PlanValidator(model.spec)
        self._counts = dict.fromkeys(Verdict, 0)
        self._last = Verdict.HOLD
        self._pause: tuple[int, int, HoldCode, str] | None = None  # since, for how long (ns), why
        self._clock = ClockWatch()
        self._place: tuple[int, np.ndarray] | None = None  # stamp (ns), where it was measured
        self._behind: int | None = None  # when (ns) the robot was last too far from its commands
        self.use(model)

    def use(self, model: WorldModel) -> None:
        """Judge by another world model of the same robot from now on."""
        self._monitor = SurpriseMonitor(model)
        self._surprise = self._shown = Surprise()

    def forget(self) -> None:
        """The robot may be somewhere else now."""
        self._monitor.forget()
        self._surprise = self._shown = Surprise()

    def check_pause(self, now: int) -> None:
        """Raises HoldError while the robot holds because predictions failed, or because it did not
        follow its commands. A clock that jumps, to whatever side, ends it."""
        went_back = self._clock.went_back(now)
        if self._pause is None:
            return
        since, duration, code, reason = self._pause
        if not went_back and abs(now - since) < duration:
            raise HoldError(code, reason, is_fault=True)
        self._pause = None

    def check(
        self,
        plan: ControlPlan,
        image: np.ndarray,
        stamp: int,
        *,
        now: int,
        fixed: int,
        timeout: float,
        rest: np.ndarray,
        executed: Timeline,
        settings: ControlSettings,
    ) -> Validation:
        """What to send in place of the plan, made from an image (height, width, 3) taken at
        `stamp`. fixed: first points that cannot be changed any more. timeout: s, how old an
        observation may be. rest: the action (action size,) that keeps the robot where it was at
        `stamp`. Raises HoldError."""
        seen = self._monitor.look(image, plan.latents[0])
        self._surprise = self._shown = dataclasses.replace(self._surprise, image=seen)
        pace, why = self._pace(now, settings.surprise)
        before = executed.at(stamp - executed.period)
        last = executed.entry_at(stamp)
        moves = last is not None and not last.is_rest
        validation = self._validator.check(
            plan.actions,
            age=(now - stamp) / SECOND,
            timeout=timeout,
            before=rest if before is None else before,
            fixed=fixed,
            pace=pace,
            why=why,
            measured=rest,
            lag=settings.limits.lag if moves else 0.0,
        )
        self._note(validation.verdict)
        was_there, self._place = self._place, (stamp, rest)
        is_behind = validation.code is HoldCode.JUMP and moves
        if is_behind and not self._was_moved(was_there, self._place):
            self._see_behind(now, validation.reason, settings.surprise.pause)
        if validation.verdict is Verdict.HOLD:
            assert validation.code is not None
            raise HoldError(validation.code, validation.reason, is_fault=True)
        return validation

    def _was_moved(
        self, before: tuple[int, np.ndarray] | None, here: tuple[int, np.ndarray]
    ) -> bool:
        """Whether a position robot was put where it is, rather than went there, since it was last
        looked at. before, here: stamp (ns) and measured positions."""
        change = self._spec.largest_change
        if before is None or change is None:
            return False
        periods = abs(here[0] - before[0]) / SECOND / self._spec.control_period
        return bool((np.abs(here[1] - before[1]) > change * (periods + _SWING)).any())

    def _see_behind(self, now: int, reason: str, pause: float) -> None:
        """A moving robot is too far from its commands. When it is so again soon, it does not follow
        them: then raises HoldError, and begins a pause (s)."""
        before, self._behind = self._behind, now
        if before is not None and 0 <= now - before <= (_AGAIN + pause) * SECOND:
            text = f"the robot does not follow its commands: {reason}"
            self._begin_pause(now, pause, HoldCode.NOT_FOLLOWING, text)

    def _begin_pause(self, now: int, pause: float, code: HoldCode, reason: str) -> None:
        """Raises HoldError, now and for so many seconds."""
        self._monitor.forget()
        self._pause = now, round(pause * SECOND), code, reason
        raise HoldError(code, reason, is_fault=True)

    def follow(self, plan: ControlPlan, stamp: int, executed: Timeline) -> None:
        """Compare what a plan was made from with what had been predicted; counts from the next plan
        on, so that this one need not wait for it."""
        told = self._monitor.follow(stamp, plan.latents[0], executed)
        self._surprise = self._shown = dataclasses.replace(self._surprise, prediction=told)

    def _pace(self, now: int, settings: SurpriseSettings) -> tuple[float, str]:
        """How fast to go, and why not faster. Raises HoldError."""
        seen = self._surprise
        if seen.image > settings.image > 0.0:
            self._begin_anew()
            reason = (
                f"the camera shows what the model does not know: {seen.image:.1f} times the usual "
                f"error (surprise.image {settings.image:g})"
            )
            raise HoldError(HoldCode.SURPRISE_IMAGE, reason, is_fault=True)
        told = f"{seen.prediction:.1f} times the usual error"
        if seen.prediction > settings.hold > 0.0:
            self._begin_anew()
            reason = (
                f"the robot does not do what the model predicts: {told} (surprise.hold "
                f"{settings.hold:g})"
            )
            self._begin_pause(now, settings.pause, HoldCode.SURPRISE_PREDICTION, reason)
        if seen.prediction > settings.slow > 0.0:
            return settings.pace, f"predictions have {told}"
        return 1.0, ""

    def _begin_anew(self) -> None:
        """Hold; what comes after that has nothing to do with what was, which is still shown."""
        self._note(Verdict.HOLD)
        self._monitor.forget()
        self._surprise = Surprise()

    def _note(self, verdict: Verdict) -> None:
        self._last = verdict
        self._counts[verdict] += 1

    def values(self) -> dict[str, object]:
        """For diagnostics."""
        seen = self._shown
        values: dict[str, object] = {
            "validator": self._last.value,
            **{f"plans {verdict.value}": count for verdict, count in self._counts.items()},
        }
        for name, value in (("prediction_error", seen.prediction), ("image_error", seen.image)):
            told = "not known" if math.isnan(value) else f"{value:.3f}"
            if not self._monitor.is_calibrated:
                told = "not known: the checkpoint does not say what is usual (see calibrate)"
            values[name] = told
        values["scene jumps"] = self._monitor.jumps
        return values
