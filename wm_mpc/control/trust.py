"""Whether a plan may be trusted: the model knows what it sees, its predictions came true, and the
plan passes the last check before the robot.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wm_mpc.control.codes import HoldCode, HoldError
from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.control.settings import ControlSettings, SurpriseSettings
from wm_mpc.control.surprise import Surprise, SurpriseMonitor
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.validator import PlanValidator, Validation, Verdict
from wm_mpc.model.world_model import WorldModel
from wm_mpc.units import SECOND


class Trust:
    """For one robot, from the moment it may be moved until it may not. Times are nanoseconds."""

    def __init__(self, model: WorldModel) -> None:
        self._validator = PlanValidator(model.spec)
        self._counts = dict.fromkeys(Verdict, 0)
        self._last = Verdict.HOLD
        self._pause: tuple[int, int, str] | None = None  # since, for how long (ns), and why
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
        """Raises HoldError while the robot holds because predictions failed. A clock that jumps, to
        whatever side, ends it."""
        if self._pause is None:
            return
        since, duration, reason = self._pause
        if abs(now - since) < duration:
            raise HoldError(HoldCode.SURPRISE_PREDICTION, reason, is_fault=True)
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
        if validation.verdict is Verdict.HOLD:
            assert validation.code is not None
            raise HoldError(validation.code, validation.reason, is_fault=True)
        return validation

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
            self._pause = now, round(settings.pause * SECOND), reason
            raise HoldError(HoldCode.SURPRISE_PREDICTION, reason, is_fault=True)
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
