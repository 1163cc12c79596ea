"""The commands."""

import atexit
import gc

# What goes with the process need not be searched for garbage: 0.4 s less at each command's end.
atexit.register(gc.freeze)
