"""Various package related sub-commands."""

from __future__ import annotations

import argparse
import os

from ament_index_python.packages import PackageNotFoundError

from .. import ament


class ListVerb:
    """Output a list of available packages."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        pass

    @staticmethod
    def main(args: argparse.Namespace) -> None:
        for name in ament.package_names():
            print(name)


class PrefixVerb:
    """Output the prefix path of a package."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("package_name", help="The package name")
        parser.add_argument(
            "--share", action="store_true", help="Show share directory for the package"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> str | None:
        find = ament.package_share if args.share else ament.package_prefix
        try:
            print(find(args.package_name))
        except PackageNotFoundError:
            return "Package not found"
        return None


class ExecutablesVerb:
    """Output a list of package specific executables."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("package_name", nargs="?", help="The package name")
        parser.add_argument(
            "--full-path", action="store_true", help="Show full path of each executable"
        )

    @staticmethod
    def main(args: argparse.Namespace) -> None:
        names = ament.package_names() if args.package_name is None else [args.package_name]
        for name in names:
            try:
                paths = ament.executables(name)
            except PackageNotFoundError as error:
                raise RuntimeError(f"Package '{name}' not found") from error
            for path in sorted(paths):
                print(path if args.full_path else f"{name} {os.path.basename(path)}")


VERBS = {"executables": ExecutablesVerb, "list": ListVerb, "prefix": PrefixVerb}
