"""The node `mpc`: consumes camera and state, plans through the world model, publishes actions.

A managed (lifecycle) node. Callbacks, in a background thread, only store the newest message; the
main thread plans. Whatever goes wrong ends in the same place: `_hold`, which tells the robot to
stand still and says why in the diagnostics, until the cause is gone.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.nodes.mpc_inputs import Inputs, Snapshot
from wm_mpc.nodes.mpc_outputs import Diagnostics, PlanPictures, PlanPublisher
from wm_mpc.nodes.mpc_parameters import TABLE, objective_config, planner_config, validate
from wm_mpc.planning.commitment import Commitments
from wm_mpc.planning.receding_horizon import ControlPlan, PlanningError, RecedingHorizon
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros.errors import MessageError
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.schedule import PlanSchedule
from wm_mpc.ros.timing import SECOND, LatencyTracker, from_seconds

OK, WARN, ERROR = (
    DiagnosticStatus.OK[0], DiagnosticStatus.WARN[0], DiagnosticStatus.ERROR[0]
)  # fmt: skip


class Hold(Exception):
    """A reason not to plan now; the level is one of DiagnosticStatus."""

    def __init__(self, reason: str, level: int = WARN) -> None:
        super().__init__(reason)
        self.level = level


@dataclasses.dataclass
class Session:
    """Everything that lives from activation to deactivation."""

    controller: RecedingHorizon
    inputs: Inputs
    plans: PlanPublisher
    pictures: PlanPictures
    commitments: Commitments
    schedule: PlanSchedule
    first_stamp: int
    goal_number: int = 0
    used_image: int = 0  # number of the image the last plan was made from
    answered: tuple[int, np.ndarray] | None = None  # stamp and actions of the last plan


class Mpc(LifecycleNode):
    """See the module; `options` go to rclpy's node (context, parameter_overrides, ...)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("mpc", **options)
        self._active = False
        self._settings = declare(
            self, TABLE, is_active=lambda: self._active, validate=validate
        )
        self._session: Session | None = None
        self._model: Any = None
        self._checkpoint_path: Path | None = None
        # Guards the session: a plan is published under it, so none leaves after deactivation.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._held_by_person = False
        self._status: tuple[int, str] = (WARN, "not configured")
        self._latency, self._encoding = LatencyTracker(500), LatencyTracker(500)
        self._counts = {"plans": 0, "overruns": 0, "holds": 0}
        self._last_plan: ControlPlan | None = None
        self._diagnostics = Diagnostics(self)
        # Not the node's clock: simulated time may stand still, and that is worth a diagnosis.
        self.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_service(SetBool, "~/hold", self._on_hold)
        self.create_service(Trigger, "~/reload", self._on_reload)

    # ------------------------------------------------------------------------------- lifecycle

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        values = self._settings.values()
        torch.set_num_threads(values["threads"])
        try:
            self._load(values)
        except CheckpointError as error:
            self.get_logger().error(f"cannot configure: {error}")
            self._report(ERROR, f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._report(WARN, "configured, not active")
        return TransitionCallbackReturn.SUCCESS

    def _load(self, values: Mapping[str, Any]) -> None:
        path = resolve_checkpoint(values["checkpoint"])
        model, _ = load_checkpoint(path)
        _warm_up(model, values)
        self._model, self._checkpoint_path = model, path
        self.get_logger().info(f"world model {path.name}: task {model.spec.task}")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        values, spec = self._settings.values(), self._model.spec
        with self._lock:
            self._session = Session(
                RecedingHorizon(self._model, values["seed"]),
                Inputs(
                    self, spec, transport=values["image.transport"],
                    state_type=values["state.type"], on_image=self._on_image,
                ),
                PlanPublisher(self, spec),
                PlanPictures(self, self._model),
                Commitments(spec),
                PlanSchedule(),
                self._now(),
            )  # fmt: skip
            self._active = True
        self._report(WARN, "waiting for the camera")
        self._wake.set()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._end_session()
        self._report(WARN, "not active")
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._model = None
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
        with self._lock:
            session, self._session, self._active = self._session, None, False
            if session is None:
                return
            session.plans.hold(self._now())
            session.inputs.close()
            session.plans.close()
            session.pictures.close()

    def close(self) -> None:
        """Leave the robot holding, whatever state the node is in."""
        self._end_session()

    # -------------------------------------------------------------------------------- services

    def _on_hold(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._held_by_person = request.data
        self._wake.set()
        response.success = True
        response.message = "holding" if request.data else "planning"
        return response

    def _on_reload(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        old = self._model
        if old is None:
            response.message = "nothing to reload: the node is not configured"
            return response
        try:
            path = resolve_checkpoint(self._settings.values()["checkpoint"])
            model, _metadata = load_checkpoint(path)
            if model.spec != old.spec:
                raise CheckpointError(f"{path} is of another robot; deactivate and configure")
        except CheckpointError as error:
            response.message = f"kept the old world model: {error}"
            return response
        _warm_up(model, self._settings.values())
        with self._lock:
            self._model, self._checkpoint_path = model, path
            if self._session is not None:
                seed = self._settings.values()["seed"]
                self._session.controller = RecedingHorizon(model, seed)
                self._session.pictures.use(model)
                self._session.goal_number = 0
        response.success, response.message = True, f"loaded {path}"
        return response

    # -------------------------------------------------------------------------------- planning

    def work(self, stopped: Stopped) -> None:
        """The planning loop; returns when `stopped()`."""
        if self._settings.values()["autostart"]:
            configured = self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            if configured:
                self.trigger_activate()
        while not stopped():
            session = self._session
            if session is None:
                self._wake.wait(0.05)
                self._wake.clear()
                continue
            values = self._settings.values()
            session.plans.stream_twists = values["output.cmd_vel"]
            session.plans.stream_commands = values["output.commands"]
            session.plans.frame_id = values["frame_id"]
            if self._wait_until_due(session, values):
                self._plan_or_hold(session, values)
        self.close()

    def _on_image(self) -> None:
        session = self._session
        if session is not None:
            session.schedule.arrived(self._now())
        self._wake.set()

    def _wait_until_due(self, session: Session, values: Mapping[str, Any]) -> bool:
        """Sleep a little; whether it is time to plan."""
        is_new = session.inputs.image_number != session.used_image
        if values["lockstep"]:
            due = is_new
            remaining = 0.05
        else:
            period, now = from_seconds(1.0 / values["rate"]), self._now()
            due = session.schedule.is_due(now, period, is_new=is_new)
            remaining = session.schedule.remaining(now) / SECOND or 0.005
        if not due:
            self._wake.wait(min(remaining, 0.02))
            self._wake.clear()
        return due

    def _plan_or_hold(self, session: Session, values: Mapping[str, Any]) -> None:
        period = from_seconds(1.0 / values["rate"])
        missed = session.schedule.planned(self._now(), period) if not values["lockstep"] else 0
        self._counts["overruns"] += missed
        session.used_image = session.inputs.image_number
        try:
            snapshot = self._usable(session, values)
            assert snapshot.image is not None
            if values["lockstep"] and self._repeat_answer(session, snapshot.image.stamp):
                return
            plan, stamp = self._plan(session, snapshot, values)
        except (Hold, MessageError, PlanningError) as error:
            self._hold(session, str(error), getattr(error, "level", ERROR))
        except Exception as error:  # a fault of ours must not leave the robot moving either
            self.get_logger().error(f"planner fault: {error!r}", throttle_duration_sec=1.0)
            self._hold(session, f"planner fault: {error!r}", ERROR)
        else:
            self._send(session, plan, stamp, values)

    def _usable(self, session: Session, values: Mapping[str, Any]) -> Snapshot:
        """The newest inputs; raises Hold when they are incomplete or too old."""
        if self._held_by_person:
            raise Hold("holding as asked by the service ~/hold")
        snapshot = session.inputs.snapshot(wait_for_state=1.0 if values["lockstep"] else 0.01)
        timeout = values["observation_timeout"]
        for what, arrival in (("image", snapshot.image), ("robot state", snapshot.state)):
            if arrival is None:
                raise Hold(f"no {what} received yet")
            silence = time.monotonic() - arrival.received
            age = (self._now() - arrival.stamp) / SECOND
            if not values["lockstep"] and silence > timeout:
                raise Hold(f"no {what} for {silence:.1f} s (observation_timeout {timeout} s)", ERROR)
            if age > timeout:
                raise Hold(f"{what} stamps are {age:.2f} s old (observation_timeout {timeout} s)",
                           ERROR)  # fmt: skip
            if age < -timeout:
                raise Hold(f"{what} stamps are {-age:.2f} s in the future: clocks differ", ERROR)
        if snapshot.goal_image is None:
            raise Hold("no goal received yet")
        return snapshot

    def _plan(
        self, session: Session, snapshot: Snapshot, values: Mapping[str, Any]
    ) -> tuple[ControlPlan, int]:
        assert snapshot.image is not None and snapshot.state is not None
        inputs, controller = session.inputs, session.controller
        stamp = snapshot.image.stamp
        image = inputs.image_array(snapshot.image.message)
        state = inputs.state_array(snapshot.state.message)
        if snapshot.goal_number != session.goal_number or not controller.has_goal:
            controller.set_goal(*inputs.goal_arrays(snapshot))
            session.goal_number = snapshot.goal_number
        planner, budget = planner_config(values), values["time_budget"]
        expected = self._latency.summary()
        # The node's clock stands still in lockstep: then nothing is executed while planning.
        arrival = self._now() if values["lockstep"] else self._now() + from_seconds(
            budget if math.isnan(expected.p50) else expected.p50
        )  # fmt: skip
        committed = session.commitments.between(stamp, arrival)
        if len(committed) >= planner.horizon * self._model.spec.frame_skip:
            raise Hold("planning takes longer than the plan lasts: observations are too old")
        plan = controller.plan(
            image, state, (stamp - session.first_stamp) / SECOND,
            planner=planner, objective=objective_config(values), committed=committed,
            budget=math.inf if values["lockstep"] else budget,
        )  # fmt: skip
        self._latency.add(plan.encode_seconds + plan.plan_seconds)
        self._encoding.add(plan.encode_seconds)
        return plan, stamp

    def _repeat_answer(self, session: Session, stamp: int) -> bool:
        """Whether this observation was answered before; the answer may have been lost, so it is
        sent again."""
        if session.answered is None or session.answered[0] != stamp:
            return False
        session.plans.publish(*session.answered)
        return True

    def _send(
        self, session: Session, plan: ControlPlan, stamp: int, values: Mapping[str, Any]
    ) -> None:
        with self._lock:
            if self._session is not session:
                return
            if not np.isfinite(plan.actions).all():
                self._hold(session, "the plan is not finite", ERROR)
                return
            session.plans.publish(stamp, plan.actions)
            session.commitments.sent(stamp, plan.actions)
            session.answered = (stamp, plan.actions)
            self._counts["plans"] += 1
            self._last_plan = plan
            self._report(OK, "planning")
            pose = session.inputs.newest_pose()
            session.pictures.publish(plan, stamp, values["frame_id"], pose)

    def _hold(self, session: Session, reason: str, level: int) -> None:
        with self._lock:
            if self._session is not session:
                return
            now = self._now()
            session.plans.hold(now)
            session.commitments.sent(now, np.zeros((0, session.inputs.spec.action.size)))
            session.controller.forget()
            session.answered = None
            self._counts["holds"] += 1
            self._report(level, f"holding: {reason}")

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    # ----------------------------------------------------------------------------- diagnostics

    def _report(self, level: int, message: str) -> None:
        """Set the status; publish at once when it is another kind of status than before."""
        changed = level != self._status[0] or message.split(":")[0] != self._status[1].split(":")[0]
        if changed and level != OK:
            self.get_logger().warning(message, throttle_duration_sec=1.0)
        elif changed:
            self.get_logger().info(message)
        self._status = (level, message)
        if changed:
            self._diagnose()

    def _diagnose(self) -> None:
        latency, encoding = self._latency.summary(), self._encoding.summary()
        values: dict[str, object] = {
            "checkpoint": self._checkpoint_path or "none",
            "planner": self._settings.values()["planner.type"],
            "plan time mean (ms)": f"{latency.mean * 1e3:.1f}",
            "plan time p50 (ms)": f"{latency.p50 * 1e3:.1f}",
            "plan time p99 (ms)": f"{latency.p99 * 1e3:.1f}",
            "plan time max (ms)": f"{latency.max * 1e3:.1f}",
            "encode time p50 (ms)": f"{encoding.p50 * 1e3:.1f}",
            **self._counts,
        }
        plan = self._last_plan
        if plan is not None:
            values["cost"] = f"{plan.result.cost:.5g}"
            values["plan status"] = plan.result.status.value
        self._diagnostics.publish(*self._status, values)


def _warm_up(model: Any, values: Mapping[str, Any]) -> None:
    """Plan on nothing a few times, so that the first real plan is as fast as any."""
    controller = RecedingHorizon(model)
    image = np.zeros((model.spec.image.height, model.spec.image.width, 3), np.uint8)
    state = model.state_mean.numpy()
    controller.set_goal(image, state)
    for _ in range(2):
        controller.plan(
            image, state, 0.0, planner=planner_config(values),
            objective=objective_config(values), budget=1.0,
        )  # fmt: skip


def main(args: list[str] | None = None) -> int:
    return run(Mpc, Mpc.work, args)


if __name__ == "__main__":
    sys.exit(main())
