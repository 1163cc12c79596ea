"""What the diagnostics of the node `mpc` tell of planning."""

from __future__ import annotations

from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.control.trust import Trust
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.ros.timing import LatencyTracker, StageTimes


class Statistics:
    """Counts and times; outlives sessions."""

    def __init__(self) -> None:
        self.latency, self.encoding = LatencyTracker(500), LatencyTracker(500)
        self.stages = StageTimes()
        self.plans = self.overruns = self.holds = 0
        self.searches_without_time = 0
        self.wide_plans = 0
        self.last_plan: ControlPlan | None = None
        self.no_rest = ""  # why a position robot is sent nothing at all; empty where it rests
        self.trust: Trust | None = None
        self.inputs: Inputs | None = None

    def values(self) -> dict[str, object]:
        latency, encoding = self.latency.summary(), self.encoding.summary()
        values: dict[str, object] = {
            "plan time mean (ms)": f"{latency.mean * 1e3:.1f}",
            "plan time p50 (ms)": f"{latency.p50 * 1e3:.1f}",
            "plan time p99 (ms)": f"{latency.p99 * 1e3:.1f}",
            "plan time max (ms)": f"{latency.max * 1e3:.1f}",
            "encode time p50 (ms)": f"{encoding.p50 * 1e3:.1f}",
            "plans": self.plans,
            "overruns": self.overruns,
            "holds": self.holds,
            **self.stages.values(),
        }
        if self.no_rest:
            values["rest"] = self.no_rest
        plan = self.last_plan
        if plan is not None:
            values["cost"] = f"{plan.result.cost:.5g}"
            values["iterations"] = plan.result.iterations
            values["plan status"] = plan.result.status.value
            if plan.is_detour:
                values["detour"] = "from the second search; the measured place does not count"
        if self.wide_plans:
            values["wide plans"] = self.wide_plans
        if self.searches_without_time:
            values["searches without time"] = self.searches_without_time
        for part in (self.inputs, self.trust):
            values |= {} if part is None else part.values()
        return values
