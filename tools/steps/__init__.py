"""The steps of set-up that tools/bootstrap.py takes. Standard library, Python 3.6."""
