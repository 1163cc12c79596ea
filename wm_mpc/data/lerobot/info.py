"""What `meta/info.json` of a LeRobot dataset says of its frames: how many a second, and of what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_BOOKS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
_FASTEST = 10000  # frames per second


class LeRobotError(RuntimeError):
    """A LeRobot dataset that cannot be used; the text says why, and what is accepted."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """A column of the dataset.

    Attributes:
        key: Name, such as "observation.state" or "observation.images.front".
        type: "image", "video", or the type of its numbers, such as "float32".
        shape: Shape of one row.
        names: One name for each number; empty if the dataset does not name them.
    """

    key: str
    type: str
    shape: tuple[int, ...]
    names: tuple[str, ...]


def fps_of(info: Mapping[str, Any], file: Path) -> float:
    """Return the frames per second.

    Args:
        info: Contents of the file.
        file: Named in errors.

    Raises:
        LeRobotError: It is missing, or no number that is accepted.
    """
    wanted = f"accepted: a number above 0 and below {_FASTEST}"
    if "fps" not in info:
        raise LeRobotError(f"{file} has no fps; {wanted}")
    fps = info["fps"]
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < _FASTEST:
        raise LeRobotError(f"{file} has fps {fps!r}; {wanted}")
    return float(fps)


def features_of(info: Mapping[str, Any], file: Path) -> dict[str, Feature]:
    """Return the features by key, without the columns that only number rows.

    Args:
        info: Contents of the file.
        file: Named in errors.

    Raises:
        LeRobotError: An entry is missing or not accepted.
    """
    features = info.get("features")
    if not isinstance(features, dict):
        raise LeRobotError(f"{file} has {_what(info, 'features')}; accepted: a table by key")
    return {key: _feature(key, entry, file) for key, entry in features.items() if key not in _BOOKS}


def _feature(key: str, entry: Any, file: Path) -> Feature:
    if not isinstance(entry, dict):
        raise LeRobotError(
            f"feature {key} in {file} is {entry!r}; accepted: a table with dtype and shape"
        )
    if not isinstance(entry.get("dtype"), str):
        raise LeRobotError(
            f"feature {key} in {file} has {_what(entry, 'dtype')}; accepted: image, video, or a "
            "type of numbers, such as float32"
        )
    shape = entry.get("shape")
    is_shape = isinstance(shape, list) and all(type(n) is int and n > 0 for n in shape)
    if not is_shape:
        raise LeRobotError(
            f"feature {key} in {file} has {_what(entry, 'shape')}; accepted: a list of whole "
            "numbers above 0"
        )
    return Feature(key, entry["dtype"], tuple(shape or ()), _listed(entry.get("names")))


def _what(entry: Mapping[str, Any], name: str) -> str:
    return f"{name} {entry[name]!r}" if name in entry else f"no {name}"


def _listed(names: Any) -> tuple[str, ...]:
    """The names in an entry of info.json: a list; a table of lists, one for each group of motors
    (in older datasets); or a table of places."""
    if isinstance(names, dict):
        places = list(names.values())
        if places and all(type(place) is int for place in places):
            in_order = sorted(places) == list(range(len(places)))
            return tuple(sorted(map(str, names), key=names.__getitem__)) if in_order else ()
        return tuple(name for group in places for name in _listed(group))
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()
