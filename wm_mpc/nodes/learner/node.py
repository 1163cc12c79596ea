"""The node `learner`: trains a world model and announces every checkpoint as it becomes ready.

It starts, stops and watches a training process (`learner_process.py`): what `ros2 run wm_mpc train`
runs, on the episodes recorded in a dataset; or, in mode live, rounds of learning from what the
running robot does (`live_learning.py`, `live_training.py`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from wm_mpc.codes import LearnerCode
from wm_mpc.data.episodes import DatasetError
from wm_mpc.nodes.learner.parameters import LearnerSettings, train_arguments
from wm_mpc.nodes.learner.process import FINAL_EVENTS, Event, TrainingProcess
from wm_mpc.nodes.learner.progress import Progress
from wm_mpc.ros import qos
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.status import to_diagnostics
from wm_mpc.settings.fields import SettingError
from wm_mpc.spec import SpecError

if TYPE_CHECKING:
    from wm_mpc.nodes.learner.live_learning import LiveLearning

TRAINING, LIVE_TRAINING = "wm_mpc.nodes.learner.training", "wm_mpc.nodes.learner.live_training"
STOP_SECONDS = 10.0  # for saving the state when asked to stop
END_SECONDS = 1.5  # the same when the node ends, which must be quick


class Learner(Node):
    """See the module; `options` go to rclpy's node (context, parameter_overrides, ...)."""

    def __init__(self, **options: Any) -> None:
        super().__init__("learner", **options)
        self._settings = declare(self, LearnerSettings)
        self._progress = Progress()
        self._process: TrainingProcess | None = None
        self._live: LiveLearning | None = None
        self._kill_at = 0.0  # monotonic s, while stopping
        self._begun: Future | None = None  # result: why training did not begin; empty if it did
        # Callbacks, the loop and the process's events each come in a thread of their own.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._status = self.create_publisher(DiagnosticArray, "learner/progress", qos.STATUS)
        self._checkpoint = self.create_publisher(String, "learner/checkpoint", qos.LATCHED)
        self.create_timer(1.0, self._publish, clock=Clock(clock_type=ClockType.STEADY_TIME))
        # A start is answered when training has begun; other callbacks do not wait for that.
        group = ReentrantCallbackGroup()
        self.create_service(Trigger, "~/start", self._on_start, callback_group=group)
        self.create_service(Trigger, "~/stop", self._on_stop, callback_group=group)

    def work(self, stopped: Stopped) -> bool:
        """Train as asked until `stopped()`, or to the end where the parameters say so; returns
        whether nothing failed. No process is left behind."""
        settings = self._settings.values()
        try:
            if settings.mode == "live":
                self._live = self._begin_live(settings)
            elif settings.autostart:
                self._start()
            while not stopped() and not (settings.exit_when_done and self._is_done()):
                self._wake.wait(0.05)
                self._wake.clear()
                self._kill_when_late()
                self._step_live()
        finally:
            self._end()
        return not (settings.exit_when_done and self._progress.is_failed)

    def _begin_live(self, settings: LearnerSettings) -> LiveLearning:
        # Only this mode needs torch in this process; its import takes more than a second.
        from wm_mpc.model.checkpoint import CheckpointError
        from wm_mpc.nodes.learner.live_learning import LiveLearning

        try:
            return LiveLearning(self, settings, self._wake)
        except (CheckpointError, DatasetError, SpecError) as error:
            raise SettingError(str(error)) from None

    def _step_live(self) -> None:
        live = self._live
        if live is None:
            return
        try:
            live.step()
        except OSError as error:
            self.get_logger().error(f"not recorded: {error}", throttle_duration_sec=5.0)
        with self._lock:
            settings = self._settings.values()
            is_idle = self._process is None and settings.autostart
            if is_idle and live.is_due(settings.live.every):
                self._start()

    def _is_done(self) -> bool:
        with self._lock:
            ended = self._progress.code in (LearnerCode.FINISHED, LearnerCode.FAILED)
            return ended and self._process is None and self._live is None  # which goes on and on

    def _kill_when_late(self) -> None:
        with self._lock:
            if self._process is None or self._progress.code is not LearnerCode.STOPPING:
                return
            if time.monotonic() > self._kill_at:
                self.get_logger().warning("training does not stop; ending it by force")
                self._process.kill()
                self._kill_at = float("inf")

    def _end(self) -> None:
        process = self._process
        if process is not None:
            process.end(END_SECONDS)
        if self._live is not None:
            self._live.close()
        # Who listens shall have the last words before this node is gone.
        for publisher in (self._status, self._checkpoint):
            publisher.wait_for_all_acked(Duration(seconds=0.5))

    # -------------------------------------------------------------------------------- services

    async def _on_start(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            if self._process is not None:
                response.message = f"already {self._progress.message()}"
                return response
            begun = self._start()
        reason = await begun
        response.success = not reason
        response.message = reason or "training"
        return response

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._lock:
            if self._process is None:
                response.message = f"nothing to stop: {self._progress.message()}"
                return response
            if self._progress.code is not LearnerCode.STOPPING:
                self._kill_at = time.monotonic() + STOP_SECONDS
                self._progress.stopping()
                self._process.ask_to_stop()
            self._publish()
        response.success, response.message = True, "stopping; start goes on where it stopped"
        return response

    # -------------------------------------------------------------------------------- training

    def _start(self) -> Future:
        settings = self._settings.values()
        with self._lock:
            self._begun = Future(executor=self.executor)
            # Without a callback of its own, a future that is done does not wake the executor.
            self._begun.add_done_callback(lambda _: None)
            self._progress.starting()
            try:
                if self._live is None:
                    arguments, module = train_arguments(settings), TRAINING
                else:
                    arguments, module = self._live.begin_round(settings), LIVE_TRAINING
                self._process = TrainingProcess(
                    arguments, self._on_event, nice=settings.nice, module=module
                )
            except OSError as error:
                self._on_event({"event": "failed", "reason": f"no training process: {error}"})
            self._publish()
            return self._begun

    def _on_event(self, event: Event) -> None:
        """In the thread of the process."""
        kind = event["event"]
        with self._lock:
            self._progress.handle(event)
            if kind in FINAL_EVENTS:
                self._process = None
            if kind == "started" or kind in FINAL_EVENTS:
                self._tell_of(kind)
            if kind == "checkpoint":
                self._checkpoint.publish(String(data=str(self._progress.checkpoint)))
                if self._live is not None and self._progress.checkpoint is not None:
                    self._live.checkpoint = self._progress.checkpoint
            self._publish()
        self._wake.set()

    def _tell_of(self, kind: str) -> None:
        logger, progress = self.get_logger(), self._progress
        assert self._begun is not None
        if progress.is_failed:
            logger.error(progress.message())
        elif kind == "finished":
            logger.info(f"finished: {progress.checkpoint}")
        else:
            logger.info({"started": "training", "stopped": "stopped"}[kind])
        if not self._begun.done():
            self._begun.set_result("" if kind in ("started", "finished") else progress.message())

    def _publish(self) -> None:
        progress = self._progress
        with self._lock:
            others = None if self._live is None else self._live.values()
            status = progress.status(self.get_fully_qualified_name()[1:], others)
            array = DiagnosticArray(status=[to_diagnostics(status)])
            array.header.stamp = self.get_clock().now().to_msg()
            self._status.publish(array)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc learner`; returns the exit code."""
    outcomes: list[bool] = []
    code = run(Learner, lambda node, stopped: outcomes.append(node.work(stopped)), args)
    return code or int(not all(outcomes))


if __name__ == "__main__":
    sys.exit(main())
