"""The parameters of the node `mpc`: one table, from which the README's is made too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wm_mpc.planning.objective import DISTANCES, MODES, ObjectiveConfig
from wm_mpc.planning.registry import BACKENDS, INITS, PLANNERS, PlannerConfig
from wm_mpc.ros.parameters import Parameter

# Topics on which plans are sent if the parameter `output.<topic>` says so.
OUTPUTS = ("cmd_vel", "commands", "joint_trajectory")

TABLE = (
    Parameter(
        "checkpoint",
        "wall",
        "World model to plan with: a .safetensors path, or the name of a shipped one",
        only_inactive=True,
    ),
    Parameter("rate", 10.0, "Plans per second", "Hz", 0.1, 200.0),
    Parameter("planner.type", "adam", "Planning method", choices=tuple(sorted(PLANNERS))),
    Parameter("planner.horizon", 7, "Model steps to plan ahead", "steps", 1, 50),
    Parameter("planner.iterations", 15, "Improvement iterations of a plan", "", 1, 1000),
    Parameter(
        "planner.learning_rate", 0.1, "Step size of gradient planners, in action ranges / 2",
        "", 1e-4, 10.0,
    ),
    Parameter(
        "planner.learning_rate_decay", 0.5, "Share of the step size lost until the last iteration",
        "", 0.0, 1.0,
    ),
    Parameter("planner.restarts", 8, "Starts a gradient planner improves at once", "", 1, 1024),
    Parameter(
        "planner.samples", 128,
        "Candidates of a sampling planner; first plans a gradient planner picks its starts from",
        "", 1, 10000,
    ),
    Parameter(
        "planner.elites", 30, "Candidates that cem and icem keep of an iteration", "", 1, 10000
    ),
    Parameter(
        "planner.temperature", 0.1,
        "Greed of mppi: lower follows the best candidate, in deviations of the cost", "", 1e-3, 1e3,
    ),
    Parameter(
        "planner.noise", 0.0,
        "Noise on actions: of gradient steps (0: none), or samples (0: the method's own)",
        "", 0.0, 2.0,
    ),
    Parameter("planner.warm_start", True, "Begin from the shifted last plan"),
    Parameter(
        "planner.learned_start", True,
        "Begin from the checkpoint's learned first plans, too, where it has some",
    ),
    Parameter(
        "planner.init", "warm",
        "What the first start is: the shifted last plan, rest, random, or the best learned one "
        "(rest where the checkpoint has none); the other starts stay as they are",
        choices=INITS,
    ),
    Parameter(
        "planner.backend", "native",
        "Arithmetic of planning: compiled for this processor where that is possible, or PyTorch",
        choices=BACKENDS,
    ),
    Parameter(
        "cost.mode", "all", "Goal distance of the last step only, or of all steps, weighted",
        choices=MODES,
    ),
    Parameter(
        "cost.discount", 0.8, "Weight of a step relative to the next one, in mode all",
        "", 0.01, 1.0,
    ),
    Parameter(
        "cost.distance", "root", "Goal distance: squared, or its root (straight to the goal)",
        choices=DISTANCES,
    ),
    Parameter(
        "cost.state_weight", 0.0, "Weight of the robot's own state in the goal distance",
        "", 0.0, 100.0,
    ),
    Parameter(
        "cost.action_weight", 0.01, "Weight of squared actions: prefers direct ways", "", 0.0, 100.0
    ),
    Parameter(
        "cost.action_rate_weight", 0.0, "Weight of squared changes between actions", "", 0.0, 100.0
    ),
    Parameter(
        "observation_timeout", 0.5, "Hold when no newer observation came for so long", "s",
        0.05, 60.0,
    ),
    Parameter(
        "time_budget", 0.07, "Search time after which a planner returns its best plan so far", "s",
        0.001, 60.0,
    ),
    Parameter(
        "limits.largest_jump", 0.05,
        "Largest step between two commanded positions, as a share of their range; only for robots "
        "moved by positions whose checkpoint has no rate limit; counts from the next activation on",
        "", 1e-4, 1.0, only_inactive=True,
    ),
    Parameter(
        "limits.lag", 0.3,
        "How far a moving position robot may be behind its commands, in time at the rate limit, "
        "before the node holds it",
        "s", 0.0, 10.0,
    ),
    Parameter(
        "surprise.image", 3.0,
        "Hold when the camera shows what the model cannot redraw: at so many times the error that "
        "99 of 100 recorded images stay below; 0: never",
        "", 0.0, 1000.0,
    ),
    Parameter(
        "surprise.slow", 2.0,
        "Go slowly when predictions fail: at so many times the error that 99 of 100 recorded ones "
        "stay below; 0: never",
        "", 0.0, 1000.0,
    ),
    Parameter(
        "surprise.pace", 0.5, "How fast to go then, of what is planned", "", 0.05, 1.0
    ),
    Parameter(
        "surprise.hold", 3.5, "Hold when predictions fail by so many times; 0: never",
        "", 0.0, 1000.0,
    ),
    Parameter("surprise.pause", 1.0, "How long to hold then, before trying again", "s", 0.0, 60.0),
    Parameter(
        "goal.tolerance", 0.5,
        "A goal is reached when the scene is so near to it, in what it covers in a model step",
        "steps", 0.0, 1000.0,
    ),
    Parameter(
        "goal.timeout", 0.0, "Give a goal up after so long, and go on with the next; 0: never",
        "s", 0.0, 86400.0,
    ),
    Parameter(
        "image.transport", "raw", "Which image topic to use", choices=("raw", "compressed"),
        only_inactive=True,
    ),
    Parameter(
        "state.type", "auto", "Topic of the robot state; auto: what the checkpoint says",
        choices=("auto", "odom", "joint_states"), only_inactive=True,
    ),
    Parameter("output.cmd_vel", False, "Also stream the plan on cmd_vel"),
    Parameter(
        "output.cmd_vel_type", "twist_stamped",
        "Type of cmd_vel: geometry_msgs/TwistStamped, or Twist for robots that want no stamp",
        choices=("twist_stamped", "twist"), only_inactive=True,
    ),
    Parameter(
        "output.commands", False,
        "Also stream the plan as Float64MultiArray on commands (ros2_control forward controllers)",
    ),
    Parameter(
        "output.joint_trajectory", False,
        "Also send each plan on joint_trajectory as a joint_trajectory_controller wants it",
    ),
    Parameter("frame_id", "odom", "Frame of the plan markers and of cmd_vel"),
    Parameter(
        "auto_reload", False,
        "Plan with every checkpoint announced on learner/checkpoint as soon as it is loaded",
    ),
    Parameter("autostart", True, "Configure and activate at start-up", read_only=True),
    Parameter(
        "lockstep", False, "Answer every observation with a plan, without time limit",
        read_only=True,
    ),
    Parameter("seed", 0, "Seed of the planner's random numbers", "", 0, 2**31 - 1,
              only_inactive=True),
    Parameter(
        "threads", 1, "Threads of what PyTorch computes; compiled arithmetic uses one", "", 1, 64,
        only_inactive=True,
    ),
)  # fmt: skip


def planner_config(values: Mapping[str, Any]) -> PlannerConfig:
    """From a snapshot of the parameters. Raises ValueError when they contradict each other."""
    prefix = "planner."
    return PlannerConfig(**{k.removeprefix(prefix): v for k, v in values.items()
                            if k.startswith(prefix)})  # fmt: skip


def objective_config(values: Mapping[str, Any]) -> ObjectiveConfig:
    """From a snapshot of the parameters."""
    prefix = "cost."
    return ObjectiveConfig(**{k.removeprefix(prefix): v for k, v in values.items()
                              if k.startswith(prefix)})  # fmt: skip


class Configs:
    """`planner_config` and `objective_config` of a snapshot of the parameters, made once as long as
    it stays the same object."""

    def __init__(self) -> None:
        self._values: Mapping[str, Any] | None = None
        self._made: tuple[PlannerConfig, ObjectiveConfig]

    def of(self, values: Mapping[str, Any]) -> tuple[PlannerConfig, ObjectiveConfig]:
        """values: an immutable snapshot. Raises ValueError as `planner_config` does."""
        if values is not self._values:
            self._made = planner_config(values), objective_config(values)
            self._values = values
        return self._made


def validate(values: Mapping[str, Any]) -> None:
    """What concerns several parameters at once; raises ValueError with the reason."""
    planner_config(values)
    objective_config(values)
