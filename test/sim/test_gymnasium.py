"""The engine Gymnasium: what a world can do is used, and what it cannot is refused with the reason.

The world is that of docs/extend/environment.md; the bad ones are made from it.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

gymnasium = pytest.importorskip("gymnasium")

from wm_mpc.data.episodes import Dataset, Recording  # noqa: E402
from wm_mpc.experiments.common.ceiling import TrueSimulator  # noqa: E402
from wm_mpc.experiments.common.episodes import draw_episode, run_episode  # noqa: E402
from wm_mpc.model.architecture import Architecture  # noqa: E402
from wm_mpc.model.world_model import WorldModel  # noqa: E402
from wm_mpc.sim import tasks, workers  # noqa: E402
from wm_mpc.sim.collection import collect, record_episode  # noqa: E402
from wm_mpc.sim.disturbance import Disturbance  # noqa: E402
from wm_mpc.sim.engine import EngineError, episode_rng  # noqa: E402
from wm_mpc.sim.engines import simulate  # noqa: E402
from wm_mpc.sim.gymnasium_task import GymnasiumTask  # noqa: E402
from wm_mpc.sim.workers import LocalWorkers  # noqa: E402
from wm_mpc.spec import ImageSpec, StateSpec  # noqa: E402
from wm_mpc.synthesis.online import OnlineConfig, online_rollouts  # noqa: E402
from wm_mpc.synthesis.random_rollouts import RandomRolloutConfig, random_rollouts  # noqa: E402

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
sys.path.insert(0, str(EXAMPLES))
try:
    import disc
    import disc_environment
finally:
    sys.path.remove(str(EXAMPLES))

STEPS = 30


class Bound(disc.Disc):
    """The task without the way back to a state."""

    get_state, set_state = GymnasiumTask.get_state, GymnasiumTask.set_state


def of_world(task=disc.Disc, **changes):
    """The task, in a world whose methods or attributes are other ones."""
    world = type("Changed", (disc_environment.PushDisc,), changes)
    return type("Task", (task,), {"make": lambda self: world(render_mode="rgb_array")})()


def of_task(base=disc.Disc, **changes):
    return type("Task", (base,), changes)()


@pytest.fixture(scope="module")
def simulation():
    with simulate(disc.Disc()) as simulation:
        yield simulation


# -------------------------------------------------------------------------------- what it can do


@pytest.mark.parametrize("first", [0, 7, 21])
def test_restored_state_continues_exactly_as_recorded(simulation, first):
    episode = record_episode(simulation, 0, 3, STEPS)
    record_episode(simulation, 0, 4, STEPS)  # something else in between
    seen = [simulation.restore(episode.layout, episode.simulator_states[first]).image]
    seen += [simulation.step(action).image for action in episode.actions[first:]]
    assert np.array_equal(seen, episode.images[first:])
    assert np.array_equal(simulation.state(), episode.simulator_states[-1])


@pytest.mark.parametrize("task", [disc.Disc, Bound])
def test_the_same_arguments_give_the_same_episode_in_any_simulation(task):
    episodes = []
    for others in (0, 2):
        with simulate(task()) as simulation:
            for index in range(others):
                record_episode(simulation, 1, 50 + index, STEPS)
            episodes.append(record_episode(simulation, 1, 2, STEPS))
    one, same = episodes
    for name in ("images", "states", "actions", "poses"):
        assert np.array_equal(getattr(one, name), getattr(same, name)), name


def test_episode_is_as_the_robot_is_described(simulation):
    episode = record_episode(simulation, 0, 0, STEPS)
    assert episode.images.shape == (STEPS + 1, 64, 64, 3)
    assert episode.images.dtype == np.uint8
    assert episode.states.shape == (STEPS + 1, 2)
    assert episode.poses.shape == (STEPS + 1, 4)
    assert np.abs(episode.actions).max() <= disc.SPEED + 1e-6


def test_an_environment_that_draws_with_torch_has_one_thread():
    """Else a picture of two_room took 0.35 s beside another busy process, in place of 2 ms."""
    used = []

    def render(self):
        used.append(torch.get_num_threads())
        return disc_environment.PushDisc.render(self)

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with simulate(of_world(render=render)) as simulation:
            record_episode(simulation, 0, 0, 2)
        assert set(used) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_picture_is_scaled_by_area(simulation):
    """From 96 to 64 pixels: what is drawn keeps its colour and its place."""
    image = simulation.restore(np.zeros(0), np.array([-0.5, 0.5, 0.5, -0.5])).image
    assert image[16, 16].tolist() == [220, 60, 30]
    assert image[48, 48].tolist() == [40, 90, 200]
    small = of_task(spec=dataclasses.replace(disc.Disc.spec, image=ImageSpec(96, 96)))
    with simulate(small) as whole:
        state = simulation.state()
        assert np.array_equal(whole.restore(np.zeros(0), state).image, whole.world.env.render())


def test_limits_of_the_task_are_those_of_the_environment(simulation):
    for action, way in (((0.8, -0.4), (0.08, -0.04)), ((9.0, 0.0), (0.08, 0.0))):
        simulation.put(np.zeros(0), np.array([-0.5, 0.5, 0.5, -0.5]))
        simulation.advance(np.array(action))
        assert simulation.measure() - (-0.5, 0.5) == pytest.approx(way, abs=1e-6)


@pytest.mark.parametrize("task", [disc.Disc, Bound])
def test_goal_is_where_the_explorer_came_and_the_start_is_not_there(task):
    with simulate(task()) as simulation:
        for index in range(3):
            observation = draw_episode(simulation, episode_rng(3, "evaluate", index))
            goal = simulation.goal
            assert not simulation.is_success()
            assert simulation.errors()["distance"] >= 0.1
            assert not np.array_equal(goal.observation.image, observation.image)
            assert goal.pose[:2] == pytest.approx(goal.observation.state, abs=1e-6)


def test_goal_of_a_restorable_world_is_reached_in_its_own_state(simulation):
    simulation.reset(episode_rng(3, "evaluate", 0))
    goal = simulation.goal
    there = simulation.restore(simulation.layout, goal.true_state)
    assert np.array_equal(there.image, goal.observation.image)
    assert simulation.errors() == {"distance": 0.0}
    assert simulation.is_success()


def test_starts_lie_anywhere_on_the_way_of_the_explorer():
    """And not at its beginning, where the environment itself starts its episodes."""

    class Counting(disc_environment.PushDisc):
        count = 0

        def reset(self, **options):
            self.count = 0
            return super().reset(**options)

        def step(self, action):
            self.count += 1
            return super().step(action)

    class Counted(disc.Disc):
        def make(self):
            return Counting(render_mode="rgb_array")

        def get_state(self, world):
            return np.append(super().get_state(world), world.env.count)

        def set_state(self, world, state):
            world.env.count = int(state[4])
            return super().set_state(world, state[:4])

    starts = []
    with simulate(Counted()) as simulation:
        for index in range(20):
            simulation.reset(episode_rng(0, "evaluate", index))
            starts.append(int(simulation.state()[4]))
            assert simulation.goal.true_state[4] == starts[-1] + 25
    assert len(set(starts)) > 10
    assert 0 <= min(starts) < 40 < max(starts) <= 75


def test_new_goal_leaves_the_state_as_it_is(simulation):
    simulation.reset(episode_rng(3, "node", 0))
    before, image = simulation.state(), simulation.observe().image
    first = simulation.goal
    goal = simulation.new_goal(np.random.default_rng(0))
    assert np.array_equal(simulation.state(), before)
    assert np.array_equal(simulation.observe().image, image)
    assert not np.array_equal(goal.true_state, first.true_state)


def test_goals_of_its_own_kind_are_drawn_by_the_task():
    place = np.array([0.5, 0.5, -0.5, -0.5])
    task = of_task(goal_kinds=("corner",), sample_goal=lambda self, world, rng, kind: place)
    with simulate(task) as simulation:
        simulation.reset(episode_rng(0, "evaluate", 0))
        assert np.array_equal(simulation.goal.true_state, place)
        assert simulation.errors()["distance"] > 0.0


# ---------------------------------------------------------------------------- data and synthesis


@pytest.fixture
def named(monkeypatch):
    """Lets a task be found by its name in this process."""

    def name(task):
        monkeypatch.setitem(tasks.TASKS, "disc", task)
        monkeypatch.setattr(workers, "_simulations", {})

    return name


def recorded(task, path):
    dataset = Dataset.create(path, task.spec, {"pose_names": task.pose_names})
    collect(dataset, episodes=3, steps=STEPS, seed=0, workers=LocalWorkers(1))
    return Recording(dataset)


def test_random_rollouts_start_where_the_recording_was(named, tmp_path):
    named(disc.Disc)
    recording = recorded(disc.Disc, tmp_path)
    config = RandomRolloutConfig(count=5, steps=2)
    rollouts = random_rollouts(recording, config, 0, LocalWorkers(1))
    assert rollouts.images.shape == (5, 3, 64, 64, 3)
    for image, state in zip(rollouts.images[:, 0], rollouts.states[:, 0], strict=True):
        same = np.flatnonzero((recording.states == state).all(1))
        assert any(np.array_equal(recording.images[frame], image) for frame in same)


def test_online_rollouts_execute_what_the_model_plans(named, tmp_path):
    named(disc.Disc)
    recording = recorded(disc.Disc, tmp_path)
    sizes = Architecture(keypoints=4, encoder_width=4, decoder_width=4, hidden=16)
    model = WorldModel(recording.spec, sizes).eval()
    config = OnlineConfig(plans=4, attempts=2, horizon=2, restarts=2, iterations=2)
    episodes = np.arange(3)
    made = online_rollouts(model, recording, config, [0], episodes, LocalWorkers(1))
    assert made.images.shape == (4, 3, 64, 64, 3)
    assert np.abs(made.actions).max() <= 1.0


def test_world_without_a_way_back_is_recorded_but_not_restored(named, tmp_path):
    named(Bound)
    recording = recorded(Bound, tmp_path)
    assert recording.simulator_states is None
    with pytest.raises(ValueError, match="its world cannot return to a state"):
        random_rollouts(recording, RandomRolloutConfig(count=1), 0, LocalWorkers(1))


# ------------------------------------------------------------------------ what it cannot be asked


def test_world_without_a_way_back_says_so():
    rng = np.random.default_rng(0)
    with simulate(Bound()) as simulation:
        assert not simulation.is_restorable
        simulation.reset(rng)
        for ask in (
            simulation.state,
            lambda: simulation.new_goal(rng),
            lambda: simulation.set_goal(np.zeros(4)),
            lambda: simulation.restore(np.zeros(0), np.zeros(4)),
            lambda: simulation.goal_at(0.0, 0.0, 0.0),
        ):
            with pytest.raises(
                EngineError, match=r"'disc' cannot return to a state, which .* need"
            ):
                ask()
        with pytest.raises(EngineError, match="leave it out of --planners"):
            TrueSimulator(simulation)


def test_task_without_goals_by_their_pose_says_so(simulation):
    with pytest.raises(ValueError, match="'disc' takes no goals by their pose"):
        simulation.goal_at(0.0, 0.0, 0.0)


def test_camera_that_nobody_describes_cannot_be_moved():
    with pytest.raises(ValueError, match="no camera that could be moved"):
        Disturbance(camera=0.1).apply(disc.Disc())


def ending(after):
    """A world whose episodes end after some steps."""

    def reset(self, **options):
        self.count = 0
        return disc_environment.PushDisc.reset(self, **options)

    def step(self, action):
        self.count += 1
        seen = disc_environment.PushDisc.step(self, action)
        return (*seen[:2], self.count >= after, *seen[3:])

    return {"reset": reset, "step": step}


def test_recorded_episode_ends_with_that_of_the_world():
    for goes_on in (False, True):
        task = of_world(of_task(goes_on=goes_on).__class__, **ending(12))
        with simulate(task) as simulation:
            assert len(record_episode(simulation, 0, 0, STEPS)) == 12


@pytest.mark.parametrize(("hold", "steps"), [(1, 12), (4, 3), (5, 3)])
def test_held_action_stops_where_the_world_ends(hold, steps):
    """A control step of 5 environment steps holds the twelfth, at which the world ends."""
    with simulate(of_world(of_task(hold=hold).__class__, **ending(12))) as simulation:
        assert len(record_episode(simulation, 0, 0, STEPS)) == steps
        assert simulation.world.env.count == 12


def test_end_that_does_not_count_ends_nothing():
    with simulate(of_world(of_task(ends=False).__class__, **ending(3))) as simulation:
        assert len(record_episode(simulation, 0, 0, STEPS)) == STEPS
        assert simulation.can_step


@pytest.mark.parametrize("hold", [2, 10])
def test_held_action_does_what_as_many_steps_do(hold):
    action = np.array([0.3, -0.2])
    with simulate(of_task(hold=hold)) as held, simulate(disc.Disc()) as single:
        for each, times in ((held, 1), (single, hold)):
            each.reset(np.random.default_rng(0), goal=False)
            for _ in range(times):
                each.advance(action)
        assert held.state() == pytest.approx(single.state(), abs=1e-12)


@pytest.mark.parametrize("hold", [0, -1, 2.5, "2"])
def test_hold_that_is_no_number_of_steps_is_refused(hold):
    with pytest.raises(EngineError, match=r"hold of task 'disc' is .*a whole number"):
        simulate(of_task(hold=hold))


def test_world_that_has_ended_takes_no_step_until_it_is_reset():
    with simulate(of_world(**ending(2))) as simulation:
        simulation.reset(np.random.default_rng(0), goal=False)
        simulation.advance(np.zeros(2))
        assert simulation.can_step
        simulation.advance(np.zeros(2))
        assert simulation.is_over
        assert not simulation.can_step
        with pytest.raises(EngineError, match=r"has ended its episode; .* until it is reset"):
            simulation.advance(np.zeros(2))
        simulation.reset(np.random.default_rng(1), goal=False)
        simulation.advance(np.zeros(2))


def test_controlled_episode_ends_with_that_of_the_world():
    class Still:
        def forget(self):
            pass

        def think(self):
            pass

        def set_goal(self, image, state):
            pass

        def plan(self, image, state, stamp, **_):
            @dataclasses.dataclass
            class Plan:
                actions = np.zeros((5, 2))
                encode_seconds = plan_seconds = 0.0

            return Plan()

    task = of_world(of_task(Bound, goal_steps={"near": 20}).__class__, **ending(40))
    with simulate(task) as simulation:
        result = run_episode(
            simulation, Still(), episode_rng(0, "evaluate", 0), planner=None, objective=None,
            steps=60,
        )  # fmt: skip
    assert not result.success
    assert result.steps == 40


def test_goals_beyond_the_end_of_the_world_are_refused():
    with (
        simulate(of_world(**ending(20))) as simulation,
        pytest.raises(EngineError, match="100 ways of the explorer ended before the 25 steps"),
    ):
        simulation.reset(np.random.default_rng(0))


# ------------------------------------------------------------------------------------ bad worlds


def nan_after(steps):
    def step(self, action):
        self.steps = getattr(self, "steps", 0) + 1
        observation, *rest = disc_environment.PushDisc.step(self, action)
        if self.steps >= steps:
            observation[1] = np.nan
        return (observation, *rest)

    return step


def failing(*_, **__):
    raise ArithmeticError("the motor is on fire")


def unlike_itself(self, **_):
    self.times = getattr(self, "times", 0) + 1
    return disc_environment.PushDisc.reset(self, seed=self.times)


def spaced(space):
    """A world with another action space."""

    def init(self, render_mode=None):
        disc_environment.PushDisc.__init__(self, render_mode)
        self.action_space = space

    return {"__init__": init}


BOX = gymnasium.spaces.Box
REFUSED = {
    "no picture": (of_world(render=lambda self: None), "renders nothing; a uint8"),
    "grey": (of_world(render=lambda self: np.zeros((64, 64), np.uint8)), r"renders uint8 \(64, 64"),
    "floats": (of_world(render=lambda self: np.zeros((64, 64, 3))), "renders float64"),
    "several": (of_world(render=lambda self: [np.zeros((9, 9, 3), np.uint8)]), r"\(1, 9, 9, 3\)"),
    "distorted": (
        of_world(render=lambda self: np.zeros((40, 80, 3), np.uint8)),
        "renders 40x80 pixels, which scaled to 64x64 would be distorted",
    ),
    "discrete": (of_world(**spaced(gymnasium.spaces.Discrete(4))), r"actions of Discrete\(4\)"),
    "unlimited": (of_world(**spaced(BOX(-np.inf, np.inf, (2,)))), "actions without limits"),
    "three": (of_world(**spaced(BOX(-1, 1, (3,)))), r"shape \(3,\); the task has 2 \(vx, vy\)"),
    "nan": (of_world(step=nan_after(4)), "the measured state of task 'disc' has y = nan"),
    "fails in reset": (of_world(reset=failing), "failed in reset: ArithmeticError: the motor"),
    "fails in step": (of_world(step=failing), "failed in step: ArithmeticError: the motor is on"),
    "fails in render": (of_world(render=failing), "failed in picture: ArithmeticError"),
    "fails in make": (of_task(make=failing), "failed in make: ArithmeticError: the motor"),
    "no make": (of_task(make=GymnasiumTask.make), "'disc' does not say make"),
    "no measure": (of_task(measure=GymnasiumTask.measure), "'disc' does not say measure"),
    "wrong measure": (
        of_task(measure=lambda self, world: world.observation),
        r"the measured state of task 'disc' has shape \(4,\); 2 numbers are needed \(x, y\)",
    ),
    "words": (
        of_task(pose=lambda self, world: ["here"]), r"the true pose of task 'disc' is \['here'\]"
    ),
    "half a way back": (
        of_task(set_state=GymnasiumTask.set_state),
        "'disc' has get_state, but not set_state; give both or neither",
    ),
    "the other half": (
        of_task(get_state=GymnasiumTask.get_state),
        "'disc' has set_state, but not get_state; give both or neither",
    ),
    "endless state": (
        of_task(get_state=lambda self, world: np.array([np.inf])),
        r"get_state of task 'disc' gave \[inf\]; a row of finite numbers is needed",
    ),
    "goals of no kind": (of_task(goal_kinds=("far",)), "how to draw goals of kind 'far'"),
    "goals without a way back": (of_task(Bound, goal_kinds=("far",)), "cannot set a state"),
    "no repetition": (
        of_world(Bound, reset=unlike_itself),
        r"starts elsewhere after the same reset\(seed\)",
    ),
    "lost explorer": (
        of_task(explorer=lambda self, world, rng: lambda: np.array([np.nan, 0.0])),
        r"was given the action \[nan  0\.\]; 2 numbers are needed",
    ),
    "missing package": (
        of_task(make=lambda self: __import__("no_such_robot")),
        "'disc' needs the module no_such_robot, which is not installed",
    ),
    "other engine": (of_task(engine="moon"), "names the engine 'moon'; known: bullet, gymnasium"),
}  # fmt: skip


def use(task):
    with simulate(task) as simulation:
        simulation.reset(np.random.default_rng(0))
        record_episode(simulation, 0, 0, STEPS)


@pytest.mark.parametrize("name", REFUSED)
def test_bad_world_is_refused_with_the_reason(name):
    task, reason = REFUSED[name]
    with pytest.raises(EngineError, match=reason):
        use(task)


def test_window_is_refused():
    with pytest.raises(EngineError, match="gui: task 'disc' is simulated by Gymnasium, without a"):
        simulate(disc.Disc(), gui=True)


def test_robot_with_a_camera_only_measures_nothing():
    spec = dataclasses.replace(disc.Disc.spec, state=StateSpec((), (), "odom"))
    task = of_task(spec=spec, measure=lambda self, world: np.zeros(0))
    with simulate(task) as simulation:
        assert record_episode(simulation, 0, 0, 5).states.shape == (6, 0)
