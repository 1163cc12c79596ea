"""What is done to an arm moved by positions, and what must hold: each line is a function of a rig,
which notes in a `Report` what it has found.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from wm_mpc.codes import HoldCode, StatusCode, WarningCode
from wm_mpc.experiments.faults.arm import (
    ACTIVATE,
    DEACTIVATE,
    JOINTS,
    ArmRig,
    Driver,
)
from wm_mpc.experiments.faults.commanded import STREAMS, applied, farthest, jumps, steps, within
from wm_mpc.ros.status import WARN
from wm_mpc.units import SECOND

_LATE = round(0.2 * SECOND)  # ns, how old the measurement may be that a command is made from
_ROUNDING = 1.001
# What it says of an arm that stays behind its commands
_BEHIND = (HoldCode.JUMP, HoldCode.NOT_FOLLOWING)
_LAG = 0.3  # s, limits.lag as the node has it by default
PLACES = ((-0.7, 1.2, 0.4), (2.1, -1.9, 0.0), (0.3, 0.3, -2.6))  # rad, by hand


@dataclasses.dataclass
class Report:
    """happened: for people. failures: what must not have happened. figures: by name."""

    happened: str = ""
    failures: list[str] = dataclasses.field(default_factory=list)
    figures: dict[str, float] = dataclasses.field(default_factory=dict)

    def must(self, condition: object, failure: str) -> None:
        if not condition:
            self.failures.append(failure)


@dataclasses.dataclass(frozen=True)
class ArmLine:
    """name, must: for people. run: what is done."""

    name: str
    must: str
    run: Callable[[ArmRig, Report], None]


def begin(rig: ArmRig, report: Report) -> None:
    """The arm is measured and has a goal, and the node plans."""
    rig.drivers, rig.speed, rig.follows = (Driver(),), 1.0, "commands"
    rig.show_goal()
    report.must(rig.wait_for_plans(5, 30.0), f"it did not plan before: {rig.status.sentence}")


def _judge(rig: ArmRig, report: Report, since: int) -> None:
    """Of all that was commanded since a moment (ns): where it began, and how far each step was."""
    largest, first = 0.0, 0.0
    for name in STREAMS:
        seen = rig.since(name, since)
        rows = applied(seen, name, time.time_ns())
        found = steps(rows, rig.course, rig.change, late=_LATE)
        report.must(rows, f"nothing came on {name}")
        report.must(
            not found.first > _ROUNDING,
            f"{name}: the first position is {found.first} rate limits from where the arm is",
        )
        report.failures += [f"{name}: {jump}" for jump in jumps(
            rows, rig.course, rig.change, late=_LATE)[:2]]  # fmt: skip
        inside = within(seen, rig.change)
        report.must(inside <= _ROUNDING, f"{name}: {inside} rate limits between two points")
        largest, first = max(largest, found.largest, inside), max(first, found.first)
    report.figures |= {"largest step (rate limits)": largest, "first step (rate limits)": first}
    report.happened = (
        f"largest step {largest:.3f} rate limits, first {first:.3f} from where the arm was"
    )


def _quiet(rig: ArmRig, report: Report, since: int, what: str) -> None:
    """No position was commanded since a moment (ns)."""
    for name in STREAMS:
        sent = sum(len(message.points) > 0 for message in rig.since(name, since))
        report.must(not sent, f"{sent} messages with positions on {name} {what}")


def _only_measured(rig: ArmRig, report: Report, since: int) -> None:
    """Nothing but where the arm is was commanded since a moment (ns)."""
    for name in STREAMS:
        for message in rig.since(name, since):
            for point in message.points:
                away = rig.course.away(point, message.received - _LATE, message.received).max()
                if away > 1e-3:
                    report.must(False, f"{name}: {away:.3f} rad away before the first plan")
                    break


def started(rig: ArmRig, report: Report) -> None:
    """Run first, on a node that was just started."""
    rig.wait_for(lambda: rig.status.is_holding or rig.says(StatusCode.WAITING), 30.0)
    rig.pass_time(1.5)
    _quiet(rig, report, 0, "before the arm was measured")
    report.must(
        rig.says(HoldCode.NO_STATE, HoldCode.NO_REST),
        f"the status does not say that the arm is not measured: {rig.status.sentence}",
    )
    unmeasured = rig.status.sentence
    measured = time.time_ns()
    rig.drivers = (Driver(),)
    rig.pass_time(1.0)
    _only_measured(rig, report, measured)
    report.must(not rig.plans_since(0)[0], "it planned without a goal")
    began = time.time_ns()
    rig.show_goal()
    report.must(rig.wait_for_plans(5), f"it does not plan: {rig.status.sentence}")
    rig.pass_time(2.5)
    _judge(rig, report, began)
    report.happened += f"; before the arm was measured: {unmeasured}"


def reactivated(rig: ArmRig, report: Report) -> None:
    begin(rig, report)
    largest = first = 0.0
    for place, follows in zip(PLACES, STREAMS, strict=True):
        report.must(rig.change_state(DEACTIVATE), "it cannot be deactivated")
        rig.pass_time(0.3)
        off = time.time_ns()
        rig.place = np.array(place)
        rig.follows = follows
        rig.pass_time(0.5)
        _quiet(rig, report, off, "while it was not active")
        began = time.time_ns()
        report.must(rig.change_state(ACTIVATE), "it cannot be activated")
        report.must(rig.wait_for_plans(5), f"it does not plan: {rig.status.sentence}")
        rig.pass_time(1.0)
        _judge(rig, report, began)
        largest = max(largest, report.figures["largest step (rate limits)"])
        first = max(first, report.figures["first step (rate limits)"])
    rig.follows = "commands"
    report.figures = {"largest step (rate limits)": largest, "first step (rate limits)": first}
    report.happened = (
        f"moved by hand to {len(PLACES)} places, then moved by each output: largest step "
        f"{largest:.3f} rate limits, first {first:.3f} from where the arm was"
    )


def _lags(speed: float) -> Callable[[ArmRig, Report], None]:
    """The arm is slower than its rate limit (rad/s), or blocked, and then free again."""

    def run(rig: ArmRig, report: Report) -> None:
        rig.change_state(DEACTIVATE)
        rig.place = np.zeros(len(JOINTS))  # at its limits it would not move, and so never lag
        rig.change_state(ACTIVATE)
        begin(rig, report)
        period = rig.spec.control_period
        allowed = (period + _LAG) / period
        began = time.time_ns()
        rig.speed = speed
        held = rig.wait_for(lambda: rig.plans_since(began)[1] and rig.says(*_BEHIND), 10.0)
        report.must(held, f"it was not held: {rig.status.sentence}")
        reason = rig.status.sentence
        rig.pass_time(2.0)
        ended = time.time_ns()
        ahead = max(
            float((np.abs(plan.points[0] - rig.course.at(plan.start)) / rig.change).max())
            for plan in rig.since("planned_actions", began)
            if len(plan.points)
        )
        report.figures["first point from the arm (rate limits)"] = ahead
        away = {}
        for name in ("planned_actions", "commands"):
            rows = applied(rig.since(name, began), name, ended)
            away[name] = farthest(rows, rig.course, rig.change)
            report.failures += jumps(rows, rig.course, rig.change, late=_LATE)[:2]
            report.figures[f"farthest from the arm on {name} (rate limits)"] = away[name]
        report.must(
            ahead <= allowed * _ROUNDING,
            f"a plan began {ahead:.2f} rate limits away from the arm; {allowed:.1f} are allowed",
        )
        # Who executes plans goes on with the last one until the next is refused: for a period, and
        # for planning. The stream of commands looks at where the arm is.
        most = {"planned_actions": allowed + 2.0, "commands": allowed}
        for name, limit in most.items():
            report.must(
                away[name] <= limit * _ROUNDING,
                f"{name} led the arm {away[name]:.2f} rate limits away; {limit:.1f} are allowed",
            )
        rig.speed = 1.0
        report.must(rig.wait_for_plans(5), f"it does not plan again: {rig.status.sentence}")
        plans, holds = rig.plans_since(began)
        report.happened = (
            f"plans began at most {ahead:.2f} rate limits from the arm ({allowed:.1f} allowed), "
            + "".join(f"{name} led it {away[name]:.2f} away ({most[name]:.1f}), " for name in most)
            + f"{plans} plans, {holds} holds: {reason}"
        )

    return run


def publishers(rig: ArmRig, report: Report) -> None:
    """The arm's two drivers and the gripper's, none of which stamps as the camera does."""
    begin(rig, report)
    rig.drivers = (
        Driver(JOINTS[:2], late=0.007, each=3), Driver(JOINTS[2:], late=0.012, each=4),
        Driver(("gripper_finger_joint",), late=0.001, each=1),
    )  # fmt: skip
    rig.pass_time(0.5)
    began = time.time_ns()
    rig.pass_time(4.0)
    plans, holds = rig.plans_since(began)
    report.must(plans >= 30, f"only {plans} plans in 4 s")
    report.must(not holds, f"{holds} holds: {rig.status.sentence}")
    report.happened = f"{plans} plans, {holds} holds; {rig.status.sentence}"
    rig.drivers = (Driver(),)


def without_familiarity(rig: ArmRig, report: Report) -> None:
    """The rig's checkpoint has none."""
    begin(rig, report)
    rig.wait_for(lambda: rig.says(WarningCode.FAMILIARITY), 3.0)
    status = rig.status
    report.must(status.level == WARN, f"the status is not WARN ({status.level}): {status.sentence}")
    report.must(
        rig.says(WarningCode.FAMILIARITY),
        f"the status does not say that checks are off: {status.sentence}",
    )
    report.happened = f"{status.sentence}; {status.values.get('familiarity', '')}"


ARM_LINES = (
    ArmLine("position arm started", "never leaves where it is measured but by its rate limit",
            started),
    ArmLine("position arm reactivated elsewhere", "begins where it was moved by hand", reactivated),
    ArmLine("position arm slower than its rate limit", "held, and never led far away",
            _lags(0.15)),
    ArmLine("position arm blocked", "held, and never led far away", _lags(0.0)),
    ArmLine("alternating JointState publishers", "goes on planning", publishers),
    ArmLine("checkpoint without familiarity", "says which checks are off", without_familiarity),
)  # fmt: skip
