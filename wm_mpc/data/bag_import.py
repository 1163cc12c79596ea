"""From a recording to episodes of a dataset: read the streams, cut them into steps, write.

Pictures set the pace: the first after a gap is step 0 of an episode, and a step is one control
period from there. States and actions are looked up at those moments (`wm_mpc.data.resample`).
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from wm_mpc.data.bag import BagError
from wm_mpc.data.bag_clocks import STEP_MARGIN
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_streams import Stream, Streams, other_clock
from wm_mpc.data.episodes import Dataset, Episode
from wm_mpc.data.resample import Commands, latest, pieces, runs, split_at_gaps
from wm_mpc.data.setpoints import Setpoints
from wm_mpc.spec import RobotSpec
from wm_mpc.units import SECOND, STAMP_TOLERANCE

_STRAGGLERS = 2  # messages in a row that may come late without a clock being set
_LIMIT_TOLERANCE = 1e-6  # of the range; forgives float32


@dataclasses.dataclass
class Draft:
    """An episode without its pictures. pictures: their numbers (steps + 1,); states and actions:
    as `Episode` has them."""

    pictures: np.ndarray
    states: np.ndarray
    actions: np.ndarray


@dataclasses.dataclass
class Drafts:
    """What a recording gives. episodes: in order of time. splits: why an episode ended, and how
    often; dropped: steps by reason; short: episodes that were too short; clipped: actions outside
    the limits, by name; shown: how many different pictures the episodes use."""

    episodes: list[Draft]
    splits: Counter[str]
    dropped: Counter[str]
    short: int = 0
    clipped: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def steps(self) -> int:
        return sum(len(draft.actions) for draft in self.episodes)

    @property
    def shown(self) -> int:
        numbers = [draft.pictures for draft in self.episodes]
        return len(np.unique(np.concatenate(numbers))) if numbers else 0


def draft_episodes(streams: Streams, spec: RobotSpec, config: BagConfig) -> Drafts:
    """Cut the streams into episodes. Raises BagError when nothing is left, with the reason."""
    drafts = Drafts([], Counter(), Counter())
    for begin, end, why in _between_jumps(streams, config.image.max_gap):
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


def _between_jumps(streams: Streams, max_gap: float) -> Iterator[tuple[int, int, str]]:
    """Times of arrival, from and to, between which no clock was set, and what began each.

    Around the moment at which one was set nothing is used, since messages of before and after come
    mixed, unless nothing came just before it."""
    edges = []
    back = _jumps_back(streams.image, max_gap)
    for step in streams.steps:
        parts = (streams.image, streams.state, streams.action)
        mixed = any(
            ((part.received >= step - STEP_MARGIN) & (part.received < step)).any() for part in parts
        )
        margin = STEP_MARGIN if mixed else 0
        why = "time jumped back" if _near(back, step) else "a clock was set"
        edges.append((step - margin, step + margin, why))
        back = [edge for edge in back if abs(edge - step) > STEP_MARGIN]
    edges += [(edge, edge, "time jumped back") for edge in back]
    begin, why = 0, ""
    for last, first, reason in sorted(edges):
        if last > begin:
            yield begin, last, why
        begin, why = max(begin, first), reason
    yield begin, np.iinfo(np.int64).max, why


def _near(edges: list[int], step: int) -> bool:
    return any(abs(edge - step) <= STEP_MARGIN for edge in edges)


def _jumps_back(stream: Stream, max_gap: float) -> list[int]:
    """Times of arrival at which the stamps jump back by more than `max_gap` s, and go on from
    there. Smaller disorder, and single messages that come late, are sorted out."""
    times = stream.times
    newest = np.maximum.accumulate(times)
    edges = []
    base = 0
    while True:  # after a jump, the maximum begins anew
        behind = np.append(times[base:] < newest[base:], [True] * _STRAGGLERS)
        stays = np.all(
            [behind[k : len(behind) - _STRAGGLERS + k] for k in range(_STRAGGLERS + 1)], axis=0
        )
        back = np.flatnonzero((times[base:] < newest[base:] - max_gap * SECOND) & stays)
        if not len(back):
            break
        base += int(back[0])
        edges.append(int(stream.received[base]))
        newest[base:] = np.maximum.accumulate(times[base:])
    return edges


def _measured(
    streams: Streams, chosen: np.ndarray, spec: RobotSpec
) -> Callable[[int], np.ndarray] | None:
    """Where the joints that the actions name are at a time (ns): NaN for one that is not in the
    state, or was not measured within its gap."""
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
    """images, states: numbers of the messages of a time in which the clock only went on."""
    images = images[np.argsort(streams.image.times[images], kind="stable")]
    states = states[np.argsort(streams.state.times[states], kind="stable")]
    image_times = streams.image.times[images]
    angles = [i for i, name in enumerate(spec.state.names) if _is_angle(name, spec)]
    max_gap = round(config.state.max_gap * SECOND)
    period = spec.control_period * SECOND
    tolerance = max(STAMP_TOLERANCE, round(config.image.tolerance * period))
    gaps = split_at_gaps(image_times, round(config.image.max_gap * SECOND))
    drafts.splits["gap in the pictures"] += max(0, len(gaps) - 1)
    for part in gaps:
        times = image_times[part]
        count = int((times[-1] - times[0] + tolerance) / period) + 1
        at = times[0] + np.round(np.arange(count) * period).astype(np.int64)
        if spec.state.size:
            rows, measured = streams.state.interpolated(states, at, max_gap, angles)
        else:
            rows, measured = np.zeros((count, 0)), np.ones(count, bool)
        usable = _usable_steps(at, measured, commands, streams, config, drafts)
        begin, end = at[:-1], at[1:]
        integrated = config.action.rule == "integrate"
        actions = commands.mean(begin, end) if integrated else commands.held(begin)
        pick = images[part][latest(times, at, tolerance)]
        for first, last in runs(measured, usable):
            if last - first < config.fewest_steps:
                drafts.short += 1
                drafts.dropped[f"in episodes of less than {config.fewest_steps}"] += last - first
                continue
            for a, b in pieces(first, last, config.max_steps):
                limited = _limited(actions[a:b], spec, drafts)
                states_there = rows[a : b + 1].astype(np.float32)
                drafts.episodes.append(Draft(pick[a : b + 1], states_there, limited))


def _usable_steps(
    at: np.ndarray,
    measured: np.ndarray,
    commands: Commands | Setpoints,
    streams: Streams,
    config: BagConfig,
    drafts: Drafts,
) -> np.ndarray:
    """Which of the steps between the moments `at` may be in an episode: bool (moments - 1,). What
    is not goes into the accounts of `drafts`."""
    begin, end = at[:-1], at[1:]
    present = measured[:-1] & measured[1:]
    known = commands.known(begin, round(config.action.max_silence * SECOND))
    drafts.dropped["no state was measured"] += int((~present).sum())
    drafts.dropped["no action is known"] += int((present & ~known).sum())
    usable = present & known
    # A hole, and something after it: what is missing at the ends of a recording splits nothing.
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
    """As the robot's description says; in older ones, which do not, the yaw of odometry."""
    return name in spec.state.angles or (spec.state.source == "odom" and name == "yaw")


def _within(moments: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Whether any of the moments, ascending, is within (begin, end], for each."""
    first = np.searchsorted(moments, begin + STAMP_TOLERANCE, "right")
    return np.searchsorted(moments, end + STAMP_TOLERANCE, "right") > first


def _limited(actions: np.ndarray, spec: RobotSpec, drafts: Drafts) -> np.ndarray:
    """Float32 and inside the limits; what was not is counted."""
    low, high = np.asarray(spec.action.low), np.asarray(spec.action.high)
    slack = _LIMIT_TOLERANCE * (high - low)
    outside = (actions < low - slack) | (actions > high + slack)
    for name, count in zip(spec.action.names, outside.sum(0).tolist(), strict=True):
        drafts.clipped[name] += count
    return np.clip(actions, low, high).astype(np.float32)


def repeated_stamps(role: str, stream: Stream) -> str:
    """What is wrong with stamps that do not tell messages apart."""
    return (
        f"{stream.repeated:.0%} of the stamps of the {role} are those of the message before, "
        "though they arrive one after the other: are they cut to whole seconds? --stamps receive "
        "counts arrival"
    )


def _why_nothing(streams: Streams, drafts: Drafts, config: BagConfig, spec: RobotSpec) -> str:
    of_role: dict[str, Stream] = {
        "image": streams.image, "state": streams.state, "action": streams.action
    }  # fmt: skip
    of_role = {role: stream for role, stream in of_role.items() if len(stream.times)}
    spans = {role: (stream.times.min(), stream.times.max()) for role, stream in of_role.items()}
    told = ", ".join(
        f"{role} {first / SECOND:.2f} to {last / SECOND:.2f} s"
        for role, (first, last) in spans.items()
    )
    if max(first for first, _ in spans.values()) > min(last for _, last in spans.values()):
        other = [role for role, stream in of_role.items() if other_clock(stream)]
        hint = ""
        if 0 < len(other) < len(of_role):
            hint = (
                f"; the header stamps of {', '.join(other)} are of another clock than the "
                "recorder's: try --stamps receive"
            )
        return f"the streams do not overlap: {told}{hint}"
    for role, stream in of_role.items():
        if stream.repeated > 0.5:
            return f"no episode is in it: {repeated_stamps(role, stream)}"
    for role, gap in (("image", config.image.max_gap), ("state", config.state.max_gap)):
        if role not in of_role:
            continue
        steps = np.diff(np.sort(of_role[role].times))
        if len(steps) and np.median(steps) > gap * SECOND:
            return (
                f"the {role} comes every {np.median(steps) / SECOND:.3g} s, which is more than "
                f"{role}.max_gap, {gap:g} s: raise --max-gap"
            )
    lost = [f"{count} steps {reason}" for reason, count in drafts.dropped.items() if count]
    return (
        f"no episode of {config.fewest_steps} steps ({config.fewest_steps * spec.control_period:g} "
        f"s) is in it: {told}; dropped: {', '.join(lost) or 'nothing'}; --min-steps asks for less"
    )


def write_episodes(
    streams: Streams,
    drafts: Drafts,
    dataset: Dataset,
    progress: Callable[[int], Any] = lambda _: None,
) -> None:
    """Append the drafts to a dataset; each is there complete or not at all. progress: called with 1
    for each."""
    pictures = streams.image.pictures
    number = max(dataset.indices(), default=-1) + 1
    for offset, draft in enumerate(drafts.episodes):
        episode = Episode(pictures[draft.pictures], draft.states, draft.actions)
        dataset.append(number + offset, episode)
        progress(1)
