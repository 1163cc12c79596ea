"""Whatever happens to an arm moved by positions, its commands keep the rate limit.

The real `PlanPublisher`, validator and timeline, on a clock of the test and without middleware: a
wild planner, late plans, stalls, holds, outputs switched, the node deactivated, an arm that lags,
is blocked or is moved by hand, and a clock that is set back.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

pytest.importorskip("rclpy")

from wm_mpc.control.timeline import Timeline
from wm_mpc.control.validator import PlanValidator, Verdict
from wm_mpc.nodes.mpc.outputs import PlanPublisher
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.ros.timing import to_nanoseconds
from wm_mpc.settings.build import build, nested
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

MS = 1_000_000
START = 1_700_000_000 * 1_000_000_000
LIMIT = 0.5  # rad/s
NAMES = ("shoulder", "elbow")
LAG = 0.3  # s
VALUES = {
    "output.cmd_vel": False, "output.commands": True, "output.joint_trajectory": True,
    "frame_id": "odom", "rate": 10.0, "limits.lag": LAG,
}  # fmt: skip


def settings(values):
    return build(MpcSettings, nested(values))


class Topic:
    """A publisher whose messages are kept, with the time."""

    def __init__(self, node):
        self._node, self.sent = node, []

    def publish(self, message):
        self.sent.append((self._node.time, message))

    def get_subscription_count(self):
        return 0


class Timer:
    def __init__(self, node, period, callback):
        self._node, self._period, self.callback = node, round(period * 1e9), callback
        self.reset()

    def reset(self):
        self.due = self._node.time + self._period


class Node:
    """As much of a node as a `PlanPublisher` needs, on a clock of the test."""

    def __init__(self):
        self.time, self.offset = START, 0
        self.topics, self.timers, self.said = {}, [], []

    def create_publisher(self, _, name, __):
        return self.topics.setdefault(name, Topic(self))

    def create_subscription(self, *_, **__):
        return None

    def create_timer(self, period, callback):
        self.timers.append(Timer(self, period, callback))
        return self.timers[-1]

    def get_clock(self):
        return self

    def now(self):
        return self

    @property
    def nanoseconds(self):
        return self.time + self.offset

    def get_logger(self):
        return self

    def warning(self, text):
        self.said.append(text)

    def pass_time(self, nanoseconds):
        """The ticks of a node that runs."""
        self.time += nanoseconds
        for timer in self.timers:
            if self.time >= timer.due:
                timer.reset()
                timer.callback()

    def stall(self, nanoseconds):
        """Nothing runs; what was due comes once, afterwards."""
        self.time += nanoseconds

    def commands(self):
        return [np.array(message.data) for _, message in self.topics["commands"].sent]


def arm_spec(period=0.1):
    action = ActionSpec(NAMES, "position", "rad", (-3.0,) * 2, (3.0,) * 2, (LIMIT,) * 2)
    state = StateSpec(NAMES, ("rad",) * 2, "joint_states")
    return RobotSpec("arm", action, state, ImageSpec(16, 16), period, 2)


def named(place):
    return dict(zip(NAMES, np.asarray(place, float).tolist(), strict=True))


@pytest.fixture
def arm():
    """A node, its outputs, and an arm that was measured at 0.5 and holds there."""
    node = Node()
    outputs = PlanPublisher(node, arm_spec())
    outputs.use(settings(VALUES), lambda: named([0.5, 0.5]))
    outputs.hold(node.nanoseconds, named([0.5, 0.5]))
    return node, outputs


def climb(count=14, start=0.5):
    return np.repeat(start + 0.05 * np.arange(1, count + 1)[:, None], 2, 1)


def test_a_plan_that_is_late_begins_with_one_step(arm):
    node, outputs = arm
    outputs.publish(node.nanoseconds - 480 * MS, climb(), named([0.5, 0.5]))
    np.testing.assert_allclose(node.commands()[-1], 0.55)


def test_after_a_stall_of_the_node_the_stream_goes_on_with_one_step(arm):
    node, outputs = arm
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    node.stall(500 * MS)
    node.pass_time(0)
    np.testing.assert_allclose(node.commands()[-2:], [[0.55] * 2, [0.6] * 2])


@pytest.mark.parametrize("seconds", [0.51, 3.0, 3600.0])
def test_after_the_node_was_stopped_nothing_is_sent_until_the_arm_is_measured(arm, seconds):
    node, outputs = arm
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    node.pass_time(100 * MS)
    sent = len(node.commands())
    node.stall(round(seconds * 1e9))
    for _ in range(3):
        node.pass_time(0)
        node.pass_time(100 * MS)
    assert len(node.commands()) == sent
    assert any(f"nothing was sent for {seconds:.2f} s" in text for text in node.said)
    outputs.hold(node.nanoseconds, named([-1.0, 0.2]))  # somebody moved it meanwhile
    assert node.commands()[-1].tolist() == [-1.0, 0.2]


def test_after_the_node_was_stopped_a_base_rests_before_it_follows_a_plan_again():
    node = Node()
    action = ActionSpec(("vx", "wz"), "velocity", "m/s", (-1.0,) * 2, (1.0,) * 2)
    outputs = PlanPublisher(node, dataclasses.replace(arm_spec(), action=action))
    outputs.use(settings(VALUES), dict)
    outputs.publish(node.nanoseconds, np.full((50, 2), 0.5), {})
    node.pass_time(100 * MS)
    assert node.commands()[-1].tolist() == [0.5, 0.5]
    node.stall(700 * MS)  # the plan is still there, but its observation is too old
    node.pass_time(0)
    assert node.commands()[-1].tolist() == [0.0, 0.0]
    outputs.publish(node.nanoseconds, np.full((50, 2), 0.25), {})
    assert node.commands()[-1].tolist() == [0.25, 0.25]


def test_a_stream_that_is_switched_on_begins_where_the_arm_is_not_where_plans_have_come_to():
    node = Node()
    outputs = PlanPublisher(node, arm_spec())
    only_plans = VALUES | {"output.commands": False, "output.joint_trajectory": False}
    outputs.use(settings(only_plans), dict)
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    node.pass_time(800 * MS)
    outputs.use(settings(VALUES), lambda: named([0.6, 0.6]))  # it lags: its plan wants 0.95
    for _ in range(3):
        node.pass_time(100 * MS)
    assert len(node.commands()) == 3
    np.testing.assert_array_equal(node.commands(), 0.6)
    outputs.publish(node.nanoseconds - 100 * MS, climb(start=0.9), named([0.6, 0.6]))
    np.testing.assert_allclose(node.commands()[-1], 0.65)


def test_a_stream_that_is_switched_on_waits_for_a_measurement():
    node = Node()
    outputs = PlanPublisher(node, arm_spec())
    outputs.use(settings(VALUES), dict)
    for _ in range(3):
        node.pass_time(100 * MS)
    assert node.commands() == []
    assert outputs.hold(node.nanoseconds, named([0.3, 0.4])).tolist() == [0.3, 0.4]
    assert node.commands()[0].tolist() == [0.3, 0.4]


def test_plans_that_others_execute_are_held_where_they_have_come_to():
    """Only `joint_trajectory`, and a plan every half a second."""
    node = Node()
    outputs = PlanPublisher(node, arm_spec())
    outputs.use(settings(VALUES | {"output.commands": False}), lambda: named([0.5, 0.5]))
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    node.time += 450 * MS
    rest = outputs.hold(node.nanoseconds, named([0.72, 0.72]))
    np.testing.assert_allclose(rest, 0.72)


@pytest.mark.parametrize("back", [0.25, 0.5, 3600.0])
def test_after_the_clock_was_set_back_nothing_is_sent_until_the_arm_is_measured(arm, back):
    node, outputs = arm
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    node.pass_time(100 * MS)
    node.offset -= round(back * 1e9)
    sent = len(node.commands())
    for _ in range(5):
        node.pass_time(100 * MS)
    assert len(node.commands()) == sent
    assert any("the clock was set back by" in text for text in node.said)
    outputs.hold(node.nanoseconds, {})
    assert len(node.commands()) == sent
    outputs.hold(node.nanoseconds, named([0.57, 0.58]))
    assert node.commands()[-1].tolist() == [0.57, 0.58]
    trajectory = node.topics["joint_trajectory"].sent[-1][1]
    assert trajectory.points[-1].positions.tolist() == [0.57, 0.58]


def test_a_clock_that_is_corrected_by_less_than_a_period_changes_nothing(arm):
    node, outputs = arm
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    node.pass_time(100 * MS)
    node.offset -= 60 * MS
    for _ in range(5):
        node.pass_time(100 * MS)
    assert node.said == []
    assert node.commands()[-1][0] > 0.75


def test_the_stream_does_not_lead_a_blocked_arm_away_however_long_its_plan_is(arm):
    node, outputs = arm
    outputs.use(settings(VALUES), dict, lambda: named([0.5, 0.5]))
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    for _ in range(9):
        node.pass_time(100 * MS)
    assert max(place[0] for place in node.commands()) == pytest.approx(0.5 + 0.05 + LIMIT * LAG)


# ------------------------------------------------------------------------------- all that happens


@dataclasses.dataclass
class Happening:
    """Chances in a control period: a plan comes late, the node stalls, a hold is asked for, the
    arm is moved by hand, the node is activated again elsewhere, an output is switched, and a plan
    takes no notice of the rate limit. speed: rad/s of the arm."""

    late: float = 0.1
    stall: float = 0.02
    hold: float = 0.03
    hand: float = 0.01
    restart: float = 0.01
    switch: float = 0.01
    wild: float = 0.05
    speed: float = 1.0


class World:
    """An arm, the node's outputs, and a planner that wants to go anywhere.

    follows: the output that moves the arm.
    """

    def __init__(self, seed, happening, follows, period):
        self.rng, self.happening, self.follows = np.random.default_rng(seed), happening, follows
        self.spec, self.node = arm_spec(period), Node()
        self.change, self.period = LIMIT * period, round(period * 1e9)
        self.place = self.rng.uniform(-2.0, 2.0, 2)
        self.course = [(self.node.time, self.place)]  # where the arm was
        self.knots, self.fastest = [(self.node.time, self.place)], 0.0
        self.begins = []  # numbers of commands that are the first ones of an activation
        self.switched = []  # and after it was switched on: a plan may have come already
        self.outputs = PlanPublisher(self.node, self.spec)
        self.executed, self.validator = Timeline.of(self.spec), PlanValidator(self.spec)
        self.values = dict(VALUES)
        self.goal, self.holds, self.plans, self.received = self.place, 0, 0, 0
        self.restart()

    def chance(self, name):
        return self.rng.random() < getattr(self.happening, name)

    def restart(self):
        self.outputs.end()
        self.go_on(self.period // 2)
        self.place = self.rng.uniform(-2.0, 2.0, 2)
        self.course.append((self.node.time, self.place))
        self.outputs.begin()
        self.executed.clear()
        self.knots = [(self.node.time, self.place)]  # its controller begins there, too
        self.begins.append(len(self.node.topics["commands"].sent))
        self.use()

    def use(self):
        self.outputs.use(
            settings(self.values), lambda: named(self.place), lambda: named(self.place)
        )

    def hold(self):
        now = self.node.nanoseconds
        self.executed.hold(now, self.outputs.hold(now, named(self.place)))
        self.holds += 1

    def go_on(self, nanoseconds, *, stalled=False):
        """Time passes, in which the arm moves."""
        while nanoseconds > 0:
            step = min(nanoseconds, self.period // 20)
            nanoseconds -= step
            self.node.stall(step) if stalled else self.node.pass_time(step)
            self.receive()
            way = self.happening.speed * step / 1e9
            self.place = self.place + np.clip(self.target() - self.place, -way, way)
            self.course.append((self.node.time, self.place))

    def target(self):
        if self.follows == "commands":
            sent = self.node.topics["commands"].sent
            return np.array(sent[-1][1].data) if sent else self.place
        return self.interpolated(self.node.time)

    def interpolated(self, now):
        times, places = zip(*self.knots, strict=True)
        return np.array([np.interp(now, times, column) for column in np.array(places).T])

    def receive(self):
        """What a joint_trajectory_controller makes of the trajectories."""
        sent = self.node.topics["joint_trajectory"].sent
        for now, message in sent[self.received :]:
            # One that has arrived begins where its arm is.
            here = self.interpolated(now) if now < self.knots[-1][0] else self.place
            self.knots = [(now, here)]
            for point in message.points:
                time = to_nanoseconds(message.header.stamp) + to_nanoseconds(point.time_from_start)
                before, place = self.knots[-1], np.array(point.positions)
                assert time > before[0]
                speed = np.abs(place - before[1]).max() / ((time - before[0]) / 1e9)
                if self.follows == "joint_trajectory":
                    self.fastest = max(self.fastest, speed)
                self.knots.append((time, place))
        self.received = len(sent)

    def run(self, periods):
        for _ in range(periods):
            if self.chance("hand"):
                self.place = np.clip(self.place + self.rng.uniform(-0.5, 0.5, 2), -3.0, 3.0)
                self.course.append((self.node.time, self.place))
            if self.chance("restart"):
                self.restart()
            if self.chance("switch"):
                names = ("output.commands", "output.joint_trajectory")
                name = names[int(self.rng.integers(2))]
                self.values[name] = not self.values[name]
                if name == "output.commands" and self.values[name]:
                    self.switched.append(len(self.node.topics["commands"].sent))
                self.use()
            stamp, measured = self.node.nanoseconds, self.place
            late = (
                self.rng.uniform(0.0, 4.8) if self.chance("late") else self.rng.uniform(0.05, 0.4)
            )
            if self.chance("stall"):
                self.go_on(int(self.rng.uniform(0.1, 0.9) * 1e9), stalled=True)
            self.go_on(int(late * self.period))
            if self.chance("hold"):
                self.hold()
            else:
                self.plan(stamp, measured)
            left = stamp + self.period - self.node.nanoseconds
            self.go_on(max(MS, left + int(self.rng.uniform(-0.05, 0.15) * self.period)))

    def plan(self, stamp, measured):
        """As the session does."""
        now = self.node.nanoseconds
        if self.rng.random() < 0.05:
            self.goal = self.rng.uniform(-2.5, 2.5, 2)
        arrival = stamp + int(0.3 * self.period)
        committed = self.executed.between(stamp, arrival, measured)
        place = committed[-1]
        rows = list(committed)
        wild = self.chance("wild")
        for _ in range(14 - len(rows)):
            step = 10.0 * self.change if wild else self.change
            place = np.clip(place + np.clip(self.goal - place, -step, step), -3.0, 3.0)
            rows.append(place)
        before = self.executed.at(stamp - self.period)
        last = self.executed.entry_at(stamp)
        moves = last is not None and not last.is_rest
        found = self.validator.check(
            np.array(rows),
            age=(now - stamp) / 1e9,
            timeout=5 * self.period / 1e9,
            before=measured if before is None else before,
            fixed=len(committed),
            measured=measured,
            lag=LAG if moves else 0.0,
        )
        if found.verdict is Verdict.HOLD:
            self.hold()
            return
        self.outputs.publish(stamp, found.actions, named(measured))
        self.executed.put(stamp, found.actions)
        self.plans += 1

    def was_near(self, place, time, far=0.0):
        """Whether the arm was there, or so far away, when it may have been measured."""
        oldest = time - 6 * self.period - 900 * MS
        recent = [at for then, at in self.course if oldest <= then <= time]
        return (np.abs(np.array(recent) - place).max(1) <= far + 1e-9).any()

    def judge(self):
        sent = self.node.topics["commands"].sent
        rows = [(time, np.array(message.data)) for time, message in sent]
        assert len(rows) > 50
        begun = 0
        for number, (time, place) in enumerate(rows):
            if number in self.begins:
                assert self.was_near(place, time), "the first command is not where the arm is"
                begun = number
                continue
            if number in self.switched:
                assert self.was_near(place, time, self.change), f"command {number} begins elsewhere"
                begun = number
                continue
            step = np.abs(place - rows[number - 1][1]).max() / self.change
            if step > 1.0 + 1e-6:
                assert self.was_near(place, time), f"command {number} is a step of {step:.2f}"
                begun = number
                continue
            for then, before in reversed(rows[max(begun, number - 12) : number]):
                periods = 1.25 + (time - then) / (0.75 * self.period)  # early ones are forgiven
                away = np.abs(place - before).max() / self.change
                if away > periods + 1e-6:
                    assert self.was_near(place, time), f"command {number}: {away:.2f} in {periods}"
                    begun = number
                    break
        assert self.fastest <= 1.002 * LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("follows", ["commands", "joint_trajectory"])
@pytest.mark.parametrize("period", [0.1, 0.5, 0.02])
@pytest.mark.parametrize("speed", [1.0, 0.15, 0.0])  # rad/s: free, slower than its limit, blocked
def test_whatever_happens_no_command_is_a_jump(follows, period, speed):
    world = World(round(7 * period + 100 * speed), Happening(speed=speed), follows, period)
    world.run(200)
    assert world.plans > 50
    world.judge()


def test_a_calm_arm_is_never_held_and_follows_its_plans():
    calm = Happening(*[0.0] * 7)
    world = World(3, calm, "commands", 0.1)
    world.run(200)
    assert world.holds == 0
    world.judge()
    steps = [np.abs(b - a).max() for a, b in itertools.pairwise(world.node.commands())]
    assert sum(step > 0.99 * world.change for step in steps) > 20  # it does go at full speed


def test_the_judge_of_this_test_sees_a_jump():
    world = World(0, Happening(), "commands", 0.1)
    world.run(80)
    time, message = world.node.topics["commands"].sent[-1]
    message = type(message)(data=[value + 0.09 for value in message.data])
    world.node.topics["commands"].sent.append((time + world.period, message))
    with pytest.raises(AssertionError, match=r"a step of 1\.80"):
        world.judge()


def test_a_plan_leaves_first_on_planned_actions_and_a_hold_first_on_what_moves_motors(arm):
    node, outputs = arm
    order = []
    for name, topic in node.topics.items():
        topic.publish = lambda _, name=name: order.append(name)
    outputs.publish(node.nanoseconds, climb(), named([0.5, 0.5]))
    assert order == ["planned_actions", "commands", "joint_trajectory"]
    order.clear()
    outputs.hold(node.nanoseconds, named([0.5, 0.5]))
    assert order == ["commands", "joint_trajectory", "planned_actions"]


def test_a_hold_leaves_on_planned_actions_though_a_stream_fails(arm):
    node, outputs = arm
    before = len(node.topics["planned_actions"].sent)

    def fail(_):
        raise RuntimeError("publisher is invalid")

    node.topics["commands"].publish = fail
    with pytest.raises(RuntimeError, match="invalid"):
        outputs.hold(node.nanoseconds, named([0.5, 0.5]))
    assert len(node.topics["planned_actions"].sent) == before + 1
