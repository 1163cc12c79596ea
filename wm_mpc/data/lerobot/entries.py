"""The names of the numbers in a LeRobot feature, and which of them are used."""

from __future__ import annotations

from collections.abc import Sequence

from wm_mpc.data.lerobot.info import Feature, LeRobotError
from wm_mpc.messages.reading import split_joint

_SUFFIXES = {".pos": "", ".vel": "/velocity", ".torque": "/effort", ".effort": "/effort"}


def entries(feature: Feature, role: str, notes: list[str]) -> list[str]:
    """Return a name for each number, as a JointState or an Odometry has it.

    Args:
        feature: The feature.
        role: "action" or "state"; begins the names of numbers that have none.
        notes: Receives a sentence if the dataset's names cannot be used.
    """
    names, size = list(feature.names), feature.shape[0]
    if len(names) == size:
        return [_plain(name) for name in names]
    made = [f"{role}_{i}" for i in range(size)]
    if names:
        notes.append(
            f"WARNING {feature.key} has {size} numbers, but {len(names)} names "
            f"({', '.join(names)}): they are called {', '.join(made)}; --{role}-names names them"
        )
    return made


def _plain(name: str) -> str:
    for suffix, ours in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + ours
    return name


def kind_in_names(names: Sequence[str]) -> str | None:
    """Return the kind that all names of actions end with, such as "effort"; None without one.

    Args:
        names: Names of actions, as `entries` returns them.
    """
    fields = {split_joint(name)[1] if split_joint(name)[0] != name else "" for name in names}
    return fields.pop() or None if len(fields) == 1 else None


def joints_of(names: Sequence[str]) -> list[str]:
    """Return names of actions as joint_names have them; the kind is stated apart.

    Args:
        names: Such as "left/elbow/velocity".
    """
    return [split_joint(name)[0] for name in names]


def columns(
    names: Sequence[str],
    found: Sequence[str],
    feature: Feature | None,
    what: str,
    *,
    may_rename: bool = True,
) -> tuple[int, ...]:
    """Return the column of each name.

    Args:
        names: The names that are wanted.
        found: The names that the dataset has, one for each column.
        feature: The feature; None: no columns.
        what: "action.names" or "state.names", for errors.
        may_rename: Whether names that the dataset does not have may stand for its columns, in
            order, if there are as many and none is known.

    Raises:
        LeRobotError: A name is unknown.
    """
    if not names:
        return ()
    if feature is None:
        raise LeRobotError(f"{what} is {', '.join(names)}, but no state is read (--no-state)")
    bare = joints_of(found) if what == "action.names" else list(found)
    unknown = [name for name in names if name not in bare]
    if not unknown:
        return tuple(bare.index(name) for name in names)
    is_nameless = len(feature.names) != len(found)
    if len(unknown) == len(names) == len(bare) and (may_rename or is_nameless):
        return tuple(range(len(bare)))
    raise LeRobotError(
        f"{what} is {', '.join(names)}; {feature.key} has {', '.join(bare)}, and no "
        f"{', '.join(unknown)}: name some of these, or give all {len(bare)} of them new names"
    )
