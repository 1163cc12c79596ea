"""A process that has imported what every ``ros2`` command imports, and forks for each command.

It reads a line of JSON for each command, ``[number, arguments, path of stdout, path of stderr]``,
and writes ``[number, exit code]`` when the command has ended. Most of a command's time goes into
its imports, which are done once here.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import select
import sys

from ros2_pip import cli


def command(arguments: list[str], out: str, err: str) -> None:
    """Run a command in this process as if it had been started, and end the process."""
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDWR), number)
    sys.argv[1:] = arguments
    code = 1
    try:
        cli.run()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve until stdin ends."""
    for name in cli.COMMANDS:
        importlib.import_module(f"ros2_pip.commands.{name}")
    importlib.import_module("rclpy")
    running: dict[int, int] = {}
    buffered = b""
    while True:
        if select.select([0], [], [], 0.005 if running else None)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, buffered = (buffered + data).split(b"\n")
            for line in lines:
                number, arguments, out, err = json.loads(line)
                if (pid := os.fork()) == 0:
                    command(arguments, out, err)
                running[pid] = number
        while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            number = running.pop(ended[0])
            os.write(1, f"{json.dumps([number, os.waitstatus_to_exitcode(ended[1])])}\n".encode())


if __name__ == "__main__":
    main()
