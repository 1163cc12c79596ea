"""The texts of `import_bag`: what it found in a recording, what it used, and what it dropped."""

from __future__ import annotations

import numpy as np

from wm_mpc.data.bag import Bag
from wm_mpc.data.bag_accounts import Account
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_import import Drafts, repeated_stamps
from wm_mpc.data.bag_lag import wrong_delay
from wm_mpc.data.bag_messages import TRAJECTORY
from wm_mpc.data.bag_spec import Description
from wm_mpc.data.bag_streams import TIMEOUT, Stream, Streams, other_clock
from wm_mpc.units import SECOND

_LOOKS = 50  # images that are compared
_BURSTS = 0.6  # share of messages that may arrive right after another
_PAUSE = SECOND  # ns; a longer time without a command is a pause, which says nothing of its rate
_REPEATED = 0.1  # share of stamps that may repeat that of the message before


def found(bag: Bag) -> str:
    """List the topics of a recording.

    Args:
        bag: The recording.

    Returns:
        The list, with remarks on the files.
    """
    text = f"found in {bag.path.name}, {bag.seconds:.1f} s\n{bag.table()}"
    if bag.recovered:
        text += (
            "\n  the recording was never finished (was its recorder killed?): its last moments are "
            f"missing, {bag.recovered} messages are complete"
        )
    text += "".join(f"\n  {remark}" for remark in bag.remarks)
    return text + "".join(f"\n  damaged: {damage}" for damage in bag.unaccounted)


def added_up(accounts: dict[str, Account], accepted: list[str]) -> str:
    """List what became of the messages of the used topics.

    Args:
        accounts: The account of each topic.
        accepted: Damage that the user accepted.
    """
    width = max(map(len, accounts))
    lines = [f"  {name:{width}}  {account.line()}" for name, account in accounts.items()]
    lines += [f"  accepted as it is: {reason}" for reason in accepted]
    return "\n".join(["messages", *lines])


def inferred(description: Description) -> str:
    """List everything that the import inferred.

    Args:
        description: The description with its notes.
    """
    return "\n".join(["inferred", *(f"  {note}" for note in description.notes)])


def outcome(
    bag: Bag, description: Description, streams: Streams, drafts: Drafts, config: BagConfig
) -> str:
    """List what was used and by which rule, and what was dropped.

    Args:
        bag: The recording.
        description: Robot and topics.
        streams: The streams as read.
        drafts: The episodes.
        config: Settings of the import.

    Returns:
        The lines of the report.
    """
    spec, topics = description.spec, description.topics
    seconds = spec.control_period
    lengths = [len(draft.actions) for draft in drafts.episodes]
    lines = ["used"]
    rules = _rules(description, config, streams.action.meaning)
    for role in topics:
        if ":" in role:
            camera = role.partition(":")[2]
            lines.append(f"  image  {topics[role].name}, camera {camera}: that of the same moment")
            continue
        stream: Stream = getattr(streams, role)
        lines.append(f"  {role:6} {topics[role].name}  {_rate(stream)}: {rules[role]}")
    lines.append(
        f"  {len(lengths)} episodes of {min(lengths)} to {max(lengths)} steps of {seconds:g} s: "
        f"{drafts.steps} steps, {drafts.steps * seconds:.1f} s"
    )
    lines.append(_ages(drafts, seconds))
    lines += [f"  new episode: {why} ({n} times)" for why, n in drafts.splits.items() if n]
    lines.append("dropped")
    dropped = [
        f"  {n} steps ({n * seconds:.1f} s): {reason}" for reason, n in drafts.dropped.items() if n
    ]
    for role, topic in topics.items():
        if ":" in role:  # its pictures are part of the first camera's
            continue
        dropped += _left_out(getattr(streams, role), topic.name, bag.damaged.get(topic.name, 0))
    kept = streams.image.read - streams.image.refused
    if kept > drafts.shown:
        dropped.append(f"  {kept - drafts.shown} of {kept} images: no step uses them")
    again = (
        drafts.steps
        + len(lengths)
        - sum(len(np.unique(draft.pictures)) for draft in drafts.episodes)
    )
    lines += dropped or ["  nothing"]
    lines += _remarks(streams, drafts, spec.action.names, again)
    lines += [*description.doubts, *streams.notes, *streams.looks.summary()]
    if warning := wrong_delay(drafts, spec):
        lines.append(warning)
    return "\n".join(lines)


def _rules(description: Description, config: BagConfig, meaning: str) -> dict[str, str]:
    spec, action = description.spec, config.action
    others = {
        "image": "the latest image at each step",
        "state": f"interpolated over at most {config.state.max_gap:g} s",
    }
    if description.topics["action"].type == TRAJECTORY:
        limit = "" if action.timeout is None else f", at most {action.timeout:g} s"
        rule = f"points by time until the next plan{limit}"
        if meaning == "at":
            what = "velocity to reach" if spec.action.kind == "velocity" else "target at"
            return others | {"action": f"points by time: {what} the end of each step{limit}"}
    elif spec.action.kind == "position":
        rule = "the last command"
    else:
        timeout = TIMEOUT if action.timeout is None else action.timeout
        rule = f"the last command, rest after {timeout:g} s without one"
    mean = ", averaged over each step" if action.rule == "integrate" else ", at the step's start"
    return others | {"action": rule + mean}


def _rate(stream: Stream) -> str:
    times = np.sort(stream.times)
    span = (times[-1] - times[0]) / SECOND
    rate = f", {(len(times) - 1) / span:.1f} Hz" if span > 0 else ""
    return f"{len(times)} messages{rate}"


def _ages(drafts: Drafts, period: float) -> str:
    """Say how much older than their steps the images are."""
    ages = np.concatenate([draft.ages for draft in drafts.episodes])
    median, most = 1000 * max(np.median(ages), 0), 1000 * max(ages.max(), 0)
    line = f"images are a median {median:.0f} ms older than their step, at most {most:.0f} ms"
    if np.median(ages) <= period / 2:
        return f"  {line}"
    return (
        f"  WARNING {line}: the model learns from images that lag behind the state. Record a "
        "camera that is faster than the control period, or raise --control-period"
    )


def _left_out(stream: Stream, topic: str, damaged: int) -> list[str]:
    lines = []
    if stream.refused:
        lines.append(f"  {stream.refused} messages of {topic}: {stream.reason}")
    if damaged:
        lines.append(f"  {damaged} messages of {topic}: they cannot be decoded")
    return lines


def _remarks(streams: Streams, drafts: Drafts, names: tuple[str, ...], repeated: int) -> list[str]:
    lines = []
    if repeated:
        lines.append(
            f"{repeated} steps show the image of the step before, because no newer one arrived"
        )
    for name, count in drafts.clipped.items():
        if count:
            lines.append(
                f"{count} of {drafts.steps} actions {name} were outside the limits and were clipped"
            )
    for role in ("image", "state", "action"):
        stream: Stream = getattr(streams, role)
        if stream.clock.zero:
            lines.append(
                f"{stream.clock.zero} header stamps of the {role} are 0; the time of arrival "
                "replaces them"
            )
    if streams.action.type == TRAJECTORY and other_clock(streams.action):
        lines.append(
            "the stamps of the plans come from another clock than the recorder's (simulated "
            "time?): their arrival times are not known, so they apply from their stamps on"
        )
    lines += _coarse_stamps(streams)
    for name, count in streams.state.unknown.items():
        lines.append(
            f"{count} messages of the state have no finite number for {name}; it is interpolated "
            "between its neighbours"
        )
    lines += _constant(streams, drafts, names)
    if len(drafts.episodes) < 2:
        lines.append(
            "train holds out whole episodes and needs at least two; import more, or lower "
            "--max-steps"
        )
    return lines


def _coarse_stamps(streams: Streams) -> list[str]:
    """Warnings about stamps or arrival times that do not distinguish messages."""
    lines = []
    for role in ("image", "state", "action"):
        stream: Stream = getattr(streams, role)
        if role == "state" and len(streams.state.publishers()) > 1:
            continue  # several publishers may use the same timer
        if stream.repeated > _REPEATED:
            lines.append(f"WARNING {repeated_stamps(role, stream)}")
    arrived = np.sort(streams.action.received)
    steps = np.minimum(np.diff(arrived), _PAUSE)
    bare = len(steps) > _LOOKS and not len(streams.action.stamped()[0])
    if bare and (steps < 0.1 * steps.mean()).mean() > _BURSTS:
        lines.append(
            "WARNING the commands have no stamps and arrive in bursts: the times at which they "
            "were sent are not known, and most steps have the wrong command"
        )
    return lines


def _constant(streams: Streams, drafts: Drafts, names: tuple[str, ...]) -> list[str]:
    """Warnings about values that never change; a model cannot learn from them."""
    lines = []
    actions = np.concatenate([draft.actions for draft in drafts.episodes])
    for name, column in zip(names, actions.T, strict=True):
        if np.ptp(column) == 0:
            lines.append(
                f"WARNING the action {name} is {column[0]:g} in every step: the model cannot learn "
                "its effect"
            )
    shown = np.unique(np.concatenate([draft.pictures for draft in drafts.episodes]))
    looks = shown[:: max(1, len(shown) // _LOOKS)]
    first = streams.image.pictures[looks[0]]
    if len(looks) > 1 and all((streams.image.pictures[k] == first).all() for k in looks[1:]):
        lines.append("WARNING all images are the same: is it the right camera, and uncovered?")
    return lines
