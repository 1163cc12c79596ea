"""Asking nodes, from a node that is spun elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

Wait = Callable[[Callable[[], Any], float], Any]  # for a condition, so many seconds


class Asker:
    """Clients that are kept: making one for each call would be what a soak measures."""

    def __init__(self, node: Any, wait: Wait) -> None:
        self._node, self._wait = node, wait
        self._clients: dict[str, Any] = {}

    def ask(self, kind: Any, name: str, request: Any, seconds: float = 10.0) -> Any:
        """The response of a service; None without one."""
        if name not in self._clients:
            self._clients[name] = self._node.create_client(kind, name)
        client = self._clients[name]
        if not client.wait_for_service(seconds):
            return None
        future = client.call_async(request)
        self._wait(future.done, seconds)
        return future.result() if future.done() else None

    def set_parameters(self, values: Mapping[str, Any]) -> int:
        """Of mpc, through the service, as `ros2 param set` does; how many were accepted."""
        parameters = [
            ParameterMessage(name=name, value=Parameter(name, value=value).get_parameter_value())
            for name, value in values.items()
        ]
        request = SetParameters.Request(parameters=parameters)
        response = self.ask(SetParameters, "mpc/set_parameters", request)
        return 0 if response is None else sum(result.successful for result in response.results)

    def trigger(self, name: str) -> str | None:
        """The message of a Trigger service; None without an answer."""
        response = self.ask(Trigger, name, Trigger.Request())
        return None if response is None else str(response.message)
