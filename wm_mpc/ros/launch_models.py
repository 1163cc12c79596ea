"""What launch files refuse of a world model before they start a node.

They read only the header of the file: the loader of the node `mpc`, which checks the rest, imports
PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from wm_mpc.ros.launch_arguments import known_parameters

_SUFFIX = ".safetensors"
_LARGEST_HEADER = 16 * 2**20  # bytes


def shipped_models() -> list[str]:
    """Names of the shipped world models, each that of its task."""
    return sorted(path.stem for path in _folder().glob(f"*{_SUFFIX}"))


def simulated_tasks() -> Sequence[str]:
    """Names of the simulated tasks."""
    tasks: Sequence[str] = known_parameters()["sim"]["task"]["choices"]
    return tasks


def check_model(model: str) -> str:
    """Name of the task, or of the robot, that a world model is for.

    Args:
        model: As the launch argument: path of a file, or name of a shipped one.

    Raises:
        RuntimeError: There is no such file, or it is no checkpoint; the text says what is accepted.
    """
    shipped = ", ".join(shipped_models()) or "none"
    path = _found(model)
    if path is None:
        raise RuntimeError(
            f"model is {model!r}; there is no such file (accepted: the path of a {_SUFFIX} file, "
            f"or the name of a shipped model: {shipped})"
        )
    try:
        return _task_of(path)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        raise RuntimeError(
            f"model is {model!r}; this file is no checkpoint of wm_mpc, or it is damaged"
        ) from None


def check_model_of(task: str, model: str) -> None:
    """Refuse a world model with which a simulated task cannot run.

    A model of a robot that is no simulated task passes: it may be learned from a recording of the
    simulation. So does a task that is not known here: the launch argument refuses it.

    Args:
        task: Name of the task.
        model: As the launch argument. The name of the task, which is its default, need not exist.

    Raises:
        RuntimeError: The model is missing, is no checkpoint, or is of another simulated task.
    """
    tasks = simulated_tasks()
    if model == task and _found(model) is None:
        if task not in tasks:
            return
        raise RuntimeError(
            f"task is {task!r}, which has no shipped model (these have one: "
            f"{', '.join(shipped_models())}); to train one: ros2 run wm_mpc collect --task {task}, "
            f"then ros2 run wm_mpc train --task {task}; then give "
            f"model:=$PWD/runs/{task}/{task}{_SUFFIX}"
        )
    found = check_model(model)
    if found != task and found in tasks:
        raise RuntimeError(
            f"model {model!r} is of task {found}, task is {task}; accepted: task:={found}, or a "
            f"model of {task}"
        )


def _folder() -> Path:
    try:
        return Path(get_package_share_directory("wm_mpc"), "checkpoints")
    except PackageNotFoundError:
        return Path(__file__).resolve().parents[2] / "checkpoints"


def _found(model: str) -> Path | None:
    """The file, as the node finds it (`wm_mpc.resources.resolve_checkpoint`)."""
    paths = Path(model).expanduser(), _folder() / f"{model}{_SUFFIX}"
    return next((path for path in paths if path.is_file()), None)


def _task_of(path: Path) -> str:
    """As the metadata say: see `wm_mpc.model.checkpoint`."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > _LARGEST_HEADER:
            raise ValueError("too large a header")
        header = json.loads(file.read(size))
    return str(json.loads(header["__metadata__"]["wm_mpc"])["task"])
