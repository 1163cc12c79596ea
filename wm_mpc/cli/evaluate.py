"""`ros2 run wm_mpc evaluate`: closed-loop success and plan time on held-out episodes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from wm_mpc.cli.common import code_version, given_arguments, positive, seed
from wm_mpc.evaluation.episodes import EpisodeResult, run_episode
from wm_mpc.evaluation.statistics import wilson_interval
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.planning.objective import ObjectiveConfig
from wm_mpc.planning.receding_horizon import RecedingHorizon
from wm_mpc.planning.registry import PLANNERS, PlannerConfig, paper_presets
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.sim.bullet import Simulation, episode_rng
from wm_mpc.sim.tasks import make_task

_OWN_DEFAULTS = {"cem": {"iterations": 30}, "mppi": {"iterations": 5}}


def planner_settings() -> dict[str, PlannerConfig]:
    """Planners by name: every type with our defaults, and the paper's presets."""
    own = {
        name: dataclasses.replace(PlannerConfig(), type=name, **_OWN_DEFAULTS.get(name, {}))
        for name in PLANNERS
    }
    return {**own, **paper_presets()}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate",
        description="Run held-out episodes in closed loop, in one process and in lockstep, and "
        "report success (with a 95 %% Wilson interval) and plan time. No planner sees the true "
        "state or the success test.",
    )
    parser.add_argument("--checkpoint", default="wall", help="path or name of a shipped one")
    parser.add_argument(
        "--planners", default="adam,cem", help=f"out of: {', '.join(planner_settings())}"
    )
    parser.add_argument("--episodes", type=positive, default=50)
    parser.add_argument("--steps", type=positive, default=100, help="low-level step budget")
    parser.add_argument("--replan", type=positive, default=1, help="low-level steps per plan")
    parser.add_argument("--seed", type=seed, default=7)
    parser.add_argument("--threads", type=positive, default=1, help="of the planner's arithmetic")
    parser.add_argument("--out", type=Path, help="directory for results.json and results.md")
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    known = planner_settings()
    names = options.planners.split(",")
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"evaluate: unknown planners {unknown}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    try:
        model, metadata = load_checkpoint(resolve_checkpoint(options.checkpoint))
        task = make_task(model.spec.task)
    except (CheckpointError, ValueError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 1
    cells = []
    with Simulation(task) as simulation:
        for name in names:
            controller = RecedingHorizon(model, options.seed)
            results = [
                run_episode(
                    simulation, controller, episode_rng(options.seed, "evaluate", index),
                    planner=known[name], objective=ObjectiveConfig(),
                    steps=options.steps, replan=options.replan,
                )
                for index in tqdm(range(options.episodes), desc=name, unit="episode")
            ]  # fmt: skip
            cells.append(summarise(model.spec.task, name, results))
    reference = next((cell["plan_ms_p50"] for cell in cells if cell["planner"] == "cem"), None)
    for cell in cells:
        ratio = cell["plan_ms_p50"] / reference if reference else float("nan")
        cell["time_ratio_to_cem"] = round(ratio, 4)
    table = markdown(cells)
    print(table)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        record = {
            "command": " ".join(["evaluate", *given_arguments(arguments)]),
            "code": code_version(),
            "seed": options.seed,
            "steps": options.steps,
            "replan": options.replan,
            "checkpoint": metadata["provenance"],
            "cells": cells,
        }
        (options.out / "results.json").write_text(json.dumps(record, indent=2) + "\n")
        (options.out / "results.md").write_text(table + "\n")
    return 0


def summarise(task: str, planner: str, results: list[EpisodeResult]) -> dict[str, object]:
    """One cell of the results table."""
    successes = [result for result in results if result.success]
    seconds = np.concatenate([result.plan_seconds for result in results])
    low, high = wilson_interval(len(successes), len(results))
    p50, p99 = np.percentile(seconds * 1e3, [50, 99])
    steps = round(float(np.mean([r.steps for r in successes])), 1) if successes else None
    return {
        "task": task,
        "planner": planner,
        "loop": "closed",
        "episodes": len(results),
        "success_rate": round(len(successes) / len(results), 4),
        "ci95": [round(low, 4), round(high, 4)],
        "steps_mean": steps,
        "plan_ms_p50": round(float(p50), 2),
        "plan_ms_p99": round(float(p99), 2),
    }


def markdown(cells: list[dict[str, object]]) -> str:
    lines = [
        "| task | planner | success | 95 % interval | mean steps | plan p50 / p99 ms "
        "| time / CEM |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        low, high = (f"{100 * float(bound):.0f}" for bound in cell["ci95"])  # type: ignore
        lines.append(
            f"| {cell['task']} | {cell['planner']} | {100 * float(str(cell['success_rate'])):.0f} %"
            f" of {cell['episodes']} | {low}-{high} % | {cell['steps_mean']} | "
            f"{cell['plan_ms_p50']} / {cell['plan_ms_p99']} | {cell['time_ratio_to_cem']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
