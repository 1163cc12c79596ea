"""Show information about ROS interfaces."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError
from ament_index_python.resources import get_resource, get_resources

from .. import ament

KINDS = {"msg": "Messages", "srv": "Services", "action": "Actions"}


def _interfaces() -> dict[str, list[str]]:
    """Return the names of all interfaces by kind, sorted."""
    ament.add_pip_prefix()
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for package in get_resources("rosidl_interfaces"):
        content, _ = get_resource("rosidl_interfaces", package)
        for line in content.splitlines():
            kind = line.partition("/")[0]
            name, extension = os.path.splitext(line)
            if kind in found and extension == ".idl":
                found[kind].append(f"{package}/{name}")
    return {kind: sorted(names) for kind, names in found.items()}


class ListVerb:
    """List all interface types available."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group()
        for option, kind in (("-m", "msg"), ("-s", "srv"), ("-a", "action")):
            group.add_argument(
                option,
                f"--only-{kind}s",
                dest="only",
                action="store_const",
                const=kind,
                help=f"Print out only the {KINDS[kind].lower()}",
            )

    @staticmethod
    def main(args: argparse.Namespace) -> None:
        for kind, names in _interfaces().items():
            if args.only in (None, kind):
                print(f"{KINDS[kind]}:")
                for name in names:
                    print(f"    {name}")


class ShowVerb:
    """Output the interface definition."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("type", help="Show an interface definition (e.g. std_msgs/msg/String)")
        parser.add_argument(
            "--no-comments", action="store_true", help="Show no comments, only the fields"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        parts = args.type.split("/")
        if len(parts) == 2:
            parts.insert(1, "msg")
        if len(parts) != 3 or parts[1] not in KINDS:
            return f"Invalid name '{args.type}'. Expected package/(msg|srv|action)/Name"
        package, kind, name = parts
        try:
            path = Path(ament.package_share(package)) / kind / f"{name}.{kind}"
        except PackageNotFoundError:
            return f"Unknown package '{package}'"
        if not path.is_file():
            return f"Could not find the interface '{path}'"
        for line in path.read_text().splitlines():
            if args.no_comments:
                line = line.partition("#")[0].rstrip()
                if not line:
                    continue
            print(line)
        return None


VERBS = {"list": ListVerb, "show": ShowVerb}
