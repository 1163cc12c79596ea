"""`python -m wm_mpc.nodes.learner`, as `ros2 run wm_mpc learner`."""

import sys

from wm_mpc.nodes.learner.node import main

sys.exit(main())
