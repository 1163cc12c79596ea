"""The phases of a training, one file each. `registry.py` names them, in their order."""
