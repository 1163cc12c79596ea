"""What to run: the command of a process with its environment, and their expansion."""

from __future__ import annotations

import itertools
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

Environment = Mapping[Any, SomeSubstitutionsType] | None
_counter = itertools.count(1)


def _normalize_environment(environment: Environment) -> list[tuple[list, list]]:
    return [
        (normalize_to_list_of_substitutions(key), normalize_to_list_of_substitutions(value))
        for key, value in (environment or {}).items()
    ]


def _optional(value: SomeSubstitutionsType | None) -> list | None:
    return None if value is None else normalize_to_list_of_substitutions(value)


class ProcessDescription:
    """A command with its name, prefix, working directory and environment.

    ``env`` replaces the environment, ``additional_env`` adds to it. Without ``prefix``, the launch
    configurations 'launch-prefix' and 'launch-prefix-filter' apply.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None,
        name: SomeSubstitutionsType | None,
        cwd: SomeSubstitutionsType | None,
        env: Environment,
        additional_env: Environment,
    ) -> None:
        self.cmd = [normalize_to_list_of_substitutions(part) for part in cmd]
        self.name = _optional(name)
        self.cwd = _optional(cwd)
        self._prefix = _optional(prefix)
        self._has_own_env = env is not None
        self._env = _normalize_environment(env) + _normalize_environment(additional_env)
        self.final_name: str | None = None

    def expand(self, context: LaunchContext) -> dict[str, Any]:
        """Return name, cmd, cwd and env as text; each call makes a new unique name."""
        cmd = self._expand_cmd(context)
        if self.name is None:
            name = os.path.basename(cmd[0])
        else:
            name = perform_substitutions(context, self.name)
        self.final_name = f"{name}-{next(_counter)}"
        env = {} if self._has_own_env else dict(context.environment)
        for key, value in self._env:
            env[perform_substitutions(context, key)] = perform_substitutions(context, value)
        return {
            "name": self.final_name,
            "cmd": cmd,
            "cwd": None if self.cwd is None else perform_substitutions(context, self.cwd),
            "env": env,
        }

    def _expand_cmd(self, context: LaunchContext) -> list[str]:
        cmd = [perform_substitutions(context, part) for part in self.cmd]
        if self._prefix is not None:
            return shlex.split(perform_substitutions(context, self._prefix)) + cmd
        configurations = context.launch_configurations
        wanted = configurations.get("launch-prefix-filter", "")
        if re.match(wanted, os.path.basename(cmd[0])):
            return shlex.split(configurations.get("launch-prefix", "")) + cmd
        return cmd
