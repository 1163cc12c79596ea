"""What relies on the inside of rclpy does its work with each ROS 2 that can be set up.

`make setup ROS=kilted` and `make test` check the other one.
"""

from __future__ import annotations

import importlib.metadata
import time

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from std_msgs.msg import Int32

from wm_mpc.ros import qos
from wm_mpc.ros.callback_errors import CallbackErrors
from wm_mpc.ros.executors import PatientExecutor, UrgentCallbackGroup, UrgentExecutor
from wm_mpc.ros.serialized_plans import _form
from wm_mpc.spec import ActionSpec

pytestmark = pytest.mark.ros
MAJOR = {"jazzy": "7", "kilted": "9"}  # of rclpy's version


@pytest.fixture(params=MAJOR)
def distribution(request):
    installed = importlib.metadata.version("rclpy")
    if installed.partition(".")[0] != MAJOR[request.param]:
        pytest.skip(f"rclpy {installed} is installed, not that of {request.param}")
    return request.param


def test_each_executor_runs_its_own_callbacks_and_leaves_the_others(distribution, observer):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=observer.domain_id)
    node = Node("subject", context=context)
    urgent = UrgentExecutor(node, CallbackErrors(node))
    patient = PatientExecutor(urgent, CallbackErrors(node))
    patient.add_node(node)
    heard, running = [], ["none"]

    def hear(name):
        heard.append((name, running[0]))

    node.create_subscription(
        Int32, "fast", lambda _: hear("fast"), qos.ALL_PLANS, callback_group=UrgentCallbackGroup()
    )
    node.create_subscription(Int32, "slow", lambda _: hear("slow"), qos.ALL_PLANS)
    publishers = [
        observer.node.create_publisher(Int32, topic, qos.ALL_PLANS) for topic in ("fast", "slow")
    ]
    observer.wait_until(lambda: all(p.get_subscription_count() for p in publishers), "topics")
    for publisher in publishers:
        publisher.publish(Int32(data=1))
    time.sleep(0.2)  # both messages lie there, whichever executor looks first
    for running[0], executor in (("patient", patient), ("urgent", urgent)):
        for _ in range(20):
            executor.spin_once(timeout_sec=0.02)
    for executor in (urgent, patient):
        executor.shutdown()
    node.destroy_node()
    context.try_shutdown()
    assert heard == [("slow", "patient"), ("fast", "urgent")]


@pytest.mark.parametrize("points", [0, 10])
def test_plans_are_written_into_a_form_and_not_serialized_each_time(distribution, points):
    spec = ActionSpec(("vx", "vy"), "velocity", "m/s", (-1.0, -1.0), (1.0, 1.0))
    form = _form(spec, 0.1, points)
    assert form is not None
    assert form.filled(5, np.ones((points, 2)))
