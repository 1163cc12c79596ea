"""The options of `import_bag`, and the settings that they select."""

from __future__ import annotations

import argparse
from pathlib import Path

from wm_mpc.arguments import Parser
from wm_mpc.cli.import_options import COMMON, Option, add_groups, names, numbers, settings_of
from wm_mpc.data.bag_config import POINTS, RULES, STAMPS, BagConfig
from wm_mpc.spec import ACTION_KINDS

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


def _offset(text: str) -> float | str:
    return text if text == "auto" else float(text)


_GROUPS: dict[str, tuple[Option, ...]] = {
    "topics; needed only where several topics fit": (
        ("--image", "image.topic", None, "TOPIC", "topic of the camera"),
        ("--state", "state.topic", None, "TOPIC", "topic of the robot's state"),
        COMMON["--no-state"],
        ("--action", "action.topic", None, "TOPIC", "topic of the commands"),
        ("--split-at", "split_at", names, "TOPICS",
         "comma-separated topics; each of their messages begins a new episode"),
        ("--split-pause", "split_pause", float, "S",
         "time to leave out after such a message, while somebody puts the robot back; default: 0"),
    ),
    "the robot": (
        ("--task", None, None, "NAME", "name of dataset, run and checkpoint; default: my_robot"),
        ("--control-period", "control_period", float, "S",
         "length of a control step; default: the time between two points of a trajectory, or "
         "between two images"),
        COMMON["--frame-skip"],
        COMMON["--history"],
        COMMON["--image-size"],
        ("--image-range", "image.value_range", numbers, "LOW,HIGH",
         "values that become black and white, for images with more than 8 bits"),
        ("--angles", "state.angles", names, "LIST",
         "entries of the state that wrap at +-pi, or empty; default: a yaw, and joints that turn "
         "without limit"),
        ("--state-names", "state.names", names, "LIST",
         "entries of the state: any of x,y,yaw,vx,vy,wz, or joints, also joint/velocity and "
         "joint/effort"),
        COMMON["--state-source"],
        ("--action-names", "action.names", names, "LIST",
         "entries of the action: any of vx,vy,vz,wx,wy,wz for a twist, or joints"),
        ("--action-kind", "action.kind", ACTION_KINDS, None, "kind of the commands"),
        COMMON["--action-unit"],
        *((f"--action-{side}", f"action.{side}", numbers, "LIST",
           f"{side}est value of each entry of the action; write '=' before a list that begins "
           "with a minus") for side in ("low", "high")),
        COMMON["--action-rate-limit"],
    ),
    "from streams to steps": (
        ("--stamps", None, STAMPS, None,
         "which time to use: that of the header or that of arrival; default: header, unless it is "
         "0"),
        ("--clock-offset --stamp-offset", "stamp_offset", _offset, "S",
         "time by which the recorder's clock is ahead of the clock of the stamps; auto: as "
         "measured; default: as measured, up to 10 s"),
        ("--trajectory-points", "action.points", POINTS, None,
         "meaning of a trajectory point: the target at its time (as for a "
         "joint_trajectory_controller), or the action from its time on (as in planned_actions); "
         "default: inferred from the messages"),
        ("--action-rule", "action.rule", RULES, None,
         "use the last command before a step (hold), or the mean over the step (integrate); "
         "default: hold"),
        ("--action-timeout", "action.timeout", float, "S",
         "a command older than this counts as rest; default: 0.5, without limit for "
         "trajectories"),
        ("--max-silence", "action.max_silence", float, "S",
         "after this time of rest, the action counts as not recorded; default: 2"),
        ("--max-gap", None, float, "S",
         "longest gap between two images or two states in an episode; default: 0.5"),
        COMMON["--min-steps"],
        COMMON["--max-steps"],
    ),
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
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
    add_groups(parser, _GROUPS)
    return parser


def settings(options: argparse.Namespace) -> BagConfig:
    """Return the settings that parsed options select.

    Args:
        options: Parsed options of `parser`.

    Raises:
        BagConfigError: A setting is unknown or not accepted.
    """
    return settings_of(options, {"bags"})
