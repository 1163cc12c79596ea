"""The topics of the node `mpc` that exist from configuring to cleaning up.

So they are found, and connected, before the node is active. They are silent until then.
"""

from __future__ import annotations

import time
from typing import Any

from wm_mpc.model.world_model import WorldModel
from wm_mpc.nodes.mpc.goals import Goals
from wm_mpc.nodes.mpc.inputs import Inputs
from wm_mpc.nodes.mpc.outputs import PlanPublisher
from wm_mpc.nodes.mpc.outputs.registry import OUTPUTS
from wm_mpc.nodes.mpc.parameters import MpcSettings
from wm_mpc.nodes.mpc.pictures import PlanPictures
from wm_mpc.spec import RobotSpec

_LEFT = 1.0  # s that leaving the topics may take


class Endpoints:
    """Publishers and subscriptions for one robot. A session begins and ends their use.

    Args:
        node: whose topics they are.
        model: what plans; its spec tells the robot.
        settings: of the node.
        goals: receives goals on topics of its own.
    """

    def __init__(self, node: Any, model: WorldModel, settings: MpcSettings, goals: Goals) -> None:
        self._node, self._goals = node, goals
        self._made_for = self._needs(model.spec, settings)
        self.plans = PlanPublisher(node, model.spec, settings.output)
        self.pictures = PlanPictures(node, model)
        self.inputs = Inputs(
            node,
            model.spec,
            transport=settings.image.transport,
            state_type=settings.state.type,
            dropped=node.dropped,
        )
        goals.begin(self.inputs)

    def _needs(self, spec: RobotSpec, settings: MpcSettings) -> tuple[object, ...]:
        needed = settings.image.transport, settings.state.type, settings.output.fixed
        is_simulated = self._node.get_parameter("use_sim_time").value
        return spec, is_simulated, *needed

    def fit(self, spec: RobotSpec, settings: MpcSettings) -> bool:
        """Whether they are those for this robot and these settings."""
        return self._made_for == self._needs(spec, settings)

    def close(self) -> None:
        """Leave all topics, and wait until that is done: of one node, all endpoints of a topic have
        one type, and the next ones may be of another."""
        self._goals.end()
        self.inputs.close()
        self.plans.close()
        self.pictures.close()
        deadline = time.monotonic() + _LEFT
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(0.005)

    def _is_there(self) -> bool:
        """Whether an executor still holds an endpoint whose type depends on parameters."""
        node = self._node
        own = node.get_name(), node.get_namespace()
        found = []
        for name in (name for name, output in OUTPUTS.items() if output.settings):
            found += node.get_publishers_info_by_topic(name)
        for topic in ("goal/state", "goal/append/state"):
            found += node.get_subscriptions_info_by_topic(topic)
        return any((e.node_name, e.node_namespace) == own for e in found)
