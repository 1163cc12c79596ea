"""Launch files in Python, XML and YAML."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

from ._support import refuse_unknown_names
from .launch_description import LaunchDescription
from .launch_description_source import LaunchDescriptionSource
from .some_substitutions_type import SomeSubstitutionsType

__all__ = [
    "AnyLaunchDescriptionSource",
    "InvalidLaunchFileError",
    "InvalidPythonLaunchFileError",
    "PythonLaunchDescriptionSource",
    "get_launch_description_from_any_launch_file",
    "get_launch_description_from_python_launch_file",
]


class InvalidPythonLaunchFileError(Exception):
    """A Python launch file has no ``generate_launch_description``."""


class InvalidLaunchFileError(Exception):
    """A launch file cannot be read."""


def get_launch_description_from_python_launch_file(path: str) -> LaunchDescription:
    """Execute a Python launch file and return what its generate_launch_description returns."""
    loader = importlib.machinery.SourceFileLoader("python_launch_file", path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    if not hasattr(module, "generate_launch_description"):
        raise InvalidPythonLaunchFileError(
            f"launch file at '{path}' does not contain the required function "
            "'generate_launch_description()'"
        )
    return module.generate_launch_description()


def get_launch_description_from_any_launch_file(path: str) -> LaunchDescription:
    """Read a launch file of any format."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"launch file '{path}' does not exist")
    from . import _frontend

    readers = {
        ".xml": _frontend.read_xml,
        ".yaml": _frontend.read_yaml,
        ".yml": _frontend.read_yaml,
    }
    suffix = Path(path).suffix
    if suffix in readers:
        try:
            return readers[suffix](path)
        except (_frontend.InvalidFrontendLaunchFileError, ValueError) as error:
            raise InvalidLaunchFileError(f"launch file '{path}': {error}") from error
    try:
        return get_launch_description_from_python_launch_file(path)
    except InvalidPythonLaunchFileError:
        raise
    except Exception as error:
        raise InvalidLaunchFileError(
            "Caught exception when trying to load file of format [py]: "
            f"{type(error).__name__}: {error}"
        ) from error


class PythonLaunchDescriptionSource(LaunchDescriptionSource):
    """A Python launch file, by path."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(None, launch_file_path, "interpreted python launch file")

    def _get_launch_description(self, location: str) -> LaunchDescription:
        return get_launch_description_from_python_launch_file(location)


class AnyLaunchDescriptionSource(LaunchDescriptionSource):
    """A launch file of any format, by path."""

    def __init__(self, launch_file_path: SomeSubstitutionsType) -> None:
        super().__init__(None, launch_file_path, "interpreted launch file")

    def _get_launch_description(self, location: str) -> LaunchDescription:
        return get_launch_description_from_any_launch_file(location)


__getattr__ = refuse_unknown_names(__name__, __all__)
