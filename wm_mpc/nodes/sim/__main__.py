"""`python -m wm_mpc.nodes.sim`, as `ros2 run wm_mpc sim`."""

import sys

from wm_mpc.nodes.sim.node import main

sys.exit(main())
