"""Names of topics that belong together."""

from __future__ import annotations

from typing import Any

_COMPRESSED = "/compressed"


def image_topic(node: Any, name: str) -> str:
    """The name under which `node` (of rclpy) finds a camera's topic, given as in its documentation.

    A compressed topic is the raw one's name with `/compressed` behind it, as in `image_transport`:
    who remaps `camera/image_raw` remaps `camera/image_raw/compressed` too, unless that one has a
    name of its own.
    """
    resolved: str = node.resolve_topic_name(name)
    is_remapped = resolved != node.resolve_topic_name(name, only_expand=True)
    if is_remapped or not name.endswith(_COMPRESSED):
        return resolved
    return str(node.resolve_topic_name(name.removesuffix(_COMPRESSED))) + _COMPRESSED
