"""Helpers shared by actions and substitutions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from .type_utils import normalize_typed_substitution, perform_typed_substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext
    from ..launch_description_entity import LaunchDescriptionEntity

__all__ = [
    "ensure_argument_type",
    "is_a",
    "is_a_subclass",
    "normalize_to_list_of_entities",
    "normalize_to_list_of_substitutions",
    "normalize_typed_substitution",
    "perform_substitutions",
    "perform_typed_substitution",
    "visit_all_entities_and_collect_futures",
]


def ensure_argument_type(
    argument: Any, types: Any, argument_name: str, caller: str | None = None
) -> None:
    """Raise TypeError unless ``argument`` is an instance of one of ``types``."""
    allowed = tuple(types) if isinstance(types, Iterable) else (types,)
    if not isinstance(argument, allowed):
        where = f" to {caller}" if caller else ""
        names = ", ".join(kind.__name__ for kind in allowed)
        raise TypeError(
            f"argument '{argument_name}'{where} must be one of: {names}; "
            f"got {argument!r} of type {type(argument).__name__}"
        )


def is_a(entity: Any, entity_type: type) -> bool:
    """Return whether ``entity`` is exactly of ``entity_type``."""
    return type(entity) is entity_type


def is_a_subclass(entity: Any, entity_type: type) -> bool:
    """Return whether ``entity`` is an instance of ``entity_type`` or of a subclass."""
    return isinstance(entity, entity_type)


def normalize_to_list_of_substitutions(some: SomeSubstitutionsType) -> list[Substitution]:
    """Turn text, a path, a substitution or a list of these into a list of substitutions."""
    from ..substitutions import TextSubstitution

    if isinstance(some, Substitution):
        return [some]
    if isinstance(some, (str, Path)):
        return [TextSubstitution(text=str(some))]
    if isinstance(some, Iterable):
        return [one for part in some for one in normalize_to_list_of_substitutions(part)]
    raise TypeError(
        f"expected text, a substitution or a list of both, got {some!r} "
        f"of type {type(some).__name__}"
    )


def perform_substitutions(context: LaunchContext, substitutions: Iterable[Substitution]) -> str:
    """Return the text of several substitutions, one after the other."""
    return "".join(context.perform_substitution(part) for part in substitutions)


def normalize_to_list_of_entities(entities: Any) -> list[LaunchDescriptionEntity]:
    """Turn one entity, or nested lists of entities, into a flat list."""
    if isinstance(entities, Iterable):
        return [one for part in entities for one in normalize_to_list_of_entities(part)]
    return [entities]


def visit_all_entities_and_collect_futures(
    entity: LaunchDescriptionEntity,
    context: LaunchContext,
    going_on: list[tuple[LaunchDescriptionEntity, asyncio.Future]] | None = None,
) -> list[tuple[LaunchDescriptionEntity, asyncio.Future]]:
    """Visit ``entity`` and all it leads to, depth first; return those still going on.

    They are added to ``going_on`` (if given) one by one, so that none is lost when one raises.
    """
    pairs = [] if going_on is None else going_on
    sub_entities = entity.visit(context)
    future = entity.get_asyncio_future()
    if future is not None:
        pairs.append((entity, future))
    for sub_entity in sub_entities or []:
        visit_all_entities_and_collect_futures(sub_entity, context, pairs)
    return pairs
