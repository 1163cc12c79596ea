"""The node `viewer`: what a running robot sees, plans and doubts, as a page in the browser.

It is fed by topics only, so it works for any robot and for a replayed recording. The page is served
on this computer only, unless the parameter `host` says otherwise. While no browser is open it
listens to little and draws nothing.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

from rclpy.node import Node

from wm_mpc.nodes.viewer.body import Body
from wm_mpc.nodes.viewer.commands import Commands
from wm_mpc.nodes.viewer.parameters import ViewerSettings
from wm_mpc.nodes.viewer.recording import Recorder, Starter
from wm_mpc.nodes.viewer.remote_parameters import RemoteParameters
from wm_mpc.nodes.viewer.serving import ServingError, free_port, served
from wm_mpc.nodes.viewer.topics import Topics
from wm_mpc.ros.parameters import declare
from wm_mpc.ros.running import Stopped, run
from wm_mpc.ros.topics import image_topic
from wm_mpc.settings.fields import SettingError
from wm_mpc.view.model import ViewModel
from wm_mpc.view.pace import Pace

_NAP = 0.2  # s between looks at whether a browser has come
_NICE = 10  # the controller comes first
_RECORDED = (
    "camera/image_raw", "camera/image_raw/compressed", "joint_states", "odom", "goal/image",
    "goal/state", "planned_actions", "mpc/goals", "mpc/cost", "/diagnostics",
)  # fmt: skip


class Viewer(Node):
    """See the module.

    Args:
        starter: Starts recordings, which must not be as slow as a page may be.
        options: Of `rclpy.node.Node`.

    Raises SettingError when it is started with a value that is not acceptable.
    """

    def __init__(self, starter: Starter, **options: Any) -> None:
        super().__init__("viewer", **options)
        self._settings = declare(self, ViewerSettings)
        settings = self._settings.values()
        try:
            self.port = free_port(settings.host, settings.port)
        except ServingError as error:
            raise SettingError(str(error)) from None
        full = self.resolve_service_name(settings.mpc).strip("/")
        self.model = ViewModel(settings.seconds)
        self._pace = Pace()
        further = [name.strip() for name in settings.cameras.split(",") if name.strip()]
        self._topics = Topics(self, self.model, full, self._pace.planned, further)
        self._body = Body(self, self.model)
        self._commands = Commands(self, self.model, settings.mpc)
        self._remote = RemoteParameters(self, settings.mpc, full, self.model)
        topics = [image_topic(self, name) for name in (*_RECORDED, *further)]
        self._recorder = Recorder(settings.recordings, topics, starter)

    def work(self, stopped: Stopped) -> None:
        """Serve the page until `stopped()`. Raises ServingError."""
        settings = self._settings.values()
        label = self.get_namespace().strip("/") or "wm_mpc"
        with served(settings.host, self.port, label) as server:
            from wm_mpc.nodes.viewer.page.page import Page

            page = Page(
                server, self.model, self._commands, self._remote, self._recorder,
                self._settings.values, self._pace,
            )  # fmt: skip
            self._say_address(settings)
            try:
                while not stopped():
                    began = time.monotonic()
                    is_watched = page.render()
                    self._topics.watch(is_watched)
                    self._body.watch(is_watched and page.wants_scene)
                    if is_watched:
                        self._pace.wait(began, 1.0 / self._settings.values().rate)
                    else:
                        time.sleep(_NAP)
            finally:
                self._recorder.close()

    def _say_address(self, settings: ViewerSettings) -> None:
        taken = f" (port {settings.port} is taken)" if self.port != settings.port else ""
        host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
        print(f"viewer: open http://{host}:{self.port} in a browser{taken}", flush=True)


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `ros2 run wm_mpc viewer`; returns the exit code."""
    starter = Starter()
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    try:
        return run(functools.partial(Viewer, starter), Viewer.work, args)
    except ServingError as error:
        print(f"viewer: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
