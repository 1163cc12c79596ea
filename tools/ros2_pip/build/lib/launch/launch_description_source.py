"""Base class of the places a launch description can come from."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .some_substitutions_type import SomeSubstitutionsType
from .utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from .launch_context import LaunchContext
    from .launch_description import LaunchDescription


class LaunchDescriptionSource:
    """A launch description, or the path of a launch file that is read when needed."""

    def __init__(
        self,
        launch_description: LaunchDescription | None = None,
        location: SomeSubstitutionsType = "<script>",
        method: str = "unspecified mechanism from a script",
    ) -> None:
        self.__launch_description = launch_description
        self.__location = normalize_to_list_of_substitutions(location)
        self.__expanded_location: str | None = None
        self.__method = method

    @property
    def location(self) -> str:
        """The path of the launch file, or a description of it if not yet known."""
        if self.__expanded_location is not None:
            return self.__expanded_location
        return " + ".join(part.describe() for part in self.__location)

    @property
    def method(self) -> str:
        """How the launch description is obtained."""
        return self.__method

    def _get_launch_description(self, location: str) -> LaunchDescription:
        """Read the launch file at ``location``."""
        raise NotImplementedError(f"{type(self).__name__} cannot read launch files")

    def get_launch_description(self, context: LaunchContext) -> LaunchDescription:
        """Return the launch description, reading the launch file if not done before."""
        if self.__expanded_location is None:
            self.__expanded_location = perform_substitutions(context, self.__location)
        if self.__launch_description is None:
            self.__launch_description = self._get_launch_description(self.__expanded_location)
        return self.__launch_description

    def try_get_launch_description_without_context(self) -> LaunchDescription | None:
        """Return the launch description if it can be read before launching, else None.

        This serves to list arguments: a path that depends on a launch argument is not known yet.
        """
        if self.__launch_description is not None:
            return self.__launch_description
        from .launch_context import LaunchContext

        try:
            return self._get_launch_description(
                perform_substitutions(LaunchContext(), self.__location)
            )
        except Exception as error:
            logging.getLogger(__name__).debug("cannot read %s yet: %s", self.location, error)
            return None
