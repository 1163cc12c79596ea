"""`ros2 run wm_mpc import_bag`: make a dataset to train on from a recording of a real robot."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from wm_mpc.arguments import positive
from wm_mpc.data.bag_config import POINTS, RULES, STAMPS, BagConfig, BagConfigError
from wm_mpc.data.episodes import Dataset, DatasetError
from wm_mpc.directories import data_directory
from wm_mpc.provenance import code_version, recorded_command
from wm_mpc.spec import ACTION_KINDS, STATE_SOURCES

_DESCRIPTION = """\
Make a dataset from recordings of a robot: rosbag2 (sqlite3 or MCAP, of any distro) or ROS 1.
No ROS is needed. What is not said is inferred, and told; what cannot be used is told, too.

  import_bag my_bag --list                      the topics, and nothing else
  import_bag my_bag --task my_robot             everything inferred
  import_bag my_bag --config my_robot.yaml      everything said: see config/bag_example.yaml
  train --dataset data/my_robot --synthesis adversarial
"""
_EPILOG = """\
how streams become steps, one per control period from the first picture on:
  image    the latest picture: Image (8 bits of colour or grey, yuv422, uyvy, nv12, bayer_*; 16 bits
           and depth by --image-range), CompressedImage (jpeg, png, webp)
  state    on the line between two messages: JointState, Odometry, PoseStamped, Float64MultiArray
  action   the last command (hold), or the mean over the step (integrate); rest when none came for
           --action-timeout: Twist, TwistStamped, Float64MultiArray, JointState; or the points of a
           plan by time, JointTrajectory, as the robot executes planned_actions or as a
           joint_trajectory_controller does
Messages without a stamp (Twist) are moved to the robot's clock where the recorder's differs.
A new episode begins after a gap in the pictures, where state or action is missing, where time jumps
back, and at every message of a --split-at topic. Options win over the file.
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
    parser.add_argument("--list", action="store_true", help="list the topics, and do nothing else")
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
        help="use what there is, even if an unknown number of messages is lost",
    )  # fmt: skip
    topics = parser.add_argument_group("topics; you may leave out each that only one topic can be")
    topics.add_argument("--image", dest="image.topic", metavar="TOPIC", help="topic of the camera")
    topics.add_argument(
        "--state", dest="state.topic", metavar="TOPIC", help="topic of the robot's state"
    )
    topics.add_argument(
        "--no-state",
        action="store_true",
        help="nothing of the robot is measured; use the camera alone",
    )
    topics.add_argument(
        "--action", dest="action.topic", metavar="TOPIC", help="topic of the commands"
    )
    topics.add_argument(
        "--split-at", dest="split_at", type=_names, metavar="TOPICS",
        help="topics, with commas; each of their messages begins a new episode",
    )  # fmt: skip
    topics.add_argument(
        "--split-pause", dest="split_pause", type=float, metavar="S",
        help="leave out this time after such a message, in which somebody puts the robot back; "
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
        help="values that become black and white, for images of more than 8 bits",
    )  # fmt: skip
    robot.add_argument(
        "--angles", dest="state.angles", type=_names, metavar="LIST",
        help="entries of the state that wrap at +-pi, or empty; default: a yaw, and joints "
        "that turn without end",
    )  # fmt: skip
    robot.add_argument(
        "--state-names", dest="state.names", type=_names, metavar="LIST",
        help="entries of the state: of x,y,yaw,vx,vy,wz, or joints, also joint/velocity and "
        "joint/effort",
    )  # fmt: skip
    robot.add_argument(
        "--state-source", dest="state.source", choices=STATE_SOURCES,
        help="topic from which mpc reads the state at run time",
    )  # fmt: skip
    robot.add_argument(
        "--action-names", dest="action.names", type=_names, metavar="LIST",
        help="entries of the action: of vx,vy,vz,wx,wy,wz for a twist, or joints",
    )  # fmt: skip
    robot.add_argument(
        "--action-kind", dest="action.kind", choices=ACTION_KINDS, help="what the commands are"
    )
    robot.add_argument(
        "--action-unit", dest="action.unit", metavar="UNIT", help="unit of the action"
    )
    for side in ("low", "high"):
        robot.add_argument(
            f"--action-{side}", dest=f"action.{side}", type=_numbers, metavar="LIST",
            help=f"{side}est value of each entry of the action; if the list begins with a minus, "
            "write '=' before it",
        )  # fmt: skip
    robot.add_argument(
        "--action-rate-limit", dest="action.rate_limit", type=_numbers, metavar="LIST",
        help="largest change per second of each entry of the action; default: none",
    )  # fmt: skip
    steps = parser.add_argument_group("from streams to steps")
    steps.add_argument(
        "--stamps", choices=STAMPS,
        help="which time counts, that of the headers or that of arrival; default: header, unless "
        "it is 0",
    )  # fmt: skip
    steps.add_argument(
        "--clock-offset", "--stamp-offset", dest="stamp_offset", type=_offset, metavar="S",
        help="by how much the clock of the recorder is ahead of the clock of the stamps; auto: as "
        "measured; default: as measured, up to 10 s",
    )  # fmt: skip
    steps.add_argument(
        "--trajectory-points", dest="action.points", choices=POINTS,
        help="what a point of a trajectory means: where to be at its time (as for a "
        "joint_trajectory_controller), or what applies from its time on (as in planned_actions); "
        "default: inferred from the messages",
    )  # fmt: skip
    steps.add_argument(
        "--action-rule", dest="action.rule", choices=RULES,
        help="the last command at the beginning of a step, or the mean over it; default: hold",
    )  # fmt: skip
    steps.add_argument(
        "--action-timeout", dest="action.timeout", type=float, metavar="S",
        help="a command older than this counts as rest; default: 0.5, never for trajectories",
    )  # fmt: skip
    steps.add_argument(
        "--max-silence", dest="action.max_silence", type=float, metavar="S",
        help="after this time of rest, the action counts as not recorded; default: 2",
    )  # fmt: skip
    steps.add_argument(
        "--max-gap", type=float, metavar="S",
        help="longest gap between two images or two states of an episode; default: 0.5",
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
    """The settings of parsed options. Raises BagConfigError."""
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


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        from wm_mpc.data.bag import Bag, BagError
    except ImportError as error:
        print(f"import_bag: {error}; install it: pip install rosbags", file=sys.stderr)
        return 1
    try:
        if options.list:
            from wm_mpc.data.bag_report import found

            for path in options.bags:
                with Bag(path) as bag:
                    print(found(bag))
            return 0
        from wm_mpc.data.dataset_lock import writing

        config = settings(options)
        with writing(options.dataset or data_directory(config.task), "import_bag"):
            _import(options, config, recorded_command("import_bag", arguments))
    except (BagError, BagConfigError, DatasetError) as error:
        print(f"import_bag: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nimport_bag: interrupted", file=sys.stderr)
        return 130
    return 0


def _import(options: argparse.Namespace, config: BagConfig, command: str) -> None:
    from wm_mpc.data import bag_accounts, import_journal
    from wm_mpc.data import bag_report as report
    from wm_mpc.data.bag import Bag
    from wm_mpc.data.bag_import import draft_episodes, write_episodes
    from wm_mpc.data.bag_spec import describe
    from wm_mpc.data.bag_streams import read_streams

    path = options.dataset or data_directory(config.task)
    dataset = _present(path, append=options.append)
    provenance = {
        "command": command,
        "code": code_version(),
        "bags": [bag.name for bag in options.bags],
        "pose_names": (),
    }
    with contextlib.ExitStack() as whole:
        for number, bag_path in enumerate(options.bags):
            with Bag(bag_path) as bag, tempfile.TemporaryFile(prefix="wm_mpc_import_") as spool:
                print(report.found(bag))
                description = describe(bag, config, None if dataset is None else dataset.spec)
                if description.notes:
                    print(report.inferred(description))
                names = [topic.name for topic in description.topics.values()]
                accepted = bag_accounts.check(bag, names, accept=options.accept_damaged)
                total = sum(topic.count for topic in description.topics.values())
                with _bar(total, "read", "message") as advance:
                    streams = read_streams(
                        bag, description.spec, description.topics, config, spool, advance
                    )
                drafts = draft_episodes(streams, description.spec, config)
                if dataset is None:
                    dataset = Dataset.create(path, description.spec, provenance)
                if number == 0:
                    whole.enter_context(import_journal.whole_import(dataset))
                first = max(dataset.indices(), default=-1) + 1
                with _bar(len(drafts.episodes), "write", "episode") as advance:
                    write_episodes(streams, drafts, dataset, advance)
                found = bag_accounts.settle(bag, streams.of_topics(description.topics))
                import_journal.enter(dataset, first, bag_accounts.entry(bag, found, command))
                print(report.added_up(found, accepted))
                print(report.outcome(bag, description, streams, drafts, config))
    assert dataset is not None
    print(f"{dataset.path}  task {dataset.spec.task}  episodes {len(dataset)}")


def _present(path: Path, *, append: bool) -> Dataset | None:
    """The dataset to add to; None when there is none yet. Raises DatasetError when there is one
    and nobody said that it shall grow, or the other way round."""
    from wm_mpc.data.import_journal import remove_unfinished

    if (path / "dataset.json").exists() and (count := remove_unfinished(Dataset(path))):
        print(f"an import into {path} did not end: {count} episodes of it are removed")
    if append:
        return Dataset(path)
    if (path / "dataset.json").exists() and len(Dataset(path)):
        raise DatasetError(
            f"dataset {path} has {len(Dataset(path))} episodes already; --append adds to them, "
            "another --dataset leaves them alone"
        )
    return None


@contextlib.contextmanager
def _bar(total: int, what: str, unit: str) -> Iterator[Callable[[int], Any]]:
    """A progress bar, as the function that moves it on."""
    with tqdm(total=total, desc=what, unit=unit, leave=False) as bar:
        yield bar.update


if __name__ == "__main__":
    sys.exit(main())
