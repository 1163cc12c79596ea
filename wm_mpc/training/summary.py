"""The results of a training for people: report.md and report.html beside its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wm_mpc.reports.page import Report

MEANINGS = {
    "open_loop_error": "error of predicted latents on held-out episodes, by model steps ahead",
    "persistence_error": "the same for predicting no change",
    "effective_rank": "how many directions of the latent space are in use",
    "actions_explain": "share of the prediction error that other actions would add",
    "drawn": "share of the pictures, above all of what moves, that the model can draw",
    "points_on_motion": "share of the keypoints on things that move",
    "probe_r2": "how well a linear read-out finds the true pose: explained share",
    "rank_correlation": "whether a nearer goal has a smaller cost: 1 is perfect",
    "robot_explained": "share of the scene that the robot's own state explains",
    "second_frame": "share of what changes that only a second frame tells",
    "gradient_cosine": "agreement of the cost's slope in the model and in the simulator: quartiles",
}


def report(results: Mapping[str, Any]) -> Report:
    """Return the report of a training.

    Args:
        results: Contents of metrics.json.
    """
    caption = "Losses, prediction errors, imagined and real images, and plans"
    title = "Training" if "task" not in results else f"Training: {results['task']}"
    return Report(title, markdown(results), results, caption=caption)


def markdown(results: Mapping[str, Any]) -> str:
    """Return the results as a Markdown report.

    Args:
        results: Contents of metrics.json.
    """
    updates = ", ".join(f"{name} {count}" for name, count in results["updates"].items())
    notes = [f"`{results['command']}`, code {results['code']}, seed {results['seed']}"]
    notes.append(f"{results['training_seconds'] / 60:.0f} minutes; updates: {updates}")
    if origin := results.get("representation"):
        notes.append(
            f"encoder, distance to a goal and first plans: those of {origin['checkpoint']} "
            f"({origin['hash']})"
        )
    if synthesis := results.get("synthesis"):
        notes.append(f"data synthesis: {', '.join(synthesis)}")
    rows = [
        f"| {name} | {_text(value)} | {MEANINGS.get(name, '')} |"
        for name, value in results["metrics"].items()
    ]
    return "\n".join(
        [
            "# Training", "", *(f"- {note}" for note in notes), "", "## What it reached", "",
            "| measure | value | meaning |", "|---|---|---|", *rows,
        ]
    )  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(f"{entry:.3g}" for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
