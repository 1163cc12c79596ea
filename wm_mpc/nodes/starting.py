"""How the programs of the nodes start."""

from __future__ import annotations

import gc
import importlib
import os
import sys


def start(module: str) -> int:
    """Run the function `main` of a module, whose imports may take seconds.

    Args:
        module: Name of the module; its package has the name of the node.

    Returns:
        Exit code; 0 when Ctrl-C ended the node before it was there, as later.
    """
    # Nodes multiply nothing large with NumPy: its library need not start threads that wait busily.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        gc.disable()  # what is imported stays: 0.1 s of searching it for garbage
        program = importlib.import_module(module)
        gc.enable()
        code: int = program.main()
        return code
    except KeyboardInterrupt:
        print(f"{module.split('.')[-2]}: interrupted before it had started", file=sys.stderr)
        return 0
