"""Compare the messages that a recording claims with those that were read, for each topic.

Statistics, indexes and metadata.yaml make claims; the files are the truth. For each topic,
expected = used + dropped + unreadable + missing.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Any

from wm_mpc.data.bag import Bag, BagError
from wm_mpc.data.storage.files import counts_by_topic


@dataclasses.dataclass
class Account:
    """Message counts of one topic.

    Attributes:
        topic: Name of the topic.
        found: Complete messages in the files.
        unreadable: Messages that are in the files but cannot be read.
        missing: Messages that the recording claims but that are in no file.
        claims: Number of messages that each source claims.
        dropped: Messages that were read but not used, by reason.
    """

    topic: str
    found: int
    unreadable: int
    missing: int
    claims: dict[str, int]
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def used(self) -> int:
        """Messages that became part of the streams."""
        return self.found - sum(self.dropped.values())

    @property
    def told(self) -> int:
        """Messages that exist or should exist."""
        return self.found + self.unreadable + self.missing

    def line(self) -> str:
        """Return the counts as one line of text."""
        parts = [f"{self.used} used"]
        parts += [f"{count} dropped ({why})" for why, count in self.dropped.items() if count]
        parts += [f"{self.unreadable} unreadable"] if self.unreadable else []
        parts += [f"{self.missing} missing"] if self.missing else []
        there = self.found + self.unreadable
        claims = "".join(f"; {s} counts {n}" for s, n in self.claims.items() if n != there)
        return f"{self.told} messages = {' + '.join(parts)}{claims}"


def accounts(bag: Bag) -> dict[str, Account]:
    """Count the messages of each topic before any of them is used.

    Args:
        bag: The recording.

    Returns:
        An account for each topic that is in the recording or that it claims.
    """
    found = Counter[str]()
    short = Counter[str]()  # what single files claim and do not have
    claims: dict[str, Counter[str]] = {}
    for file in bag.files:
        there = counts_by_topic(file, Counter({n: len(t) for n, t in file.times.items()}))
        found.update(there)
        there = there + counts_by_topic(file, file.unreadable)
        most = Counter[str]()
        for source, counts in file.claims.items():
            of_topic = counts_by_topic(file, counts)
            claims.setdefault(source, Counter()).update(of_topic)
            most |= of_topic
        short.update(most - there)
    claimed = Counter() if bag.metadata is None else Counter(bag.metadata.counts)
    if bag.metadata is not None and bag.metadata.counts:
        claims["metadata.yaml"] = claimed
    # metadata.yaml describes whole recordings, so a part of one is short of its counts.
    missing = short | (claimed - found - bag.unreadable)
    unreadable = Counter(bag.unreadable)
    if any(file.is_damaged for file in bag.files):  # the damaged parts held them
        unreadable.update(missing)
        missing = Counter()
    names = set(bag.topics) | set(missing)
    return {
        name: Account(
            name, found[name], unreadable[name], missing[name],
            {source: counts[name] for source, counts in claims.items()},
        )
        for name in sorted(names)
    }  # fmt: skip


def unexplained(bag: Bag, topics: Iterable[str]) -> list[str]:
    """List the reasons why the messages of some topics do not add up.

    Args:
        bag: The recording.
        topics: Names of topics.

    Returns:
        Reasons; empty if all messages are accounted for.
    """
    found = accounts(bag)
    reasons = list(bag.unaccounted)
    for name in dict.fromkeys(topics):
        if missing := found[name].missing:
            held = found[name].found
            claims = [f"{s} counts {n}" for s, n in found[name].claims.items() if n > held]
            reasons.append(
                f"{missing} messages of {name} are missing: {', '.join(claims)}, but the files "
                f"hold {held}"
            )
    unknown = [note for file in bag.files for note in file.unknown]
    explained = sum(account.unreadable for account in found.values()) - bag.unreadable.total()
    if unknown and explained <= 0:
        reasons += unknown
    return reasons


def check(bag: Bag, topics: Iterable[str], *, accept: bool) -> list[str]:
    """Refuse a recording that lost an unknown number of messages, unless the user accepts it.

    Args:
        bag: The recording.
        topics: The topics that are used.
        accept: Whether to use such a recording as it is.

    Returns:
        The accepted damage, as text.

    Raises:
        BagError: The messages do not add up and `accept` is false.
    """
    reasons = unexplained(bag, topics)
    if reasons and not accept:
        raise BagError(
            f"{bag.path} is incomplete: {'; '.join(reasons)}; use --accept-damaged to import the "
            "rest"
        )
    return reasons


def settle(bag: Bag, streams: dict[str, Any]) -> dict[str, Account]:
    """Complete the accounts of the used topics after a pass over their messages.

    Args:
        bag: The recording, after the pass.
        streams: The stream of each topic, with `refused` and `reason`; None for a topic of which
            only the arrival times are used.

    Returns:
        The account of each topic in `streams`.
    """
    found = accounts(bag)
    for name, stream in streams.items():
        account = found[name]
        if left_out := bag.topics[name].left_out:
            usable = bag.topics[name].count
            account.dropped[left_out.partition(": ")[2] or left_out] += account.found - usable
        account.dropped["twice in its files"] += bag.repeated.get(name, 0)
        lost = bag.damaged.get(name, 0)
        account.found -= lost
        account.unreadable += lost
        if stream is not None and stream.refused:
            account.dropped[stream.reason] += stream.refused
    return {name: found[name] for name in streams}


def identity(bag: Bag) -> dict[str, Any]:
    """Return the values by which a recording is known again, also under another name.

    Args:
        bag: The recording.
    """
    return {"begin": bag.begin, "seconds": bag.seconds}


def entry(bag: Bag, found: dict[str, Account], command: str) -> dict[str, Any]:
    """Return the entry of a recording in the dataset's list of imports.

    Args:
        bag: The recording.
        found: Accounts of its topics.
        command: The command line of the import.
    """
    return {
        "recording": bag.path.name, "command": command, **identity(bag),
        "remarks": bag.remarks, "damage": bag.unaccounted,
        "messages": {name: _numbers(account) for name, account in found.items()},
        "left_out": {t.name: t.left_out for t in bag.topics.values() if t.left_out},
    }  # fmt: skip


def _numbers(account: Account) -> dict[str, Any]:
    return {
        "told": account.told, "used": account.used,
        "dropped": {why: count for why, count in account.dropped.items() if count},
        "unreadable": account.unreadable, "missing": account.missing, "claims": account.claims,
    }  # fmt: skip
