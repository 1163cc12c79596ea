"""Parameters of nodes: values with a type, single parameters, and parameter files."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from launch._support import refuse_unknown_names
from launch.some_substitutions_type import SomeSubstitutionsType
from launch.substitutions import EnvironmentVariable, LaunchConfiguration, SubstitutionFailure
from launch.utilities import (
    normalize_to_list_of_substitutions,
    normalize_typed_substitution,
    perform_substitutions,
    perform_typed_substitution,
)

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext

__all__ = ["Parameter", "ParameterFile", "ParameterValue"]

PLACEHOLDER = re.compile(r"\$\(([a-z-]+)((?:\s+[^()\s]+)*)\s*\)")


class ParameterValue:
    """A value, or a substitution whose text is converted to ``value_type`` (None: as YAML)."""

    def __init__(self, value: Any, *, value_type: Any = None) -> None:
        self.__value = normalize_typed_substitution(value, value_type)
        self.__value_type = value_type

    @property
    def value(self) -> Any:
        """The value as given."""
        return self.__value

    @property
    def value_type(self) -> Any:
        """The type as given."""
        return self.__value_type

    def evaluate(self, context: LaunchContext) -> Any:
        """Return the value in ``context``."""
        return perform_typed_substitution(context, self.__value, self.__value_type)


class Parameter:
    """One named parameter of a node."""

    def __init__(self, name: SomeSubstitutionsType, value: Any, *, value_type: Any = None) -> None:
        self.__name = normalize_to_list_of_substitutions(name)
        self.__value = ParameterValue(value, value_type=value_type)

    def evaluate(self, context: LaunchContext) -> tuple[str, Any]:
        """Return (name, value) in ``context``."""
        return perform_substitutions(context, self.__name), self.__value.evaluate(context)


class ParameterFile:
    """A YAML file of parameters; with ``allow_substs``, $(var x) and the like are replaced."""

    def __init__(
        self,
        param_file: SomeSubstitutionsType | os.PathLike,
        *,
        allow_substs: bool | SomeSubstitutionsType = False,
    ) -> None:
        if isinstance(param_file, os.PathLike):
            param_file = os.fspath(param_file)
        self.__param_file = normalize_to_list_of_substitutions(param_file)
        self.__allow_substs = normalize_typed_substitution(allow_substs, bool)

    def evaluate(self, context: LaunchContext) -> Path:
        """Return the path of the file to hand to the node."""
        path = Path(perform_substitutions(context, self.__param_file))
        if not perform_typed_substitution(context, self.__allow_substs, bool):
            return path
        # Through YAML and back: drops comments, in which a stray "$(" is harmless.
        content = yaml.safe_dump(yaml.safe_load(path.read_text()), width=2**30)
        text = PLACEHOLDER.sub(lambda match: _replace(context, match, path), content)
        if "$(" in text:
            raise SubstitutionFailure(f"{path}: cannot read the substitution {_excerpt(text)}")
        with tempfile.NamedTemporaryFile("w", prefix="launch_params_", delete=False) as file:
            file.write(text)
        context._clean_ups.append(lambda: Path(file.name).unlink(missing_ok=True))
        return Path(file.name)


def _excerpt(text: str) -> str:
    start = text.index("$(")
    return repr(text[start : start + 40])


def _replace(context: LaunchContext, match: re.Match, path: Path) -> str:
    from ros2_pip import ament

    kind, arguments = match[1], match[2].split()
    if kind in ("var", "env") and 1 <= len(arguments) <= 2:
        default = arguments[1].strip("'\"") if len(arguments) == 2 else None
        if kind == "var":
            return LaunchConfiguration(arguments[0], default=default).perform(context)
        return EnvironmentVariable(arguments[0], default_value=default).perform(context)
    if kind in ("find-pkg-share", "find-pkg-prefix") and len(arguments) == 1:
        find = ament.package_share if kind == "find-pkg-share" else ament.package_prefix
        return find(arguments[0])
    if kind == "dirname" and not arguments:
        return str(context.get_locals_as_dict()["current_launch_file_directory"])
    raise SubstitutionFailure(
        f"{path}: ros2_pip does not support the substitution {match[0]}; it supports "
        "$(var name [default]), $(env name [default]), $(find-pkg-share package), "
        "$(find-pkg-prefix package), $(dirname)"
    )


__getattr__ = refuse_unknown_names(__name__, __all__)
