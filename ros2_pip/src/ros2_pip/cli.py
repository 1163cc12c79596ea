"""The ``ros2`` command: finds the command asked for, and turns its result into an exit code.

A command is a module in ``ros2_pip.commands`` with a one-line docstring and either
``add_arguments(parser)`` and ``main(args)``, or ``VERBS``: modules or classes of that form by
name. ``main`` returns an exit code (None: 0) or an error message (exit code 1).
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = {
    "interface": "Show information about ROS interfaces",
    "launch": "Run a launch file",
    "lifecycle": "Various lifecycle related sub-commands",
    "node": "Various node related sub-commands",
    "param": "Various param related sub-commands",
    "pkg": "Various package related sub-commands",
    "run": "Run a package specific executable",
    "service": "Various service related sub-commands",
    "topic": "Various topic related sub-commands",
}
NOTE = (
    "This is ros2_pip, a small stand-in for machines whose ROS 2 was installed with pip. "
    "Commands and options not listed are not supported."
)


def _listing(descriptions: dict[str, str]) -> str:
    width = max(len(name) for name in descriptions)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in descriptions.items())


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0].rstrip(".")


def _add_choices(parser: argparse.ArgumentParser, title: str, names: dict[str, str]) -> Any:
    return parser.add_subparsers(
        title=title,
        description=_listing(names),
        metavar=f"Call `{parser.prog} <{title.lower()[:-1]}> -h` for more detailed usage.",
    )


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of just the command that ``argv`` begins with."""
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="ros2",
        formatter_class=style,
        description="ros2 is an extensible command-line tool for ROS 2.",
        epilog=NOTE,
    )
    parser.add_argument(
        "--use-python-default-buffering",
        action="store_true",
        help="Do not force line buffering in stdout and instead use the python default buffering",
    )
    choices = _add_choices(parser, "Commands", COMMANDS)
    wanted = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, description in COMMANDS.items():
        command = choices.add_parser(name, description=description, formatter_class=style)
        if name != wanted:
            continue
        module = importlib.import_module(f"ros2_pip.commands.{name}")
        if not hasattr(module, "VERBS"):
            module.add_arguments(command)
            command.set_defaults(main=module.main)
            continue
        command.set_defaults(parser=command)
        verbs = {verb: _first_line(handler) for verb, handler in module.VERBS.items()}
        verb_choices = _add_choices(command, "Verbs", verbs)
        for verb, handler in module.VERBS.items():
            verb_parser = verb_choices.add_parser(
                verb, description=verbs[verb], formatter_class=style
            )
            handler.add_arguments(verb_parser)
            verb_parser.set_defaults(main=handler.main)
    return parser


def main(argv: Sequence[str] | None = None) -> int | str:
    """Run one command; return what ``sys.exit`` wants."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--use-python-default-buffering" not in argv:
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = build_parser(argv)
    args = parser.parse_args(argv)
    if not hasattr(args, "main"):
        getattr(args, "parser", parser).print_help()
        return 0
    # rclpy ends its context on Ctrl-C, and a loop that sees it may come to its end as if nothing
    # had happened, before Python gets to raise KeyboardInterrupt.
    interrupts: list[int] = []

    def note(number: int, frame: Any) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, note)
    try:
        return args.main(args) or (int(signal.SIGINT) if interrupts else 0)
    except KeyboardInterrupt:
        return int(signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone: head, a closed pager
        sys.stdout = None
        return int(signal.SIGPIPE)
    except (RuntimeError, ValueError) as error:
        return str(error)
    except Exception as error:
        if type(error).__name__ == "ExternalShutdownException":
            return int(signal.SIGINT)
        raise


def run() -> None:
    """Entry point of the ``ros2`` script; hands over to the genuine ros2cli if there is one."""
    from .available import genuine_location

    if genuine_location("ros2cli") is not None:
        from ros2cli.cli import main as genuine_main

        sys.exit(genuine_main())
    sys.exit(main())
