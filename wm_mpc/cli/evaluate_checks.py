"""What is wrong with the options of `evaluate`, and what to know before its results."""

from __future__ import annotations

import argparse

from wm_mpc.data.disturbances import NONE
from wm_mpc.experiments.common.policies import POLICIES, REPLAY
from wm_mpc.experiments.common.protocol import LOOPS, WITHOUT_MODEL, Benchmark
from wm_mpc.experiments.common.settings import planner_names
from wm_mpc.experiments.common.swm import NAME
from wm_mpc.experiments.common.variants import doubts
from wm_mpc.experiments.success.evaluation import Evaluation


def mistake(options: argparse.Namespace) -> str | None:
    """Find an error in the options that argparse cannot detect.

    Args:
        options: Parsed options; `loops` is set to what `through_ros` says.

    Returns:
        The error, or None.
    """
    if options.through_ros:
        options.loops = ["ros"]
    for what, given, known in (
        ("planners", options.planners, planner_names()),
        ("loops", options.loops, LOOPS),
    ):
        unknown = sorted(set(given) - set(known))
        if unknown or not given:
            return f"unknown {what} {unknown}; known: {', '.join(known)}"
    if options.checkpoint and (options.variants or options.train_seeds):
        return "--checkpoint accepts a single world model; for several, use --variants NAME=FILE"
    if options.planners == ["true_simulator"] and options.loops == ["ros"]:
        return "true_simulator has no ROS node; use --loops open or closed"
    if options.disturb and "ros" in options.loops:
        return "--disturb works in the loops open and closed; the nodes' camera is not disturbed"
    if options.protocol != NAME and options.offset:
        return f"--offset belongs to --protocol {NAME}"
    if options.protocol == NAME and options.goals:
        return f"--protocol {NAME} draws the goals itself; leave --goals out"
    if options.protocol == NAME and "ros" in options.loops:
        return f"--protocol {NAME} works in the loops open and closed; the node sim draws goals"
    if options.protocol != NAME and REPLAY in options.planners:
        return f"{REPLAY} repeats a recorded episode, which only --protocol {NAME} has"
    if set(options.planners) & set(POLICIES) and options.loops != ["closed"]:
        return f"{', '.join(POLICIES)} act step by step; use --loops closed"
    seeing = [name for name in planner_names() if name not in WITHOUT_MODEL]
    if options.disturb and not set(options.planners) & set(seeing):
        return (
            f"--disturb disturbs pictures, and {', '.join(options.planners)} see none; accepted: "
            f"also one of {', '.join(seeing)}"
        )
    if options.guard and not options.disturb:
        return "--guard needs disturbed pictures; use --disturb none,light:0.8, for example"
    if options.films and not options.out:
        return "--films needs a folder; use --out DIR"
    return None


def warnings(
    options: argparse.Namespace, benchmark: Benchmark, evaluation: Evaluation
) -> list[str]:
    """Say what to know before the results, such as options without an effect.

    Args:
        options: Parsed options.
        benchmark: What they select.
        evaluation: The evaluation, before it runs.
    """
    lines = doubts(benchmark.checkpoints)
    if options.workers > 1:
        lines.append("several workers slow each other down, so plan times are not comparable")
    if len(evaluation.origins) > 1:
        lines.append(
            "finished episodes come from different code or another machine; --fresh runs them again"
        )
    if options.replan != 1 and "ros" in options.loops:
        lines.append("the loop ros ignores --replan and plans at every control step")
    lines += _idle_settings(options, benchmark)
    if options.disturb:
        lines += _of_disturbances(options)
    return lines


def _of_disturbances(options: argparse.Namespace) -> list[str]:
    """Say what is not disturbed, and which file will be missing."""
    lines = [
        f"--disturb: {name} sees no picture, so it has one row, without a disturbance"
        for name in options.planners
        if name in WITHOUT_MODEL
    ]
    if options.out and not options.guard and NONE not in options.disturb:
        lines.append(
            "--disturb: there will be no guard.png and guard.json, as they compare with pictures "
            f"as they are; add {NONE} for them"
        )
    return lines


def _idle_settings(options: argparse.Namespace, benchmark: Benchmark) -> list[str]:
    """Say which wide searches that were asked for do not take place."""
    if not any(text.startswith("planner.wide_") for text in options.settings):
        return []
    lines = [
        f"planner.wide_samples: no wide search of {name}, {planner.why_not_wide}"
        for name, planner in benchmark.settings.planners.items()
        if planner.why_not_wide and name in options.planners
    ]
    if "open" in options.loops:
        lines.append("planner.wide_samples: no wide search in the open loop, as there is one plan")
    return lines
