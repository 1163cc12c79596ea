"""Base class of everything that can stand in a launch description."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class LaunchDescriptionEntity:
    """Something that is visited once while launching and may yield further entities."""

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Do the work of this entity; return the entities to visit next."""
        raise NotImplementedError(f"{type(self).__name__} does not implement visit()")

    def describe(self) -> str:
        """Return a text for people."""
        return repr(self)

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities that are always visited after this one, as far as known."""
        return []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Return (reason, entities) pairs that are visited only in some cases."""
        return []

    def get_asyncio_future(self) -> asyncio.Future | None:
        """Return a future that ends with this entity, None if it ended with its visit."""
        return None
