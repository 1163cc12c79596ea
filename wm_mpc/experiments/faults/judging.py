"""Runs the table of faults, one after another, and judges what happened."""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from wm_mpc.experiments.faults.arm import ArmRig
from wm_mpc.experiments.faults.arm_lines import ARM_LINES, ArmLine, Report, begin
from wm_mpc.experiments.faults.disk import train_on_a_full_disk
from wm_mpc.experiments.faults.fault import EITHER, HOLDS, PLANS, STANDS, Fault, repair
from wm_mpc.experiments.faults.hold_latency import HoldLatencies, failures, lost, summary
from wm_mpc.experiments.faults.requests import HOLDS_ASKED, hold_often
from wm_mpc.experiments.faults.rig import Rig, RigError, SeenPlan
from wm_mpc.experiments.faults.table import FAULTS

TIMEOUT = 0.5  # s, observation_timeout, as the nodes have it by default
_MARGIN = 0.1  # s: one period of the plans
_RECOVERY = 20.0  # s, to plan again
_RESTART = 10.0  # s more, where a node must start
_PLANNING_SHARE = 0.9  # of plans while planning goes on


@dataclasses.dataclass
class Outcome:
    """hold, recovery: s, None where there was none. crashes, bad_plans: what was seen, for people.
    failures: why the line fails; empty: it holds. figures: what was measured, by name."""

    name: str
    must: str
    happened: str = ""
    hold: float | None = None
    recovery: float | None = None
    plans: int = 0
    bad_plans: list[str] = dataclasses.field(default_factory=list)
    crashes: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)
    figures: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def holds(self) -> bool:
        return not (self.failures or self.crashes or self.bad_plans)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "holds": self.holds}


def run_table(
    checkpoint: Path,
    domain: int,
    folder: Path,
    tell: Callable[[Outcome], None],
    wanted: Callable[[str], bool] = lambda _: True,
) -> list[Outcome]:
    """All faults whose name is wanted. checkpoint: of the task `wall`; copied, as faults damage it.
    folder: of logs. tell: told each outcome. Raises RigError when the nodes do not work at all."""
    outcomes = []

    def add(outcome: Outcome) -> None:
        outcomes.append(outcome)
        tell(outcome)

    for simulated in (False, True):
        faults = [f for f in FAULTS if wanted(f.name) and f.simulated_time is simulated]
        measures = not simulated and wanted(HOLDS_OF_VELOCITIES)
        if faults or measures:
            for outcome in _run_rig(
                checkpoint, domain, folder, faults, simulated=simulated, measures=measures
            ):
                add(outcome)
    for outcome in _run_arm(domain, folder / "arm", wanted):
        add(outcome)
    if wanted(DISK):
        add(_full_disk(folder / "disk"))
    return outcomes


DISK = "disk full during training"
HOLDS_OF_VELOCITIES = "hold latency, robot moved by velocities"
HOLDS_OF_POSITIONS = "hold latency, arm moved by positions"
_MEASURED, _FEWEST = 220, 200  # holds that are asked for to be measured, and that must be seen


def names_of_lines() -> list[str]:
    """The names of all lines of the table, in its order."""
    arm = [line.name for line in ARM_LINES]
    velocities = [fault.name for fault in FAULTS]
    return [*velocities, HOLDS_OF_VELOCITIES, *arm, HOLDS_OF_POSITIONS, DISK]


def _full_disk(folder: Path) -> Outcome:
    outcome = Outcome(DISK, "ends with a reason, loses nothing, goes on when there is room")
    shutil.rmtree(folder, ignore_errors=True)
    outcome.happened, outcome.failures = train_on_a_full_disk(folder)
    return outcome


def _run_rig(
    checkpoint: Path,
    domain: int,
    folder: Path,
    faults: Sequence[Fault],
    *,
    simulated: bool,
    measures: bool,
) -> Iterable[Outcome]:
    own = folder / ("simulated_time" if simulated else "real_time")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    copy = own / "wall.safetensors"
    shutil.copyfile(checkpoint, copy)
    with Rig(copy, domain, own, simulated_time=simulated, outputs=not simulated) as rig:
        if rig.wait_until_steady() is None:
            raise RigError(f"the nodes do not begin to plan ({rig.status.sentence}); see {own}")
        for fault in faults:
            yield _run(rig, fault)
        if rig.latencies is not None:
            if measures:
                hold_often(rig, _MEASURED)
            yield _judge_latencies(rig.latencies, HOLDS_OF_VELOCITIES, measures=measures)


def _judge_latencies(latencies: HoldLatencies, name: str, *, measures: bool) -> Outcome:
    """Of all holds there were on a rig.

    If the line was not asked for, there are too few of them for a p99, and only holds that never
    came make it fail.
    """
    must = "p99 below 5 ms on every output" if measures else "every hold comes on every output"
    outcome = Outcome(name, must)
    found = latencies.found()
    outcome.figures = {
        "hold latency (ms)": summary(found),
        "until the hold left the node (ms)": summary(latencies.found("source_timestamp")),
    }
    outcome.failures = failures(found, fewest=_FEWEST) if measures else lost(found)
    outcome.happened = "; ".join(
        f"{name}: {told['holds']:.0f} holds, p50 {told.get('p50', math.nan):.2f} ms, "
        f"p99 {told.get('p99', math.nan):.2f} ms, max {told.get('max', math.nan):.2f} ms"
        for name, told in summary(found).items()
    )
    return outcome


def _run_arm(domain: int, own: Path, wanted: Callable[[str], bool]) -> Iterable[Outcome]:
    lines = [line for line in ARM_LINES if wanted(line.name)]
    measures = wanted(HOLDS_OF_POSITIONS)
    if not (lines or measures):
        return
    shutil.rmtree(own, ignore_errors=True)
    with ArmRig(domain, own) as rig:
        for line in lines:
            yield _run_line(rig, line)
        begin(rig, Report())
        hold_often(rig, _MEASURED if measures else HOLDS_ASKED)
        yield _judge_latencies(rig.latencies, HOLDS_OF_POSITIONS, measures=measures)


def _run_line(rig: ArmRig, line: ArmLine) -> Outcome:
    outcome, report = Outcome(line.name, line.must), Report()
    deaths, began = len(rig.crashed()), time.time_ns()
    line.run(rig, report)
    outcome.happened, outcome.failures = report.happened, report.failures
    outcome.figures, outcome.plans = dict(report.figures), sum(rig.plans_since(began))
    outcome.crashes = rig.crashed()[deaths:]
    return outcome


def _run(rig: Rig, fault: Fault) -> Outcome:
    outcome = Outcome(fault.name, fault.must)
    deaths = len(rig.crashed())
    if rig.wait_until_steady(_RECOVERY) is None:
        outcome.failures.append(f"it did not plan before: {rig.status.sentence}")
    began = time.monotonic()
    before, rig.began = time.monotonic(), None
    fault.begin(rig)
    # What begins it may wait for the robot to move first; what changes wires is quick.
    began = time.monotonic() if fault.must in (HOLDS, STANDS) else before
    began = began if rig.began is None else rig.began
    try:
        _watch(rig, fault, began, outcome)
    finally:
        repair(rig)
        fault.end(rig)
    outcome.failures += rig.failures
    rig.failures = []
    ended = time.monotonic()
    steady = rig.wait_until_steady(_RECOVERY + (_RESTART if fault.must == STANDS else 0.0))
    outcome.recovery = None if steady is None else round(steady, 2)
    if steady is None:
        outcome.failures.append(f"it does not plan again: {rig.status.sentence}")
    stale = [plan for plan in rig.since(ended) if plan.points and plan.age > TIMEOUT + 0.25]
    if stale and not fault.simulated_time:
        outcome.failures.append(f"a plan of an observation {stale[0].age:.2f} s old was sent")
    seen = rig.since(before)
    outcome.plans = len(seen)
    outcome.bad_plans = sorted({plan.wrong for plan in seen if plan.wrong})
    outcome.crashes = rig.crashed()[deaths:]
    return outcome


def _watch(rig: Rig, fault: Fault, began: float, outcome: Outcome) -> None:
    within = TIMEOUT + _MARGIN if fault.within is None else fault.within
    if fault.must == STANDS:
        _watch_robot(rig, fault, began, within, outcome)
        return
    if fault.must == HOLDS:
        _watch_hold(rig, fault, began, within, outcome)
        return
    rig.wait_for(lambda: False, fault.seconds)
    seen = rig.since(began)
    real = [plan for plan in seen if plan.points]
    outcome.happened = f"{len(real)} plans, {len(seen) - len(real)} holds; {rig.status.sentence}"
    if rig.answer:
        outcome.happened, rig.answer = f"{outcome.happened}; {rig.answer}", ""
    if fault.must == PLANS and (not seen or len(real) < _PLANNING_SHARE * len(seen)):
        outcome.failures.append("it did not go on planning")
    if (
        fault.must == PLANS
        and fault.codes
        and not rig.wait_for(lambda: rig.says(*fault.codes), 2.0)
    ):
        outcome.failures.append(_not_said(fault))
    assert fault.must in (PLANS, EITHER)


def _not_said(fault: Fault) -> str:
    codes = [str(getattr(code, "value", code)) for code in fault.codes]
    return f"the status does not say {' or '.join(codes) or 'that it holds'}"


def _watch_hold(rig: Rig, fault: Fault, began: float, within: float, outcome: Outcome) -> None:
    def first_hold() -> SeenPlan | None:
        return next((plan for plan in rig.since(began) if not plan.points), None)

    hold = rig.wait_for(first_hold, within + 3.0)
    if hold is None:
        outcome.failures.append(f"it did not hold within {within + 3.0:.1f} s")
        outcome.happened = rig.status.sentence
        return
    quiet = hold.received + fault.settle

    def told_why() -> bool:
        return rig.status.is_holding and (not fault.codes or rig.says(*fault.codes))

    told = rig.wait_for(told_why, fault.settle + 2.0)
    outcome.happened = rig.status.sentence
    if not told:
        outcome.failures.append(_not_said(fault))
    rig.wait_for(lambda: False, max(fault.seconds, quiet - time.monotonic() + 1.0))
    moving = [plan for plan in rig.since(hold.received) if plan.points]
    # From when on there is nothing but holds: the first may be another controller's.
    last = max([plan.received for plan in moving if plan.received <= quiet], default=0.0)
    outcome.hold = round(max(hold.received, last) - began, 2)
    if outcome.hold > within:
        outcome.failures.append(f"it held after {outcome.hold} s; {within:.2f} s are allowed")
    moving = [plan for plan in moving if plan.received > quiet]
    if moving:
        outcome.failures.append(f"{len(moving)} plans of motion while it had to hold")


def _watch_robot(rig: Rig, fault: Fault, began: float, within: float, outcome: Outcome) -> None:
    rig.wait_for(lambda: False, fault.seconds)
    stood = rig.stands_since() - began
    outcome.hold = round(max(0.0, stood), 2)
    outcome.happened = f"the robot stood after {outcome.hold} s (plan_timeout of the sim: 1 s)"
    if stood > within:
        outcome.failures.append(f"{within:.2f} s are allowed")
