"""Gradient-based model-predictive control through learned world models, for ROS 2."""

__version__ = "0.2.0"
