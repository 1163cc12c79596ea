"""What the status of the node `mpc` says of its plans."""

from __future__ import annotations

import numpy as np
import torch

from wm_mpc.control.receding_horizon import ControlPlan
from wm_mpc.nodes.mpc.statistics import Statistics
from wm_mpc.planning.planner import PlanResult, PlanStatus


def plan(*, is_detour):
    result = PlanResult(torch.zeros(1, 2), 0.5, PlanStatus.COMPLETE, 12, 0.01, torch.zeros(0, 1, 2))
    latents = torch.zeros(2, 3)
    return ControlPlan(
        np.zeros((1, 2)), latents, latents[None], result, 0.0, 0.0, is_detour=is_detour
    )


def test_a_detour_and_missing_time_for_one_are_said():
    statistics = Statistics()
    statistics.last_plan = plan(is_detour=False)
    assert not {"detour", "wide plans", "searches without time"} & set(statistics.values())
    statistics.last_plan = plan(is_detour=True)
    statistics.searches_without_time += 3
    assert "second search" in str(statistics.values()["detour"])
    assert statistics.values()["searches without time"] == 3
    statistics.wide_plans += 2
    assert statistics.values()["wide plans"] == 2
