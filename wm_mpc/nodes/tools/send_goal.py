"""The node `send_goal`: pictures from files as goals of a running `mpc`, one after another."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.node import Node

from wm_mpc.arguments import Parser
from wm_mpc.codes import GoalCode
from wm_mpc.ros.client import Client
from wm_mpc.ros.client_errors import ClientError
from wm_mpc.ros.client_goals import read_picture
from wm_mpc.ros.running import Stopped, own_arguments, run

_NAP = 0.02  # s


class SendGoal(Node):
    """A node with a client of the controller.

    Args:
        mpc: Name of the controller's node.
        wait: How long (s) it is waited for.
        options: Go to `rclpy.node.Node`.
    """

    def __init__(self, mpc: str = "mpc", wait: float = 10.0, **options: Any) -> None:
        super().__init__("send_goal", **options)
        self.is_stopped: Stopped = lambda: False
        self.client = Client(
            mpc=mpc, timeout=wait, node=self, stopped=lambda: self.is_stopped()
        )  # fmt: skip


def parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="send_goal",
        description="Give a running mpc pictures to reach, one after another. Pictures are as its "
        "camera takes them; larger ones are scaled down.",
        epilog="exit code: 0 when all were sent (with --wait: reached), else 1. "
        "example: send_goal shelf.png door.png --wait",
    )
    parser.add_argument(
        "pictures", nargs="+", type=Path, metavar="PICTURE", help="PNG, JPEG and others"
    )
    parser.add_argument(
        "--append",
        action="store_true",
        help="add the goals after those that wait, instead of replacing them",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until all goals have ended, and print what became of them",
    )
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S",
        help="how long to wait for mpc to take the goals; default: 10",
    )  # fmt: skip
    parser.add_argument(
        "--mpc", default="mpc", metavar="NAME", help="name of the node; default: mpc"
    )
    return parser


def _work(
    options: argparse.Namespace,
    pictures: Sequence[np.ndarray],
    results: list[bool],
    node: SendGoal,
    stopped: Stopped,
) -> None:
    node.is_stopped = stopped
    stamps = [goal.stamp for goal in node.client.send(pictures, append=options.append)]
    print(f"{len(stamps)} goal{'s' * (len(stamps) > 1)} sent", flush=True)
    if not options.wait:
        results.extend(True for _ in stamps)
        return
    told: dict[int, GoalCode] = {}
    while len(results) < len(stamps) and not stopped():
        for path, stamp in zip(options.pictures, stamps, strict=True):
            goal = node.client.report(stamp)
            if told.get(stamp) is goal.code:
                continue
            told[stamp] = goal.code
            took = f" after {goal.seconds:.1f} s" if goal.is_final else ""
            print(f"{path.name}: {goal.sentence}{took}", flush=True)
            if goal.is_final:
                results.append(goal.is_reached)
        time.sleep(_NAP)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc send_goal`; the exit code."""
    arguments = list(sys.argv if args is None else ["send_goal", *args])
    options = parser().parse_args(own_arguments(arguments))
    results: list[bool] = []
    try:
        pictures = [read_picture(path) for path in options.pictures]
        code = run(
            lambda: SendGoal(options.mpc, options.timeout),
            functools.partial(_work, options, pictures, results),
            arguments,
        )
    except ClientError as error:
        print(f"send_goal: {error}", file=sys.stderr)
        return 1
    return code if len(results) == len(options.pictures) and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
