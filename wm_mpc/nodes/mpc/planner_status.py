"""What the status of the node `mpc` says of its planner."""

from __future__ import annotations

from wm_mpc.model.familiarity import usual_step
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.registry import PlannerConfig


def planner_in_words(planner: PlannerConfig, model: WorldModel | None) -> str:
    """Name a planner, and which of its settings do nothing, and why.

    Args:
        planner: Its settings.
        model: The world model; None before one is loaded.
    """
    parts = [planner.type]
    if planner.init == "learned" and model is not None and model.proposals is None:
        parts.append("planner.init learned: from rest, the checkpoint has no learned plans")
    is_known = model is None or usual_step(model) > 0.0
    unknown = "" if is_known else "the scene's usual step is not known"
    if planner.detour and unknown:
        parts.append(f"planner.detour: no second search, {unknown}")
    if planner.wide_samples and (why := planner.why_not_wide or unknown):
        parts.append(f"planner.wide_samples: no wide search, {why}")
    return "; ".join(parts)
