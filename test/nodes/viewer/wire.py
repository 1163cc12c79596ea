"""What a browser sends to viser's server and gets from it, without a browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
import viser
import zstandard
from websockets.sync.client import connect


class WireBrowser:
    """The messages of one browser that has opened the page. Close it.

    Args:
        host, port: Of the server.
        size: Width and height of the scene, pixels.

    Attributes:
        received: All messages so far.
    """

    def __init__(self, host: str, port: int, size: tuple[int, int] = (1280, 800)) -> None:
        protocol: Any = f"viser-v{viser.__version__}"
        self._socket = connect(f"ws://{host}:{port}", subprotocols=[protocol], max_size=None)
        self.received: list[dict[str, Any]] = []
        self._send(
            "ViewerCameraMessage", wxyz=(1, 0, 0, 0), position=(0, 0, 1), fov=1.0, near=0.1,
            far=10.0, image_height=size[1], image_width=size[0], look_at=(0, 0, 0),
            up_direction=(0, 0, 1),
        )  # fmt: skip

    def _send(self, kind: str, **fields: Any) -> None:
        self._socket.send(msgspec.msgpack.encode({"type": kind, **fields}))

    def change(self, label: str, value: Any) -> None:
        """What somebody enters into the widget with this label, or into its button."""
        (uuid,) = {each["uuid"] for each in self.received if _label(each) == label}
        self._send("GuiUpdateMessage", uuid=uuid, updates={"value": value})

    def read(self) -> None:
        """Take in what has come."""
        while True:
            try:
                frame = self._socket.recv(timeout=0.01)
            except TimeoutError:
                return
            assert isinstance(frame, bytes)
            length = int.from_bytes(frame[8:16], "little")
            inner = zstandard.ZstdDecompressor().decompress(frame[16 : 16 + length])
            self.received += msgspec.msgpack.decode(inner)["messages"]

    def until(self, condition: Callable[[], Any], do: Callable[[], Any] = lambda: None) -> None:
        """Do something, and take in what comes, until a condition holds."""
        deadline = time.monotonic() + 10.0
        while not condition():
            assert time.monotonic() < deadline, self.received[-5:]
            do()
            self.read()

    def shown(self, label: str) -> Any:
        """The value of the widget with this label, as the server last sent it."""
        found = [each for each in self.received if _label(each) == label]
        value = found[-1]["value"]
        for each in self.received:
            if each["type"] == "GuiUpdateMessage" and each["uuid"] == found[-1]["uuid"]:
                value = each["updates"].get("value", value)
        return value

    def nodes(self) -> dict[str, dict[str, Any]]:
        """What this browser alone has in its scene, by name: the fields of each, and its place."""
        found: dict[str, dict[str, Any]] = {}
        for each in self.received:
            name = each.get("name", "")
            if each["type"] == "RemoveSceneNodeMessage":
                found = {
                    other: node
                    for other, node in found.items()
                    if other != name and not other.startswith(f"{name}/")
                }
            elif each["type"] == "SetPositionMessage" and name in found:
                found[name]["position"] = each["position"]
            elif each.get("owner") and "props" in each and not each["virtual"]:
                found[name] = dict(each)
        return found

    def close(self) -> None:
        self._socket.close()


def _label(message: dict[str, Any]) -> Any:
    return message.get("props", {}).get("label")
