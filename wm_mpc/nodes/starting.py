"""How the programs of the nodes start."""

from __future__ import annotations

import importlib
import sys


def start(module: str) -> int:
    """Run the function `main` of a module, whose imports may take seconds.

    Args:
        module: Name of the module; its package has the name of the node.

    Returns:
        Exit code; 0 when Ctrl-C ended the node before it was there, as later.
    """
    try:
        code: int = importlib.import_module(module).main()
        return code
    except KeyboardInterrupt:
        print(f"{module.split('.')[-2]}: interrupted before it had started", file=sys.stderr)
        return 0
