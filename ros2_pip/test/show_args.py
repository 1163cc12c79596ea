#!/usr/bin/env python3
"""Print the arguments, the parameter files among them, and some of the environment."""

import os
import sys

print("ARGS", " ".join(sys.argv[1:]))
for option, value in zip(sys.argv, sys.argv[1:], strict=False):
    if option == "--params-file":
        with open(value) as file:
            print(file.read())
print("COLOUR", os.environ.get("COLOUR"), "PWD", os.getcwd(), "TTY", sys.stdout.isatty())
