"""The options of `import_bag`, and the settings that they select."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wm_mpc.arguments import positive
from wm_mpc.data.bag_config import POINTS, RULES, STAMPS, BagConfig
from wm_mpc.spec import ACTION_KINDS, STATE_SOURCES

_DESCRIPTION = """\
Make a dataset from recordings of a robot: rosbag2 (sqlite3 or MCAP, of any distro) or ROS 1.
No ROS is needed. The command infers every setting that you leave out. It prints what it inferred
and what it could not use.

  import_bag my_bag --list                      the topics, and nothing else
  import_bag my_bag --task my_robot             everything inferred
  import_bag my_bag --config my_robot.yaml      everything stated: see config/bag_example.yaml
  train --dataset data/my_robot --synthesis adversarial
"""
_EPILOG = """\
how streams become steps, one per control period, starting with the first image (or where images
are newest, if their stamps jitter):
  image    the latest image: Image (8 bits of colour or grey, yuv422, uyvy, nv12, bayer_*; 16 bits
           and depth with --image-range), CompressedImage (jpeg, png, webp)
  state    interpolated between two messages: JointState, Odometry, PoseStamped, Float64MultiArray
  action   the last command (hold) or the mean over the step (integrate), and rest after
           --action-timeout without a command: Twist, TwistStamped, Float64MultiArray, JointState;
           or the points of a plan by time, JointTrajectory, as the robot executes planned_actions
           or as a joint_trajectory_controller does
If the recorder's clock differs from the robot's, messages without a stamp (Twist) are moved to the
robot's clock. A new episode begins after a gap in the images, where state or action is missing,
where time jumps back, and at every message of a --split-at topic. Options override the file.
"""


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _offset(text: str) -> float | str:
    return text if text == "auto" else float(text)


def _size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH, or one number for both."""
    height, _, width = text.lower().partition("x")
    return int(height), int(width or height)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="import_bag",
        usage="import_bag BAG [BAG ...] [options]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "bags",
        nargs="+",
        type=Path,
        metavar="BAG",
        help="a rosbag2 directory, or a .mcap, .db3 or .bag file",
    )
    parser.add_argument("--list", action="store_true", help="only list the topics")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings (YAML); see config/bag_example.yaml"
    )
    parser.add_argument(
        "--dataset", type=Path, metavar="DIR", help="where the dataset goes; default: ./data/<task>"
    )
    parser.add_argument(
        "--append", action="store_true", help="add episodes to a dataset of the same robot"
    )
    parser.add_argument(
        "--accept-damaged", action="store_true",
        help="use the readable messages, even if an unknown number is lost",
    )  # fmt: skip
    topics = parser.add_argument_group("topics; needed only where several topics fit")
    topics.add_argument("--image", dest="image.topic", metavar="TOPIC", help="topic of the camera")
    topics.add_argument(
        "--state", dest="state.topic", metavar="TOPIC", help="topic of the robot's state"
    )
    topics.add_argument(
        "--no-state",
        action="store_true",
        help="use the camera alone, without a measured state",
    )
    topics.add_argument(
        "--action", dest="action.topic", metavar="TOPIC", help="topic of the commands"
    )
    topics.add_argument(
        "--split-at", dest="split_at", type=_names, metavar="TOPICS",
        help="comma-separated topics; each of their messages begins a new episode",
    )  # fmt: skip
    topics.add_argument(
        "--split-pause", dest="split_pause", type=float, metavar="S",
        help="time to leave out after such a message, while somebody puts the robot back; "
        "default: 0",
    )  # fmt: skip
    robot = parser.add_argument_group("the robot")
    robot.add_argument(
        "--task", metavar="NAME", help="name of dataset, run and checkpoint; default: my_robot"
    )
    robot.add_argument(
        "--control-period", dest="control_period", type=float, metavar="S",
        help="length of a control step; default: the time between two points of a trajectory, or "
        "between two images",
    )  # fmt: skip
    robot.add_argument(
        "--frame-skip", dest="frame_skip", type=positive, metavar="N",
        help="control steps in a model step; default: 5",
    )  # fmt: skip
    robot.add_argument(
        "--history",
        type=positive,
        metavar="N",
        help="model steps of the past that the dynamics sees; default: 1",
    )
    robot.add_argument(
        "--image-size",
        type=_size,
        metavar="HxW",
        help="size of the image that the model sees; default: 64x64",
    )
    robot.add_argument(
        "--image-range", dest="image.value_range", type=_numbers, metavar="LOW,HIGH",
        help="values that become black and white, for images with more than 8 bits",
    )  # fmt: skip
    robot.add_argument(
        "--angles", dest="state.angles", type=_names, metavar="LIST",
        help="entries of the state that wrap at +-pi, or empty; default: a yaw, and joints "
        "that turn without limit",
    )  # fmt: skip
    robot.add_argument(
        "--state-names", dest="state.names", type=_names, metavar="LIST",
        help="entries of the state: any of x,y,yaw,vx,vy,wz, or joints, also joint/velocity and "
        "joint/effort",
    )  # fmt: skip
    robot.add_argument(
        "--state-source", dest="state.source", choices=STATE_SOURCES,
        help="topic from which mpc reads the state at run time",
    )  # fmt: skip
    robot.add_argument(
        "--action-names", dest="action.names", type=_names, metavar="LIST",
        help="entries of the action: any of vx,vy,vz,wx,wy,wz for a twist, or joints",
    )  # fmt: skip
    robot.add_argument(
        "--action-kind", dest="action.kind", choices=ACTION_KINDS, help="kind of the commands"
    )
    robot.add_argument(
        "--action-unit", dest="action.unit", metavar="UNIT", help="unit of the action"
    )
    for side in ("low", "high"):
        robot.add_argument(
            f"--action-{side}", dest=f"action.{side}", type=_numbers, metavar="LIST",
            help=f"{side}est value of each entry of the action; write '=' before a list that "
            "begins with a minus",
        )  # fmt: skip
    robot.add_argument(
        "--action-rate-limit", dest="action.rate_limit", type=_numbers, metavar="LIST",
        help="largest change per second of each entry of the action; default: none",
    )  # fmt: skip
    steps = parser.add_argument_group("from streams to steps")
    steps.add_argument(
        "--stamps", choices=STAMPS,
        help="which time to use: that of the header or that of arrival; default: header, unless "
        "it is 0",
    )  # fmt: skip
    steps.add_argument(
        "--clock-offset", "--stamp-offset", dest="stamp_offset", type=_offset, metavar="S",
        help="time by which the recorder's clock is ahead of the clock of the stamps; auto: as "
        "measured; default: as measured, up to 10 s",
    )  # fmt: skip
    steps.add_argument(
        "--trajectory-points", dest="action.points", choices=POINTS,
        help="meaning of a trajectory point: the target at its time (as for a "
        "joint_trajectory_controller), or the action from its time on (as in planned_actions); "
        "default: inferred from the messages",
    )  # fmt: skip
    steps.add_argument(
        "--action-rule", dest="action.rule", choices=RULES,
        help="use the last command before a step (hold), or the mean over the step (integrate); "
        "default: hold",
    )  # fmt: skip
    steps.add_argument(
        "--action-timeout", dest="action.timeout", type=float, metavar="S",
        help="a command older than this counts as rest; default: 0.5, without limit for "
        "trajectories",
    )  # fmt: skip
    steps.add_argument(
        "--max-silence", dest="action.max_silence", type=float, metavar="S",
        help="after this time of rest, the action counts as not recorded; default: 2",
    )  # fmt: skip
    steps.add_argument(
        "--max-gap", type=float, metavar="S",
        help="longest gap between two images or two states in an episode; default: 0.5",
    )  # fmt: skip
    steps.add_argument(
        "--min-steps", dest="min_steps", type=positive, metavar="N",
        help="drop episodes that are shorter; default: 3 model steps",
    )  # fmt: skip
    steps.add_argument(
        "--max-steps", dest="max_steps", type=positive, metavar="N",
        help="cut longer episodes into equal parts; default: 300",
    )  # fmt: skip
    return parser


_NOT_SETTINGS = {
    "bags", "list", "config", "dataset", "append", "accept_damaged", "image_size", "max_gap",
    "no_state",
}  # fmt: skip


def settings(options: argparse.Namespace) -> BagConfig:
    """Return the settings that parsed options select.

    Args:
        options: Parsed options of `parser`.

    Raises:
        BagConfigError: A setting is unknown or not accepted.
    """
    overrides: dict[str, Any] = {"image": {}, "state": {}, "action": {}}
    for name, value in vars(options).items():
        if value is not None and name not in _NOT_SETTINGS:
            section, _, entry = name.rpartition(".")
            (overrides[section] if section else overrides)[entry] = value
    if options.image_size is not None:
        overrides["image"] |= dict(zip(("height", "width"), options.image_size, strict=True))
    if options.no_state:
        overrides["state"]["names"] = []
    if options.max_gap is not None:
        overrides["image"]["max_gap"] = overrides["state"]["max_gap"] = options.max_gap
    return BagConfig.load(options.config, overrides)
