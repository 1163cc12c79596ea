"""Various service related sub-commands."""

from __future__ import annotations

import argparse
import time

import rclpy
import yaml

from ..graph import (
    absolute,
    add_graph_arguments,
    cli_node,
    services,
    wait_until,
    wait_until_complete,
)
from ..messages import fill, get_interface
from .topic_echo import positive_float


class ListVerb:
    """Output a list of available services."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument(
            "-t", "--show-types", action="store_true", help="Additionally show the service type"
        )
        parser.add_argument(
            "-c",
            "--count-services",
            action="store_true",
            help="Only display the number of services discovered",
        )
        parser.add_argument(
            "--include-hidden-services", action="store_true", help="Consider hidden services too"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> None:
        with cli_node(args) as node:
            found = wait_until_complete(
                args, lambda: services(node, hidden=args.include_hidden_services)
            )
        if args.count_services:
            print(len(found))
            return
        for name, types in found:
            print(f"{name} [{', '.join(types)}]" if args.show_types else name)


class TypeVerb:
    """Output a service's type."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("service_name", help="Name of the ROS service to get type")

    @staticmethod
    def main(args: argparse.Namespace) -> int:
        wanted = absolute(args.service_name)
        with cli_node(args) as node:
            types = wait_until(args, lambda: dict(services(node, hidden=True)).get(wanted, []))
        for name in types:
            print(name)
        return 0 if types else 1


class CallVerb:
    """Call a service."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        add_graph_arguments(parser)
        parser.add_argument("service_name", help="Name of the ROS service to call to")
        parser.add_argument(
            "service_type", help="Type of the ROS service (e.g. 'std_srvs/srv/Empty')"
        )
        parser.add_argument(
            "values",
            nargs="?",
            default="{}",
            help="Values to fill the service request with in YAML format (e.g. '{a: 1, b: 2}'), "
            "otherwise the service request will be published with default values",
        )
        parser.add_argument(
            "-r",
            "--rate",
            metavar="N",
            type=positive_float,
            help="Repeat the call at a specific rate in Hz",
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        service_type = get_interface(args.service_type, "srv")
        values = yaml.safe_load(args.values)
        if not isinstance(values, dict):
            return "The passed value needs to be a dictionary in YAML format"
        request = service_type.Request()
        try:
            fill(request, values)
        except Exception as error:
            return f"Failed to populate field: {error}"
        with cli_node(args) as node:
            client = node.create_client(service_type, absolute(args.service_name))
            if not client.service_is_ready():
                print("waiting for service to become available...")
                while rclpy.ok() and not client.wait_for_service(timeout_sec=1.0):
                    continue
            while rclpy.ok():
                print(f"requester: making request: {request!r}\n")
                began = time.monotonic()
                future = client.call_async(request)
                rclpy.spin_until_future_complete(node, future)
                if future.result() is None:
                    raise RuntimeError(f"Exception while calling service: {future.exception()!r}")
                print(f"response:\n{future.result()!r}\n")
                if args.rate is None:
                    break
                time.sleep(max(0.0, began + 1.0 / args.rate - time.monotonic()))
        return None


VERBS = {"call": CallVerb, "list": ListVerb, "type": TypeVerb}
