"""`python -m wm_mpc.nodes.viewer`, as `ros2 run wm_mpc viewer`."""

import sys

from wm_mpc.nodes.starting import start


def main() -> int:
    """Run the node; return the exit code."""
    return start("wm_mpc.nodes.viewer.node")


if __name__ == "__main__":
    sys.exit(main())
