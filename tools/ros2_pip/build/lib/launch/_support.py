"""Clear refusals: what this stand-in for the ROS 2 ``launch`` package does not provide.

A launch file that asks for something unknown must stop with a message, never run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def refuse_unknown_names(module: str, supported: Iterable[str]) -> Callable[[str], Any]:
    """Return a module ``__getattr__`` that names what ``module`` does provide."""
    names = ", ".join(sorted(supported))

    def refuse(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        raise ImportError(
            f"'{name}' is not provided by ros2_pip's '{module}'; it provides: {names}. "
            "Install the complete ROS 2 for anything else."
        )

    return refuse


def refuse_unknown_arguments(
    owner: str, unknown: Mapping[str, Any], accepted: Iterable[str]
) -> None:
    """Raise TypeError if ``unknown`` holds any keyword argument."""
    if unknown:
        raise TypeError(
            f"{owner} got unsupported argument(s) {', '.join(sorted(unknown))}; "
            f"ros2_pip accepts: {', '.join(accepted)}"
        )
