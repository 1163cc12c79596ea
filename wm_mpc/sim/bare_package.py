"""Load single modules of a package, and no more than they need.

The top module of a package about robots often imports training code, other simulators or a dozen
other environments. Here packages are known without their top module. Nothing of them is copied.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import sys
from typing import Any

from wm_mpc.sim.engine import EngineError


@dataclasses.dataclass(frozen=True)
class BarePackage:
    """A package of just one version.

    Attributes:
        distribution: What pip calls it.
        name: What Python calls it.
        version: The version that defines the tasks.
        install: How to install it and what its modules import.
    """

    distribution: str
    name: str
    version: str
    install: str

    def load(self, module: str) -> Any:
        """Load one module.

        Args:
            module: Its name below the package, such as "envs.two_room.env".

        Raises:
            EngineError: The package is missing, or has another version, or lacks one of its
                imports.
        """
        self._check()
        parts = module.split(".")
        try:
            for depth in range(len(parts)):
                _make_known(".".join([self.name, *parts[:depth]]))
            return importlib.import_module(f"{self.name}.{module}")
        except ImportError as error:
            raise EngineError(
                f"{self.distribution} needs {error.name}, which is not installed: {self.install}"
            ) from None

    def _check(self) -> None:
        name = self.distribution
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise EngineError(f"the package {name} is not installed: {self.install}") from None
        if found != self.version:
            raise EngineError(
                f"{name} {found} is installed; the task is defined by {self.version}: "
                f"{self.install}"
            )


def _make_known(package: str) -> None:
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
