"""The node `mpc`: consumes camera and state, plans through the world model, publishes actions.

A managed (lifecycle) node. Callbacks, in background threads, only store the newest message; the
main thread plans (`session.py`).
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from wm_mpc.codes import HoldCode, StatusCode, WarningCode
from wm_mpc.control.loop import Hold
from wm_mpc.device.placed import placed
from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.model.familiarity import (
    angles_complaint,
    describe_familiarity,
    familiarity_complaint,
)
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import why_not_native
from wm_mpc.nodes.mpc.endpoints import Endpoints
from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.loading import load_to_plan
from wm_mpc.nodes.mpc.outputs.registry import OUTPUTS
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.nodes.mpc.planner_status import planner_in_words
from wm_mpc.nodes.mpc.reload import Reloader
from wm_mpc.nodes.mpc.session import Session
from wm_mpc.nodes.mpc.statistics import Statistics
from wm_mpc.nodes.mpc.status import Status
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros import garbage, interpreter
from wm_mpc.ros.dropped import Dropped
from wm_mpc.ros.lifecycle import ManagedNode, reported
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.status import ERROR, WARN
from wm_mpc.settings.fields import SettingError
from wm_mpc.spec import LARGEST_JUMP, RobotSpec

_LOOK = 1.0  # s between two diagnostics
_PATIENCE = 1.0  # s at the end of the node
_JUMP = "limits.largest_jump"


class Mpc(ManagedNode):
    """See the module; `options` go to rclpy's node (context, parameter_overrides, ...)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("mpc", **options)
        self._session: Session | None = None
        self._endpoints: Endpoints | None = None
        self._settings = declare(self, MpcSettings, is_active=self._is_active)
        self._model: WorldModel | None = None
        self._robot: RobotSpec | None = None  # as its checkpoint has it: without our limits
        self._checkpoint: Path | None = None
        self._configured = ""  # the parameter `checkpoint` then
        self._held_by_person = False
        self._wake = threading.Event()
        self._planned: Session | None = None  # the session that the planning thread knows
        self._statistics = Statistics()
        self.dropped = Dropped()
        self._goals = Goals(self)
        self._status = Status(
            self, self.callback_errors, self._values, self._unused, self._complaints, self.dropped
        )
        # Not the node's clock: simulated time may stand still, and that is worth a diagnosis.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK, self._tell, clock=steady)
        self.create_service(SetBool, "~/hold", self._on_hold)
        self._reloader = Reloader(self, self._settings, load_to_plan, self._exchange)
        # A reload is answered when it is done; other callbacks do not wait for that.
        group = ReentrantCallbackGroup()
        self.create_service(Trigger, "~/reload", self._on_reload, callback_group=group)

    def work(self, stopped: Stopped) -> None:
        """The planning loop; returns when `stopped()`, with the robot at rest."""
        try:
            settings = self._settings.values()
            if settings.autostart and not self.start_up() and settings.exit_on_failure:
                raise SettingError("mpc could not start, and exit_on_failure is true")
            while not stopped():
                try:
                    self._plan_once()
                except Exception as error:  # the robot must not be left moving
                    self._on_loop_error(error)
        finally:
            # A transition that is under way may take longer than an end may.
            has_lock = self.transitions.acquire(timeout=_PATIENCE)
            self._end_session()
            if has_lock:
                self.transitions.release()
            self._reloader.close()

    def _is_active(self) -> bool:
        """Whether it is active, or about to be: what can be set only while it is not is fixed."""
        return self._session is not None or self.state == "activating"

    def _plan_once(self) -> None:
        session, settings = self._session, self._settings.values()
        if session is not self._planned:
            torch.set_num_threads(settings.threads)  # which torch holds per thread
            self._planned = session
        if session is None:
            self._wake.wait(0.05)
            self._wake.clear()
        elif session.wait_until_due(settings):
            session.step(self._settings.values())  # set meanwhile, they count for this plan

    def _on_loop_error(self, error: Exception) -> None:
        self.callback_errors.caught("planning loop", error)
        fault = Hold(HoldCode.FAULT, f"fault of the planning loop: {error!r}", True)
        self._status.report(ERROR, fault.code, f"holding: {fault.reason}")
        time.sleep(0.05)
        session = self._session
        if session is not None:
            try:
                session.hold_at_once(fault)
            except Exception as second:
                self.callback_errors.caught("hold after a fault", second)

    # ------------------------------------------------------------------------------- lifecycle

    @reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        settings = self._settings.values()
        torch.set_num_threads(settings.threads)
        try:
            path = resolve_checkpoint(settings.checkpoint)
            model = load_to_plan(path, settings)
        except CheckpointError as error:
            self._status.report(ERROR, StatusCode.FAILED, f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._take(path, model, settings)
        self._configured = settings.checkpoint
        self._meet(model, settings)
        self.get_logger().info(
            f"world model {path.name}: task {model.spec.task}; arithmetic: {self._arithmetic()}"
        )
        self._status.report(WARN, StatusCode.INACTIVE, "configured, not active")
        self._reloader.follow(again=True)
        garbage.loaded()
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._status.report(WARN, StatusCode.WAITING, "waiting for the camera")
        model, settings = self._model, self._settings.values()
        assert model is not None
        self._limit(model, settings)
        if model.spec is self._robot and settings.limits.largest_jump != LARGEST_JUMP:
            has = "a rate limit" if model.spec.rest_is_measured else "no positions to command"
            self.get_logger().warning(
                f"{_JUMP} counts for nothing: the checkpoint's robot has {has}"
            )
        session = Session(
            self,
            self._meet(model, settings),
            model,
            settings,
            self._statistics,
            self._goals,
            self._status.report,
            self._wake,
        )
        session.held_by_person = self._held_by_person
        self._session = session
        self._wake.set()
        return super().on_activate(state)

    @reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._end_session()
        self._status.report(WARN, StatusCode.INACTIVE, "not active")
        return super().on_deactivate(state)

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._forget(StatusCode.UNCONFIGURED, "not configured")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._forget(StatusCode.SHUT_DOWN, "shut down")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        reason = f"not configured: a transition failed: {self.callback_errors.last}"
        self._forget(StatusCode.FAILED, reason, ERROR)
        return TransitionCallbackReturn.SUCCESS

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _take(self, path: Path, model: WorldModel, settings: MpcSettings) -> None:
        """Plan with a world model, as it was loaded, from now on."""
        self._checkpoint, self._model, self._robot = path, model, model.spec
        self._limit(model, settings)

    def _limit(self, model: WorldModel, settings: MpcSettings) -> None:
        """Have plans of a model keep to the limits that the parameters give its robot."""
        assert self._robot is not None
        model.spec = self._robot.with_largest_jump(settings.limits.largest_jump)

    def _meet(self, model: WorldModel, settings: MpcSettings) -> Endpoints:
        """The topics for this robot and these parameters, which may be set while inactive."""
        if self._endpoints is not None and not self._endpoints.fit(model.spec, settings):
            self._leave()
        if self._endpoints is None:
            self._endpoints = Endpoints(self, model, settings, self._goals)
        return self._endpoints

    def _leave(self) -> None:
        endpoints, self._endpoints = self._endpoints, None
        if endpoints is not None:
            endpoints.close()

    def _forget(self, code: StatusCode, message: str, level: int = WARN) -> None:
        """Let go of whatever belongs to a configured node."""
        self._end_session()
        self._leave()
        self._model = self._checkpoint = self._robot = None
        self._goals.forget()
        self._status.report(level, code, message)

    # -------------------------------------------------------------------------------- services

    def _on_hold(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        with self.transitions:  # or else a session that is just beginning would not know it
            self._held_by_person = request.data
            if (session := self._session) is not None:
                session.held_by_person = request.data
                if request.data:
                    session.hold_at_once()
        response.success = True
        response.message = "holding" if request.data else "planning"
        return response

    async def _on_reload(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._model is None:
            response.message = "nothing to reload: the node is not configured"
        else:
            response.success, response.message = await self._reloader.reload()
        return response

    def _exchange(self, path: Path, model: WorldModel, configuration: int) -> None:
        """Use another world model of the same robot. Raises CheckpointError when it is not.
        configuration: see `Reloader`."""
        with self.transitions:
            if self._robot is None:
                raise CheckpointError("the node is not configured")
            if configuration != self._reloader.configuration:
                raise CheckpointError(f"the node was configured again while {path} was loaded")
            if not model.spec.is_same_robot(self._robot):
                raise CheckpointError(f"{path} is of another robot; deactivate and configure")
            settings = self._settings.values()
            self._take(path, model, settings)
            if self._session is not None:
                self._session.use(model, settings.seed)

    # ----------------------------------------------------------------------------- diagnostics

    def _complaints(self) -> dict[WarningCode, str]:
        """What is not as it should be about the world model."""
        model = self._model
        if model is None:
            return {}
        found = {
            WarningCode.FAMILIARITY: familiarity_complaint(model),
            WarningCode.ANGLES: angles_complaint(model),
            WarningCode.MOVING_REST: model.spec.action.why_rest_moves(),
            WarningCode.CHECKPOINT: self._other_checkpoint(),
        }
        return {code: text for code, text in found.items() if text}

    def _other_checkpoint(self) -> str:
        """Whether the parameter `checkpoint` was set to another one since configuring."""
        wanted = self._settings.values().checkpoint
        if wanted == self._configured:
            return ""
        with contextlib.suppress(CheckpointError):
            if resolve_checkpoint(wanted) == self._checkpoint:
                return ""
        return f"the parameter checkpoint is {wanted!r}, which counts only after configuring again"

    def _tell(self) -> None:
        self._status.look()
        self._status.publish()
        if self._session is not None:
            self._goals.publish()  # distances change

    def _values(self) -> dict[str, object]:
        return {
            "checkpoint": self._checkpoint or "none",
            "familiarity": "none" if self._model is None else describe_familiarity(self._model),
            "last reload": self._reloader.outcome,
            "planner": planner_in_words(self._settings.values().planner, self._model),
            "arithmetic": self._arithmetic(),
            **self._goals.values(),
            **self._statistics.values(),
        }

    def _unused(self) -> list[str]:
        """Topics of outputs that are off."""
        on = self._settings.values().output.on
        return [name for name in OUTPUTS if name not in on]

    def _arithmetic(self) -> str:
        """What plans are computed with, and why not by machine code where they are not."""
        model, planner = self._model, self._settings.values().planner
        how = "torch, as planner.backend says" if planner.backend == "torch" else ""
        if planner.device != "cpu":
            copy = None if model is None else placed(model)
            return f"{planner.device}: {how or (copy.arithmetic if copy else 'not known yet')}"
        if how:
            return how
        if model is None:
            return "not known yet"
        reason = why_not_native(model)
        return f"torch: {reason}" if reason else "native"


def main(args: list[str] | None = None) -> int:
    sys.setswitchinterval(interpreter.SWITCH)
    return run(Mpc, Mpc.work, args)


if __name__ == "__main__":
    sys.exit(main())
