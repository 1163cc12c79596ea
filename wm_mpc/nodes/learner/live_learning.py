"""The live part of the node `learner`: records what the running robot does, and says when there is
enough new for a round of learning. Nothing here knows whether the robot is simulated.
"""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.data.dataset_lock import writing
from wm_mpc.data.episodes import Dataset
from wm_mpc.model.checkpoint import read_metadata
from wm_mpc.nodes.learner.parameters import LearnerSettings
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.resources import resolve_checkpoint
from wm_mpc.ros import qos
from wm_mpc.ros.messages import MessageError, trajectory_to_actions
from wm_mpc.spec import RobotSpec
from wm_mpc.synthesis.live import LiveRecorder

FEWEST_EPISODES = 5  # of which one is held out
_OLDEST = 60.0  # s, of an observation that is recorded


class LiveLearning:
    """`step` runs in the node's loop, the subscriptions in the thread of its callbacks.

    settings: of the node. Raises CheckpointError, SpecError, or DatasetError when the folder
    `<run>/live` holds episodes of another robot, or something else writes into it.
    """

    def __init__(self, node: Any, settings: LearnerSettings, wake: threading.Event) -> None:
        self._node, self._wake = node, wake
        self.checkpoint = resolve_checkpoint(settings.checkpoint or settings.task)
        self._first = self.checkpoint
        spec = RobotSpec.from_dict(read_metadata(self.checkpoint))
        run = Path(settings.run or Path("runs") / spec.task).expanduser()
        self._run, self._spec = run, spec
        self._held = contextlib.ExitStack()
        self._held.enter_context(writing(run / "live", "learner"))
        try:
            self.dataset = Dataset.create(run / "live", spec, {"source": "the running robot"})
        except BaseException:
            self._held.close()
            raise
        self.episodes = len(self.dataset)
        self.rounds = 0
        self._learned = 0  # steps that were there when the last round began
        self._recorder = LiveRecorder(spec)
        self._lock = threading.Lock()
        self._seen = self._goal = 0
        self._inputs = Inputs(
            node, spec,
            transport=settings.image.transport, state_type="auto", on_image=wake.set,
        )  # fmt: skip
        node.create_subscription(
            JointTrajectory, "planned_actions", self._on_plan, qos.PLANNED_ACTIONS
        )

    def _on_plan(self, message: JointTrajectory) -> None:
        try:
            stamp, actions = trajectory_to_actions(
                message, self._spec.action, self._spec.control_period
            )
        except MessageError as error:
            self._node.get_logger().warning(f"not recorded: {error}", throttle_duration_sec=5.0)
            return
        with self._lock:
            self._recorder.plan(stamp, actions)

    def step(self) -> None:
        """Take in the newest observation, and store what has become an episode."""
        number = self._inputs.image_number
        if number == self._seen:
            return
        self._seen = number
        snapshot = self._inputs.snapshot()
        if snapshot.image is None or (self._inputs.needs_state and snapshot.state is None):
            return
        found = self._inputs.why_unusable(snapshot, _OLDEST, lockstep=True)
        if found.hold:  # image and state of two moments would teach what never was
            self._node.get_logger().warning(
                f"not recorded: {found.hold}", throttle_duration_sec=5.0
            )
            return
        try:
            image = self._inputs.image_array(snapshot.image.message)
            state = (
                snapshot.state.values
                if self._inputs.needs_state and snapshot.state is not None
                else np.zeros(0, np.float32)
            )
        except MessageError as error:
            self._node.get_logger().warning(f"not recorded: {error}", throttle_duration_sec=5.0)
            return
        with self._lock:
            if snapshot.goal_number != self._goal:  # people put the robot elsewhere then
                self._goal = snapshot.goal_number
                self._recorder.cut()
            self._recorder.observe(snapshot.image.stamp, image, state)
            finished = self._recorder.take()
        for episode in finished:
            self.dataset.append(self.episodes, episode)
            self.episodes += 1

    def is_due(self, every: int) -> bool:
        """Whether there are so many new control steps, and enough episodes, for a round."""
        new = self._recorder.steps - self._learned
        return new >= every and self.episodes >= FEWEST_EPISODES

    def begin_round(self, settings: LearnerSettings) -> list[str]:
        """The arguments of `live_training`."""
        self._learned = self._recorder.steps
        self.rounds += 1
        out = self._unused_name()
        arguments = [
            f"--checkpoint={self.checkpoint}", f"--first={self._first}",
            f"--live={self.dataset.path}", f"--out={out}",
            # Where the camera is need not be found twice.
            f"--parts={settings.live.parts if self.rounds == 1 else 'dynamics'}",
            f"--updates={settings.live.updates}", f"--seed={max(0, settings.seed)}",
        ]  # fmt: skip
        if settings.dataset:
            arguments.append(f"--replay={Path(settings.dataset).expanduser()}")
        return arguments

    def _unused_name(self) -> Path:
        """A new file for the next checkpoint: no earlier one is overwritten, and least of all the
        one that learning starts from."""
        pattern = re.compile(rf"{re.escape(self._spec.task)}_live_(\d+)\.safetensors")
        names = [path.name for path in self._run.glob("*.safetensors")]
        names += [self.checkpoint.name, self._first.name]
        taken = [int(found[1]) for name in names if (found := pattern.fullmatch(name))]
        return self._run / f"{self._spec.task}_live_{max(taken, default=0) + 1}.safetensors"

    def close(self) -> None:
        """Let others write into the dataset."""
        self._held.close()

    def values(self) -> dict[str, object]:
        """For `learner/progress`."""
        return {
            "live episodes": self.episodes,
            "live steps": self._recorder.steps,
            "live rounds": self.rounds,
            "learning from": self.checkpoint,
        }
