"""The parts of `tools/update_docs.py` and `make docs`."""
