"""Quality of service by purpose, so that every node agrees on what connects to what."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(
    depth: int,
    reliability: ReliabilityPolicy,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


# Images and other observations one wants fresh or not at all. As a subscription it connects to
# any publisher.
SENSOR_DATA = _profile(5, ReliabilityPolicy.BEST_EFFORT)

# Listening to `odom` and `joint_states`: the messages of a fast publisher must not push out those
# of a slow one while a callback waits its turn.
STATES = _profile(100, ReliabilityPolicy.BEST_EFFORT)

# Publishing `odom` and `joint_states`: reliable, so that both kinds of subscriptions connect.
ROBOT_STATE = _profile(5, ReliabilityPolicy.RELIABLE)

# Only the newest plan counts, and it must arrive.
PLANNED_ACTIONS = _profile(1, ReliabilityPolicy.RELIABLE)

# Listening to the plans of all: one must not push out another, which came just before it.
ALL_PLANS = _profile(20, ReliabilityPolicy.RELIABLE)

# Goals and file names: a node that starts later still gets the present one.
LATCHED = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)

# Subscriptions to a goal, all of them at once: a latched one comes to a node that starts later, but
# only a volatile subscription connects to a volatile publisher (the default of most programs), and
# only a best-effort one to a camera's. What comes by several of them counts once.
GOALS = (
    LATCHED,
    _profile(1, ReliabilityPolicy.RELIABLE),
    _profile(1, ReliabilityPolicy.BEST_EFFORT),
)

# Results of episodes: who listens later still gets them, the last thousand.
RESULTS = _profile(1000, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)

# Goals to be reached one after another: none may be lost, and none comes twice.
APPENDED = _profile(100, ReliabilityPolicy.RELIABLE)

# Requests from people and from tools (`goal_pose`).
COMMAND = _profile(5, ReliabilityPolicy.RELIABLE)

# Diagnostics, progress, markers.
STATUS = _profile(10, ReliabilityPolicy.RELIABLE)

# `/tf`, as tf2's own broadcaster does it.
TRANSFORMS = _profile(100, ReliabilityPolicy.RELIABLE)

# `/clock`, as everywhere in ROS 2.
CLOCK = _profile(1, ReliabilityPolicy.BEST_EFFORT)
