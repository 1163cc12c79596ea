"""Where packages are installed: the ament index, including the packages that pip installed.

The wheels put their index into ``sys.prefix`` (share/ament_index, share/<package>), a place that
AMENT_PREFIX_PATH does not name by itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "AMENT_PREFIX_PATH"


def add_pip_prefix() -> None:
    """Append sys.prefix to AMENT_PREFIX_PATH if pip put an ament index there."""
    paths = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    has_index = (Path(sys.prefix) / "share" / "ament_index").is_dir()
    if has_index and sys.prefix not in paths:
        os.environ[VARIABLE] = os.pathsep.join([*paths, sys.prefix])


def package_prefix(package: str) -> str:
    """Return the installation prefix of a package; raises PackageNotFoundError."""
    from ament_index_python.packages import get_package_prefix

    add_pip_prefix()
    return get_package_prefix(package)


def package_share(package: str) -> str:
    """Return the share directory of a package; raises PackageNotFoundError."""
    return os.path.join(package_prefix(package), "share", package)


def package_names() -> list[str]:
    """Return the names of all packages, sorted."""
    from ament_index_python.packages import get_packages_with_prefixes

    add_pip_prefix()
    return sorted(get_packages_with_prefixes()) if os.environ.get(VARIABLE) else []


def executables(package: str) -> list[str]:
    """Return the paths of the executables of a package; raises PackageNotFoundError."""
    base = Path(package_prefix(package)) / "lib" / package
    found = []
    for directory, subdirectories, files in os.walk(base):
        subdirectories[:] = sorted(name for name in subdirectories if not name.startswith("."))
        for name in sorted(files):
            path = os.path.join(directory, name)
            if os.access(path, os.X_OK):
                found.append(path)
    return found
