"""Actions that lead to other actions: groups, includes, functions; and LogInfo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..launch_description_entity import LaunchDescriptionEntity
from ..launch_description_source import LaunchDescriptionSource
from ..logging import get_logger
from ..some_entities_type import SomeEntitiesType
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import (
    normalize_to_list_of_entities,
    normalize_to_list_of_substitutions,
    perform_substitutions,
)
from .configuration import (
    PopLaunchConfigurations,
    PushLaunchConfigurations,
    ResetLaunchConfigurations,
    SetLaunchConfiguration,
)
from .environment import PopEnvironment, PushEnvironment, ResetEnvironment

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class GroupAction(Action):
    """Actions with a common condition and, if ``scoped``, their own configurations.

    Without ``forwarding``, neither the configurations nor the environment variables set
    outside by the launch are visible inside.
    """

    def __init__(
        self,
        actions: Iterable[Action],
        *,
        scoped: bool = True,
        forwarding: bool = True,
        launch_configurations: Mapping[Any, SomeSubstitutionsType] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.__actions = list(actions)
        self.__scoped = scoped
        self.__forwarding = forwarding
        self.__configurations = dict(launch_configurations or {})

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        setters = [
            SetLaunchConfiguration(name, value) for name, value in self.__configurations.items()
        ]
        if not self.__scoped:
            return [*setters, *self.__actions]
        opening: list[Action] = [PushLaunchConfigurations(), PushEnvironment()]
        if self.__forwarding:
            opening += setters
        else:
            opening += [ResetEnvironment(), ResetLaunchConfigurations(self.__configurations)]
        return [*opening, *self.__actions, PopEnvironment(), PopLaunchConfigurations()]

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        return self.get_sub_entities()


class IncludeLaunchDescription(Action):
    """Execute another launch file, with ``launch_arguments`` as (name, value) pairs."""

    def __init__(
        self,
        launch_description_source: LaunchDescriptionSource | SomeSubstitutionsType,
        *,
        launch_arguments: Iterable[tuple[Any, SomeSubstitutionsType]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            from ..launch_description_sources import AnyLaunchDescriptionSource

            launch_description_source = AnyLaunchDescriptionSource(launch_description_source)
        self.__source = launch_description_source
        self.__arguments = tuple(launch_arguments or ())

    @property
    def launch_description_source(self) -> LaunchDescriptionSource:
        """Where the launch description comes from."""
        return self.__source

    @property
    def launch_arguments(self) -> tuple:
        """The (name, value) pairs handed over."""
        return self.__arguments

    def describe(self) -> str:
        return f"IncludeLaunchDescription({self.__source.location})"

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        description = self.__source.try_get_launch_description_without_context()
        return [description] if description is not None else []

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        outer = {
            name: context.get_locals_as_dict().get(name)
            for name in ("current_launch_file_path", "current_launch_file_directory")
        }
        description = self.__source.get_launch_description(context)
        path = Path(self.__source.location).absolute()
        context.extend_locals(
            {
                "current_launch_file_path": str(path),
                "current_launch_file_directory": str(path.parent),
            }
        )
        self.__check_arguments(context, description)
        setters = [SetLaunchConfiguration(name, value) for name, value in self.__arguments]
        restore = OpaqueFunction(
            function=lambda context: context.extend_locals(
                {name: value for name, value in outer.items() if value is not None}
            )
        )
        return [*setters, description, restore]

    def __check_arguments(self, context: LaunchContext, description: Any) -> None:
        given = [
            perform_substitutions(context, normalize_to_list_of_substitutions(name))
            for name, _ in self.__arguments
        ]
        found = description.get_launch_arguments_with_include_launch_description_actions()
        for argument, includes in found:
            if argument._conditionally_included or argument.default_value is not None:
                continue
            nested = [name for include in includes for name, _ in include.launch_arguments]
            if argument.name not in given and argument.name not in nested:
                raise RuntimeError(
                    f"Included launch description missing required argument '{argument.name}' "
                    f"(description: '{argument.description}'), given: [{', '.join(given)}]"
                )


class OpaqueFunction(Action):
    """Call ``function(context, *args, **kwargs)`` and execute the entities it returns."""

    def __init__(
        self,
        *,
        function: Callable[..., SomeEntitiesType | None],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **left_over: Any,
    ) -> None:
        super().__init__(**left_over)
        if not callable(function):
            raise TypeError(f"OpaqueFunction expects a function, got {function!r}")
        self.__function = function
        self.__args = tuple(args or ())
        self.__kwargs = dict(kwargs or {})

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        result = self.__function(context, *self.__args, **self.__kwargs)
        return None if result is None else normalize_to_list_of_entities(result)


class LogInfo(Action):
    """Print a line of text."""

    def __init__(self, *, msg: SomeSubstitutionsType, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.__msg = normalize_to_list_of_substitutions(msg)

    @property
    def msg(self) -> list[Substitution]:
        """The text."""
        return self.__msg

    def execute(self, context: LaunchContext) -> None:
        get_logger("launch.user").info(perform_substitutions(context, self.__msg))
