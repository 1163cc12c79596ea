"""Whether the model of a simulated task is there, and is of that task, before anything starts.

A launch file that only starts nodes does without PyTorch. So this reads the header of a checkpoint
itself; what is odd about the file, the node `mpc` says.
"""

from __future__ import annotations

import json
from pathlib import Path

from ament_index_python.packages import get_package_share_directory

_ENDING = ".safetensors"
_LARGEST_HEADER = 1_000_000  # bytes
_KEY = "wm_mpc"


def shipped_models() -> dict[str, Path]:
    """The shipped checkpoints by name."""
    folder = Path(get_package_share_directory("wm_mpc"), "checkpoints")
    return {path.stem: path for path in sorted(folder.glob(f"*{_ENDING}"))}


def check_model(task: str, model: str) -> None:
    """Check the model that shall move the robot of a task.

    Args:
        task: Name of the task.
        model: Path of a checkpoint, or the name of a shipped one.

    Raises:
        RuntimeError: There is no such model, or it is of another simulated task.
    """
    shipped = shipped_models()
    if not _is_simulated(task):
        return  # the node `sim` says which tasks there are
    path = Path(model).expanduser()
    if not path.exists():
        if model == task and task not in shipped:
            raise RuntimeError(
                f"task {task} has no shipped model; those with one: {', '.join(shipped)}. To train "
                f"one: ros2 run wm_mpc collect --task {task}; ros2 run wm_mpc train --task {task}. "
                "Then give its file as model"
            )
        if model not in shipped:
            raise RuntimeError(
                f"model is {model!r}; accepted: a file, or one of: {', '.join(shipped)}"
            )
        path = shipped[model]
    found = task_of(path)
    if found != task and _is_simulated(found):
        raise RuntimeError(
            f"model {model} is of task {found}, and task is {task}; accepted: a model of {task}"
        )


def _is_simulated(task: str) -> bool:
    folder = Path(get_package_share_directory("wm_mpc"), "config")
    return bool(task) and (folder / f"{task}.yaml").is_file()


def task_of(path: Path) -> str:
    """Name of the task in a checkpoint; empty if it cannot be read.

    Args:
        path: The file.
    """
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, _LARGEST_HEADER)))
        return str(json.loads(header["__metadata__"][_KEY])["task"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
