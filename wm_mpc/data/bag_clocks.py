"""Put all streams of a recording on the clock of its images.

Header stamps come from the robot's clock, or from several clocks; arrival times come from the
recorder's clock. Messages without a stamp (Twist) have only an arrival time. If the two clocks
differ by more than a message can travel, such messages are moved by the difference, and a note
says so. If the data cannot distinguish a wrong clock from a slow camera, the import is refused.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np

from wm_mpc.data.bag import BagError
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_messages import TRAJECTORY
from wm_mpc.data.clock_offset import ClockOffset
from wm_mpc.data.command_stream import OTHER_CLOCK
from wm_mpc.data.lag import correlations
from wm_mpc.data.resample import latest
from wm_mpc.data.stream import Stream
from wm_mpc.units import SECOND

if TYPE_CHECKING:
    from wm_mpc.data.bag_streams import Streams

STEP_MARGIN = 3 * SECOND // 10  # ns left out before and after the moment at which a clock was set

_PROMPT = 0.1  # s; longest travel of states and commands, unless a control period is longer
_USUAL = 0.15  # s; age of an image on arrival, for most cameras
_CAMERA = 0.5  # s; largest age of an image on arrival
_AMBIGUOUS = 3.0  # s; possible but unlikely age of an image
_CHANGE = 0.1  # s; a latency that changes by more is reported
_STEADY = 0.05  # s; largest change of a steady processing time
_FEWEST = 100  # steps that are needed to estimate a delay
_DRIFT = 0.05  # share; clocks of computers drift by less
_LATCHED = 3 * SECOND  # ns; a recorder hears all publishers within this time
_START = 2.0  # s; a trajectory starts within this time before or after its arrival
_RECORDER = ClockOffset.constant(0.0)
_REMEDY = (
    "--stamps receive uses arrival times for all streams, --clock-offset SECONDS states the "
    "difference of the clocks, received minus stamp (0: they agree), --clock-offset auto uses the "
    "measured difference"
)


@dataclasses.dataclass
class _Stamped:
    """A stream with stamps: `late` is received minus stamp, `clock` made its stamps."""

    role: str
    late: ClockOffset
    clock: ClockOffset = _RECORDER

    def travel(self, clock: ClockOffset) -> float:
        """Median travel time of its messages, s, if `clock` made the stamps."""
        return float(np.median(self.late.values - clock(self.late.at))) / SECOND


def put_on_one_clock(streams: Streams, period: float, config: BagConfig) -> list[str]:
    """Move the times of all streams to one clock (`Stream.move`).

    Args:
        streams: The streams as read; changed in place.
        period: A control period, s.
        config: Settings of the import; `stamps` and `stamp_offset` apply.

    Returns:
        One sentence for each finding and each assumption.

    Raises:
        BagError: The data do not show how the streams belong together.
    """
    if config.stamps == "receive":
        return []
    named = {"image": streams.image, "state": streams.state, "action": streams.action}
    named |= streams.splits
    notes: list[str] = []
    if not isinstance(config.stamp_offset, float):
        _align_publishers(streams, period, notes)
    begin = min((int(s.received.min()) for s in named.values() if len(s.received)), default=0)
    stamped = {
        role: _Stamped(role, ClockOffset.measured(received, stamps, _step(period)))
        for role, (received, stamps) in (
            (role, _sent_while_recording(*stream.stamped(), begin))
            for role, stream in named.items()
        )
        if len(received)
    }
    if isinstance(config.stamp_offset, float):
        offset = ClockOffset.constant(config.stamp_offset * SECOND)
        for each in stamped.values():
            each.clock = offset
        notes.append(f"received minus stamp is {config.stamp_offset:+g} s by the clocks, as stated")
    else:
        _find_clocks(stamped, streams, period, notes, sure=config.stamp_offset == "auto")
        _say(stamped, named, period, config, notes)
    home = stamped["image"].clock if "image" in stamped else _RECORDER
    steps = set(home.steps)
    for role, stream in named.items():
        clock = stamped[role].clock if role in stamped else home
        steps |= set(clock.steps)
        stream.move(clock, home)
    streams.steps = sorted(steps)
    return notes


def _align_publishers(streams: Streams, period: float, notes: list[str]) -> None:
    """Move joints whose publisher stamps with another clock to the clock of the other joints."""
    received, stamps = streams.state.received, streams.state.times
    (_, first), *others = streams.state.publishers() or [([], np.zeros(0, np.int64))]
    if not others:
        return
    home = ClockOffset.measured(received[first], stamps[first], _step(period))
    for columns, rows in others:
        if not len(rows):
            continue
        late = ClockOffset.measured(received[rows], stamps[rows], _step(period))
        apart = late(received[rows]) - home(received[rows])
        middle = float(np.median(apart)) / SECOND
        if not -max(0.01, 0.25 * period) <= middle <= _CAMERA:
            streams.state.restamp(rows, apart)
            names = ", ".join(streams.state_names[k] for k in columns)
            notes.append(
                f"WARNING the stamps of {names} are {abs(middle):.3f} s "
                f"{'behind' if middle > 0 else 'ahead of'} those of the other joints, compared by "
                "arrival; they are moved by this time. --stamps receive uses arrival times for all "
                "streams"
            )


def _sent_while_recording(
    received: np.ndarray, stamps: np.ndarray, begin: int
) -> tuple[np.ndarray, np.ndarray]:
    """The messages without a latched one, which arrives as the recording begins however old it
    is."""
    if not len(received):
        return received, stamps
    first = int(received.argmin())
    if stamps[first] < begin - _CAMERA * SECOND and received[first] - begin < _LATCHED:
        there = np.arange(len(received)) != first
        return received[there], stamps[there]
    return received, stamps


def _step(period: float) -> int:
    return round(max(0.1, period) * SECOND)


def _find_clocks(
    stamped: dict[str, _Stamped],
    streams: Streams,
    period: float,
    notes: list[str],
    *,
    sure: bool,
) -> None:
    """Find the clock of each stream; with `sure`, a late image means another clock, not a slow
    camera."""
    prompt = max(_PROMPT, period)
    early = -max(0.01, 0.25 * period)  # an earlier arrival means a stamp in the future
    plans = streams.action.type == TRAJECTORY
    clocks: list[ClockOffset] = [_RECORDER]
    quick = [role for role in stamped if role != "image" and not (role == "action" and plans)]
    image = stamped.get("image")
    if image and abs(image.late.speed - 1.0) > _DRIFT:
        # A played or simulated recording at another speed: all stamps use its time.
        for each in stamped.values():
            each.clock = image.late
        streams.action.is_paced = True
        notes.append(
            f"stamps run at {image.late.speed:.2f} times the recorder's clock (played or "
            "simulated), so all stamps count as one clock"
        )
        return
    for role in sorted(quick, key=lambda role: role != "state"):
        each = stamped[role]
        fitting = [clock for clock in clocks if _within(each.late, clock, early, prompt)]
        if fitting:
            each.clock = fitting[-1]
        elif (
            image
            and role == "state"
            and _is_processed(each, image, early)
            and not _moves_before_told(streams, period)
        ):
            notes.append(
                f"the {role} arrives {each.late.middle:.2f} s after its stamps, and the images "
                "sooner after theirs; this counts as processing time, not as another clock"
            )
        else:
            each.clock = each.late
            clocks.append(each.clock)
    if image:
        usual = [clock for clock in clocks[::-1] if _within(image.late, clock, early, _USUAL)]
        fitting = [clock for clock in clocks if _within(image.late, clock, early, _CAMERA)]
        if usual:
            image.clock = usual[0]
        elif fitting:
            image.clock = min(fitting, key=image.travel)
        elif not sure and any(_within(image.late, c, early, _AMBIGUOUS) for c in clocks):
            raise BagError(
                f"received minus stamp is {image.late} for the images, which is long for a "
                f"camera: is it slow, or does it use another clock? {_REMEDY}"
            )
        else:
            image.clock = image.late
            clocks.append(image.clock)
    if plans and "action" in stamped:
        each = stamped["action"]
        nearest = min(clocks, key=lambda clock: abs(clock.middle - each.late.middle))
        near = abs(nearest.middle - each.late.middle) <= _START
        each.clock = nearest if near else each.late


def _within(late: ClockOffset, clock: ClockOffset, low: float, high: float) -> bool:
    """Whether `clock` can have stamped these messages, if they travel for `low` to `high` s."""
    travelled = (late.values - clock(late.at)) / SECOND
    for step in {*late.steps, *clock.steps}:  # two streams see a step at different times
        travelled = np.where(np.abs(late.at - step) < STEP_MARGIN, np.nan, travelled)
    travelled = travelled[np.isfinite(travelled)]
    return bool(travelled.min(initial=0.0) >= low and travelled.max(initial=0.0) <= high)


def _is_processed(state: _Stamped, image: _Stamped, early: float) -> bool:
    """Whether the state is late because it takes long to compute: it is late, and no image is."""
    return (
        not state.late.steps
        and state.late.ends[1] - state.late.ends[0] < _STEADY
        and _within(state.late, _RECORDER, 0.0, _CAMERA)
        and (
            _within(image.late, _RECORDER, early, _CAMERA)
            and image.late.middle < state.late.middle + early
        )
    )


def _moves_before_told(streams: Streams, period: float) -> bool:
    """Whether, by its stamps, the robot clearly moves before the commands that cause the motion;
    then its clock is behind."""
    if streams.action.type == TRAJECTORY or not streams.action.read:
        return False
    commands, states = streams.action, streams.state
    first = max(commands.times.min(), states.times.min())
    last = min(commands.times.max(), states.times.max())
    grid = np.arange(first, last, round(period * SECOND))
    if len(grid) < _FEWEST:
        return False
    order, after = np.argsort(commands.times), np.argsort(states.times)
    told = commands.values[order][latest(commands.times[order], grid)]
    best = (0.0, 0, 0.0)
    for column in states.values[after].T:
        there = np.isfinite(column)
        if not there.any():
            continue
        moved = np.interp(grid, states.times[after][there], column[there])
        for signal, cause in itertools.product((moved, np.gradient(moved)), told.T):
            fits = np.abs(correlations(cause, signal, _FEWEST // 4))
            peak = int(fits.argmax())
            if fits[peak] > best[0]:
                best = (float(fits[peak]), peak - _FEWEST // 4, float(fits[_FEWEST // 4 :].max()))
    return best[0] > 0.7 and best[1] < 0 and best[2] < 0.85 * best[0]


def _say(
    stamped: dict[str, _Stamped],
    named: dict[str, Stream],
    period: float,
    config: BagConfig,
    notes: list[str],
) -> None:
    """Add notes on clocks that matter. Raises BagError for clocks that are too far apart."""
    image = stamped.get("image")
    home = image.clock if image else _RECORDER
    off: dict[int, list[str]] = {}
    for role, each in stamped.items():
        if each.clock is not _RECORDER:
            off.setdefault(id(each.clock), []).append(role)
    moved = [
        role
        for role in named
        if (stamped[role].clock if role in stamped else _RECORDER) is not home
        and (role in stamped or (named[role].read and not len(named[role].stamped()[0])))
    ]
    for roles in off.values():
        clock = stamped[roles[0]].clock
        far = max(map(abs, clock.ends)) * SECOND > OTHER_CLOCK
        if far and config.stamp_offset is None and {"image", "state", "action"} & set(moved):
            raise BagError(
                f"the header stamps of {', '.join(roles)} come from another clock than the "
                f"recorder's: received minus stamp is {clock}, and {', '.join(moved)} must be "
                "matched with them; try --stamps receive, or --clock-offset auto"
            )
        if moved:
            notes.append(
                f"WARNING the stamps of {', '.join(roles)} come from another clock than the "
                f"recorder's: received minus stamp is {clock}; {', '.join(moved)} moved by this "
                f"difference to match them. {_REMEDY}"
            )
    if image and (late := image.travel(image.clock)) > _PROMPT:
        notes.append(
            f"the images arrive {late:.2f} s after their stamps; this counts as camera latency"
        )
    if image and image.clock is _RECORDER:
        least, most = image.late.ends
        if most - least > _CHANGE:
            notes.append(
                f"WARNING received minus stamp ranges from {least:+.2f} to {most:+.2f} s for the "
                f"images; this counts as a changing latency, not as a drifting clock. {_REMEDY}"
            )
    state = stamped.get("state")
    if state and 0.5 * period < (late := state.travel(state.clock)) <= max(_PROMPT, period):
        notes.append(
            f"the state arrives {late:.3f} s after its stamps; this counts as travel time "
            "(--clock-offset)"
        )
