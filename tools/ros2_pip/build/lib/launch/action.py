"""Base class of the actions of a launch description."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .condition import Condition
from .launch_description_entity import LaunchDescriptionEntity

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Action(LaunchDescriptionEntity):
    """Something to do; executed when visited, provided its condition (if any) holds."""

    def __init__(self, *, condition: Condition | None = None) -> None:
        if condition is not None and not isinstance(condition, Condition):
            raise TypeError(
                f"{type(self).__name__}: condition must be a launch.Condition such as "
                f"IfCondition(...), not {condition!r}"
            )
        self.__condition = condition

    @property
    def condition(self) -> Condition | None:
        """The condition under which this action is executed."""
        return self.__condition

    def describe(self) -> str:
        return f"Action({self!r})"

    def get_sub_entities(self) -> list[LaunchDescriptionEntity]:
        """Return the entities this action is known to lead to, before it is executed."""
        return []

    def describe_sub_entities(self) -> list[LaunchDescriptionEntity]:
        return self.get_sub_entities() if self.condition is None else []

    def describe_conditional_sub_entities(
        self,
    ) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        if self.condition is None:
            return []
        return [("Conditionally included by " + self.describe(), self.get_sub_entities())]

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Execute if the condition holds, then announce the end to whoever listens."""
        if self.__condition is not None and not self.__condition.evaluate(context):
            return None
        try:
            return self.execute(context)
        finally:
            self.__announce_completion(context)

    def __announce_completion(self, context: LaunchContext) -> None:
        from .events import ExecutionComplete

        event = ExecutionComplete(action=self)
        if not context.would_handle_event(event):
            return
        future = self.get_asyncio_future()
        if future is None:
            context.emit_event_sync(event)
        else:
            future.add_done_callback(lambda _: context.emit_event_sync(event))

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Do the action's work; return further entities to visit."""
        raise NotImplementedError(f"{type(self).__name__} does not implement execute()")
