"""Which texts can name a task."""

from __future__ import annotations

import re

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


def why_no_name(task: str) -> str:
    """Say why a text cannot name a task, which names folders and files.

    Args:
        task: The text.

    Returns:
        The reason; empty if it can.
    """
    if _NAME.fullmatch(task):
        return ""
    return f"task is {task!r}, but it names folders and files; accepted: letters, digits, - and _"
