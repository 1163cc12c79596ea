"""Load parts of the package `stable-worldmodel`, and no more than they need.

Its top module imports dataset formats, training code and torchvision, whose wheel does not load
beside a CPU build of torch. So the package is loaded without its top module. Nothing of it is
copied here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wm_mpc.sim.engine import EngineError

NAME = "stable_worldmodel"
VERSION = "0.1.1"
INSTALL = (
    f"pip install --no-deps stable-worldmodel=={VERSION} && pip install gymnasium==1.4.0 loguru "
    "pygame pymunk==7.3.1 shapely"
)
# The base class of its policies converts images by torchvision, which no policy here does.
_UNUSED = "torchvision"


def load(module: str) -> Any:
    """Load one module of the package.

    Args:
        module: Its name below the package, such as "envs.two_room.env".

    Raises:
        EngineError: The package is missing, or has another version, or lacks one of its imports.
    """
    try:
        found = importlib.metadata.version("stable-worldmodel")
    except importlib.metadata.PackageNotFoundError:
        raise EngineError(f"the package stable-worldmodel is not installed: {INSTALL}") from None
    if found != VERSION:
        raise EngineError(
            f"stable-worldmodel {found} is installed; the task is defined by {VERSION}: {INSTALL}"
        )
    parts = module.split(".")
    try:
        with _without_torchvision():
            for depth in range(len(parts)):
                _bare(".".join([NAME, *parts[:depth]]))
            importlib.import_module(
                f"{NAME}.utils"
            )  # its other modules use it without importing it
            return importlib.import_module(f"{NAME}.{module}")
    except ImportError as error:
        raise EngineError(
            f"stable-worldmodel needs {error.name}, which is not installed: {INSTALL}"
        ) from None


def _bare(package: str) -> None:
    """Make a package known without running its `__init__`."""
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    made = sys.modules[package] = importlib.util.module_from_spec(spec)
    above, _, name = package.rpartition(".")
    if above:
        setattr(sys.modules[above], name, made)


@contextmanager
def _without_torchvision() -> Iterator[None]:
    """Let an empty module stand for torchvision during an import, if it was not imported before."""
    if _UNUSED in sys.modules:
        yield
        return
    stand_in: Any = types.ModuleType(_UNUSED)
    stand_in.tv_tensors = types.ModuleType(f"{_UNUSED}.tv_tensors")
    sys.modules[_UNUSED] = stand_in
    try:
        yield
    finally:
        del sys.modules[_UNUSED]
