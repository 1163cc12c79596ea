"""The error every conversion of a message raises."""

from __future__ import annotations


class MessageError(ValueError):
    """A message that cannot be used; the text says what is wrong and what is accepted."""
