"""Run a package specific executable."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import time

from ament_index_python.packages import PackageNotFoundError

from ..ament import executables

FORWARD_AFTER_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prefix",
        help="Prefix command, which should go before the executable. Command must be wrapped in "
        "quotes if it contains spaces (e.g. --prefix 'gdb -ex run --args').",
    )
    parser.add_argument("package_name", help="Name of the ROS package")
    parser.add_argument("executable_name", help="Name of the executable")
    parser.add_argument(
        "argv", nargs=argparse.REMAINDER, help="Pass arbitrary arguments to the executable"
    )


def main(args: argparse.Namespace) -> int | str:
    try:
        paths = [
            path
            for path in executables(args.package_name)
            if os.path.basename(path) == args.executable_name
        ]
    except PackageNotFoundError as error:
        raise RuntimeError(f"Package '{args.package_name}' not found") from error
    if not paths:
        return "No executable found"
    if len(paths) > 1:
        raise RuntimeError("Multiple executables found:" + "".join(f"\n- {p}" for p in paths))
    prefix = shlex.split(args.prefix) if args.prefix is not None else []
    return _run([*prefix, paths[0], *args.argv])


def _run(cmd: list[str]) -> int:
    """Run ``cmd`` until it ends, whatever signals come; return its exit code."""
    from launch.actions.process_io import die_with_parent

    parent = os.getpid()
    process = subprocess.Popen(cmd, preexec_fn=lambda: die_with_parent(parent))
    interrupted_at: list[float] = []
    signal.signal(signal.SIGINT, lambda *_: interrupted_at.append(time.monotonic()))
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGTERM))
    while process.poll() is None:
        # Ctrl-C reaches the process from the terminal; a SIGINT sent to us alone does not.
        if interrupted_at and not _has_terminal():
            waited = time.monotonic() - interrupted_at[0]
            if waited > FORWARD_AFTER_SECONDS:
                process.send_signal(signal.SIGINT)
                interrupted_at = []
                signal.signal(signal.SIGINT, lambda *_: process.send_signal(signal.SIGINT))
        try:
            process.wait(timeout=0.1 if interrupted_at else 0.5)
        except subprocess.TimeoutExpired:
            continue
    returncode = process.returncode
    if returncode < 0:
        print("[ros2run]:", signal.strsignal(-returncode))
    elif returncode > 0:
        print("[ros2run]:", f"Process exited with failure {returncode}")
    return returncode


def _has_terminal() -> bool:
    """Return whether we run in the foreground of a terminal."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)
