"""Actions on launch configurations: declare arguments, set and unset values, scopes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..logging import get_logger
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class DeclareLaunchArgument(Action):
    """Declare an argument of the launch file; its value becomes a launch configuration."""

    def __init__(
        self,
        name: str,
        *,
        default_value: SomeSubstitutionsType | None = None,
        description: str | None = None,
        choices: Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.__name = name
        self.__default = (
            None if default_value is None else normalize_to_list_of_substitutions(default_value)
        )
        self.__choices = None if choices is None else list(choices)
        if self.__choices is not None:
            if not self.__choices:
                self.__fail("Provided choices arg is empty. Use None to ignore the choice list.")
            if isinstance(default_value, str) and default_value not in self.__choices:
                self.__fail(
                    f'Provided default_value "{default_value}" is not in provided choices '
                    f'"{self.__choices}".'
                )
        self.__description = self.__describe_value(description)
        self._conditionally_included = False

    def __describe_value(self, description: str | None) -> str:
        if self.__choices is None:
            return description or "no description given"
        if description is None:
            return f"One of: {self.__choices}"
        stop = "" if description.endswith(".") else "."
        return f"{description}{stop} Valid choices are: {self.__choices}"

    @property
    def name(self) -> str:
        """The name of the argument."""
        return self.__name

    @property
    def default_value(self) -> list[Substitution] | None:
        """The value if none is given; None means one must be given."""
        return self.__default

    @property
    def description(self) -> str:
        """What the argument means, for people."""
        return self.__description

    @property
    def choices(self) -> list[str] | None:
        """The accepted values; None means any."""
        return self.__choices

    @staticmethod
    def __fail(message: str) -> None:
        get_logger(__name__).error(message)
        raise RuntimeError(message)

    def execute(self, context: LaunchContext) -> None:
        if self.name not in context.launch_configurations:
            if self.default_value is None:
                get_logger(__name__).error(
                    f'Required launch argument "{self.name}" (description: '
                    f'"{self.description}") was not provided'
                )
                raise RuntimeError(f'Required launch argument "{self.name}" was not provided.')
            context.launch_configurations[self.name] = perform_substitutions(
                context, self.default_value
            )
        value = context.launch_configurations[self.name]
        if self.choices is not None and value not in self.choices:
            self.__fail(
                f'Argument "{self.name}" provided value "{value}" is not valid. '
                f"Valid options are: {self.choices}"
            )


class SetLaunchConfiguration(Action):
    """Set a launch configuration."""

    def __init__(
        self, name: SomeSubstitutionsType, value: SomeSubstitutionsType, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.__name = normalize_to_list_of_substitutions(name)
        self.__value = normalize_to_list_of_substitutions(value)

    @property
    def name(self) -> list[Substitution]:
        """The name of the configuration."""
        return self.__name

    @property
    def value(self) -> list[Substitution]:
        """The value."""
        return self.__value

    def execute(self, context: LaunchContext) -> None:
        name = perform_substitutions(context, self.__name)
        context.launch_configurations[name] = perform_substitutions(context, self.__value)


class UnsetLaunchConfiguration(Action):
    """Remove a launch configuration."""

    def __init__(self, name: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__name = normalize_to_list_of_substitutions(name)

    @property
    def name(self) -> list[Substitution]:
        """The name of the configuration."""
        return self.__name

    def execute(self, context: LaunchContext) -> None:
        context.launch_configurations.pop(perform_substitutions(context, self.__name), None)


class PushLaunchConfigurations(Action):
    """Remember all launch configurations."""

    def execute(self, context: LaunchContext) -> None:
        context._push_launch_configurations()


class PopLaunchConfigurations(Action):
    """Restore the launch configurations remembered last."""

    def execute(self, context: LaunchContext) -> None:
        context._pop_launch_configurations()


class ResetLaunchConfigurations(Action):
    """Remove all launch configurations but the given ones."""

    def __init__(self, launch_configurations: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__kept = dict(launch_configurations or {})

    def execute(self, context: LaunchContext) -> None:
        kept = {
            perform_substitutions(
                context, normalize_to_list_of_substitutions(name)
            ): perform_substitutions(context, normalize_to_list_of_substitutions(value))
            for name, value in self.__kept.items()
        }
        context.launch_configurations.clear()
        context.launch_configurations.update(kept)
