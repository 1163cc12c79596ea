"""Find the topic of each role: the stated one, or the only one that fits."""

from __future__ import annotations

from collections.abc import Sequence

from wm_mpc.data.bag import Bag, BagError, Topic
from wm_mpc.data.bag_config import BagConfig
from wm_mpc.data.bag_messages import ACCEPTED, ARRAY, JOINTS

# Types with a clear meaning come before types that could be anything.
_VAGUE = {"image": (), "action": (ARRAY, JOINTS), "state": (ARRAY,)}


def find_topics(bag: Bag, config: BagConfig, notes: list[str]) -> dict[str, Topic]:
    """Find the topics "image", "action" and, unless nothing is measured, "state".

    With several cameras, "image" is the first one; each other one has the role "image:" and its
    name.

    Args:
        bag: The recording.
        config: Settings of the import; stated topics win.
        notes: Receives a sentence for each topic that was inferred.

    Returns:
        Topics by role.

    Raises:
        BagError: No topic fits a role, or several do; the text lists the topics.
    """
    roles = [role for role in _VAGUE if role != "state" or not config.stateless]
    named = {role: getattr(config, role).topic for role in roles}
    topics = {role: named_topic(bag, name, role) for role, name in named.items() if name}
    topics |= _cameras(bag, config)
    splits = [named_topic(bag, name, None) for name in config.split_at]
    for role in roles:
        if role not in topics:
            topics[role] = _only_topic(bag, role, [*topics.values(), *splits])
            notes.append(f"{role} topic {topics[role].name}, the only one that fits")
    if "state" in topics and topics["state"].name == topics["action"].name:
        raise BagError(
            f"{topics['state'].name} is both the state and the action topic, but a command is not "
            "a measurement; choose another --state or --action"
        )
    return topics


def _cameras(bag: Bag, config: BagConfig) -> dict[str, Topic]:
    """The topics of several cameras by role; empty for one camera."""
    found: dict[str, Topic] = {}
    for camera in config.image.cameras:
        if camera.topic is None:
            raise BagError(f"camera {camera.name} has no topic; state it in image.cameras")
        topic = named_topic(bag, camera.topic, "image")
        if topic in found.values():
            raise BagError(f"{topic.name} is the topic of two cameras")
        found[f"image:{camera.name}" if found else "image"] = topic
    return found


def named_topic(bag: Bag, name: str, role: str | None) -> Topic:
    """Return a topic by its name.

    Args:
        bag: The recording.
        name: Name, with or without the leading slash.
        role: "image", "state" or "action"; None: any type fits.

    Raises:
        BagError: There is no such topic, its type does not fit the role, or it has no messages.
    """
    full = name if name.startswith("/") else f"/{name}"
    topic = bag.topics.get(full) or bag.topics.get(name)
    if topic is None:
        raise BagError(f"no topic {name} in {bag.path}; there are:\n{bag.table()}")
    if role is not None and topic.type not in ACCEPTED[role]:
        raise BagError(
            f"{topic.name} is of type {topic.type}; accepted as {role}: {', '.join(ACCEPTED[role])}"
        )
    if role is not None and not topic.count:
        raise BagError(f"{topic.name} has no messages in {bag.path}")
    return topic


def _only_topic(bag: Bag, role: str, taken: Sequence[Topic]) -> Topic:
    found = [
        topic
        for topic in bag.topics.values()
        if topic.type in ACCEPTED[role] and topic.count and topic not in taken
    ]
    types = [topic.type for topic in found]
    for vague in reversed(_VAGUE[role]):
        if any(name != vague for name in types):
            found = [topic for topic in found if topic.type != vague]
            types = [topic.type for topic in found]
    if not found:
        without = {
            "state": "; --no-state imports without one",
            "image": "; record again, with the topic of the camera",
        }.get(role, "")
        raise BagError(
            f"no {role} topic in {bag.path}; accepted types: {', '.join(ACCEPTED[role])}{without}; "
            f"there are:\n{bag.table()}"
        )
    if len(found) > 1:
        names = ", ".join(topic.name for topic in found)
        raise BagError(f"several topics fit the {role}: {names}; choose one with --{role}")
    return found[0]
