"""Base class of everything that becomes text only while launching."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Substitution:
    """A piece of text that is computed when the launch description is executed."""

    def describe(self) -> str:
        """Return a text for people, e.g. in ``ros2 launch --show-args``."""
        return repr(self)

    def perform(self, context: LaunchContext) -> str:
        """Return the text in ``context``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement perform()")
