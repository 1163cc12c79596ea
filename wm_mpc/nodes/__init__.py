"""Thin ROS 2 nodes, one module each, and their names with their tables of parameters."""

from wm_mpc.ros import overrides

overrides.register(
    {
        "mpc": "wm_mpc.nodes.mpc_parameters:TABLE",
        "sim": "wm_mpc.nodes.sim_parameters:PARAMETERS",
        "learner": "wm_mpc.nodes.learner_parameters:TABLE",
        "explore": "wm_mpc.nodes.explore:TABLE",
        "camera_player": "wm_mpc.nodes.camera_player:TABLE",
        "episode_log": "",
        "record": "",
        "send_goal": "",
        "take_picture": "",
    }
)
