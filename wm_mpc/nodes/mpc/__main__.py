"""`python -m wm_mpc.nodes.mpc`, as `ros2 run wm_mpc mpc`."""

import sys

from wm_mpc.nodes.starting import start


def main() -> int:
    """Run the node; return the exit code."""
    return start("wm_mpc.nodes.mpc.node")


if __name__ == "__main__":
    sys.exit(main())
