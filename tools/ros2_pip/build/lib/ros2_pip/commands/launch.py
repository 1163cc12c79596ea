"""Run a launch file."""

from __future__ import annotations

import argparse
import os

from ament_index_python.packages import PackageNotFoundError

from ..ament import add_pip_prefix, package_prefix, package_share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n",
        "--noninteractive",
        action="store_true",
        help="Run the launch system non-interactively, with no terminal associated",
    )
    parser.add_argument(
        "-d",
        "--debug",
        action="store_true",
        help="Put the launch system in debug mode, provides more verbose output.",
    )
    parser.add_argument(
        "-s",
        "--show-args",
        "--show-arguments",
        action="store_true",
        help="Show arguments that may be given to the launch file.",
    )
    parser.add_argument(
        "-a",
        "--show-all-subprocesses-output",
        action="store_true",
        help="Show all launched subprocesses' output, whatever the launch file says.",
    )
    parser.add_argument("--launch-prefix", help="Prefix command for all executables.")
    parser.add_argument(
        "--launch-prefix-filter",
        help="Regular expression of the executables the --launch-prefix is applied to.",
    )
    parser.add_argument(
        "package_name", help="Name of the ROS package which contains the launch file"
    )
    parser.add_argument("launch_file_name", nargs="?", help="Name of the launch file")
    parser.add_argument(
        "launch_arguments",
        nargs="*",
        help="Arguments to the launch file; '<name>:=<value>' (for duplicates, last one wins)",
    )


def main(args: argparse.Namespace) -> int | str | None:
    add_pip_prefix()
    arguments = list(args.launch_arguments)
    if _is_single_file(args):
        if not os.path.exists(args.package_name):
            return "No launch file supplied"
        path = args.package_name
        if args.launch_file_name is not None:
            arguments.insert(0, args.launch_file_name)
    else:
        path = _find_launch_file(args.package_name, args.launch_file_name)
    if args.show_all_subprocesses_output:
        os.environ["OVERRIDE_LAUNCH_PROCESS_OUTPUT"] = "both"
    if args.show_args:
        return _show_arguments(path)
    pairs = parse_launch_arguments(arguments)
    for option in ("launch_prefix", "launch_prefix_filter"):
        if getattr(args, option) is not None:
            pairs[option.replace("_", "-")] = getattr(args, option)
    return _launch(path, pairs, arguments, args)


def _is_single_file(args: argparse.Namespace) -> bool:
    """Return whether the first argument is the path of a launch file, not a package."""
    if args.launch_file_name is None:
        return True
    try:
        package_prefix(args.package_name)
    except (PackageNotFoundError, ValueError, OSError):
        return os.path.exists(args.package_name)
    return False


def _find_launch_file(package: str, name: str) -> str:
    try:
        share = package_share(package)
    except PackageNotFoundError as error:
        raise RuntimeError(f"Package '{package}' not found: {error}") from error
    found = [
        os.path.join(directory, name) for directory, _, files in os.walk(share) if name in files
    ]
    if not found:
        raise RuntimeError(
            f"file '{name}' was not found in the share directory of package '{package}' "
            f"which is at '{share}'"
        )
    if len(found) > 1:
        raise RuntimeError(
            f"file '{name}' was found more than once in the share directory of package "
            f"'{package}': {found}"
        )
    return found[0]


def parse_launch_arguments(arguments: list[str]) -> dict[str, str]:
    """Turn ``name:=value`` texts into a dictionary; the last one of a name wins."""
    pairs = {}
    for argument in arguments:
        name, separator, value = argument.partition(":=")
        if not separator or not name or not value:
            raise RuntimeError(
                f"malformed launch argument '{argument}', expected format '<name>:=<value>'"
            )
        pairs[name] = value
    return pairs


def _show_arguments(path: str) -> None:
    from launch.launch_description_sources import get_launch_description_from_any_launch_file

    arguments = get_launch_description_from_any_launch_file(path).get_launch_arguments()
    print("Arguments (pass arguments as '<name>:=<value>'):")
    for argument in arguments:
        mark = "*" if argument._conditionally_included else ""
        print(f"\n    '{argument.name}':{mark}\n        {argument.description}")
        if argument.default_value is not None:
            default = " + ".join(part.describe() for part in argument.default_value)
            print(f"        (default: {default})")
    if not arguments:
        print("\n  No arguments.")
    elif any(argument._conditionally_included for argument in arguments):
        print("\n* argument(s) which are only used if specific conditions occur")


def _launch(path: str, pairs: dict[str, str], argv: list[str], args: argparse.Namespace) -> int:
    from launch import LaunchDescription, LaunchService
    from launch.actions import IncludeLaunchDescription
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    service = LaunchService(argv=argv, noninteractive=args.noninteractive, debug=args.debug)
    include = IncludeLaunchDescription(
        AnyLaunchDescriptionSource(path), launch_arguments=list(pairs.items())
    )
    service.include_launch_description(LaunchDescription([include]))
    return service.run()
