"""What the node `mpc` sends to a robot: plans and streams of commands, one file for each."""

from wm_mpc.nodes.mpc.outputs.publisher import PlanPublisher

__all__ = ["PlanPublisher"]
