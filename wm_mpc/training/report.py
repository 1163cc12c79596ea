"""The report image of a run: training curves, and predictions against what really happens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wm_mpc.data.episodes import Recording
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.objective_config import ObjectiveConfig
from wm_mpc.planning.registry import PlannerConfig, make_planner
from wm_mpc.sim.engine import Simulation
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.tasks import make_task
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.gradient_quality import GradientQuality
from wm_mpc.training.phases.registry import PHASES
from wm_mpc.training.recorded_case import RecordedCase, why_not_simulated
from wm_mpc.training.replay import encode_all

_ROWS = 3  # of predicted frames, and of plans
# Fixed margins: to find them (`constrained_layout`) took half the time of the report.
_CURVES = {"left": 0.04, "right": 0.985, "bottom": 0.17, "top": 0.83, "wspace": 0.36}
_FRAMES = {"left": 0.04, "right": 0.96, "bottom": 0.01, "top": 0.92, "wspace": 0.05, "hspace": 0.08}
_PLANS = {"left": 0.03, "right": 0.985, "bottom": 0.09, "top": 0.87, "wspace": 0.25, "hspace": 0.42}


def draw_report(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    history: list[dict[str, float]],
    metrics: dict[str, Any],
    path: Path,
    horizon: int,
    quality: GradientQuality | None = None,
) -> None:
    """Draw the report of a run; parts that the recording does not allow are left out.

    Args:
        model: The trained model.
        recording: The recorded episodes.
        episodes: Positions of held-out episodes.
        history: Reported loss terms.
        metrics: Result of `diagnostics`.
        path: PNG file to write.
        horizon: Model steps of predictions and plans.
        quality: Slopes of the cost in the model and in the simulator, if measured.
    """
    figure = Figure(figsize=(17, 18))
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(3, 1, height_ratios=[1, 2.4, 1.6])
    axes = parts[0].subplots(1, len(PHASES) + 2, gridspec_kw=_CURVES)
    for phase, name in enumerate(PHASES):
        _draw_losses(axes[phase], name, [row for row in history if row["phase"] == phase])
    if "open_loop_error" in metrics:
        _draw_errors(axes[-2], metrics)
    else:
        axes[-2].set_axis_off()
    if quality is not None:
        _draw_slopes(axes[-1], quality)
    else:
        axes[-1].set_axis_off()
    _draw_frames(parts[1], model, recording, episodes, horizon)
    _draw_plans(parts[2], model, recording, episodes, PlannerConfig(horizon=horizon))
    figure.savefig(path, dpi=80)


def _draw_losses(axis: Any, name: str, rows: list[dict[str, float]]) -> None:
    for term in sorted({key for row in rows for key in row} - {"phase", "update"}):
        values = [(row["update"], row[term]) for row in rows if term in row]
        axis.plot(*zip(*values, strict=True), label=term, linewidth=0.9)
    axis.set(title=f"{name}: training loss", xlabel="update", yscale="log")
    if rows:
        axis.legend()
    else:  # the representation came from a checkpoint
        axis.text(0.5, 0.5, "not trained in this run", ha="center", transform=axis.transAxes)


def _draw_errors(axis: Any, metrics: dict[str, Any]) -> None:
    steps = np.arange(1, len(metrics["open_loop_error"]) + 1)
    axis.plot(steps, metrics["open_loop_error"], "o-", label="model, open loop")
    axis.plot(steps, metrics["persistence_error"], "s--", label="persistence (no change)")
    axis.set(title="held-out latent error", xlabel="model steps ahead", yscale="log")
    axis.legend()


def _draw_slopes(axis: Any, quality: GradientQuality) -> None:
    for world, predicted in zip(quality.world, quality.model, strict=True):
        axis.plot(world, predicted, ".")
    largest = 1.05 * max(np.abs(quality.world).max(), np.abs(quality.model).max(), 1e-6)
    axis.plot([-largest, largest], [-largest, largest], "k:", linewidth=0.8)
    axis.set(
        title=f"slopes of the cost\ncosine {quality.quartiles[1]:.2f} (median)",
        xlabel="in the simulator", ylabel="through the model",
    )  # fmt: skip


def _draw_frames(
    figure: Any, model: WorldModel, recording: Recording, episodes: np.ndarray, horizon: int
) -> None:
    past = model.spec.history
    starts = recording.window_starts(past - 1 + horizon, episodes)
    if len(starts) == 0:
        return
    chosen = np.random.default_rng(1).choice(starts, min(_ROWS, len(starts)), replace=False)
    frames, actions = recording.window(chosen, past - 1 + horizon)
    axes = figure.subplots(2 * len(frames), horizon + 1, squeeze=False, gridspec_kw=_FRAMES)
    for row, (numbers, blocks) in enumerate(zip(frames, actions, strict=True)):
        images = recording.images[numbers]
        history = encode_all(model, images[:past], recording.states[numbers[:past]])
        latents = predict(model, history[None], blocks[None])[0]
        with torch.no_grad():
            drawn = model.decode(torch.cat([history[-1:], latents])).clamp(0, 1)
        for column in range(horizon + 1):
            axes[2 * row][column].imshow(images[past - 1 + column])
            axes[2 * row + 1][column].imshow(drawn[column].permute(1, 2, 0).numpy())
        axes[2 * row][0].set_ylabel("true")
        axes[2 * row + 1][0].set_ylabel("predicted")
    figure.suptitle("held-out episodes: predictions from the first frame for the recorded actions")
    for column, axis in enumerate(axes[0]):
        axis.set_title(f"+{column} steps" if column else "start")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])


def _draw_plans(
    figure: Any,
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    planner: PlannerConfig,
) -> None:
    """One plan per row, made at a recorded state for a goal from later in the episode, executed
    open loop."""
    starts = recording.window_starts(model.spec.history - 1 + planner.horizon, episodes)
    if len(starts) == 0 or why_not_simulated(recording):
        return
    chosen = np.random.default_rng(2).choice(starts, min(_ROWS, len(starts)), replace=False)
    titles = ["start", "goal", "planned end", "real end", "distance to the goal"]
    names = model.architecture.pose_names
    if len(names) >= 2:
        titles.append(f"path of {names[0]}, {names[1]}")
    axes = figure.subplots(len(chosen), len(titles), squeeze=False, gridspec_kw=_PLANS)
    figure.suptitle("held-out episodes: plans and their results in the simulator")
    generator = torch.Generator().manual_seed(0)
    with simulate(make_task(recording.spec.task)) as simulation:
        for row, start in zip(axes, chosen, strict=True):
            case = RecordedCase(model, recording, ObjectiveConfig(), int(start), planner.horizon)
            held = torch.rand(planner.samples, case.held_size, generator=generator) * 2 - 1
            result = make_planner(planner).plan(
                case.cost, torch.cat([case.held_plan(actions) for actions in held]),
                budget=float("inf"), generator=generator,
            )  # fmt: skip
            _draw_plan(row, case, simulation, case.cost.bind(result.actions[None]))
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)


def _draw_plan(row: Any, case: RecordedCase, simulation: Simulation, plan: torch.Tensor) -> None:
    model, images = case.model, case.recording.images
    predicted = case.predicted(plan)
    pictures, seen = case.seen(simulation, plan)
    with torch.no_grad():
        drawn = model.decode(predicted[-1:])[0].clamp(0, 1).permute(1, 2, 0).numpy()
    for axis, picture in zip(
        row, (images[case.present], images[case.goal], drawn, pictures[-1]), strict=False
    ):
        axis.imshow(picture)
        axis.set(xticks=[], yticks=[])
    for latents, style, label in ((predicted, "o-", "planned"), (seen, "s--", "seen")):
        row[4].plot(case.distance(latents), style, markersize=3, label=label)
        if len(row) > 5:
            path = model.read_pose(latents)
            row[5].plot(path[:, 0], path[:, 1], style, markersize=3, label=label)
    if len(row) > 5:
        goal = model.read_pose(case.goal_latent)
        row[5].plot(goal[0], goal[1], "k*", label="goal")
        row[5].set_aspect("equal", adjustable="datalim")
        row[5].legend(fontsize="x-small")
    row[4].set(xlabel="model steps", ylim=(0, None))
    row[4].legend(fontsize="x-small")
