"""Various param related sub-commands."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from typing import Any

import yaml
from rcl_interfaces.msg import Parameter, ParameterValue
from rclpy.node import Node
from rclpy.parameter import get_parameter_value

from .. import parameters
from ..graph import add_graph_arguments, cli_node, find_node, node_names, wait_until_complete


def _add_node_arguments(parser: argparse.ArgumentParser, **options: Any) -> None:
    add_graph_arguments(parser)
    parser.add_argument("node_name", help="Name of the ROS node", **options)
    parser.add_argument(
        "--include-hidden-nodes", action="store_true", help="Consider hidden nodes as well"
    )


def _with_node(
    args: argparse.Namespace, work: Callable[[Node, str], str | int | None]
) -> str | int | None:
    """Call ``work`` with our node and the full name of the node asked for."""
    with cli_node(args) as node:
        found = find_node(args, node, args.node_name)
        return "Node not found" if found is None else work(node, found.full_name)


def _report(result: Any, success: str, failure: str) -> None:
    """Print the outcome of setting a parameter, a failure to standard error."""
    message = success if result.successful else failure
    if result.reason:
        message += f": {result.reason}"
    print(message, file=sys.stdout if result.successful else sys.stderr)


class ListVerb:
    """Output a list of available parameters."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser, nargs="?")
        parser.add_argument(
            "--filter", nargs=1, help="Only parameters matching the regex expression are shown."
        )
        parser.add_argument(
            "--param-prefixes",
            nargs="+",
            default=[],
            help="Only list parameters with the provided prefixes",
        )
        parser.add_argument(
            "--param-type", action="store_true", help="Print parameter types with parameter names"
        )

    @classmethod
    def main(cls, args: argparse.Namespace) -> str | None:
        with cli_node(args) as node:
            if args.node_name is not None:
                found = find_node(args, node, args.node_name)
                if found is None:
                    return "Node not found"
                cls._print(args, node, found.full_name)
                return None
            names = wait_until_complete(
                args, lambda: node_names(node, hidden=args.include_hidden_nodes)
            )
            for name in names:
                try:
                    cls._print(args, node, name.full_name, with_title=True)
                except RuntimeError as error:
                    print(
                        f"Exception while calling service of node '{name.full_name}': {error}",
                        file=sys.stderr,
                    )
        return None

    @staticmethod
    def _print(
        args: argparse.Namespace, node: Node, target: str, *, with_title: bool = False
    ) -> None:
        names = parameters.list_names(node, target, args.param_prefixes)
        if args.filter is not None:
            names = [name for name in names if re.match(args.filter[0], name)]
        if with_title and names:
            print(f"{target}:")
        types = {}
        if args.param_type and names:
            for descriptor in parameters.describe(node, target, names):
                types[descriptor.name] = parameters.type_name(descriptor.type)
        for name in names:
            print(f"  {name} (type: {types[name]})" if args.param_type else f"  {name}")


class GetVerb:
    """Get parameter."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument("parameter_name", help="Name of the parameter")
        parser.add_argument("--hide-type", action="store_true", help="Hide the type information")

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        def work(node: Node, target: str) -> str | None:
            values = parameters.get_values(node, target, [args.parameter_name])
            if not values:
                return "Parameter not set"
            value = parameters.raw_value(values[0])
            label = parameters.TYPES[values[0].type][1]
            if args.hide_type:
                print(value)
            elif value is None:
                print(label)
            else:
                print(label, value)
            return None

        return _with_node(args, work)


class SetVerb:
    """Set parameter."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument("parameter_name", help="Name of the parameter")
        parser.add_argument("value", help="Value of the parameter")

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        value = get_parameter_value(args.value)

        def work(node: Node, target: str) -> None:
            parameter = Parameter(name=args.parameter_name, value=value)
            (result,) = parameters.set_values(node, target, [parameter])
            _report(result, "Set parameter successful", "Setting parameter failed")

        return _with_node(args, work)


class DeleteVerb:
    """Delete parameter."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument("parameter_name", help="Name of the parameter")

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        def work(node: Node, target: str) -> None:
            parameter = Parameter(name=args.parameter_name, value=ParameterValue())
            (result,) = parameters.set_values(node, target, [parameter])
            _report(result, "Deleted parameter successfully", "Deleting parameter failed")

        return _with_node(args, work)


class DescribeVerb:
    """Show descriptive information about declared parameters."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument("parameter_names", nargs="+", help="Names of the parameters")

    @classmethod
    def main(cls, args: argparse.Namespace) -> str | int | None:
        def work(node: Node, target: str) -> None:
            for descriptor in parameters.describe(node, target, args.parameter_names):
                cls._print(descriptor)

        return _with_node(args, work)

    @staticmethod
    def _print(descriptor: Any) -> None:
        print("Parameter name:", descriptor.name)
        print("  Type:", parameters.type_name(descriptor.type))
        if descriptor.description:
            print("  Description:", descriptor.description)
        print("  Constraints:")
        if descriptor.read_only:
            print("    Read only: true")
        for limits in [*descriptor.floating_point_range, *descriptor.integer_range][:1]:
            print("    Min value:", limits.from_value)
            print("    Max value:", limits.to_value)
            if limits.step:
                print("    Step:", limits.step)
        if descriptor.additional_constraints:
            print("    Additional constraints:", descriptor.additional_constraints)


class DumpVerb:
    """Show all of the parameters of a node in a YAML file format."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)

    @classmethod
    def main(cls, args: argparse.Namespace) -> str | int | None:
        def work(node: Node, target: str) -> None:
            names = parameters.list_names(node, target)
            tree: dict[str, Any] = {}
            values = parameters.get_values(node, target, names)
            for name, value in zip(names, values, strict=True):
                cls._insert(tree, name, parameters.plain_value(value))
            print(yaml.dump({target: {"ros__parameters": tree}}, default_flow_style=False))

        return _with_node(args, work)

    @staticmethod
    def _insert(tree: dict[str, Any], name: str, value: Any) -> None:
        *parents, last = name.split(".")
        for parent in parents:
            tree = tree.setdefault(parent, {})
        tree[last] = value


class LoadVerb:
    """Load parameter file for a node."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        _add_node_arguments(parser)
        parser.add_argument("parameter_file", help="Parameter file")
        parser.add_argument(
            "--no-use-wildcard",
            action="store_true",
            help="Do not load parameters in the '/**' namespace into the node",
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | int | None:
        def work(node: Node, target: str) -> None:
            wanted = parameters.from_file(
                args.parameter_file, target, wildcard=not args.no_use_wildcard
            )
            results = parameters.set_values(node, target, wanted)
            for parameter, result in zip(wanted, results, strict=True):
                _report(
                    result,
                    f"Set parameter {parameter.name} successful",
                    f"Set parameter {parameter.name} failed",
                )

        return _with_node(args, work)


VERBS = {
    "delete": DeleteVerb,
    "describe": DescribeVerb,
    "dump": DumpVerb,
    "get": GetVerb,
    "list": ListVerb,
    "load": LoadVerb,
    "set": SetVerb,
}
