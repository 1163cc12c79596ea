"""Tell whether the genuine launch, launch_ros or ros2cli can be imported from elsewhere.

``python -m ros2_pip.available`` exits with 0 if all of them can (ros2_pip is then not needed, and
not to be installed), with 1 if at least one is missing; it prints what it found.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

GENUINE = ("launch", "launch_ros", "ros2cli")


def genuine_location(package: str) -> str | None:
    """Return the directory of the genuine ``package``, None if there is none on sys.path."""
    for entry in sys.path:
        spec = PathFinder.find_spec(package, [entry or "."])
        if spec is None or spec.origin is None:  # absent, or a folder of that name
            continue
        directory = Path(spec.origin).resolve().parent
        if not (directory.parent / "ros2_pip").is_dir():  # else a copy of ours
            return str(directory)
    return None


def main() -> int:
    """Print the findings; return the exit code."""
    locations = {package: genuine_location(package) for package in GENUINE}
    for package, location in locations.items():
        print(f"{package}: {location or 'not installed (other than by ros2_pip)'}")
    return 0 if all(locations.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
