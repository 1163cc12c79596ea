"""The node `send_goal`: pictures from files as goals of a running `mpc`, one after another."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger

from wm_mpc.control.goals import GoalStatus
from wm_mpc.messages.reading import decoded
from wm_mpc.ros import qos
from wm_mpc.ros.messages import rgb_to_image
from wm_mpc.ros.running import Stopped, own_arguments, run, wait_until
from wm_mpc.ros.timing import stamp_text, to_stamp

_NAP = 0.02  # s


class GoalError(RuntimeError):
    """Goals that cannot be sent; the text says why."""


class SendGoal(Node):
    """Sends pictures, uint8 (height, width, 3) rgb each, and listens to what becomes of them.

    wait: s to wait for the node `mpc` to be there.
    """

    def __init__(self, mpc: str = "mpc", wait: float = 10.0, **options: Any) -> None:
        super().__init__("send_goal", **options)
        self._wait = wait
        self._told: dict[str, tuple[str, float]] = {}  # by stamp: status and reason, seconds
        self._goals = self.create_publisher(Image, "goal/append/image", qos.APPENDED)
        self._clear = self.create_client(Trigger, f"{mpc}/clear_goals")
        self.create_subscription(DiagnosticArray, "mpc/goals", self._hear, qos.LATCHED)

    def _hear(self, message: Any) -> None:
        for status in message.status:
            values = {entry.key: entry.value for entry in status.values}
            self._told[values["stamp"]] = status.message, float(values["seconds"])

    def send(self, pictures: Sequence[np.ndarray], *, append: bool, stopped: Stopped) -> list[str]:
        """Stamps of the goals, by which `status` knows them. append: behind those that wait,
        instead of in their place. Raises GoalError when nobody takes them."""
        self._until(lambda: self._goals.get_subscription_count() > 0, "no node mpc takes goals",
                    stopped)  # fmt: skip
        if not append:
            name = self._clear.srv_name
            self._until(self._clear.service_is_ready, f"there is no service {name}", stopped)
            cleared = self._clear.call_async(Trigger.Request())
            self._until(cleared.done, f"the service {name} does not answer", stopped)
        now, stamps = self.get_clock().now().nanoseconds, []
        for number, picture in enumerate(pictures):
            stamp = to_stamp(now + number)  # they must differ
            self._goals.publish(rgb_to_image(picture, stamp))
            stamps.append(stamp_text(stamp))
        self._until(lambda: all(stamp in self._told for stamp in stamps),
                    "not all goals were taken (the log of mpc says why)", stopped)  # fmt: skip
        return stamps

    def status(self, stamp: str) -> tuple[str, float]:
        """What became of a goal, for a person, and the seconds it took so far."""
        return self._told[stamp]

    def _until(self, condition: Callable[[], Any], otherwise: str, stopped: Stopped) -> None:
        if not wait_until(condition, self._wait, stopped):
            raise GoalError(otherwise)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
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


def read_picture(path: Path) -> np.ndarray:
    """uint8 (height, width, 3) rgb. Raises GoalError."""
    try:
        found = decoded(path.read_bytes())
    except OSError as error:
        raise GoalError(f"{path} cannot be read: {error.strerror}") from None
    if found is None:
        raise GoalError(
            f"{path} is not a picture; accepted: PNG, JPEG and others that OpenCV reads"
        )
    return np.ascontiguousarray(found[..., ::-1])


def _work(
    options: argparse.Namespace,
    pictures: Sequence[np.ndarray],
    results: list[bool],
    node: SendGoal,
    stopped: Stopped,
) -> None:
    stamps = node.send(pictures, append=options.append, stopped=stopped)
    print(f"{len(stamps)} goals sent", flush=True)
    if not options.wait:
        results.extend(True for _ in stamps)
        return
    told: dict[str, str] = {}
    while len(results) < len(stamps) and not stopped():
        for path, stamp in zip(options.pictures, stamps, strict=True):
            status, seconds = node.status(stamp)
            if told.get(stamp) == status:
                continue
            told[stamp] = status
            kind = GoalStatus(status.split(":")[0])
            took = f" after {seconds:.1f} s" if kind.is_final else ""
            print(f"{path.name}: {status}{took}", flush=True)
            if kind.is_final:
                results.append(kind is GoalStatus.REACHED)
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
    except GoalError as error:
        print(f"send_goal: {error}", file=sys.stderr)
        return 1
    return code if len(results) == len(options.pictures) and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
