"""The parameters of another node: what they are, their present values, and changing them."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import qos_profile_parameter_events

from wm_mpc.ros.running import wait_until
from wm_mpc.view.model import ViewModel
from wm_mpc.view.widgets import Described

_LOOK = 1.0  # s between looks at whether the node is there
_TIMEOUT = 3.0  # s for an answer
_RCLPY = ("qos_overrides.", "use_sim_time", "start_type_description_service")  # its own
_KINDS = (bool, int, float, str)


class RemoteParameters:
    """Those of one node. Its services answer in the background; only `set` waits.

    Args:
        node: Ours.
        name: Of the other node, as services see it.
        full: Its full name.
        model: Gets the values.
    """

    def __init__(self, node: Node, name: str, full: str, model: ViewModel) -> None:
        self._node, self._full, self._model = node, full, model
        self._lock = threading.Lock()
        self._described: dict[str, Described] = {}
        self._asked: float | None = None  # when; None: nothing is asked
        create = node.create_client
        self._list = create(ListParameters, f"{name}/list_parameters")
        self._describe = create(DescribeParameters, f"{name}/describe_parameters")
        self._get = create(GetParameters, f"{name}/get_parameters")
        self._set = create(SetParameters, f"{name}/set_parameters")
        node.create_subscription(
            ParameterEvent, "/parameter_events", self._on_event, qos_profile_parameter_events
        )
        node.create_timer(_LOOK, self._look)

    @property
    def described(self) -> dict[str, Described]:
        """By name; empty while the node is not known."""
        with self._lock:
            return dict(self._described)

    def set(self, name: str, value: Any) -> str:
        """Change one. Returns why it was refused; an empty text when it was accepted."""
        message = ParameterMessage(
            name=name, value=Parameter(name, value=value).get_parameter_value()
        )
        if not self._set.service_is_ready():
            return f"{name} stays: {self._full} does not answer"
        future = self._set.call_async(SetParameters.Request(parameters=[message]))
        if not wait_until(future.done, _TIMEOUT, lambda: False):
            return f"{name}: {self._full} does not answer"
        result = future.result().results[0]
        if result.successful:
            self._note({name: value})
            return ""
        return result.reason or f"{name}: refused"

    # ---------------------------------------------------------------------- asking, step by step

    def _look(self) -> None:
        if not self._list.service_is_ready():
            with self._lock:
                self._described, self._asked = {}, None
        elif not self._described and (
            self._asked is None or time.monotonic() - self._asked > _TIMEOUT
        ):
            self._asked = time.monotonic()
            request = ListParameters.Request()
            self._list.call_async(request).add_done_callback(self._on_list)

    def _on_list(self, future: Any) -> None:
        found = future.result().result.names
        names = [name for name in found if not name.startswith(_RCLPY)]
        request = DescribeParameters.Request(names=names)
        self._describe.call_async(request).add_done_callback(
            lambda answer: self._on_described(names, answer)
        )

    def _on_described(self, names: Sequence[str], future: Any) -> None:
        descriptors = future.result().descriptors
        request = GetParameters.Request(names=list(names))
        self._get.call_async(request).add_done_callback(
            lambda answer: self._on_values(names, descriptors, answer)
        )

    def _on_values(self, names: Sequence[str], descriptors: Sequence[Any], future: Any) -> None:
        found = {}
        values = future.result().values
        for name, descriptor, message in zip(names, descriptors, values, strict=False):
            value = parameter_value_to_python(message)
            if isinstance(value, _KINDS):
                low, high = _range(descriptor)
                found[name] = Described(
                    name,
                    value,
                    descriptor.description,
                    descriptor.additional_constraints,
                    low,
                    high,
                    descriptor.read_only,
                )
        with self._lock:
            self._described, self._asked = found, None
        self._model.on_parameters({name: each.value for name, each in found.items()})

    def _on_event(self, event: ParameterEvent) -> None:
        if event.node.strip("/") == self._full.strip("/"):
            changed = (*event.new_parameters, *event.changed_parameters)
            self._note({each.name: parameter_value_to_python(each.value) for each in changed})

    def _note(self, values: dict[str, Any]) -> None:
        with self._lock:
            for name, value in values.items():
                if name in self._described:
                    self._described[name] = dataclasses.replace(self._described[name], value=value)
        self._model.on_parameters(values)


def _range(descriptor: Any) -> tuple[float | None, float | None]:
    ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
    return (ranges[0].from_value, ranges[0].to_value) if ranges else (None, None)
