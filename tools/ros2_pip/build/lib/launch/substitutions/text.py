"""Substitutions that look something up: text, configurations, environment, files, commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


def describe_all(substitutions: Iterable[Substitution]) -> str:
    """Return the descriptions joined the way ``--show-args`` prints them."""
    return " + ".join(part.describe() for part in substitutions)


class SubstitutionFailure(RuntimeError):  # noqa: N818 (its name in the genuine package)
    """A substitution could not be performed."""


class TextSubstitution(Substitution):
    """Plain text."""

    def __init__(self, *, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution wants a str, got {text!r}")
        self.__text = text

    @property
    def text(self) -> str:
        """The text."""
        return self.__text

    def describe(self) -> str:
        return f"'{self.__text}'"

    def perform(self, context: LaunchContext) -> str:
        return self.__text


def _default_substitutions(default: Any) -> list[Substitution] | None:
    """Normalise a default that may also be a number, a truth value, or a list of these."""
    if default is None:
        return None
    parts = [default] if isinstance(default, (str, Substitution)) else default
    if not isinstance(parts, Iterable):
        parts = [parts]
    return normalize_to_list_of_substitutions(
        part if isinstance(part, (str, Substitution)) else str(part) for part in parts
    )


class LaunchConfiguration(Substitution):
    """The value of a launch argument or of SetLaunchConfiguration."""

    def __init__(self, variable_name: SomeSubstitutionsType, *, default: Any = None) -> None:
        self.__name = normalize_to_list_of_substitutions(variable_name)
        self.__default = _default_substitutions(default)

    @property
    def variable_name(self) -> list[Substitution]:
        """The name of the configuration."""
        return self.__name

    def describe(self) -> str:
        return f"LaunchConfig({describe_all(self.__name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.__name)
        if name in context.launch_configurations:
            return context.launch_configurations[name]
        if self.__default is None:
            raise SubstitutionFailure(f"launch configuration '{name}' does not exist")
        return perform_substitutions(context, self.__default)


class EnvironmentVariable(Substitution):
    """The value of an environment variable."""

    def __init__(self, name: SomeSubstitutionsType, *, default_value: Any = None) -> None:
        self.__name = normalize_to_list_of_substitutions(name)
        self.__default = _default_substitutions(default_value)

    @property
    def name(self) -> list[Substitution]:
        """The name of the variable."""
        return self.__name

    def describe(self) -> str:
        return f"EnvVar({describe_all(self.__name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.__name)
        if name in context.environment:
            return context.environment[name]
        if self.__default is None:
            raise SubstitutionFailure(f"environment variable '{name}' does not exist")
        return perform_substitutions(context, self.__default)


class FindExecutable(Substitution):
    """The path of a program on the PATH."""

    def __init__(self, *, name: SomeSubstitutionsType) -> None:
        self.__name = normalize_to_list_of_substitutions(name)

    @property
    def name(self) -> list[Substitution]:
        """The name of the program."""
        return self.__name

    def describe(self) -> str:
        return f"FindExec({describe_all(self.__name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.__name)
        path = shutil.which(name, path=context.environment.get("PATH"))
        if path is None:
            raise SubstitutionFailure(f"executable '{name}' not found on the PATH")
        return path


class LocalSubstitution(Substitution):
    """A value out of ``context.locals``, by a Python expression."""

    def __init__(self, expression: str, description: str | None = None) -> None:
        self.__expression = expression
        self.__description = description

    @property
    def expression(self) -> str:
        """The expression."""
        return self.__expression

    def describe(self) -> str:
        return f"LocalVar('{self.__description or self.__expression}')"

    def perform(self, context: LaunchContext) -> str:
        return str(eval("context.locals." + self.__expression, {}, {"context": context}))


class PathJoinSubstitution(Substitution):
    """Path components joined with the separator of the system.

    A component may itself be a list of text and substitutions.
    """

    def __init__(self, substitutions: Iterable[SomeSubstitutionsType]) -> None:
        self.__components = [normalize_to_list_of_substitutions(part) for part in substitutions]

    @property
    def substitutions(self) -> list[list[Substitution]]:
        """The components, each a list of substitutions."""
        return self.__components

    def describe(self) -> str:
        return f"PathJoin({', '.join(describe_all(part) for part in self.__components)})"

    def perform(self, context: LaunchContext) -> str:
        return os.path.join(*(perform_substitutions(context, part) for part in self.__components))


class StringJoinSubstitution(Substitution):
    """Text components joined with a delimiter."""

    def __init__(
        self,
        substitutions: Iterable[SomeSubstitutionsType],
        *,
        delimiter: SomeSubstitutionsType = "",
    ) -> None:
        self.__components = [normalize_to_list_of_substitutions(part) for part in substitutions]
        self.__delimiter = normalize_to_list_of_substitutions(delimiter)

    @property
    def substitutions(self) -> list[list[Substitution]]:
        """The components, each a list of substitutions."""
        return self.__components

    def describe(self) -> str:
        return f"StringJoin({', '.join(describe_all(part) for part in self.__components)})"

    def perform(self, context: LaunchContext) -> str:
        parts = [perform_substitutions(context, part) for part in self.__components]
        return perform_substitutions(context, self.__delimiter).join(parts)


class ThisLaunchFile(Substitution):
    """The absolute path of the launch file being read."""

    def describe(self) -> str:
        return "ThisLaunchFile()"

    def perform(self, context: LaunchContext) -> str:
        return _current(context, "current_launch_file_path", "ThisLaunchFile")


class ThisLaunchFileDir(Substitution):
    """The absolute path of the directory of the launch file being read."""

    def describe(self) -> str:
        return "ThisLaunchFileDir()"

    def perform(self, context: LaunchContext) -> str:
        return _current(context, "current_launch_file_directory", "ThisLaunchFileDir")


def _current(context: LaunchContext, local: str, name: str) -> str:
    if local not in context.get_locals_as_dict():
        raise SubstitutionFailure(f"{name} used outside of a launch file (in a script)")
    return context.get_locals_as_dict()[local]


class LaunchLogDir(Substitution):
    """The directory of this launch's log files."""

    def describe(self) -> str:
        return "LaunchLogDir()"

    def perform(self, context: LaunchContext) -> str:
        from ..logging import launch_config

        return str(launch_config.log_dir)


class AnonName(Substitution):
    """A name made unique for this process; the same for the same ``name``."""

    def __init__(self, name: SomeSubstitutionsType) -> None:
        self.__name = normalize_to_list_of_substitutions(name)

    @property
    def name(self) -> list[Substitution]:
        """The readable part of the name."""
        return self.__name

    def describe(self) -> str:
        return f"AnonName({describe_all(self.__name)})"

    def perform(self, context: LaunchContext) -> str:
        name = perform_substitutions(context, self.__name)
        key = "anon" + name
        if key not in context.launch_configurations:
            unique = f"{name}_{os.uname().nodename}_{os.getpid()}_{os.urandom(4).hex()}"
            context.launch_configurations[key] = unique.replace(".", "_").replace("-", "_")
        return context.launch_configurations[key]


class Command(Substitution):
    """The standard output of a command; ``on_stderr``: fail, warn, ignore or capture."""

    ON_STDERR = ("fail", "ignore", "warn", "capture")

    def __init__(
        self, command: SomeSubstitutionsType, *, on_stderr: SomeSubstitutionsType = "fail"
    ) -> None:
        self.__command = normalize_to_list_of_substitutions(command)
        self.__on_stderr = normalize_to_list_of_substitutions(on_stderr)

    @property
    def command(self) -> list[Substitution]:
        """The command line."""
        return self.__command

    @property
    def on_stderr(self) -> list[Substitution]:
        """What to do when the command writes to standard error."""
        return self.__on_stderr

    def describe(self) -> str:
        return f"Command({describe_all(self.__command)})"

    def perform(self, context: LaunchContext) -> str:
        command = perform_substitutions(context, self.__command)
        on_stderr = perform_substitutions(context, self.__on_stderr)
        if on_stderr not in self.ON_STDERR:
            raise SubstitutionFailure(
                f"Command: on_stderr is '{on_stderr}', expected one of {', '.join(self.ON_STDERR)}"
            )
        try:
            done = subprocess.run(shlex.split(command), capture_output=True, text=True)
        except FileNotFoundError as error:
            raise SubstitutionFailure(f"file not found: {error}") from error
        if done.returncode != 0:
            raise SubstitutionFailure(
                f"executed command failed. Command: {command}\nCaptured stderr output: "
                f"{done.stderr}"
            )
        if done.stderr:
            message = f"executed command showed stderr output. Command: {command}\n{done.stderr}"
            if on_stderr == "fail":
                raise SubstitutionFailure(message)
            if on_stderr == "warn":
                from ..logging import get_logger

                get_logger(__name__).warning(message)
            if on_stderr == "capture":
                return done.stdout + done.stderr
        return done.stdout
