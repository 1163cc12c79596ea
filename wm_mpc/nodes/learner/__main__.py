"""`python -m wm_mpc.nodes.learner`, as `ros2 run wm_mpc learner`."""

import sys

from wm_mpc.nodes.starting import start


def main() -> int:
    """Run the node; return the exit code."""
    return start("wm_mpc.nodes.learner.node")


if __name__ == "__main__":
    sys.exit(main())
