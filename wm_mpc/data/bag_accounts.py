"""Whether what a recording says it holds is what was read: per topic, told = used + dropped +
unreadable. Statistics, indexes and metadata.yaml are the ones that say it; the files are the truth.
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
    """The messages of one topic.

    Attributes:
        topic: Its name.
        found: Messages in the files, whole.
        unreadable: Messages that are known to be in the files, and cannot be read.
        missing: Messages that the recording claims, and that are nowhere.
        claims: What the recording claims, by source.
        dropped: Messages that were read and not used, by reason.
    """

    topic: str
    found: int
    unreadable: int
    missing: int
    claims: dict[str, int]
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)

    @property
    def used(self) -> int:
        """Messages that became a part of the streams."""
        return self.found - sum(self.dropped.values())

    @property
    def told(self) -> int:
        """Messages there are or should be."""
        return self.found + self.unreadable + self.missing

    def line(self) -> str:
        """For people."""
        parts = [f"{self.used} used"]
        parts += [f"{count} dropped ({why})" for why, count in self.dropped.items() if count]
        parts += [f"{self.unreadable} unreadable"] if self.unreadable else []
        parts += [f"{self.missing} missing"] if self.missing else []
        there = self.found + self.unreadable
        claims = "".join(f"; {s} counts {n}" for s, n in self.claims.items() if n != there)
        return f"{self.told} messages = {' + '.join(parts)}{claims}"


def accounts(bag: Bag) -> dict[str, Account]:
    """An account for each topic of a recording, before anything of it is used."""
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
    told = Counter() if bag.metadata is None else Counter(bag.metadata.counts)
    if bag.metadata is not None and bag.metadata.counts:
        claims["metadata.yaml"] = told
    # A part of a recording is not what metadata.yaml speaks of.
    missing = short | (told - found - bag.unreadable)
    unreadable = Counter(bag.unreadable)
    if any(file.is_damaged for file in bag.files):  # that is where they were
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
    """Why the messages of these topics do not add up; empty when they do."""
    found = accounts(bag)
    reasons = list(bag.unaccounted)
    for name in dict.fromkeys(topics):
        if missing := found[name].missing:
            held = found[name].found
            claims = [f"{s} counts {n}" for s, n in found[name].claims.items() if n > held]
            reasons.append(
                f"{missing} messages of {name} are nowhere: {', '.join(claims)}, the files hold "
                f"{held}"
            )
    unknown = [note for file in bag.files for note in file.unknown]
    explained = sum(account.unreadable for account in found.values()) - bag.unreadable.total()
    if unknown and explained <= 0:
        reasons += unknown
    return reasons


def check(bag: Bag, topics: Iterable[str], *, accept: bool) -> list[str]:
    """Refuse a recording of which an unknown number of messages is lost, unless that is accepted.

    Args:
        bag: The recording.
        topics: The topics that are used.
        accept: Whether such a recording is used as it is.

    Returns:
        What is accepted, for people.

    Raises:
        BagError: When the messages do not add up and `accept` is false.
    """
    reasons = unexplained(bag, topics)
    if reasons and not accept:
        raise BagError(
            f"{bag.path} is not whole: {'; '.join(reasons)}; --accept-damaged uses what is there"
        )
    return reasons


def settle(bag: Bag, streams: dict[str, Any]) -> dict[str, Account]:
    """The accounts of the topics that were used, after they were read.

    Args:
        bag: The recording, after the pass over its messages.
        streams: The stream of each topic, with `refused` and `reason`; None for a topic of which
            only the moments of arrival are used.
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


def entry(bag: Bag, found: dict[str, Account], command: str) -> dict[str, Any]:
    """For the dataset's book of imports."""
    return {
        "recording": bag.path.name, "command": command, "seconds": bag.seconds,
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
