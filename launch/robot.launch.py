"""A real robot's controller: `ros2 launch wm_mpc robot.launch.py model:=my_robot.safetensors`."""

from launch.actions import DeclareLaunchArgument, LogInfo
from launch_ros.actions import Node

from wm_mpc.ros.launch_arguments import ParameterArgument, outputs, values_of
from wm_mpc.ros.launch_models import check_model
from wm_mpc.ros.launching import (
    Together,
    description,
    environment,
    parameter_files,
    rviz,
    truth,
    viewer,
)

FROM_FILE = "Empty: as in params_file, or the node's own default."
OUTPUTS = outputs()
# What many launch files mean by an argument `output`, which an include then hands down to this one.
PRINTING = ("screen", "log", "both")
FOREIGN = (
    "WARNING: the argument output, set for other nodes, says where they print; mpc streams nothing "
    f"besides planned_actions. To stream, give this launch file output:={'|'.join(OUTPUTS)}"
)
MODEL = ParameterArgument("model", ("mpc:checkpoint",))
# Each stands for a parameter of mpc.
PARAMETERS = tuple(
    ParameterArgument(name, (f"mpc:{parameter}",), "", more=FROM_FILE)
    for name, parameter in (
        ("planner", "planner.type"),
        ("rate", "rate"),
        ("time_budget", "time_budget"),
        ("observation_timeout", "observation_timeout"),
        ("image_transport", "image.transport"),
        ("state_type", "state.type"),
        ("cmd_vel_type", "output.cmd_vel_type"),
        ("frame_id", "frame_id"),
        ("auto_reload", "auto_reload"),
        ("autostart", "autostart"),
    )
)
# Launch argument, what it renames, what it means.
TOPICS = (
    ("image_topic", "camera/image_raw", "Raw images of the camera."),
    (
        "compressed_topic",
        "camera/image_raw/compressed",
        "Compressed images of the camera, unless they are on image_topic with /compressed.",
    ),
    ("odom_topic", "odom", "Odometry, for models that need it."),
    ("joint_states_topic", "joint_states", "Joint states, for models that need them."),
    ("goal_image_topic", "goal/image", "The goal."),
    ("goal_state_topic", "goal/state", "The robot's state at the goal."),
    ("goal_append_image_topic", "goal/append/image", "Goals that are reached one after another."),
    (
        "goal_append_state_topic",
        "goal/append/state",
        "The robot's states at these goals, with the same stamps.",
    ),
    ("planned_actions_topic", "planned_actions", "The plans."),
    *((f"{name}_topic", name, f"Topic of output {name}.") for name in OUTPUTS),
)
OTHERS = (
    (
        "camera_topics",
        "",
        "Topics of further cameras, as camera=topic, separated by commas, such as "
        "side=/left/image_raw; or topic=topic, where the checkpoint has another topic than "
        "<camera>/image_raw.",
    ),
    ("params_file", "", "Parameters of the nodes (YAML); see config/robot_example.yaml."),
    ("output", "", f"Outputs besides planned_actions, separated by commas: {', '.join(OUTPUTS)}."),
    ("namespace", "", "Namespace of the nodes, and of all topics that do not begin with a slash."),
    ("use_sim_time", "false", "Take the time from /clock."),
    (
        "learner",
        "false",
        "true: also start a learner; live: start one that learns from the running robot, and use "
        "its checkpoints.",
    ),
    (
        "viewer",
        "false",
        "Show camera, goal, plan and charts in the browser; the log says where.",
    ),
    ("rviz", "false", "Start RViz, where it is installed, with camera, goal, plan and robot."),
    ("respawn", "false", "Restart a node that dies, instead of ending with an error."),
    ("enclave", "", "SROS2 enclave of the nodes; see docs/security.md."),
)


def parameters_of_mpc(given):
    """Parameters of mpc from the arguments that were given. Raises RuntimeError."""
    parameters = MODEL.values(given, "mpc")
    chosen = tuple(argument for argument in PARAMETERS if given[argument.name])
    parameters |= values_of(chosen, given, "mpc")
    for output in filter(None, given["output"].replace(" ", "").split(",")):
        if output in PRINTING:
            continue
        if output not in OUTPUTS:
            raise RuntimeError(f"output is {output!r}; accepted: {', '.join(OUTPUTS)}")
        parameters[f"output.{output}"] = True
    parameters["use_sim_time"] = truth("use_sim_time", given["use_sim_time"])
    return parameters


def remappings(given):
    """Topics by their new names. The compressed one follows the raw one, as in image_transport."""
    names = {name: given[name] for name, _, _ in TOPICS}
    if names["image_topic"] and not names["compressed_topic"]:
        names["compressed_topic"] = names["image_topic"].rstrip("/") + "/compressed"
    renamed = [(old, names[name]) for name, old, _ in TOPICS if names[name]]
    return [*renamed, *further_cameras(given)]


def further_cameras(given):
    """Topics of the model's further cameras by their new names. Raises RuntimeError."""
    renamed = []
    for entry in filter(None, given["camera_topics"].replace(" ", "").split(",")):
        camera, equals, topic = entry.partition("=")
        if not (camera and equals and topic):
            raise RuntimeError(
                f"camera_topics has {entry!r}; accepted: camera=topic, such as side=/left/image_raw"
            )
        renamed.append((camera if "/" in camera else f"{camera}/image_raw", topic))
    return renamed


def start(given, context):
    respawn = truth("respawn", given["respawn"])
    together = Together(given, respawn=respawn)
    places = {
        "namespace": given["namespace"] or None,
        "remappings": remappings(given),
        "ros_arguments": ["--enclave", given["enclave"]] if given["enclave"] else None,
    }
    common = {
        **places,
        "package": "wm_mpc",
        "output": "screen",
        "additional_env": environment(given, context),
        "on_exit": together.on_exit,
        "respawn": respawn,
        "respawn_delay": 1.0,
    }
    files = parameter_files(given)
    parameters, learning = parameters_of_mpc(given), {}
    if parameters.get("autostart", True):  # else it may come later
        check_model(given["model"])
    learner = given["learner"].lower()
    if learner not in ("true", "false", "live"):
        raise RuntimeError(f"learner is {given['learner']!r}; accepted: true, false, live")
    if learner == "live":
        learning = {"mode": "live", "checkpoint": parameters["checkpoint"]}
        parameters.setdefault("auto_reload", True)
        if "image.transport" in parameters:
            learning["image.transport"] = parameters["image.transport"]
    nodes = [Node(executable="mpc", name="mpc", parameters=[*files, parameters], **common)]
    if learner != "false":
        given_too = [*files, learning] if learning else files
        nodes.append(Node(executable="learner", name="learner", parameters=given_too, **common))
    foreign = [LogInfo(msg=FOREIGN)] if given["output"] in PRINTING else []
    clock = {"use_sim_time": parameters["use_sim_time"]}
    shown = rviz(given, given["frame_id"] or "odom", parameters=[clock], **places)
    return [*foreign, *together(nodes, [*viewer(given, context, files, **places), *shown])]


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument("model", description=MODEL.description()),
        *(argument.declared() for argument in PARAMETERS),
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
    ]
    return description(arguments, start)
