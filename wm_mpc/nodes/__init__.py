"""Thin ROS 2 nodes, a package or module each, and their names with their tables of parameters."""

from wm_mpc.ros import overrides

overrides.register(
    {
        "mpc": "wm_mpc.nodes.mpc.parameters:TABLE",
        "sim": "wm_mpc.nodes.sim.parameters:PARAMETERS",
        "learner": "wm_mpc.nodes.learner.parameters:TABLE",
        "explore": "wm_mpc.nodes.tools.explore:TABLE",
        "camera_player": "wm_mpc.nodes.tools.camera_player:TABLE",
        "episode_log": "",
        "record": "",
        "send_goal": "",
        "take_picture": "",
    }
)
