"""Another world model for the node `mpc` while it plans: asked for by `~/reload`, or announced.

Loading, checking and trying out happen in a thread of their own. Neither the planning thread nor
the callbacks wait for it: observations keep arriving, plans keep leaving, and the session takes the
new model up between two of them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from rclpy.task import Future
from std_msgs.msg import String

from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros import qos
from wm_mpc.ros.parameters import Parameters

SUFFIX = ".safetensors"

Load = Callable[[Path, MpcSettings], WorldModel]


class Reloader:
    """Listens to `learner/checkpoint` and loads; one checkpoint at a time.

    load: makes a world model ready for use. exchange: puts it in the place of the old one. Both
    are called in the thread of the reloader and raise CheckpointError to keep the old model.

    configuration: counts how often the node was configured. `exchange` gets the number of the time
    when the request came.
    """

    def __init__(
        self,
        node: Any,
        settings: Parameters[MpcSettings],
        load: Load,
        exchange: Callable[[Path, WorldModel, int], None],
    ) -> None:
        self._node, self._settings = node, settings
        self._load, self._exchange = load, exchange
        self._thread = ThreadPoolExecutor(1, "reload", _use_one_core)
        self._announced: str | None = None
        self._tried: tuple[object, ...] | None = None  # the announced file, whatever came of it
        self.configuration = 0
        self.outcome = "none"  # of the last attempt, for people
        node.create_subscription(String, "learner/checkpoint", self._on_announced, qos.LATCHED)
        settings.on_change(lambda _: self.follow())

    def close(self) -> None:
        """Begin no more; one under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[], Any]) -> None:
        with contextlib.suppress(RuntimeError):  # closed: the node is ending
            self._thread.submit(work)

    def reload(self) -> Future:
        """Load the newest announced checkpoint or, when there is none, the parameter's. The result
        is (success, message)."""
        future = Future(executor=self._node.executor)
        # Without a callback of its own, a future that is done does not wake the executor.
        future.add_done_callback(lambda _: None)
        number = self.configuration
        self._submit(lambda: future.set_result(self._attempt(self._wanted, number)))
        return future

    def follow(self, *, again: bool = False) -> None:
        """With `auto_reload`, load the announced checkpoint unless it was tried before.

        again: forget what was tried, because another model has been configured since.
        """
        if again:
            self._tried = None
            self.configuration += 1
        if self._settings.values().auto_reload and self._announced is not None:
            number = self.configuration
            self._submit(lambda: self._follow(number))

    def _on_announced(self, message: String) -> None:
        self._announced = message.data
        self.follow()

    def _follow(self, number: int) -> None:
        announced = self._announced
        if announced is not None and self._tried != _identity(announced):
            self._attempt(lambda: announced_checkpoint(announced), number)

    def _wanted(self) -> Path:
        if self._announced is not None:
            return announced_checkpoint(self._announced)
        return resolve_checkpoint(self._settings.values().checkpoint)

    def _attempt(self, locate: Callable[[], Path], number: int) -> tuple[bool, str]:
        if self._announced is not None and number == self.configuration:
            self._tried = _identity(self._announced)
        logger = self._node.get_logger()
        try:
            path = locate()
            self._exchange(path, self._load(path, self._settings.values()), number)
        except Exception as error:  # a fault of ours, too, must leave the old model in place
            reason = str(error) if isinstance(error, CheckpointError) else repr(error)
            self.outcome = f"kept the old world model: {reason}"
            logger.warning(self.outcome)
            return False, self.outcome
        self.outcome = f"loaded {path}"
        logger.info(self.outcome)
        return True, self.outcome


def _use_one_core() -> None:
    """The planner's threads shall keep theirs. Torch holds the number per thread; reading it makes
    this thread's final."""
    torch.set_num_threads(1)
    torch.get_num_threads()


def announced_checkpoint(text: str) -> Path:
    """The path in an announcement, which may come from anyone on the network: an absolute one of
    an existing .safetensors file. Raises CheckpointError for anything else."""
    path = Path(text)
    try:
        usable = path.is_absolute() and path.suffix == SUFFIX and path.is_file()
    except OSError:  # e.g. the name is too long
        usable = False
    if not usable:
        raise CheckpointError(
            f"learner/checkpoint announced {text[:200]!r}; accepted: the absolute path of an "
            f"existing {SUFFIX} file"
        )
    return path


def _identity(text: str) -> tuple[object, ...]:
    """Changes when the file of that name is replaced."""
    try:
        status = os.stat(text)
    except (OSError, ValueError):
        return (text,)
    return text, status.st_ino, status.st_mtime_ns, status.st_size
