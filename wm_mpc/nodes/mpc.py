"""The node `mpc`: consumes camera and state, plans through the world model, publishes actions.

A managed (lifecycle) node. Callbacks, in background threads, only store the newest message; the
main thread plans (`mpc_session.py`).
"""

from __future__ import annotations

import dataclasses
import re
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from wm_mpc.control.receding_horizon import PlanningError, RecedingHorizon
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.model.familiarity import checkpoint_complaint, describe_familiarity
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import why_not_native
from wm_mpc.nodes.mpc_goals import Goals
from wm_mpc.nodes.mpc_outputs import Diagnostics
from wm_mpc.nodes.mpc_parameters import TABLE, objective_config, planner_config, validate
from wm_mpc.nodes.mpc_reload import Reloader
from wm_mpc.nodes.mpc_session import Session
from wm_mpc.nodes.mpc_statistics import Statistics
from wm_mpc.nodes.mpc_trust import ERROR, OK, WARN
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run

_SWITCH = 2e-4  # s, of the interpreter between threads; Python's own is 5 ms


class Mpc(LifecycleNode):
    """See the module; `options` go to rclpy's node (context, parameter_overrides, ...)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("mpc", **options)
        self._session: Session | None = None
        self._settings = declare(
            self, TABLE, is_active=lambda: self._session is not None, validate=validate
        )
        self._model: WorldModel | None = None
        self._checkpoint: Path | None = None
        self._model_lock = threading.RLock()  # of the three above
        self._held_by_person = False
        self._wake = threading.Event()
        self._status: tuple[int, str] = (WARN, "not configured")
        self._statistics = Statistics()
        self._goals = Goals(self)
        self._diagnostics = Diagnostics(self)
        # Not the node's clock: simulated time may stand still, and that is worth a diagnosis.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, self._tell, clock=steady)
        self.create_service(SetBool, "~/hold", self._on_hold)
        self._reloader = Reloader(self, self._settings, _load, self._exchange)
        # A reload is answered when it is done; other callbacks do not wait for that.
        group = ReentrantCallbackGroup()
        self.create_service(Trigger, "~/reload", self._on_reload, callback_group=group)

    def work(self, stopped: Stopped) -> None:
        """The planning loop; returns when `stopped()`, with the robot told to hold."""
        autostart = self._settings.values()["autostart"]
        if autostart and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()
        previous = None
        while not stopped():
            session, values = self._session, self._settings.values()
            if session is not previous:
                torch.set_num_threads(values["threads"])  # which torch holds per thread
                previous = session
            if session is None:
                self._wake.wait(0.05)
                self._wake.clear()
            elif session.wait_until_due(values):
                session.step(self._settings.values())  # set meanwhile, they count for this plan
        self._end_session()
        self._reloader.close()

    # ------------------------------------------------------------------------------- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        values = self._settings.values()
        torch.set_num_threads(values["threads"])
        try:
            path = resolve_checkpoint(values["checkpoint"])
            model = _load(path, values)
        except CheckpointError as error:
            self._report(ERROR, f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        with self._model_lock:
            self._checkpoint, self._model = path, model
        self.get_logger().info(
            f"world model {path.name}: task {model.spec.task}; arithmetic: {self._arithmetic()}"
        )
        self._report(WARN, "configured, not active")
        self._reloader.follow(again=True)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._report(WARN, "waiting for the camera")
        values = self._settings.values()
        with self._model_lock:
            model = self._model
            assert model is not None
            session = Session(
                self, model, values, self._statistics, self._goals, self._report, self._wake
            )
            session.held_by_person = self._held_by_person
            self._session = session
        self._wake.set()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._end_session()
        self._report(WARN, "not active")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        with self._model_lock:
            self._model = self._checkpoint = None
        self._goals.forget()
        self._report(WARN, "not configured")
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._end_session()
        self._report(WARN, "shut down")
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._end_session()
        return TransitionCallbackReturn.SUCCESS

    def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    # -------------------------------------------------------------------------------- services

    def _on_hold(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
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

    def _exchange(self, path: Path, model: WorldModel) -> None:
        """Use another world model of the same robot. Raises CheckpointError when it is not."""
        with self._model_lock:
            if self._model is None:
                raise CheckpointError("the node is not configured")
            if not model.spec.is_same_robot(self._model.spec):
                raise CheckpointError(f"{path} is of another robot; deactivate and configure")
            self._checkpoint, self._model = path, model
            if self._session is not None:
                self._session.use(model, self._settings.values()["seed"])

    # ----------------------------------------------------------------------------- diagnostics

    def _report(self, level: int, message: str) -> None:
        """Set the status; log and publish at once when it is of another kind than before."""
        if level == OK and (complaint := self._complaint):
            level, message = WARN, f"{message}; {complaint}"
        before, self._status = self._status, (level, message)
        if level == before[0] and _kind(message) == _kind(before[1]):
            return
        logger = self.get_logger()
        # Separate calls: rclpy keeps a severity for each place in the code that logs.
        if level == ERROR:
            logger.error(message)
        elif level == WARN and message.startswith("holding"):
            logger.warning(message)
        else:
            logger.info(message)
        self._diagnose()

    @property
    def _complaint(self) -> str:
        """What the world model cannot do that a good one can; empty where there is nothing."""
        model = self._model
        return "" if model is None else checkpoint_complaint(model)

    def _tell(self) -> None:
        self._diagnose()
        if self._session is not None:
            self._goals.publish()  # distances change

    def _diagnose(self) -> None:
        values = {
            "checkpoint": self._checkpoint or "none",
            "familiarity": "none" if self._model is None else describe_familiarity(self._model),
            "last reload": self._reloader.outcome,
            "planner": self._planner(),
            "arithmetic": self._arithmetic(),
            **self._goals.values(),
            **self._statistics.values(),
        }
        self._diagnostics.publish(*self._status, values)

    def _planner(self) -> str:
        """Its type, and where it cannot begin as the parameters say."""
        values, model = self._settings.values(), self._model
        kind = str(values["planner.type"])
        if values["planner.init"] == "learned" and model is not None and model.proposals is None:
            return f"{kind}; planner.init learned: from rest, the checkpoint has no learned plans"
        return kind

    def _arithmetic(self) -> str:
        """What plans are computed with, and why not by machine code where they are not."""
        with self._model_lock:
            model = self._model
        if self._settings.values()["planner.backend"] == "torch":
            return "torch, as planner.backend says"
        if model is None:
            return "not known yet"
        reason = why_not_native(model)
        return f"torch: {reason}" if reason else "native"


def _kind(message: str) -> str:
    """A status without its numbers, which change all the time."""
    return re.sub(r"-?\d[\d.]*", "#", message)


def _load(path: Path, values: Mapping[str, Any]) -> WorldModel:
    """A world model used a few times already, so that the first real plan is as fast as any.
    Raises CheckpointError."""
    model, _ = load_checkpoint(path)
    model.spec = model.spec.with_largest_jump(values["limits.largest_jump"])
    controller = RecedingHorizon(model)
    image = np.zeros((model.spec.image.height, model.spec.image.width, 3), np.uint8)
    state = model.state_mean.numpy()
    measured = dict.fromkeys(model.spec.action.names, 0.0)
    # Few iterations, each like all others: another model may be planning meanwhile.
    planner = dataclasses.replace(planner_config(values), iterations=2)
    try:
        controller.set_goal(image, state)
        for _ in range(2):
            controller.plan(
                image,
                state,
                0.0,
                planner=planner,
                objective=objective_config(values),
                budget=1.0,
                measured=measured,
            )
    except PlanningError as error:
        raise CheckpointError(f"{path} cannot be planned with: {error}") from None
    return model


def main(args: list[str] | None = None) -> int:
    # The thread that plans gets the interpreter soon after an image's callback, and while another
    # world model is loaded.
    sys.setswitchinterval(_SWITCH)
    return run(Mpc, Mpc.work, args)


if __name__ == "__main__":
    sys.exit(main())
