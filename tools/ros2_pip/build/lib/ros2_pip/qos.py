"""Quality of service of the ``ros2 topic`` verbs: options, and matching the publishers."""

from __future__ import annotations

import argparse

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import (
    QoSDurabilityPolicy,
    QoSHistoryPolicy,
    QoSLivelinessPolicy,
    QoSPresetProfiles,
    QoSProfile,
    QoSReliabilityPolicy,
)

OVERRIDES = ("depth", "history", "reliability", "durability", "liveliness")


def add_qos_arguments(parser: argparse.ArgumentParser, verb: str, default: str) -> None:
    """Add --qos-profile and the options that override parts of it."""
    parser.add_argument(
        "--qos-profile",
        choices=QoSPresetProfiles.short_keys(),
        default=default,
        help=f"Quality of service preset profile to {verb} with (default: {default})",
    )
    parser.add_argument(
        "--qos-depth", metavar="N", type=int, help=f"Queue size setting to {verb} with"
    )
    for name, policy in (
        ("history", QoSHistoryPolicy),
        ("reliability", QoSReliabilityPolicy),
        ("durability", QoSDurabilityPolicy),
        ("liveliness", QoSLivelinessPolicy),
    ):
        parser.add_argument(
            f"--qos-{name}",
            choices=policy.short_keys(),
            help=f"Quality of service {name} setting to {verb} with (overrides the profile)",
        )
    parser.add_argument(
        "--qos-liveliness-lease-duration-seconds",
        type=float,
        help=f"Quality of service liveliness lease duration to {verb} with",
    )


def has_overrides(args: argparse.Namespace) -> bool:
    """Return whether any part of the profile is given on the command line."""
    return any(getattr(args, f"qos_{name}", None) is not None for name in OVERRIDES) or (
        getattr(args, "qos_liveliness_lease_duration_seconds", None) is not None
    )


def qos_from_arguments(args: argparse.Namespace) -> QoSProfile:
    """Return the profile that the options ask for."""
    preset = QoSPresetProfiles.get_from_short_key(args.qos_profile)
    profile = QoSProfile(
        history=preset.history,
        depth=preset.depth,
        reliability=preset.reliability,
        durability=preset.durability,
        liveliness=preset.liveliness,
    )
    if args.qos_history:
        profile.history = QoSHistoryPolicy.get_from_short_key(args.qos_history)
    if args.qos_reliability:
        profile.reliability = QoSReliabilityPolicy.get_from_short_key(args.qos_reliability)
    if args.qos_durability:
        profile.durability = QoSDurabilityPolicy.get_from_short_key(args.qos_durability)
    if args.qos_liveliness:
        profile.liveliness = QoSLivelinessPolicy.get_from_short_key(args.qos_liveliness)
    lease = args.qos_liveliness_lease_duration_seconds
    if lease is not None:
        profile.liveliness_lease_duration = Duration(seconds=lease)
    if args.qos_depth is not None and args.qos_depth >= 0:
        profile.depth = args.qos_depth
    elif profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL and profile.depth == 0:
        profile.depth = 1
    return profile


def matching_qos(args: argparse.Namespace, node: Node, topic: str) -> QoSProfile:
    """Return a profile that connects to all present publishers of ``topic``.

    Options given on the command line come first. Without a publisher, the preset is used.
    """
    profile = qos_from_arguments(args)
    publishers = node.get_publishers_info_by_topic(topic)
    if has_overrides(args) or not publishers:
        return profile
    reliable = [
        info.qos_profile.reliability == QoSReliabilityPolicy.RELIABLE for info in publishers
    ]
    transient = [
        info.qos_profile.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL for info in publishers
    ]
    profile.reliability = QoSReliabilityPolicy.BEST_EFFORT
    profile.durability = QoSDurabilityPolicy.VOLATILE
    if all(reliable):
        profile.reliability = QoSReliabilityPolicy.RELIABLE
    elif any(reliable):
        _report_fallback("QoSReliabilityPolicy.RELIABLE", "QoSReliabilityPolicy.BEST_EFFORT")
    if all(transient):
        profile.durability = QoSDurabilityPolicy.TRANSIENT_LOCAL
    elif any(transient):
        _report_fallback("QoSDurabilityPolicy.TRANSIENT_LOCAL", "QoSDurabilityPolicy.VOLATILE")
    return profile


def _report_fallback(offered: str, used: str) -> None:
    print(
        f"Some, but not all, publishers are offering {offered}. Falling back to {used} as it "
        "will connect to all publishers"
    )
