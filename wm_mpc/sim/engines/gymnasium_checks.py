"""What the engine Gymnasium asks of an environment, with one sentence for each that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np

from wm_mpc.sim.engine import EngineError
from wm_mpc.sim.gymnasium_task import GymnasiumTask
from wm_mpc.sim.torch_threads import one_torch_thread
from wm_mpc.spec import ImageSpec, RobotSpec

_PROPORTIONS = 0.02  # largest share by which the proportions of a picture may differ


@contextlib.contextmanager
def raising(task: str, doing: str) -> Iterator[None]:
    """Turn whatever an environment, or the code of its task, raises into an EngineError.

    Meanwhile torch, with which some environments draw, has one thread.

    Args:
        task: Name of the task.
        doing: Name of the method.
    """
    try:
        with one_torch_thread():
            yield
    except EngineError:
        raise
    except ModuleNotFoundError as error:
        raise EngineError(
            f"task {task!r} needs the module {error.name}, which is not installed; "
            "docs/extend/environment.md says how to install what the shipped tasks need"
        ) from error
    except NotImplementedError as error:
        raise EngineError(f"task {task!r} does not say {doing} ({error!r})") from error
    except Exception as error:
        raise EngineError(
            f"the environment of task {task!r} failed in {doing}: {type(error).__name__}: {error}"
        ) from error


def is_restorable(task: GymnasiumTask) -> bool:
    """Whether a task says how to read and set the state.

    Args:
        task: The task.

    Raises:
        EngineError: It says only one of both.
    """
    names = ("get_state", "set_state")
    own = [getattr(type(task), name) is not getattr(GymnasiumTask, name) for name in names]
    if own[0] != own[1]:
        has, lacks = names if own[0] else names[::-1]
        raise EngineError(
            f"task {task.spec.task!r} has {has}, but not {lacks}; give both or neither"
        )
    return all(own)


def check_actions(task: GymnasiumTask, env: Any) -> None:
    """Check that an environment takes the actions of its task.

    Args:
        task: The task.
        env: The environment.

    Raises:
        EngineError: Its actions are discrete, or of another number, or have no limits.
    """
    space, name = env.action_space, task.spec.task
    if not isinstance(space, gymnasium.spaces.Box):
        raise EngineError(
            f"the environment of task {name!r} takes actions of {space}; a world model plans "
            "continuous ones, of a Box"
        )
    if type(task).to_environment is not GymnasiumTask.to_environment:
        return
    if space.shape != (task.spec.action.size,):
        raise EngineError(
            f"the environment of task {name!r} takes actions of shape {space.shape}; the task has "
            f"{task.spec.action.size} ({', '.join(task.spec.action.names)}); override "
            "to_environment, or name all of them"
        )
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all()):
        raise EngineError(
            f"the environment of task {name!r} has actions without limits, {space}; override "
            "to_environment"
        )


def check_goals(task: GymnasiumTask, kind: str, restorable: bool) -> None:
    """Check that goals of a kind can be drawn.

    Args:
        task: The task.
        kind: The kind.
        restorable: Whether the world is restorable.

    Raises:
        EngineError: The kind needs a state to be set, or nothing says how to draw it.
    """
    if kind in task.goal_steps:
        return
    name = task.spec.task
    if not restorable:
        raise EngineError(
            f"goals of kind {kind!r} are set in the world, but task {name!r} cannot set a state; "
            f"accepted: {', '.join(k for k in task.goal_kinds if k in task.goal_steps) or 'none'}"
        )
    if type(task).sample_goal is GymnasiumTask.sample_goal:
        raise EngineError(
            f"task {name!r} says neither in goal_steps nor by sample_goal how to draw goals of "
            f"kind {kind!r}"
        )


def check_hold(task: GymnasiumTask) -> None:
    """Check how many environment steps a control step has.

    Args:
        task: The task.

    Raises:
        EngineError: It is no whole number above 0.
    """
    if not isinstance(task.hold, int) or task.hold < 1:
        raise EngineError(
            f"hold of task {task.spec.task!r} is {task.hold!r}; a control step has a whole number "
            "of environment steps, 1 or more"
        )


def numbers(task: str, what: str, given: Any, names: tuple[str, ...]) -> np.ndarray:
    """Check a vector, and return it as float64.

    Args:
        task: Name of the task.
        what: What the numbers are, for the message.
        given: The vector.
        names: Names of its entries.

    Raises:
        EngineError: Its shape is wrong, or an entry is not finite.
    """
    try:
        array = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise EngineError(f"the {what} of task {task!r} is {given!r}: {error}") from None
    if array.shape != (len(names),):
        raise EngineError(
            f"the {what} of task {task!r} has shape {array.shape}; {len(names)} numbers are needed"
            + (f" ({', '.join(names)})" if names else "")
        )
    for name, value in zip(names, array.tolist(), strict=True):
        if not np.isfinite(value):
            raise EngineError(f"the {what} of task {task!r} has {name} = {value}")
    return array


def picture(task: str, given: Any, image: ImageSpec) -> np.ndarray:
    """Check an image, and return it in the size of the spec.

    Args:
        task: Name of the task.
        given: What the environment rendered.
        image: The wanted size.

    Raises:
        EngineError: It is no rgb image, or has other proportions.
    """
    array = np.asarray(given)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        got = f"{array.dtype} {array.shape}"
        raise EngineError(
            f"the environment of task {task!r} renders {'nothing' if given is None else got}; a "
            "uint8 (height, width, 3) rgb picture "
            "is needed (make it with render_mode='rgb_array', or override picture)"
        )
    height, width = array.shape[:2]
    if (height, width) == (image.height, image.width):
        return np.ascontiguousarray(array)
    if abs(height * image.width / (width * image.height) - 1.0) > _PROPORTIONS:
        raise EngineError(
            f"the environment of task {task!r} renders {height}x{width} pixels, which scaled to "
            f"{image.height}x{image.width} would be distorted; give spec.image the same "
            "proportions, or override picture to cut a part out"
        )
    import cv2

    size = (image.width, image.height)
    return cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_AREA)


def action_of(spec: RobotSpec, given: np.ndarray) -> np.ndarray:
    """Check an action, and return it inside its limits.

    Args:
        spec: Description of the robot.
        given: (action size,), in the action's unit.

    Raises:
        EngineError: It has NaN or a wrong shape.
    """
    action = np.asarray(given, np.float64)
    if action.shape != (spec.action.size,) or np.isnan(action).any():
        raise EngineError(
            f"task {spec.task!r} was given the action {given}; {spec.action.size} numbers are "
            "needed"
        )
    return np.clip(action, spec.action.low, spec.action.high)
