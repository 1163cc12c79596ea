"""Names of compressed image topics follow those of the raw ones, as in image_transport."""

from __future__ import annotations

import contextlib

import pytest
import rclpy

from wm_mpc.ros.topics import image_topic

RAW, COMPRESSED = "camera/image_raw", "camera/image_raw/compressed"


@pytest.mark.parametrize(
    ("rules", "namespace", "name", "expected"),
    [
        ([], "/", COMPRESSED, "/camera/image_raw/compressed"),
        ([], "/left", COMPRESSED, "/left/camera/image_raw/compressed"),
        ([f"{RAW}:=/cam/image_raw"], "/", RAW, "/cam/image_raw"),
        ([f"{RAW}:=/cam/image_raw"], "/", COMPRESSED, "/cam/image_raw/compressed"),
        ([f"{RAW}:=cam/rgb"], "/left", COMPRESSED, "/left/cam/rgb/compressed"),
        ([f"{COMPRESSED}:=/jpeg"], "/", COMPRESSED, "/jpeg"),
        ([f"{RAW}:=/cam/image_raw", f"{COMPRESSED}:=/jpeg"], "/", COMPRESSED, "/jpeg"),
        ([f"{COMPRESSED}:=/jpeg"], "/", RAW, "/camera/image_raw"),
        ([f"{RAW}:=/cam"], "/", "/other/compressed", "/other/compressed"),
    ],
)
def test_who_renames_the_raw_topic_renames_the_compressed_one(
    domain_id, rules, namespace, name, expected
):
    words = ["--ros-args", "-r", f"__ns:={namespace}"]
    words += [word for rule in rules for word in ("-r", rule)]
    context = rclpy.Context()
    with contextlib.ExitStack() as stack:
        rclpy.init(args=words, context=context, domain_id=domain_id)
        stack.callback(rclpy.shutdown, context=context)
        node = rclpy.create_node("listener", context=context)
        stack.callback(node.destroy_node)
        assert image_topic(node, name) == expected
