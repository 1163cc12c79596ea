"""A real robot's controller: `ros2 launch wm_mpc robot.launch.py model:=my_robot.safetensors`."""

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch_ros.actions import Node

from wm_mpc.ros.launching import end_with, network

FROM_FILE = "Empty: as in params_file, or the node's own default."
OUTPUTS = ("cmd_vel", "commands", "joint_trajectory")
# Launch argument, the parameter of mpc it stands for, its type, what it means.
PARAMETERS = (
    ("planner", "planner.type", str, "How to plan: adam, gd, cem, icem, cem_gd, lm or mppi."),
    ("rate", "rate", float, "Plans per second, Hz."),
    ("time_budget", "time_budget", float, "Search time of a plan, s."),
    ("observation_timeout", "observation_timeout", float, "Hold without an image for so long, s."),
    ("image_transport", "image.transport", str, "raw or compressed."),
    ("state_type", "state.type", str, "odom, joint_states, or auto: what the checkpoint says."),
    ("frame_id", "frame_id", str, "Frame of cmd_vel and of the markers."),
    ("auto_reload", "auto_reload", bool, "Change to each checkpoint a learner announces."),
    ("autostart", "autostart", bool, "Configure and activate at once."),
)
# Launch argument, what it renames, what it means.
TOPICS = (
    ("image_topic", "camera/image_raw", "Camera image (raw)."),
    ("compressed_topic", "camera/image_raw/compressed", "Camera image (compressed)."),
    ("odom_topic", "odom", "Odometry, for models that measure it."),
    ("joint_states_topic", "joint_states", "Joint states, for models that measure them."),
    ("goal_image_topic", "goal/image", "The picture to reach."),
    ("goal_state_topic", "goal/state", "The robot's state at the goal."),
    ("goal_append_image_topic", "goal/append/image", "Pictures to reach one after another."),
    ("goal_append_state_topic", "goal/append/state", "The robot's states there, by stamp."),
    ("planned_actions_topic", "planned_actions", "Plans, a JointTrajectory."),
    ("cmd_vel_topic", "cmd_vel", "With output cmd_vel: TwistStamped (bases, MoveIt Servo)."),
    (
        "commands_topic",
        "commands",
        "With output commands: Float64MultiArray (forward controllers).",
    ),
    (
        "joint_trajectory_topic",
        "joint_trajectory",
        "With output joint_trajectory: of a joint_trajectory_controller.",
    ),
)
OTHERS = (
    ("params_file", "", "ROS parameters of the nodes (YAML); see config/robot_example.yaml."),
    ("output", "", f"What to stream besides planned_actions: {', '.join(OUTPUTS)}, with commas."),
    ("namespace", "", "Of the nodes and all topics that do not begin with a slash."),
    ("use_sim_time", "false", "The time comes from the topic clock."),
    (
        "learner",
        "false",
        "true: start a learner, too (its parameters: params_file); live: one that learns from the "
        "running robot, and whose checkpoints are used.",
    ),
    ("respawn", "false", "Restart a node that dies, instead of ending with an error."),
    ("enclave", "", "SROS2 enclave of the nodes; see docs/security.md."),
)


def truth(name, text):
    """A launch argument as a bool; raises RuntimeError."""
    if text.lower() not in ("true", "false", "1", "0"):
        raise RuntimeError(f"{name} is {text!r}; accepted: true, false")
    return text.lower() in ("true", "1")


def given_parameters(given):
    """Parameters of mpc from the arguments that were given; raises RuntimeError."""
    parameters = {"checkpoint": given["model"]}
    for name, parameter, kind, _ in PARAMETERS:
        if given[name]:
            try:
                parameters[parameter] = (
                    truth(name, given[name]) if kind is bool else kind(given[name])
                )
            except ValueError:
                raise RuntimeError(f"{name} is {given[name]!r}; a number is needed") from None
    for output in filter(None, given["output"].replace(" ", "").split(",")):
        if output not in OUTPUTS:
            raise RuntimeError(f"output is {output!r}; accepted: {', '.join(OUTPUTS)}")
        parameters[f"output.{output}"] = True
    parameters["use_sim_time"] = truth("use_sim_time", given["use_sim_time"])
    return parameters


def start(context: LaunchContext):
    given = context.launch_configurations
    common = {
        "package": "wm_mpc",
        "namespace": given["namespace"] or None,
        "output": "screen",
        "remappings": [(old, given[name]) for name, old, _ in TOPICS if given[name]],
        "ros_arguments": ["--enclave", given["enclave"]] if given["enclave"] else None,
        "respawn": truth("respawn", given["respawn"]),
        "respawn_delay": 1.0,
    }
    files = [given["params_file"]] if given["params_file"] else []
    parameters, learning = given_parameters(given), {}
    learner = given["learner"].lower()
    if learner not in ("true", "false", "live"):
        raise RuntimeError(f"learner is {given['learner']!r}; accepted: true, false, live")
    if learner == "live":
        learning = {"mode": "live", "checkpoint": given["model"]}
        parameters.setdefault("auto_reload", True)
        if "image.transport" in parameters:
            learning["image.transport"] = parameters["image.transport"]
    nodes = [Node(executable="mpc", name="mpc", parameters=[*files, parameters], **common)]
    if learner != "false":
        given_too = [*files, learning] if learning else files
        nodes.append(Node(executable="learner", name="learner", parameters=given_too, **common))
    return nodes


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument("model", description="World model: a path or a shipped name."),
        *(
            DeclareLaunchArgument(name, default_value="", description=f"{text} {FROM_FILE}")
            for name, _, _, text in PARAMETERS
        ),
        *(
            DeclareLaunchArgument(
                name, default_value="", description=f"{text} Empty: {topic}, below the namespace."
            )
            for name, topic, text in TOPICS
        ),
        *(
            DeclareLaunchArgument(name, default_value=default, description=text)
            for name, default, text in OTHERS
        ),
        *network(),
    ]
    return LaunchDescription(
        [
            *arguments,
            RegisterEventHandler(OnProcessExit(on_exit=end_with)),
            OpaqueFunction(function=start),
        ]
    )
