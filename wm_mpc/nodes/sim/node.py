"""The node `sim`: a simulated task behind the topics of a real robot.

It publishes what the robot measures, executes `planned_actions` by time, and referees: it draws
starts and goals, counts steps and successes. The planner gets observations; whether the goal is
reached is decided here, by the true state.

Control step k happens at time t_k = t_0 + k * control period: measure and publish with that
stamp, choose the action that applies now, and let the physics run through the period at once; a
plan that arrives during the period acts from t_{k+1} on.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from wm_mpc.control.following import Following
from wm_mpc.messages.progress_statuses import EpisodeStatus
from wm_mpc.nodes.sim.driver import Driver
from wm_mpc.nodes.sim.film import Film
from wm_mpc.nodes.sim.inbox import PlanInbox
from wm_mpc.nodes.sim.parameters import SimSettings, disturbed_task
from wm_mpc.nodes.sim.topics import Topics, mean_plan_ms, planar_pose, rest_position
from wm_mpc.ros import qos
from wm_mpc.ros.messages import MessageError
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import BrokenOff, Stopped, breaking_off, run
from wm_mpc.ros.status import TOPIC
from wm_mpc.ros.timing import OwnClock, SystemPacer, from_seconds
from wm_mpc.settings.fields import SettingError
from wm_mpc.sim.engine import EngineError, Observation, episode_rng
from wm_mpc.sim.engines import simulate
from wm_mpc.sim.recorder import RecorderError
from wm_mpc.sim.scoreboard import Scoreboard, errors_text

_FIRST_REPEAT = 0.5  # s between repetitions of an observation while the planner is not up yet
_REPORT = 1.5  # s to wait for diagnostics, which come once per second


class Sim(Node):
    """See the module. `options` go to `rclpy.node.Node`.

    Raises SettingError when it is started with a value that is not acceptable.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("sim", **options)
        self._settings = declare(self, SimSettings)
        settings = self._settings.values()
        self._lockstep, factor = settings.lockstep, settings.real_time_factor
        # Where simulated time is wanted, the simulator is the one to provide it.
        simulated_time = self.get_parameter("use_sim_time").value
        is_time_source = self._lockstep or factor != 1.0 or simulated_time

        task, goals = disturbed_task(settings), settings.goals or None
        try:
            self._simulation = simulate(task, gui=settings.gui, goals=goals)
        except ValueError as error:
            raise SettingError(str(error)) from None
        self._spec = self._simulation.task.spec
        try:
            self._film = Film(settings.record, self._simulation)
        except RecorderError as error:
            raise SettingError(str(error)) from None
        self._topics = Topics(
            self,
            self._simulation,
            is_time_source=is_time_source,
            has_camera_info=settings.camera_info,
        )
        self._clock_of_steps = self._make_clock(is_time_source, factor)
        self._inbox = PlanInbox(
            self._spec, self._clock_of_steps.now, self.get_logger(), lockstep=self._lockstep
        )
        self._driver = Driver(self, self._simulation) if settings.driver == "explorer" else None
        # What callbacks want done to the simulation, which belongs to the thread of the loop.
        self._commands: deque[Callable[[], None]] = deque()
        self._plan_ms: float | None = None

        self._board = Scoreboard()
        self._number = 0  # of the present episode, from 1
        self._steps = 0  # that count, in the present episode
        self._begins_at = 0  # ns, when its steps begin to count
        self._begin_next = True
        self._is_referee = True  # of the present episode
        self._subscribe()

    def _make_clock(self, is_time_source: bool, factor: float) -> OwnClock | SystemPacer:
        period = from_seconds(self._spec.control_period)
        if self._lockstep:
            return OwnClock(period)
        if is_time_source:
            return OwnClock(period, factor=factor, tick=self._topics.publish_clock)
        clock = self.get_clock()
        return SystemPacer(lambda: int(clock.now().nanoseconds), period)

    def _subscribe(self) -> None:
        self.create_subscription(
            JointTrajectory, "planned_actions", self._inbox.on_message, qos.PLANNED_ACTIONS
        )
        self.create_subscription(PoseStamped, "goal_pose", self._on_goal_pose, qos.COMMAND)
        self.create_subscription(DiagnosticArray, TOPIC, self._on_diagnostics, qos.STATUS)
        self._film.subscribe(self)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/new_goal", self._on_new_goal)

    # ------------------------------------------------------------------------------ callbacks

    def _on_goal_pose(self, message: PoseStamped) -> None:
        try:
            x, y, yaw = planar_pose(message, self._topics.frames.root)
        except MessageError as error:
            self.get_logger().warning(f"{error}; the old goal stays")
        else:
            self._commands.append(lambda: self._set_goal(x, y, yaw))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        milliseconds = mean_plan_ms(message, self.get_namespace())
        if milliseconds is not None:
            self._plan_ms = milliseconds

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._commands.append(self._abandon)
        response.success, response.message = True, "a new episode begins at the next control step"
        return response

    def _on_new_goal(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._commands.append(self._draw_goal)
        response.success, response.message = True, "a new goal is set at the next control step"
        return response

    # ------------------------------------------------------------------------------- the loop

    def run(self, stopped: Stopped) -> None:
        """Step until `stopped()` or until the wanted number of episodes is over."""
        while not stopped() and not self.is_over():
            self._take_up_or_leave_goals()
            while self._commands:
                self._commands.popleft()()
            if self._begin_next:
                self._begin_episode(self._clock_of_steps.stamp)
            observation = self._simulation.observe()
            if self._exchange(observation, stopped):
                self._step(observation)
            if self._begin_next and not self.is_over():
                # Now, in the rest of the period: else its first observation would come late.
                self._begin_episode(self._clock_of_steps.stamp + self._clock_of_steps.period)
            # Without a step the time goes on all the same: an answer to this observation must
            # not be taken for one to the next, which may have another goal.
            self._clock_of_steps.wait(stopped)

    def is_over(self) -> bool:
        """Whether the wanted number of episodes is finished."""
        return 0 < self._settings.values().episodes <= self._board.finished

    def summary(self, stopped: Stopped) -> str:
        """The one line at the end of a run; waits for the planner's report when none has come."""
        deadline = time.monotonic() + _REPORT
        while self._plan_ms is None and self.count_publishers(TOPIC) and not stopped():
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return self._board.summary(self._plan_ms)

    def close(self) -> None:
        """Finish the film and the simulation."""
        self._topics.close()
        if message := self._film.close():
            self.get_logger().info(message)
        self._simulation.close()

    def _take_up_or_leave_goals(self) -> None:
        """As `own_goals` says, which a person may have changed."""
        has_goals = self._settings.values().own_goals
        if has_goals and not self._is_referee and not self._begin_next:
            # Others may have set a goal meanwhile: not the one that would be judged.
            self._abandon("own_goals is true again")
        self._is_referee = has_goals

    def _begin_episode(self, stamp: int) -> None:
        """stamp: ns, of its first observation."""
        settings = self._settings.values()
        self._take_up_or_leave_goals()
        self._begin_next = False
        self._rng = episode_rng(settings.seed, settings.episode_stream, self._number)
        self._number += 1
        self._steps = 0
        with breaking_off():  # a goal that is hard to draw takes minutes
            self._simulation.reset(self._rng, goal=self._is_referee)
        settle = 0 if self._lockstep else from_seconds(settings.settle)
        self._begins_at = stamp + settle
        self._inbox.begin_episode(self._begins_at, rest_position(self._simulation))
        if self._driver is not None:
            self._driver.begin_episode(self._rng)
        if self._is_referee:
            self._publish_goal()

    def _publish_goal(self) -> None:
        # In lockstep the planner must have the goal before the observation it is to answer.
        self._topics.publish_goal(self._clock_of_steps.stamp, wait=self._lockstep)

    def _exchange(self, observation: Observation, stopped: Stopped) -> bool:
        """Publish the observation; in lockstep, until its plan has come.

        False when there is something to do instead of a step.
        """
        stamp = self._clock_of_steps.stamp
        self._inbox.expect(stamp)
        while True:
            self._topics.publish_observation(observation, stamp)
            if not self._lockstep:
                return True
            timeout = self._settings.values().lockstep_timeout
            patience = timeout if self._inbox.started else _FIRST_REPEAT
            if self._inbox.wait_for_answer(patience, lambda: stopped() or bool(self._commands)):
                return True
            if stopped() or self._commands:
                return False
            if self._inbox.started:
                self.get_logger().warning(
                    f"no plan for the observation of {stamp / 1e9:.2f} s within {timeout} s; "
                    "publishing it again"
                )

    def _step(self, observation: Observation) -> None:
        stamp = self._clock_of_steps.stamp
        settings = self._settings.values()
        if self._driver is None:
            decision = self._inbox.decide(stamp, settings.plan_timeout)
        else:
            decision = self._driver.decide(stamp)
        self._film.add(observation, decision.remaining, self._caption(), wait=self._lockstep)
        self._simulation.advance(decision.action)

        counts = self._is_referee and decision.started and stamp >= self._begins_at
        self._steps += counts
        success = counts and self._simulation.is_success()
        is_late = self._is_referee and self._steps >= settings.episode_steps
        if success or is_late or not self._simulation.can_step:
            self._conclude(success)
        self._publish_episode(decision.status, success)

    def _errors(self) -> Mapping[str, float]:
        """True distances to the goal; none where somebody else's goal may have replaced it."""
        return self._simulation.errors() if self._is_referee else {}

    def _caption(self) -> str:
        return f"episode {self._number}   step {self._steps}   {errors_text(self._errors())}"

    def _conclude(self, success: bool) -> None:
        if not self._is_referee:
            self._abandon("the simulated world has ended")
            return
        self._begin_next = True
        self._board.add(success, self._steps)
        self.get_logger().info(
            self._board.episode_line(self._number, success, self._steps, self._errors())
        )
        if self._film.is_on:
            caption = f"{self._caption()}   {'reached' if success else 'not reached'}"
            observation = self._simulation.observe()
            self._film.add(observation, None, caption, wait=self._lockstep)

    def _publish_episode(self, following: Following, success: bool) -> None:
        status = EpisodeStatus(
            following.code,
            following.value,
            self._spec.task,
            self._number,
            success,
            self._steps,
            self._errors(),
            self._board.finished,
            self._board.successes,
            self._clock_of_steps.overruns,
        )
        self._topics.publish_episode(status, has_ended=self._begin_next and self._is_referee)

    # ------------------------------------------------------------------------------- commands

    def _abandon(self, why: str = "on request") -> None:
        self.get_logger().info(f"episode {self._number}: abandoned, {why}")
        self._begin_next = True

    def _draw_goal(self) -> None:
        if self._begin_next:
            return
        try:
            with breaking_off():
                self._simulation.new_goal(self._rng)
        except EngineError as error:
            self.get_logger().warning(f"new_goal: {error}; the old goal stays")
        else:
            self._goal_changed("drawn at random")

    def _set_goal(self, x: float, y: float, yaw: float) -> None:
        if self._begin_next:
            self._begin_episode(self._clock_of_steps.stamp)
        try:
            self._simulation.set_goal(self._simulation.goal_at(x, y, yaw))
        except ValueError as error:
            self.get_logger().warning(f"goal_pose: {error}; the old goal stays")
        else:
            self._goal_changed(f"x {x:.2f} m, y {y:.2f} m, yaw {yaw:.2f} rad")

    def _goal_changed(self, how: str) -> None:
        self.get_logger().info(f"episode {self._number}: new goal, {how}")
        self._steps = 0  # a new goal gets the full number of steps
        self._publish_goal()


def _work(node: Sim, stopped: Stopped) -> None:
    try:
        with contextlib.suppress(BrokenOff):
            node.run(stopped)
        if node.is_over():
            print(node.summary(stopped), flush=True)
    finally:
        node.close()


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc sim`; returns the exit code."""
    return run(Sim, _work, args)


if __name__ == "__main__":
    sys.exit(main())
