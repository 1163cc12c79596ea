"""`python -m wm_mpc.nodes.viewer`, as `ros2 run wm_mpc viewer`."""

import sys

from wm_mpc.nodes.viewer.node import main

sys.exit(main())
