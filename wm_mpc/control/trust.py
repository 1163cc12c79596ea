"""Decide whether a plan can be trusted.

Three checks count: the model knows what it sees, its predictions came true, and the plan passes the
validator.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from wm_mpc.codes import HoldCode
from wm_mpc.control.foreign_check import ForeignCheck
from wm_mpc.control.holds import HoldError
from wm_mpc.control.observing import ClockWatch
from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.control.settings import ControlSettings, SurpriseSettings
from wm_mpc.control.surprise import Surprise, SurpriseMonitor
from wm_mpc.control.timeline import Timeline
from wm_mpc.control.validator import PlanValidator, Validation, Verdict
from wm_mpc.model.conditions import Conditions
from wm_mpc.model.world_model import WorldModel
from wm_mpc.units import SECOND

_AGAIN = 2.0  # s; a robot that is too far from its commands twice in this time does not follow
_SWING = 3.0  # control periods of motion at the rate limit; a faster robot was moved by hand
_LATER = 3.0  # control periods after that in which plans may still begin where it was
# Nothing failed when somebody, or a new episode of a simulation, does that.
_MOVED = "the robot was put elsewhere than the plan begins; the next plan begins where it is"


class Trust:
    """The checks of one robot, from activation to deactivation. Times are integer nanoseconds.

    Args:
        model: The world model that plans.
    """

    def __init__(self, model: WorldModel) -> None:
        self._spec = model.spec
        self._validator = PlanValidator(model.spec)
        self._counts = dict.fromkeys(Verdict, 0)
        self._last = Verdict.HOLD
        self._pause: tuple[int, int, HoldCode, str] | None = None  # since, for how long (ns), why
        self._clock = ClockWatch()
        self._place: tuple[int, np.ndarray] | None = None  # stamp (ns), where it was measured
        self._moved: int | None = None  # stamp (ns) at which somebody had moved the robot
        self._behind: int | None = None  # when (ns) the robot was last too far from its commands
        self._begin(model)

    def use(self, model: WorldModel) -> None:
        """Judge by another world model of the same robot from now on.

        What the camera was found to see stays: how far it is moved, and foreign objects.

        Args:
            model: The new world model.
        """
        self._begin(model, self._monitor)

    def _begin(self, model: WorldModel, before: SurpriseMonitor | None = None) -> None:
        shifts = () if before is None else before.shifts
        foreign = None if before is None else before.foreign
        self._monitor = SurpriseMonitor(model, shifts, foreign)
        self._foreign, self._in_the_way = ForeignCheck(model), ""
        self._surprise = self._shown = Surprise()

    @property
    def conditions(self) -> Conditions | None:
        """What to take out of the next image; None if nothing is known."""
        return self._monitor.conditions

    def forget(self) -> None:
        """Forget all observations, because the robot may be elsewhere."""
        self._monitor.forget()
        self._surprise = self._shown = Surprise()

    def check_pause(self, now: int) -> None:
        """Check whether a pause still lasts.

        The robot pauses after failed predictions, or if it does not follow its commands. A jump of
        the clock in either direction ends the pause.

        Args:
            now: The time, ns.

        Raises:
            HoldError: The pause lasts.
        """
        went_back = self._clock.went_back(now)
        if self._pause is None:
            return
        since, duration, code, reason = self._pause
        if not went_back and abs(now - since) < duration:
            if code is HoldCode.NOT_FOLLOWING:
                self._monitor.forget()
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
        """Check a plan, and return what to send instead.

        Args:
            plan: The plan.
            image: uint8 (height, width, 3) rgb, the image that the plan begins from.
            stamp: When the image was taken, ns.
            now: The time, ns.
            fixed: Number of first points that the robot already executes.
            timeout: Largest accepted age of the observation, s.
            rest: Action (action size,) that keeps the robot where it was at `stamp`.
            executed: The actions sent so far.
            settings: The present settings.

        Raises:
            HoldError: Nothing may be sent.
        """
        seen = self._monitor.look(image, plan.latents[0], plan.conditions, stamp)
        self._surprise = self._shown = dataclasses.replace(
            self._surprise, image=seen, camera=self._monitor.worst_camera
        )
        pace, why = self._pace(now, settings.surprise)
        self._check_foreign(plan, image, settings.surprise)
        last = executed.entry_at(stamp)
        moves = last is not None and not last.is_rest
        # A hold that came since the period before counts: the plan begins from where it holds.
        is_held = last is not None and last.is_rest
        before = executed.at(stamp if is_held else stamp - executed.period)
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
        if validation.code is HoldCode.JUMP:
            self._note_move(was_there, self._place)
            if self._was_moved(stamp):
                raise HoldError(HoldCode.JUMP, _MOVED)
            if moves:
                self._see_behind(now, validation.reason, settings.surprise.pause)
        if validation.verdict is Verdict.HOLD:
            assert validation.code is not None
            raise HoldError(validation.code, validation.reason, is_fault=True)
        return validation

    def check_behind(
        self,
        now: int,
        places: Mapping[str, tuple[int, float]],
        executed: Timeline,
        settings: ControlSettings,
    ) -> None:
        """Check whether a position robot follows the plan that it executes.

        Args:
            now: The time, ns.
            places: Stamps (ns) and positions (rad or m) by name, as just measured.
            executed: The actions sent so far.
            settings: The present settings.

        Raises:
            HoldError: The robot is too far from its plan.
        """
        last = executed.entry_at(now)
        if last is None or last.is_rest or self._pause is not None:
            return
        names = self._spec.action.names
        wanted, here = np.full((2, len(names)), math.nan)
        for k, name in enumerate(names):
            stamp, measured = places.get(name, (0, math.nan))
            # Of what was measured before this plan began, the plan before it says what to expect.
            action = executed.at(stamp) if stamp >= last.begin else None
            if action is not None:
                wanted[k], here[k] = action[k], measured
        reason = self._validator.why_behind(wanted, here, settings.limits.lag)
        if not reason:
            return
        was_there, place = self._place, np.where(np.isfinite(here), here, wanted)
        self._note_move(was_there, (now, place))
        if self._was_moved(now):
            raise HoldError(HoldCode.JUMP, _MOVED)
        self._see_behind(now, reason, settings.surprise.pause)
        raise HoldError(HoldCode.NOT_FOLLOWING, reason, is_fault=True)

    def _note_move(
        self, before: tuple[int, np.ndarray] | None, here: tuple[int, np.ndarray]
    ) -> None:
        """Remember it if somebody put a position robot where it is. The arguments: stamp (ns) and
        positions."""
        change = self._spec.largest_change
        if before is None or change is None:
            return
        steps = abs(here[0] - before[0]) / (self._spec.control_period * SECOND)
        if (np.abs(here[1] - before[1]) > change * (steps + _SWING)).any():
            self._moved = here[0]

    def _was_moved(self, stamp: int) -> bool:
        """Whether somebody moved the robot so shortly before a time (ns) that plans still come
        which begin where it was before."""
        later = _LATER * self._spec.control_period * SECOND
        return self._moved is not None and 0 <= stamp - self._moved <= later

    def _see_behind(self, now: int, reason: str, pause: float) -> None:
        """Note that a moving robot is too far from its commands.

        If that happens again soon, the robot does not follow: begin a pause (s) and raise
        HoldError.
        """
        before, self._behind = self._behind, now
        if before is not None and 0 <= now - before <= (_AGAIN + pause) * SECOND:
            text = f"the robot does not follow its commands: {reason}"
            self._begin_pause(now, pause, HoldCode.NOT_FOLLOWING, text)

    def _begin_pause(self, now: int, pause: float, code: HoldCode, reason: str) -> None:
        """Raise HoldError, now and for `pause` seconds."""
        self._pause = now, round(pause * SECOND), code, reason
        raise HoldError(code, reason, is_fault=True)

    def follow(self, plan: ControlPlan, stamp: int, executed: Timeline) -> None:
        """Compare a plan's observation with the earlier prediction.

        The result counts from the next plan on, so this plan need not wait for it.

        Args:
            plan: The plan.
            stamp: When its observation was taken, ns.
            executed: The actions sent so far.
        """
        place = self._place
        rest = place[1] if place is not None and place[0] == stamp else None
        error = self._monitor.follow(stamp, plan.latents[0], executed, rest)
        self._surprise = self._shown = dataclasses.replace(self._surprise, prediction=error)
        self.seek()

    def seek(self) -> None:
        """Find out if a bumped camera is why the model does not know the last image well. It takes
        time, so call it when the plan or the hold has left."""
        self._monitor.seek()

    def _pace(self, now: int, settings: SurpriseSettings) -> tuple[float, str]:
        """How fast to go, and why not faster. Raises HoldError."""
        seen = self._surprise
        if seen.image > settings.image > 0.0:
            self._begin_anew()
            whose = f"the camera {seen.camera!r}" if seen.camera else "the camera"
            reason = (
                f"{whose} shows what the model does not know: {seen.image:.1f} times the usual "
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
        effect = self._monitor.effect
        share = f"actions have {effect.share:.2f} of the predicted effect"
        if settings.hold > 0.0 and effect.missing > settings.effect > 0.0:
            self._begin_anew()
            reason = (
                f"the robot does not do what the model predicts: {share} (surprise.effect "
                f"{settings.effect:g})"
            )
            self._begin_pause(now, settings.pause, HoldCode.SURPRISE_PREDICTION, reason)
        if seen.prediction > settings.slow > 0.0:
            return settings.pace, f"predictions have {told}"
        # Slower, a robot that does nothing would be noticed later: its hold comes soon anyway.
        is_weak = effect.weak > settings.effect > 0.0 and not effect.missing
        if settings.slow > 0.0 and is_weak:
            return settings.pace, share
        return 1.0, ""

    def _check_foreign(
        self, plan: ControlPlan, image: np.ndarray, settings: SurpriseSettings
    ) -> None:
        """Raise HoldError if the plan leads near a foreign object."""
        self._in_the_way = ""
        if not settings.image > 0.0:
            return
        look, largest = self._monitor.last_look, settings.foreign
        self._in_the_way = self._foreign.why_hold(image, look, plan.latents, largest)
        if self._in_the_way:
            self._begin_anew()
            raise HoldError(HoldCode.FOREIGN_OBJECT, self._in_the_way, is_fault=True)

    def _begin_anew(self) -> None:
        """Note a hold and forget all observations. Diagnostics still show the last errors."""
        self._note(Verdict.HOLD)
        self._monitor.forget()
        self._surprise = Surprise()

    def _note(self, verdict: Verdict) -> None:
        self._last = verdict
        self._counts[verdict] += 1

    def values(self) -> dict[str, object]:
        """Return names and values for diagnostics."""
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
        if len(errors := self._monitor.camera_errors) > 1:
            values |= {f"image_error of {name}": f"{error:.3f}" for name, error in errors.items()}
        share = self._monitor.effect.share
        values["effect of actions"] = "not known" if math.isnan(share) else f"{share:.2f}"
        conditions = self.conditions
        light = None if conditions is None else conditions.light
        foreign = None if conditions is None else conditions.foreign
        values["foreign object"] = str(foreign or self._in_the_way or "none")
        values["camera shift"] = "none" if conditions is None else conditions.shift_text or "none"
        if not self._monitor.looks_for_shifts:
            told = "not known: the checkpoint does not say what light leaves (see calibrate)"
            values["foreign object"] = values["camera shift"] = told
        values["light"] = "not known" if light is None else f"{light.brightness():.2f}"
        values["scene jumps"] = self._monitor.jumps
        return values
