"""Type of one action or several (older name of ``SomeEntitiesType``)."""

from collections.abc import Iterable

from .launch_description_entity import LaunchDescriptionEntity

SomeActionsType = LaunchDescriptionEntity | Iterable[LaunchDescriptionEntity]
