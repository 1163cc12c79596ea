"""What the node `mpc` notices besides its inputs."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy")
pytestmark = pytest.mark.ros


class Controller:
    """Of one robot: a publisher of plans, and an ear for those of others."""

    def __init__(self, name, context):
        import rclpy
        from trajectory_msgs.msg import JointTrajectory

        from wm_mpc.nodes.mpc.rivals import Rivals
        from wm_mpc.ros import qos

        self.node = rclpy.create_node(name, context=context)
        self.plans = self.node.create_publisher(
            JointTrajectory, "planned_actions", qos.PLANNED_ACTIONS
        )
        self.rivals = Rivals(self.node)

    def send(self, plan):
        from rclpy.serialization import serialize_message

        self.rivals.sent(serialize_message(plan))
        self.plans.publish(plan)


@pytest.fixture
def controllers(observer):
    """Two, connected; their callbacks do not run."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    both = [Controller(name, context) for name in ("first", "second")]
    for controller in both:
        observer.wait_until(lambda c=controller: c.plans.get_subscription_count() == 2, "the other")
    yield both
    for controller in both:
        controller.node.destroy_node()
    context.try_shutdown()


def a_plan(number):
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    plan = JointTrajectory(points=[JointTrajectoryPoint(velocities=[0.5, 0.1])] * 5)
    plan.header.stamp.nanosec = number
    return plan


def test_a_controller_alone_never_hears_another(controllers):
    from wm_mpc.ros.running import spinning

    alone = controllers[0]
    with spinning(alone.node):
        for number in range(30):
            alone.send(a_plan(number))
            assert not alone.rivals.is_there
            time.sleep(0.01)
        time.sleep(0.2)
        assert not alone.rivals.is_there


def test_twins_that_plan_the_very_same_notice_each_other(controllers, observer):
    """They plan from the same image, in time from the same warm start."""
    from wm_mpc.ros.running import spinning

    first, second = controllers
    with spinning(first.node), spinning(second.node):
        for number in range(5):
            first.send(a_plan(number))
            second.send(a_plan(number))
            time.sleep(0.02)
        observer.wait_until(lambda: first.rivals.is_there, "the second to be heard", 1.0)
        observer.wait_until(lambda: second.rivals.is_there, "the first to be heard", 1.0)


def test_a_plan_that_came_right_before_our_own_is_heard(controllers, observer):
    """Callbacks come late while a plan is made: by then both wait."""
    from wm_mpc.ros.running import spinning

    first, second = controllers
    second.send(a_plan(1))
    time.sleep(0.2)
    first.send(a_plan(2))
    time.sleep(0.2)
    with spinning(first.node):
        observer.wait_until(lambda: first.rivals.is_there, "the second to be heard", 0.5)
