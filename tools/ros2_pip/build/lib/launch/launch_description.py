"""A launch description: the list of entities a launch file returns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .launch_description_entity import LaunchDescriptionEntity

if TYPE_CHECKING:
    from .action import Action
    from .actions import DeclareLaunchArgument, IncludeLaunchDescription
    from .launch_context import LaunchContext


class LaunchDescription(LaunchDescriptionEntity):
    """Entities visited in order."""

    def __init__(
        self,
        initial_entities: Iterable[LaunchDescriptionEntity] | None = None,
        *,
        deprecated_reason: str | None = None,
    ) -> None:
        self.__entities = list(initial_entities) if initial_entities is not None else []
        self.__deprecated_reason = deprecated_reason

    @property
    def entities(self) -> list[LaunchDescriptionEntity]:
        """The entities of this description."""
        return self.__entities

    @property
    def deprecated(self) -> bool:
        """Whether this launch file announces its own retirement."""
        return self.__deprecated_reason is not None

    @property
    def deprecated_reason(self) -> str | None:
        """Why this launch file is deprecated, None if it is not."""
        return self.__deprecated_reason

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.__entities

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        if self.deprecated:
            from .logging import get_logger

            get_logger().warning(f"this launch file is deprecated: {self.__deprecated_reason}")
        return self.__entities

    def add_action(self, action: Action) -> None:
        """Append one action."""
        self.add_entity(action)

    def add_entity(self, entity: LaunchDescriptionEntity) -> None:
        """Append one entity."""
        self.__entities.append(entity)

    def get_launch_arguments(self, conditional_inclusion: bool = False):
        """Return the DeclareLaunchArgument actions that can be found without launching."""
        found = self.get_launch_arguments_with_include_launch_description_actions(
            conditional_inclusion
        )
        return [declaration for declaration, _ in found]

    def get_launch_arguments_with_include_launch_description_actions(
        self, conditional_inclusion: bool = False
    ) -> list[tuple[DeclareLaunchArgument, list[IncludeLaunchDescription]]]:
        """Return each declared argument with the includes that lead to it, first come first."""
        from .actions import DeclareLaunchArgument, IncludeLaunchDescription

        found: dict[str, tuple[DeclareLaunchArgument, list[IncludeLaunchDescription]]] = {}

        def search(entities, conditional: bool, includes: list) -> None:
            for entity in entities:
                if isinstance(entity, DeclareLaunchArgument):
                    if entity.name not in found:
                        entity._conditionally_included = conditional or entity.condition is not None
                        found[entity.name] = (entity, includes)
                    continue
                path = includes
                if isinstance(entity, IncludeLaunchDescription):
                    path = [*includes, entity]
                search(entity.describe_sub_entities(), conditional, path)
                for _, sub_entities in entity.describe_conditional_sub_entities():
                    search(sub_entities, True, path)

        search(self.entities, conditional_inclusion, [])
        return list(found.values())
