"""What the control loop decides, to the millisecond: the test owns the clock, there is no ROS."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from wm_mpc.codes import HoldCode
from wm_mpc.control.frozen_camera import FrozenCamera
from wm_mpc.control.goals import GoalQueue, GoalStatus
from wm_mpc.control.holds import HoldError
from wm_mpc.control.loop import GOALS_GONE, STOPPED, ControlLoop, Hold, Send, SendAgain
from wm_mpc.control.observation_check import ObservationCheck
from wm_mpc.control.observing import Ahead
from wm_mpc.control.settings import ControlSettings, SurpriseSettings
from wm_mpc.control.state_history import StateHistory
from wm_mpc.model.architecture import Architecture
from wm_mpc.model.familiarity import Familiarity
from wm_mpc.model.world_model import WorldModel
from wm_mpc.planning.registry import PlannerConfig
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec

MS = 1_000_000
START = 1_700_000_000_000_000_000
PERIOD = 100 * MS
HORIZON = 5
SETTINGS = ControlSettings(planner=PlannerConfig(horizon=HORIZON, iterations=1, restarts=2))
SIZE = 16


def make_model(kind="velocity", seed=0, measured=("a", "b")):
    names = ("a", "b")
    spec = RobotSpec(
        "toy",
        ActionSpec(names, kind, "rad", (-1.0, -1.0), (1.0, 1.0), (0.5, 0.5)),
        StateSpec(measured, ("rad",) * len(measured), "joint_states"),
        ImageSpec(SIZE, SIZE),
        0.1,
        2,
    )
    torch.manual_seed(seed)
    return WorldModel(spec, Architecture(3, 4, 4, hidden=16)).eval().requires_grad_(False)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@dataclasses.dataclass
class Image:
    """A picture as it came; `data` is what a frozen camera repeats."""

    pixels: np.ndarray
    stamp: int
    received: float
    unreadable: bool = False

    @property
    def data(self):
        return self.pixels.tobytes()


class Observed:
    def __init__(self, image, values):
        self._image, self._values, self.laps = image, values, []
        self.stamp, self.lap = image.stamp, self.laps.append

    def image(self):
        if self._image.unreadable:
            raise HoldError(HoldCode.UNREADABLE, "image is cut off", is_fault=True)
        return self._image.pixels

    def state(self):
        return self._values


class Joints:
    """What was heard of the joints, see `observation_check.Measured`."""

    def __init__(self, names):
        self.history, self.ahead, self.missing = StateHistory(names, []), Ahead(), ""

    def why_missing(self):
        return self.missing


class World:
    """A robot and its people, and a clock that only the test moves."""

    def __init__(self, model):
        self.clock = 0  # ns since START
        self.spec, self.rival, self.frozen = model.spec, False, False
        self.goals, self.image, self.ahead = GoalQueue(), None, Ahead()
        self.joints = Joints(model.spec.state.names)
        self.camera = FrozenCamera(clock=lambda: self.clock / 1e9)
        self.check = ObservationCheck(
            0.1, image_topic="/camera", state_topic="/joints", is_simulated=False
        )
        self.place = {}
        self.after_observing = lambda: None

    # ------------------------------------------------------------------------ what happens to it

    def see(self, pixels=None, *, age=0.0, unreadable=False):
        stamp = self.now() - round(age * 1e9)
        pixels = picture(self.clock % 1000) if pixels is None else pixels
        self.image = Image(pixels, stamp, self.clock / 1e9, unreadable)
        self.ahead.add(stamp, self.now())
        self.camera.see(self.image)

    def feel(self, place=(0.1, 0.2), *, age=0.0, names=("a", "b")):
        stamp = self.now() - round(age * 1e9)
        self.joints.ahead.add(stamp, self.now())
        values = dict(zip(names, place, strict=True))
        self.joints.history.add(stamp, self.clock / 1e9, values)
        self.place |= values

    def want(self, seed=99):
        return self.goals.replace(picture(seed))

    def pass_ms(self, milliseconds):
        self.clock += round(milliseconds * MS)

    # ------------------------------------------------------------------------- what the loop asks

    def now(self):
        return START + self.clock

    def has_rival(self):
        return self.rival

    def observe(self, settings):
        timeout, moment = settings.observation_timeout, self.clock / 1e9
        check = self.check.at(self.now(), moment, timeout)
        found = check.image(self.image, self.ahead)
        state = None
        if not found.hold:
            state = self.joints.history.at(self.image.stamp)
            found = check.state(state, self.joints)
        if found.hold:
            raise HoldError(found.code, found.hold, is_fault=found.is_fault)
        if self.camera.moved(self.place, 0.3):
            raise HoldError(HoldCode.FROZEN_IMAGE, "the camera repeats an image", is_fault=True)
        self.after_observing()
        return Observed(self.image, state.values)

    def goal(self):
        return self.goals.current

    def why_no_goal(self):
        return "no goal received yet"

    def goal_arrays(self, goal):
        return goal.content, None

    def measured(self):
        return dict(self.place)

    def positions(self, state):
        return self.spec.measured_positions(state)


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def world(model):
    """A robot that may be moved: seen, felt and wanted somewhere."""
    world = World(model)
    world.want()
    world.see()
    world.feel()
    return world


@pytest.fixture
def loop(model, world):
    return ControlLoop(model, 0, world)


def step(loop, settings=SETTINGS):
    """A decision, carried out as the node does."""
    loop.begin()
    decision = loop.decide(settings)
    if isinstance(decision, Send):
        loop.sent(decision)
    elif isinstance(decision, Hold):
        world = loop._world
        loop.stands(world.now(), loop.model.spec.rest(world.measured()))
    return decision


def held(loop, settings=SETTINGS):
    """The code and the reason of a hold that is decided now."""
    decision = step(loop, settings)
    assert isinstance(decision, Hold), decision
    return decision.code, decision.reason


# ---------------------------------------------------------------------------------- it sends


def test_a_good_observation_makes_a_plan_that_applies_from_its_stamp(loop, world):
    world.pass_ms(12)
    decision = step(loop)
    assert isinstance(decision, Send)
    assert decision.stamp == START
    assert decision.actions.shape == (HORIZON * 2, 2)
    assert decision.degraded == ""
    assert decision.observation.laps == ["wait", "convert"]  # type: ignore[attr-defined]


def test_the_next_plan_keeps_the_points_that_are_being_executed(loop, world):
    first = step(loop)
    world.pass_ms(100)
    world.see()
    world.feel()
    loop.usual = 0.15  # while it plans, the points at 100 and 200 ms are executed
    second = step(loop)
    np.testing.assert_allclose(second.actions[:2], first.actions[1:3], atol=1e-6)


# ---------------------------------------------------------------------------------- it holds


def test_no_image(loop, world):
    world.image = None
    code, reason = held(loop)
    assert (code, reason) == (HoldCode.NO_IMAGE, "no image received yet on /camera")


@pytest.mark.parametrize(("milliseconds", "holds"), [(499, False), (500, False), (501, True)])
def test_an_image_is_too_old_to_the_millisecond(loop, world, milliseconds, holds):
    world.pass_ms(milliseconds)
    world.feel()
    decision = step(loop)
    assert isinstance(decision, Hold) == holds
    if holds:
        assert decision.code is HoldCode.STALE_IMAGE


def test_an_image_of_the_future(loop, world):
    world.see(age=-0.25)
    world.feel(age=-0.25)
    code, reason = held(loop)
    assert code is HoldCode.FUTURE_IMAGE
    assert "clocks differ" in reason


def test_a_camera_that_repeats_one_image_while_the_robot_moves(loop, world):
    same = picture(5)
    for place in (0.0, 0.1, 0.2, 0.3, 0.4):
        world.see(same)
        world.feel((place, 0.0))
        decision = step(loop)
        world.pass_ms(100)
    assert decision.code is HoldCode.FROZEN_IMAGE


def test_no_state_names_what_is_missing(model):
    world = World(model)
    world.want()
    world.see()
    world.joints.missing = "b not among the joints heard: a"
    code, reason = held(ControlLoop(model, 0, world))
    assert code is HoldCode.NO_STATE
    assert "b not among the joints heard" in reason


def test_a_state_that_stopped_coming(loop, world):
    world.pass_ms(400)
    world.see()
    world.pass_ms(101)
    code, reason = held(loop)
    assert code is HoldCode.STALE_STATE
    assert "/joints" in reason


def test_a_state_of_the_future(loop, world):
    world.feel(age=-0.25)
    assert held(loop)[0] is HoldCode.FUTURE_STATE


def test_a_state_of_another_moment(loop, world):
    world.pass_ms(250)
    world.see()
    code, reason = held(loop)
    assert code is HoldCode.OTHER_MOMENT
    assert "250 ms older than the image" in reason


def test_an_image_that_cannot_be_read(loop, world):
    world.see(unreadable=True)
    assert held(loop) == (HoldCode.UNREADABLE, "image is cut off")


def test_no_goal(loop, world):
    world.goals.clear()
    assert held(loop)[0] is HoldCode.NO_GOAL


def test_a_rival(loop, world):
    world.rival = True
    assert held(loop)[0] is HoldCode.RIVAL


def test_a_person(loop):
    loop.held_by_person = True
    assert held(loop)[0] is HoldCode.PERSON
    loop.held_by_person = False
    assert isinstance(step(loop), Send)


@pytest.mark.parametrize("why", [STOPPED, GOALS_GONE])
def test_a_person_who_stops_the_robot_while_it_is_planned(loop, why):
    loop.begin()
    decision = loop.decide(SETTINGS)
    loop.stop(START, np.zeros(2), why)
    assert loop.may_send() is why
    assert isinstance(decision, Send)
    assert isinstance(step(loop), Send)  # from the next decision on it plans again
    assert loop.may_send() is None


def test_a_person_who_holds_the_robot_while_it_is_planned(loop):
    loop.decide(SETTINGS)
    loop.held_by_person = True
    assert loop.may_send().code is HoldCode.PERSON


def test_planning_that_takes_longer_than_its_plan(loop):
    loop.usual = 0.1 * HORIZON * 2
    assert held(loop)[0] is HoldCode.TOO_SLOW
    loop.usual -= 0.101
    assert isinstance(step(loop), Send)


def test_an_observation_that_grows_too_old_while_it_is_planned(loop, world):
    world.after_observing = lambda: world.pass_ms(501)
    assert held(loop)[0] is HoldCode.STALE_PLAN


def test_a_plan_that_is_not_finite(loop, model, monkeypatch):
    real = loop._controller.plan

    def broken(*arguments, **settings):
        plan = real(*arguments, **settings)
        return dataclasses.replace(plan, actions=np.full_like(plan.actions, np.nan))

    monkeypatch.setattr(loop._controller, "plan", broken)
    assert held(loop)[0] is HoldCode.INVALID_PLAN


def test_a_state_that_is_not_finite_makes_no_plan(loop, world):
    world.feel((np.nan, 0.0))
    assert held(loop)[0] is HoldCode.NO_PLAN


def test_a_fault_of_ours(loop, monkeypatch):
    monkeypatch.setattr(loop._controller, "plan", lambda *_, **__: 1 / 0)
    code, reason = held(loop)
    assert code is HoldCode.FAULT
    assert "ZeroDivisionError" in reason
    assert "(test_loop.py, line " in reason


# ------------------------------------------------------------------------------ it is surprised


def usual(prediction=1e9, image=1e9):
    return Familiarity(prediction=prediction, image=image, step=1.0, moments=100)


def test_a_camera_that_shows_what_the_model_does_not_know(model, world):
    model.familiarity = usual(image=1e-6)
    loop = ControlLoop(model, 0, world)
    assert held(loop)[0] is HoldCode.SURPRISE_IMAGE


def test_the_next_plan_is_made_without_the_light_of_the_last_picture(model, world):
    model.familiarity = dataclasses.replace(usual(), unexplained=1.0)
    loop = ControlLoop(model, 0, world)
    assert isinstance(step(loop), Send)
    conditions = loop.trust.conditions
    assert conditions is not None
    world.pass_ms(100)
    world.see()
    world.feel()
    assert isinstance(step(loop), Send)
    assert loop._controller.conditions.light is conditions.light
    light = loop.trust.conditions.light
    assert light is not conditions.light
    assert loop.trust.values()["light"] == f"{light.brightness():.2f}"
    assert loop.trust.values()["camera shift"] == "none"


@pytest.mark.parametrize(("multiple", "degraded"), [(3.0, True), (1.0, False)])
def test_a_surprised_model_goes_at_half_the_pace(model, world, multiple, degraded):
    model.familiarity = usual()
    loop = ControlLoop(model, 0, world)
    loop.trust._surprise = dataclasses.replace(loop.trust._surprise, prediction=multiple)
    decision = step(loop)
    assert bool(decision.degraded) == degraded
    assert ("times the usual error" in decision.degraded) == degraded


def test_a_pause_ends_to_the_millisecond(model, world):
    model.familiarity = usual()
    loop = ControlLoop(model, 0, world)
    loop.trust._surprise = dataclasses.replace(loop.trust._surprise, prediction=9.0)
    settings = dataclasses.replace(SETTINGS, surprise=SurpriseSettings(pause=0.4))
    assert held(loop, settings)[0] is HoldCode.SURPRISE_PREDICTION
    world.pass_ms(399)
    assert held(loop, settings)[0] is HoldCode.SURPRISE_PREDICTION
    world.pass_ms(1)
    assert isinstance(step(loop, settings), Send)


def test_reflecting_compares_with_what_was_predicted(model, world):
    model.familiarity = usual(prediction=1e-3)
    loop = ControlLoop(model, 0, world)
    seen = []
    for number in range(12):
        world.see(picture(number))
        world.feel()
        decision = step(loop)
        if isinstance(decision, Hold):
            seen.append(decision.code)
            break
        loop.reflect(decision, SETTINGS)
        world.pass_ms(100)
    assert seen == [HoldCode.SURPRISE_PREDICTION]


# -------------------------------------------------------------------- goals, models and lockstep


def test_distance_to_a_goal_that_is_shown_is_none(model, world):
    model.familiarity = usual()
    loop = ControlLoop(model, 0, world)
    world.want(7)
    world.see(picture(7))
    decision = step(loop)
    assert loop.reflect(decision, SETTINGS) == pytest.approx(0.0, abs=1e-3)


def test_a_goal_is_reached_after_five_observations_near_it(model, world):
    model.familiarity = usual()
    loop = ControlLoop(model, 0, world)
    world.want(7)
    for _ in range(5):
        world.see(picture(7))
        decision = step(loop)
        distance = loop.reflect(decision, SETTINGS)
        assert world.goals.current.status is GoalStatus.EXECUTING
        world.goals.see(decision.goal.number, distance, 0.0, tolerance=0.5, timeout=0.0)
    assert world.goals.current.status is GoalStatus.REACHED


def test_another_goal_makes_another_plan(loop, world):
    first = step(loop)
    world.want(3)
    assert step(loop).goal.number == first.goal.number + 1


def test_another_model_takes_over_between_two_decisions(loop, model):
    other = make_model(seed=1)
    loop.use(other, 0)
    assert loop.model is model
    assert loop.begin() is other
    assert loop.model is other
    assert loop.begin() is None
    assert isinstance(step(loop), Send)


def test_in_lockstep_each_observation_gets_one_answer(model, world):
    loop = ControlLoop(model, 0, world, lockstep=True)
    first, again = step(loop), step(loop)
    assert isinstance(again, SendAgain)
    assert (again.stamp, again.actions.tolist()) == (first.stamp, first.actions.tolist())
    world.pass_ms(100)
    world.see()
    world.feel()
    assert isinstance(step(loop), Send)


def test_in_lockstep_the_answer_to_what_was_held_is_new(model, world):
    loop = ControlLoop(model, 0, world, lockstep=True)
    step(loop)
    loop.held_by_person = True
    assert held(loop)[0] is HoldCode.PERSON
    loop.held_by_person = False
    assert isinstance(step(loop), Send)


# ------------------------------------------------------------------- robots moved by positions


def test_an_arm_of_which_a_joint_was_never_measured_is_sent_nothing():
    model = make_model("position", measured=("a",))
    world = World(model)
    world.want()
    world.see()
    world.feel((0.4,), names=("a",))
    loop = ControlLoop(model, 0, world)
    code, reason = held(loop)
    assert code is HoldCode.NO_REST
    assert "b" in reason
    world.place["b"] = -0.6
    assert isinstance(step(loop), Send)


def test_an_arm_begins_where_it_is_measured():
    model = make_model("position")
    world = World(model)
    world.want()
    world.see()
    world.feel((0.4, -0.6))
    decision = step(ControlLoop(model, 0, world))
    change = model.spec.largest_change
    assert (np.abs(decision.actions[0] - [0.4, -0.6]) <= change + 1e-6).all()


def test_an_arm_that_does_not_follow_is_held():
    model = make_model("position")
    world = World(model)
    world.want()
    loop = ControlLoop(model, 0, world)
    codes = []
    for _ in range(40):
        world.see()
        world.feel((0.0, 0.0))  # blocked
        decision = step(loop)
        if isinstance(decision, Send):  # as if it were led away at the rate limit
            ahead = np.cumsum(np.tile(model.spec.largest_change, (len(decision.actions), 1)), 0)
            last = loop.executed.at(decision.stamp - 1)
            start = np.zeros(2) if last is None else last
            loop.executed.put(decision.stamp, np.clip(start + ahead, -1.0, 1.0))
        codes.append(getattr(decision, "code", None))
        world.pass_ms(100)
    assert HoldCode.JUMP in codes
    assert HoldCode.NOT_FOLLOWING in codes


def test_codes_are_stable():
    assert [code.value for code in HoldCode] == [
        "hold.person", "hold.rival", "hold.no_image", "hold.clock_stands",
        "hold.stale_image", "hold.future_image", "hold.frozen_image",
        "hold.cameras_apart", "hold.no_state", "hold.stale_state", "hold.future_state",
        "hold.other_moment", "hold.unreadable", "hold.no_goal", "hold.no_rest", "hold.too_slow",
        "hold.surprise.image", "hold.foreign_object", "hold.surprise.prediction",
        "hold.invalid_plan", "hold.stale_plan", "hold.jump", "hold.not_following", "hold.no_plan",
        "hold.fault",
    ]  # fmt: skip
