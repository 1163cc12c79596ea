"""`python -m wm_mpc.nodes.sim`, as `ros2 run wm_mpc sim`."""

import sys

from wm_mpc.nodes.starting import start


def main() -> int:
    """Run the node; return the exit code."""
    return start("wm_mpc.nodes.sim.node")


if __name__ == "__main__":
    sys.exit(main())
