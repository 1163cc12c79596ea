"""`python -m wm_mpc.nodes.mpc`, as `ros2 run wm_mpc mpc`."""

import sys

from wm_mpc.nodes.mpc.node import main

sys.exit(main())
