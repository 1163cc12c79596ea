"""Load parts of the package `stable-worldmodel`, and no more than they need.

Its top module imports dataset formats, training code and torchvision, whose wheel does not load
beside a CPU build of torch. So the package is loaded without its top module. Nothing of it is
copied here.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wm_mpc.sim.bare_package import BarePackage

VERSION = "0.1.1"
PACKAGE = BarePackage(
    "stable-worldmodel",
    "stable_worldmodel",
    VERSION,
    f"pip install --no-deps stable-worldmodel=={VERSION} && pip install gymnasium==1.4.0 loguru "
    "pygame pymunk==7.3.1 shapely",
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
    with _without_torchvision():
        PACKAGE.load("utils")  # its other modules use it without importing it
        return PACKAGE.load(module)


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
