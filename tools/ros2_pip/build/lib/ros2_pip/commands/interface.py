"""Show information about ROS interfaces."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
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
        comments = parser.add_mutually_exclusive_group()
        comments.add_argument(
            "--all-comments",
            action="store_true",
            help="Show all comments, including for nested interface definitions",
        )
        comments.add_argument(
            "--no-comments", action="store_true", help="Show no comments or whitespace"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        try:
            for line in definition(args.type, not args.no_comments, args.all_comments):
                print(line)
        except LookupError as error:
            return str(error.args[0])
        return None


def definition(
    interface: str, comments: bool, nested_comments: bool, depth: int = 0
) -> Iterator[str]:
    """Yield the lines of an interface's definition, each followed by that of the type it names.

    Raises LookupError for an interface that is not there.
    """
    parts = interface.split("/")
    if len(parts) == 2:
        parts.insert(1, "msg")
    if len(parts) != 3 or parts[1] not in KINDS:
        raise LookupError(f"Invalid name '{interface}'. Expected package/(msg|srv|action)/Name")
    package, kind, name = parts
    try:
        path = Path(ament.package_share(package)) / kind / f"{name}.{kind}"
    except PackageNotFoundError:
        raise LookupError(f"Unknown package '{package}'") from None
    if not path.is_file():
        raise LookupError(f"Could not find the interface '{path}'")
    for line in path.read_text().splitlines():
        text = line.rstrip() if comments else line.partition("#")[0].strip()
        if text or comments:
            yield "\t" * depth + text if text else ""
        nested = _nested_type(line, package)
        if nested:
            yield from definition(nested, nested_comments, nested_comments, depth + 1)


def _nested_type(line: str, package: str) -> str | None:
    """Return the message type of a field, None for anything else."""
    found = re.match(r"((?:\w+/)?[A-Z]\w*)(?:\[[^\]]*\])?\s+\w+\s*(?:#.*)?$", line)
    if not found:
        return None
    name = found.group(1)
    if "/" in name:
        return name.replace("/", "/msg/")
    return f"{'std_msgs' if name == 'Header' else package}/msg/{name}"


VERBS = {"list": ListVerb, "show": ShowVerb}
