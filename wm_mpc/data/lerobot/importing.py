"""Turn the episodes of a LeRobot dataset into episodes of ours, by the rules of `import_bag`."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.data.lerobot.description import Source
from wm_mpc.data.lerobot.frames import FrameReader, FramesError
from wm_mpc.data.lerobot.info import LeRobotError
from wm_mpc.data.lerobot.layout import LeRobotFolder, Rows
from wm_mpc.data.lerobot.summaries import few, spans
from wm_mpc.data.resample import (
    Commands,
    freshest_moments,
    interpolate,
    latest,
    pieces,
    runs,
    split_at_gaps,
    within_limits,
)
from wm_mpc.messages.reading import LARGEST
from wm_mpc.spec import ImageSpec, RobotSpec
from wm_mpc.units import SECOND, STAMP_TOLERANCE

_MISSING = "missing in the files, though meta/ claims them"
_LATEST = 9e9  # s; later timestamps do not fit into int64 ns


@dataclasses.dataclass
class Outcome:
    """What became of the frames.

    Attributes:
        episodes: Number of written episodes.
        steps: Number of their control steps.
        frames: Frames that the files have.
        used: Frames whose picture is in a written episode.
        left_out: Frames that were left out, by reason.
        clipped: Actions outside the limits, by name.
        splits: How often an episode was split, by reason.
        tasks: Episodes of the dataset by the text of their task.
    """

    episodes: int = 0
    steps: int = 0
    frames: int = 0
    used: int = 0
    left_out: Counter[str] = dataclasses.field(default_factory=Counter)
    clipped: Counter[str] = dataclasses.field(default_factory=Counter)
    splits: Counter[str] = dataclasses.field(default_factory=Counter)
    tasks: Counter[str] = dataclasses.field(default_factory=Counter)

    def losses(self) -> str:
        """Say what was left out, and how often an episode was split."""
        lost = [f"{n} frames {why}" for why, n in self.left_out.items() if n]
        lost += [f"{why}, {n} times" for why, n in self.splits.items() if n]
        return ", ".join(lost) or "no episode has as many frames"

    def text(self, spec: RobotSpec, *, damaged: bool = False) -> str:
        """Return the report.

        Args:
            spec: The robot.
            damaged: Whether there is more that cannot be read, so that nobody counts its frames.
        """
        lines = [
            "used",
            f"  {self.episodes} episodes, {self.steps} steps of {spec.control_period:g} s: "
            f"{self.steps * spec.control_period:.1f} s",
        ]
        lines += [f"  task {text!r}: {count} episodes" for text, count in self.tasks.items()]
        lines += [f"  new episode: {why} ({n} times)" for why, n in self.splits.items() if n]
        lines.append("dropped")
        rest = self.frames - self.used - sum(self.left_out.values())
        dropped = [f"  {n} frames: {why}" for why, n in self.left_out.items() if n]
        if rest:
            dropped.append(f"  {rest} frames: no step uses them")
        lines += dropped or ["  nothing of what can be read" if damaged else "  nothing"]
        lines += [
            f"{count} of {self.steps} actions {name} were outside the limits and were clipped"
            for name, count in self.clipped.items()
            if count
        ]
        if self.episodes == 1:
            lines.append("train holds out whole episodes and needs at least two; lower --max-steps")
        return "\n".join(lines)


@dataclasses.dataclass
class _Part:
    """Steps of one episode, without pictures."""

    frames: np.ndarray
    states: np.ndarray
    actions: np.ndarray


def import_episodes(
    folder: LeRobotFolder,
    source: Source,
    dataset: Dataset,
    config: BagConfig,
    instruction: str | None = None,
    progress: Callable[[int], Any] = lambda _: None,
    *,
    accept_damaged: bool = False,
) -> Outcome:
    """Append the episodes to a dataset.

    Args:
        folder: The LeRobot dataset.
        source: What to read from it.
        dataset: Our dataset.
        config: Rules of the import.
        instruction: Use only episodes of the task with this text; None: all.
        progress: Called with the number of frames after each episode.
        accept_damaged: Leave out episodes whose pictures cannot be read.

    Raises:
        LeRobotError: Nothing is left, or something cannot be read; the text says what.
    """
    outcome = Outcome()
    unreadable: dict[int, str] = {}
    if instruction is not None and instruction not in folder.tasks.values():
        known = ", ".join(map(repr, folder.tasks.values())) or "none"
        why = "".join(f"; {remark}" for remark in folder.remarks if not folder.tasks)
        raise LeRobotError(f"no task is {instruction!r}; the tasks are: {known}{why}")
    number = max(dataset.indices(), default=-1) + 1
    keys = [key for key in (*source.images, source.state, source.action) if key]
    with contextlib.ExitStack() as stack:
        readers = [
            stack.enter_context(FrameReader(folder.path, key, camera.image, folder.fps))
            for key, camera in zip(source.images, source.spec.images, strict=True)
        ]
        for rows in folder.episodes(keys):
            count = len(rows.times)
            outcome.frames += count
            text = _task(folder, rows)
            if instruction not in (None, text):
                outcome.left_out["of another task"] += count
                progress(count)
                continue
            before = copy.deepcopy(outcome)
            parts = list(_parts(rows, source, config, outcome))
            try:
                pictures = [
                    _joined(readers, rows, part.frames, source.spec.image) for part in parts
                ]
            except FramesError as error:
                if not accept_damaged:
                    raise LeRobotError(
                        f"{error}. --accept-damaged leaves out episodes whose pictures cannot be "
                        "read"
                    ) from None
                outcome = before
                outcome.left_out["of episodes whose pictures cannot be read"] += count
                unreadable[rows.episode] = f"episode {rows.episode} is left out: {error}"
                progress(count)
                continue
            outcome.tasks[text] += 1
            for part, images in zip(parts, pictures, strict=True):
                dataset.append(number, Episode(images, part.states, part.actions))
                number += 1
                outcome.episodes += 1
                outcome.steps += len(part.actions)
                outcome.used += len(np.unique(part.frames))
            progress(count)
    reasons = few(
        list(unreadable.values()),
        "episodes are left out, since their pictures cannot be read (all such episodes: "
        f"{spans(unreadable)})",
    )
    folder.lost += reasons
    if folder.missing:
        outcome.frames += folder.missing
        outcome.left_out[_MISSING] += folder.missing
    if not outcome.episodes:
        hint = "; ".join(reasons) or "--min-steps accepts shorter ones"
        raise LeRobotError(
            f"no episode of {config.fewest_steps} steps is left: {outcome.losses()}; {hint}"
        )
    return outcome


def _joined(
    readers: list[FrameReader], rows: Rows, wanted: np.ndarray, image: ImageSpec
) -> np.ndarray:
    """The pictures of all cameras side by side, uint8 (n, height, width, 3)."""
    parts = [reader.read(rows, wanted) for reader in readers]
    if len(parts) == 1:
        return parts[0]
    return np.stack([image.joined(moment) for moment in zip(*parts, strict=True)])


def _task(folder: LeRobotFolder, rows: Rows) -> str:
    numbers = list(dict.fromkeys(rows.table.column("task_index").to_pylist()))
    texts = [
        folder.tasks.get(n, f"number {n}") if isinstance(n, int) else "unknown" for n in numbers
    ]
    if len(texts) > 1:
        folder.remarks.append(
            f"the rows of episode {rows.episode} are of several tasks ({', '.join(texts)}); it "
            "counts as the first"
        )
    return texts[0]


def _parts(rows: Rows, source: Source, config: BagConfig, outcome: Outcome) -> Iterator[_Part]:
    """Cut one episode into steps of one control period."""
    spec = source.spec
    is_known = np.abs(rows.times) < _LATEST
    times = np.round(np.where(is_known, rows.times, 0.0) * SECOND).astype(np.int64)
    if not (is_known.all() and (np.diff(times) > 0).all()):
        raise LeRobotError(
            f"the timestamps of episode {rows.episode} do not ascend; accepted: seconds since its "
            "first frame"
        )
    actions = source.actions(rows.numbers(source.action, source.action_size))
    states = (
        source.states(rows.numbers(source.state, source.state_size))
        if source.state
        else np.zeros((len(times), 0))
    )
    is_finite = (np.abs(actions) <= LARGEST).all(1) & (np.abs(states) <= LARGEST).all(1)
    outcome.left_out["state or action is not finite, or beyond float32"] += int((~is_finite).sum())
    gaps = split_at_gaps(times, round(config.image.max_gap * SECOND))
    outcome.splits["gap between two frames"] += len(gaps) - 1
    period = spec.control_period * SECOND
    tolerance = max(STAMP_TOLERANCE, round(config.image.tolerance * period))
    commands = Commands(times[is_finite], actions[is_finite], times[is_finite], None)
    max_gap = round(config.state.max_gap * SECOND)
    for gap in gaps:
        at = freshest_moments(times[gap], period, tolerance)
        frames = gap.start + latest(times[gap], at, tolerance)
        rows_there, measured = interpolate(
            times[is_finite], states[is_finite], at, max_gap, spec.state.angle_columns
        )
        present = measured & is_finite[frames]
        if config.action.rule == "integrate":
            wanted = commands.mean(at[:-1], at[1:])
        else:
            wanted = commands.held(at[:-1])
        for first, last in runs(present, np.ones(len(at) - 1, bool)):
            if last - first < config.fewest_steps:
                reason = f"in episodes of fewer than {config.fewest_steps} steps"
                outcome.left_out[reason] += len(np.unique(frames[first : last + 1]))
                continue
            for a, b in pieces(first, last, config.max_steps):
                limited = within_limits(wanted[a:b], spec.action, outcome.clipped)
                yield _Part(frames[a : b + 1], rows_there[a : b + 1].astype(np.float32), limited)
