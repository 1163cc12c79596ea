"""Substitutions that find packages and their executables."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ament_index_python.packages import PackageNotFoundError
from launch._support import refuse_unknown_names
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitution import Substitution
from launch.substitutions import SubstitutionFailure
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from ros2_pip import ament

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

__all__ = ["ExecutableInPackage", "FindPackage", "FindPackagePrefix", "FindPackageShare"]


class FindPackage(Substitution):
    """A directory of a package; base of the two below."""

    def __init__(self, package: SomeSubstitutionsType) -> None:
        self.__package = normalize_to_list_of_substitutions(package)

    @property
    def package(self) -> list[Substitution]:
        """The name of the package."""
        return self.__package

    def describe(self) -> str:
        name = " + ".join(part.describe() for part in self.__package)
        return f"{type(self).__name__}(pkg={name})"

    def find(self, package_name: str) -> str:
        """Return the directory of the package of this name."""
        raise NotImplementedError

    def perform(self, context: LaunchContext) -> str:
        return self.find(perform_substitutions(context, self.__package))


class FindPackagePrefix(FindPackage):
    """The installation prefix of a package."""

    def find(self, package_name: str) -> str:
        return ament.package_prefix(package_name)


class FindPackageShare(FindPackage):
    """The share directory of a package."""

    def find(self, package_name: str) -> str:
        return ament.package_share(package_name)


class ExecutableInPackage(FindPackagePrefix):
    """The path of an executable of a package."""

    def __init__(self, executable: SomeSubstitutionsType, package: SomeSubstitutionsType) -> None:
        super().__init__(package)
        self.__executable = normalize_to_list_of_substitutions(executable)

    @property
    def executable(self) -> list[Substitution]:
        """The name of the executable."""
        return self.__executable

    def describe(self) -> str:
        package = " + ".join(part.describe() for part in self.package)
        executable = " + ".join(part.describe() for part in self.__executable)
        return f"ExecInPkg(pkg={package}, exec={executable})"

    def perform(self, context: LaunchContext) -> str:
        executable = perform_substitutions(context, self.__executable)
        package = perform_substitutions(context, self.package)
        try:
            prefix = ament.package_prefix(package)
            found = [path for path in ament.executables(package) if _is(path, executable)]
        except PackageNotFoundError as error:
            raise SubstitutionFailure(str(error.args[0])) from error
        libexec = os.path.join(prefix, "lib", package)
        if not found:
            raise SubstitutionFailure(
                f"executable '{executable}' not found on the libexec directory '{libexec}' "
            )
        if len(found) > 1:
            raise SubstitutionFailure(
                f"multiple executables named '{executable}' found in '{libexec}': {found}"
            )
        return found[0]


def _is(path: str, executable: str) -> bool:
    return os.path.basename(path) == executable or path.endswith(os.sep + executable)


__getattr__ = refuse_unknown_names(__name__, __all__)
