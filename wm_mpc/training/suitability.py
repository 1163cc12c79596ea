"""Judge whether a recording is good enough to drive a robot with, and what it lacks.

Nothing here needs true poses: a recording of a real robot has none.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.familiarity import familiarity_notes
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.drawing import EXPLAINED, LEAST_DRAWN
from wm_mpc.training.replay import encode_all

MINUTES = 5.0  # of motion, at least
RANGE = 0.6  # share of an action's limits that the recording uses, at least
ALIKE = 0.9  # largest correlation of two entries of the action
STILL = 0.5  # largest share of model steps without an image that changes
FOREIGN = 0.2  # largest share of held-out images that no other episode resembles
PREDICTED = 0.5  # largest error of predictions, as a share of the error of predicting no change

_SAMPLES = 512  # windows or frames that are looked at
_LEVEL = 12  # of 255; a pixel that changes by more shows motion, not noise
_PIXELS = 0.001  # share of the pixels that change when something moves
_NEAR = 2.0  # model steps of motion; an image within this distance resembles another
_STEPS = 5  # model steps of the windows with other actions
_ALIGHT = 0.05  # change of the mean brightness between episodes that counts as another light


@dataclasses.dataclass(frozen=True)
class Finding:
    """One property of a recording.

    Attributes:
        name: What was looked at.
        value: What was found, with what is wanted.
        holds: Whether that is good enough.
        advice: What to do about it; "" if nothing.
    """

    name: str
    value: str
    holds: bool
    advice: str = ""


def assess_recording(
    recording: Recording, warnings: Sequence[str] = (), seed: int = 0
) -> list[Finding]:
    """Judge a recording by itself. This takes seconds, and needs no model.

    Args:
        recording: The recorded episodes.
        warnings: Warnings of the import, one sentence each.
        seed: Seed of the random choice of frames.

    Returns:
        One finding for each property.
    """
    rng = np.random.default_rng(seed)
    return [
        *_imported(warnings),
        _length(recording),
        *_ranges(recording),
        *_independence(recording),
        _moving(recording, rng),
        _light(recording),
    ]


def assess(
    recording: Recording,
    model: WorldModel,
    held_out: np.ndarray,
    metrics: Mapping[str, Any],
    warnings: Sequence[str] = (),
    seed: int = 0,
) -> list[Finding]:
    """Judge a recording by itself and by the model that learned from it.

    Args:
        recording: The recorded episodes.
        model: The finished model.
        held_out: Positions of the episodes on which it was not trained.
        metrics: What `diagnostics` measured.
        warnings: Warnings of the import, one sentence each.
        seed: Seed of the random choice of frames.

    Returns:
        One finding for each property; first those of `assess_recording`.
    """
    rng = np.random.default_rng(seed)
    return [
        *assess_recording(recording, warnings, seed),
        _coverage(recording, model, held_out, rng),
        *_sight(metrics),
        *_prediction(metrics),
        *_effect(recording, model, held_out, rng),
        _guard(model),
    ]


def _imported(warnings: Sequence[str]) -> list[Finding]:
    if not warnings:
        return [Finding("clocks and topics", "the import has no warning", True)]
    return [
        Finding("clocks and topics", text, False, "Mend this first: all else depends on it.")
        for text in warnings
    ]


def _length(recording: Recording) -> Finding:
    steps = int((~np.isnan(recording.actions[:, 0])).sum())
    minutes = steps * recording.spec.control_period / 60
    value = f"{minutes:.1f} minutes in {len(recording.indices)} episodes (wanted: {MINUTES:g})"
    return Finding(
        "length", value, minutes >= MINUTES,
        "" if minutes >= MINUTES else "Record about twenty minutes.",
    )  # fmt: skip


def _driven(recording: Recording) -> np.ndarray:
    """All actions, float64 (steps, action size)."""
    return recording.actions[~np.isnan(recording.actions).any(1)].astype(np.float64)


def _ranges(recording: Recording) -> list[Finding]:
    action, found = recording.spec.action, []
    values = _driven(recording)
    for column, name in enumerate(action.names):
        low, high = np.percentile(values[:, column], (1, 99))
        limits = f"{action.low[column]:g} to {action.high[column]:g}"
        share = (high - low) / (action.high[column] - action.low[column])
        # An arm need not visit all that its joints could reach.
        enough = high > low if action.rest_is_measured else share >= RANGE
        value = f"{low:.3g} to {high:.3g} {action.unit}, {share:.0%} of the limits {limits}"
        advice = (
            "" if enough
            else f"Move {name} over all its range, or state narrower limits: the planner may use "
            "every value inside them."
        )  # fmt: skip
        found.append(Finding(f"range of {name}", value, bool(enough), advice))
    return found


def _independence(recording: Recording) -> list[Finding]:
    values, names = _driven(recording), recording.spec.action.names
    if values.shape[1] < 2:
        return []
    moving = values.std(0) > 0
    fits = np.zeros((len(names), len(names)))
    if moving.sum() > 1:
        fits[np.ix_(moving, moving)] = np.abs(np.corrcoef(values[:, moving].T))
    first, second = max(itertools.combinations(range(len(names)), 2), key=lambda pair: fits[pair])
    most, pair = float(fits[first, second]), f"{names[first]} and {names[second]}"
    value = f"largest correlation {most:.2f}, of {pair} (wanted: below {ALIKE:g})"
    advice = f"Move {names[first]} and {names[second]} also apart." if most >= ALIKE else ""
    return [Finding("independence of the actions", value, most < ALIKE, advice)]


def _moving(recording: Recording, rng: np.random.Generator) -> Finding:
    starts = recording.window_starts(1)
    if not len(starts):
        return Finding("motion in the images", "no episode has a model step", False,
                       "Record longer episodes.")  # fmt: skip
    chosen = np.sort(rng.choice(starts, min(_SAMPLES, len(starts)), replace=False))
    changed = []
    for start in chosen.tolist():
        before = recording.images[start].astype(np.int16)
        after = recording.images[start + recording.spec.frame_skip].astype(np.int16)
        changed.append((np.abs(after - before).max(-1) > _LEVEL).mean())
    share = float((np.array(changed) < _PIXELS).mean())
    value = f"{1 - share:.0%} of the model steps show motion (wanted: {1 - STILL:.0%})"
    advice = (
        "" if share <= STILL
        else "Keep the robot moving while you record, and see that the camera shows it."
    )  # fmt: skip
    return Finding("motion in the images", value, share <= STILL, advice)


def _light(recording: Recording) -> Finding:
    bright = []
    for episode in range(len(recording.indices)):
        frames = np.flatnonzero(recording.episode_of == episode)
        some = frames[np.linspace(0, len(frames) - 1, 4).astype(int)]
        bright.append(float(np.mean(recording.images[some])))
    low, high = np.percentile(bright, (5, 95))
    spread = (high - low) / max(1.0, float(np.median(bright)))
    value = f"mean brightness of the episodes changes by {spread:.0%}"
    advice = (
        "" if spread > _ALIGHT
        else "All was recorded in one light. The controller takes smooth changes of light out; "
        "for a room with windows, add a recording of another time of the day."
    )  # fmt: skip
    return Finding("light", value, True, advice)


def _coverage(
    recording: Recording, model: WorldModel, held_out: np.ndarray, rng: np.random.Generator
) -> Finding:
    """How many held-out images have one like them in the other episodes."""
    mine = np.flatnonzero(np.isin(recording.episode_of, held_out))
    others = np.flatnonzero(~np.isin(recording.episode_of, held_out))
    mine = np.sort(rng.choice(mine, min(_SAMPLES, len(mine)), replace=False))
    others = np.sort(rng.choice(others, min(8 * _SAMPLES, len(others)), replace=False))
    nearest = torch.cdist(_scenes(recording, model, mine), _scenes(recording, model, others))
    pace = _pace(recording, model, rng)
    foreign = float((nearest.min(1).values > _NEAR * pace).float().mean())
    value = (
        f"{1 - foreign:.0%} of the held-out images resemble one of another episode "
        f"(wanted: {1 - FOREIGN:.0%})"
    )
    advice = (
        "" if foreign <= FOREIGN
        else "Record more, and visit again every place and position that shall be a goal: many "
        "were seen only once."
    )  # fmt: skip
    return Finding("coverage of the scene", value, foreign <= FOREIGN, advice)


def _scenes(recording: Recording, model: WorldModel, frames: np.ndarray) -> Tensor:
    return encode_all(model, recording.images[frames], recording.states[frames])


def _pace(recording: Recording, model: WorldModel, rng: np.random.Generator) -> float:
    """How far latents move in a model step, upper quartile."""
    starts = recording.window_starts(1)
    chosen = np.sort(rng.choice(starts, min(_SAMPLES, len(starts)), replace=False))
    moved = _scenes(recording, model, chosen) - _scenes(
        recording, model, chosen + recording.spec.frame_skip
    )
    return float(moved.norm(dim=-1).quantile(0.75))


def _sight(metrics: Mapping[str, Any]) -> list[Finding]:
    """Whether the latents hold what moves in the pictures."""
    if "drawn" not in metrics:
        return []
    share = max(0.0, float(metrics["drawn"]))
    value = f"{share:.0%} of what moves can be drawn (wanted: {LEAST_DRAWN:.0%})"
    advice = (
        "" if share >= LEAST_DRAWN
        else "Set representation_starts: 3 in the settings of the training, or record more."
    )  # fmt: skip
    return [Finding("sight of what moves", value, share >= LEAST_DRAWN, advice)]


def _prediction(metrics: Mapping[str, Any]) -> list[Finding]:
    if not metrics.get("open_loop_error"):
        return [Finding("prediction", "the held-out episodes are too short to measure it", False,
                        "Record longer episodes, or more of them.")]  # fmt: skip
    ahead = len(metrics["open_loop_error"])
    share = metrics["open_loop_error"][-1] / max(1e-9, metrics["persistence_error"][-1])
    value = (
        f"{ahead} model steps ahead, the error is {share:.0%} of that of predicting no change "
        f"(wanted: {PREDICTED:.0%})"
    )
    advice = (
        "" if share <= PREDICTED
        else "Record more; check that nothing moves in the picture that the actions do not move."
    )  # fmt: skip
    return [Finding("prediction", value, share <= PREDICTED, advice)]


def _effect(
    recording: Recording, model: WorldModel, held_out: np.ndarray, rng: np.random.Generator
) -> list[Finding]:
    """Whether actions explain what happens: predictions with those of other moments are worse."""
    past = model.spec.history
    starts = recording.window_starts(past - 1 + _STEPS, held_out)
    if len(starts) < 2:
        return []
    chosen = np.sort(rng.choice(starts, min(_SAMPLES, len(starts)), replace=False))
    frames, actions = recording.window(chosen, past - 1 + _STEPS)
    latents = _scenes(recording, model, frames.reshape(-1)).view(*frames.shape, -1)
    others = actions.copy()
    others[:, past - 1 :] = np.roll(actions, len(actions) // 2, axis=0)[:, past - 1 :]
    true, swapped = (
        float((predict(model, latents[:, :past], each) - latents[:, past:]).square().mean())
        for each in (actions, others)
    )
    times = swapped / max(1e-9, true)
    value = (
        f"with the actions of another moment, the error is {times:.1f} times as large "
        f"(wanted: {EXPLAINED:g})"
    )
    advice = (
        "" if times >= EXPLAINED
        else "The actions hardly explain the motion: is it the right topic, are the clocks right, "
        "and does the robot move enough?"
    )  # fmt: skip
    return [Finding("effect of the actions", value, times >= EXPLAINED, advice)]


def _guard(model: WorldModel) -> Finding:
    notes = familiarity_notes(model.familiarity)
    value = "; ".join(notes) or "the usual errors are measured, so surprises are noticed"
    return Finding("guard", value, not notes, "Record more." if notes else "")
