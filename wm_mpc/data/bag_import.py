"""Turn a recording into episodes of a dataset: read the streams, cut them into steps, write them.

Images set the pace. An episode begins with the first image after a gap, or up to a control period
later if its steps then have newer images. Each step lasts one control period.
`wm_mpc.data.resample` looks up states and actions at these moments.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from wm_mpc.data.bag import BagError
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_segments import between_jumps
from wm_mpc.data.bag_streams import Stream, Streams, other_clock
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.data.resample import (
    Commands,
    freshest_moments,
    latest,
    pieces,
    runs,
    split_at_gaps,
    within_limits,
)
from wm_mpc.data.setpoints import Setpoints
from wm_mpc.spec import RobotSpec
from wm_mpc.units import SECOND, STAMP_TOLERANCE


@dataclasses.dataclass
class Draft:
    """An episode without its images.

    Attributes:
        pictures: Numbers of its images, int64 (steps + 1,).
        states: States, float32 (steps + 1, state size), as in `Episode`.
        actions: Actions, float32 (steps, action size), as in `Episode`.
        ages: Time from the stamp of each image to its step, float64 (steps + 1,), s; negative for
            an image that is a little newer.
    """

    pictures: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    ages: np.ndarray


@dataclasses.dataclass
class Drafts:
    """All episodes of a recording.

    Attributes:
        episodes: Drafts in the order of time.
        splits: How often an episode ended, by reason.
        dropped: Number of dropped steps, by reason.
        short: Number of episodes that were too short.
        clipped: Number of actions outside the limits, by name.
    """

    episodes: list[Draft]
    splits: Counter[str]
    dropped: Counter[str]
    short: int = 0
    clipped: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def steps(self) -> int:
        """Number of control steps in all episodes."""
        return sum(len(draft.actions) for draft in self.episodes)

    @property
    def shown(self) -> int:
        """Number of different images that the episodes use."""
        numbers = [draft.pictures for draft in self.episodes]
        return len(np.unique(np.concatenate(numbers))) if numbers else 0


def draft_episodes(streams: Streams, spec: RobotSpec, config: BagConfig) -> Drafts:
    """Cut the streams into episodes.

    Args:
        streams: All streams of the recording, on one clock.
        spec: The robot.
        config: Settings of the import.

    Raises:
        BagError: No episode is left; the text says why.
    """
    drafts = Drafts([], Counter(), Counter())
    for begin, end, why in between_jumps(streams, config.image.max_gap):
        drafts.splits[why] += begin > 0
        chosen = {
            role: np.flatnonzero(
                (getattr(streams, role).received >= begin) & (getattr(streams, role).received < end)
            )
            for role in ("image", "state", "action")
        }
        measured = _measured(streams, chosen["state"], spec)
        commands = streams.action.commands(chosen["action"], spec, config, measured)
        _draft_segment(streams, chosen["image"], chosen["state"], commands, spec, config, drafts)
    if not drafts.episodes:
        raise BagError(_why_nothing(streams, drafts, config, spec))
    return drafts


def _measured(
    streams: Streams, chosen: np.ndarray, spec: RobotSpec
) -> Callable[[int], np.ndarray] | None:
    """A function from a time (ns) to the measured position of each commanded joint, NaN where
    unknown."""
    columns = [
        spec.state.names.index(name) if name in spec.state.names else -1
        for name in spec.action.names
    ]
    if max(columns) < 0:
        return None

    order = chosen[np.argsort(streams.state.times[chosen], kind="stable")]
    times = streams.state.times[order]

    def there(time: int) -> np.ndarray:
        if len(times) and times[0] - SECOND // 10 <= time < times[0]:
            time = int(times[0])  # the recording begins between the command and the state
        row, valid = streams.state.interpolated(order, np.array([time]), SECOND, ())
        known = np.append(row[0] if valid[0] else np.full(spec.state.size, np.nan), np.nan)
        return known[columns]

    return there


def _draft_segment(
    streams: Streams,
    images: np.ndarray,
    states: np.ndarray,
    commands: Commands | Setpoints,
    spec: RobotSpec,
    config: BagConfig,
    drafts: Drafts,
) -> None:
    """Cut one part of the streams, in which the clock only went forward, into episodes."""
    images = images[np.argsort(streams.image.times[images], kind="stable")]
    states = states[np.argsort(streams.state.times[states], kind="stable")]
    image_times = streams.image.times[images]
    angles = [i for i, name in enumerate(spec.state.names) if _is_angle(name, spec)]
    max_gap = round(config.state.max_gap * SECOND)
    period = spec.control_period * SECOND
    tolerance = max(STAMP_TOLERANCE, round(config.image.tolerance * period))
    gaps = split_at_gaps(image_times, round(config.image.max_gap * SECOND))
    drafts.splits["gap in the images"] += max(0, len(gaps) - 1)
    for part in gaps:
        times = image_times[part]
        at = freshest_moments(times, period, tolerance)
        if spec.state.size:
            rows, measured = streams.state.interpolated(states, at, max_gap, angles)
        else:
            rows, measured = np.zeros((len(at), 0)), np.ones(len(at), bool)
        usable = _usable_steps(at, measured, commands, streams, config, drafts)
        begin, end = at[:-1], at[1:]
        integrated = config.action.rule == "integrate"
        actions = commands.mean(begin, end) if integrated else commands.held(begin)
        newest = latest(times, at, tolerance)
        pick = images[part][newest]
        ages = (at - times[newest]) / SECOND
        for first, last in runs(measured, usable):
            if last - first < config.fewest_steps:
                drafts.short += 1
                reason = f"in episodes of fewer than {config.fewest_steps} steps"
                drafts.dropped[reason] += last - first
                continue
            for a, b in pieces(first, last, config.max_steps):
                limited = within_limits(actions[a:b], spec.action, drafts.clipped)
                states_there = rows[a : b + 1].astype(np.float32)
                drafts.episodes.append(
                    Draft(pick[a : b + 1], states_there, limited, ages[a : b + 1])
                )


def _usable_steps(
    at: np.ndarray,
    measured: np.ndarray,
    commands: Commands | Setpoints,
    streams: Streams,
    config: BagConfig,
    drafts: Drafts,
) -> np.ndarray:
    """Which of the steps between the moments `at` an episode may contain, bool (moments - 1,); the
    rest is counted in `drafts`."""
    begin, end = at[:-1], at[1:]
    present = measured[:-1] & measured[1:]
    known = commands.known(begin, round(config.action.max_silence * SECOND))
    drafts.dropped["no state was measured"] += int((~present).sum())
    drafts.dropped["no action is known"] += int((present & ~known).sum())
    usable = present & known
    # Only a hole inside the recording splits it; missing steps at its ends do not.
    drafts.splits["state or action missing"] += max(0, len(runs(measured, usable)) - 1)
    for topic, stream in streams.splits.items():
        splits = np.sort(stream.times)
        crossed = _within(splits, begin, end)
        drafts.splits[f"message of {topic}"] += int((crossed & usable).sum())
        usable = usable & ~crossed
        paused = _within(splits, begin - round(config.split_pause * SECOND), begin)
        drafts.dropped[f"soon after a message of {topic}"] += int((paused & usable).sum())
        usable = usable & ~paused
    return usable


def _is_angle(name: str, spec: RobotSpec) -> bool:
    """Whether the robot's description marks an entry as an angle; older ones do not mark
    odometry's yaw."""
    return name in spec.state.angles or (spec.state.source == "odom" and name == "yaw")


def _within(moments: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether any of the ascending moments is within (begin, end], for each interval."""
    first = np.searchsorted(moments, begin + STAMP_TOLERANCE, "right")
    return np.searchsorted(moments, end + STAMP_TOLERANCE, "right") > first


def repeated_stamps(role: str, stream: Stream) -> str:
    """Describe stamps that do not distinguish messages.

    Args:
        role: "image", "state" or "action".
        stream: The stream with such stamps.
    """
    return (
        f"{stream.repeated:.0%} of the stamps of the {role} repeat that of the message before, "
        "although the messages arrive one after the other: are the stamps cut to whole seconds? "
        "--stamps receive uses arrival times"
    )


def _why_nothing(streams: Streams, drafts: Drafts, config: BagConfig, spec: RobotSpec) -> str:
    of_role: dict[str, Stream] = {
        "image": streams.image, "state": streams.state, "action": streams.action
    }  # fmt: skip
    of_role = {role: stream for role, stream in of_role.items() if len(stream.times)}
    spans = {role: (stream.times.min(), stream.times.max()) for role, stream in of_role.items()}
    listed = ", ".join(
        f"{role} {first / SECOND:.2f} to {last / SECOND:.2f} s"
        for role, (first, last) in spans.items()
    )
    if max(first for first, _ in spans.values()) > min(last for _, last in spans.values()):
        other = [role for role, stream in of_role.items() if other_clock(stream)]
        hint = ""
        if 0 < len(other) < len(of_role):
            hint = (
                f"; the header stamps of {', '.join(other)} come from another clock than the "
                "recorder's: try --stamps receive"
            )
        return f"the streams do not overlap: {listed}{hint}"
    for role, stream in of_role.items():
        if stream.repeated > 0.5:
            return f"no episode was found: {repeated_stamps(role, stream)}"
    for role, gap in (("image", config.image.max_gap), ("state", config.state.max_gap)):
        if role not in of_role:
            continue
        steps = np.diff(np.sort(of_role[role].times))
        if len(steps) and np.median(steps) > gap * SECOND:
            return (
                f"the {role} arrives every {np.median(steps) / SECOND:.3g} s, which is more than "
                f"{role}.max_gap, {gap:g} s: raise --max-gap"
            )
    lost = [f"{count} steps {reason}" for reason, count in drafts.dropped.items() if count]
    return (
        f"no episode of {config.fewest_steps} steps ({config.fewest_steps * spec.control_period:g} "
        f"s) was found: {listed}; dropped: {', '.join(lost) or 'nothing'}; lower --min-steps to "
        "accept shorter ones"
    )


def write_episodes(
    streams: Streams,
    drafts: Drafts,
    dataset: Dataset,
    progress: Callable[[int], Any] = lambda _: None,
) -> None:
    """Append the drafts to a dataset. Each episode is written completely or not at all.

    Args:
        streams: The streams with the images.
        drafts: The episodes to write.
        dataset: The dataset to extend.
        progress: Called with 1 after each episode.
    """
    pictures = streams.image.pictures
    number = max(dataset.indices(), default=-1) + 1
    for offset, draft in enumerate(drafts.episodes):
        episode = Episode(pictures[draft.pictures], draft.states, draft.actions)
        dataset.append(number + offset, episode)
        progress(1)
