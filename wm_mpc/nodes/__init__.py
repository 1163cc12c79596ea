"""Thin ROS 2 nodes, a package or module each, and their names with the settings they have."""

from wm_mpc.ros import overrides

overrides.register(
    {
        "mpc": "wm_mpc.nodes.mpc.parameters:MpcSettings",
        "sim": "wm_mpc.nodes.sim.parameters:SimSettings",
        "learner": "wm_mpc.nodes.learner.parameters:LearnerSettings",
        "viewer": "wm_mpc.nodes.viewer.parameters:ViewerSettings",
        "explore": "wm_mpc.nodes.tools.explore:ExploreSettings",
        "camera_player": "wm_mpc.nodes.tools.camera_player:PlayerSettings",
        "episode_log": "",
        "record": "",
        "send_goal": "",
        "take_picture": "",
    }
)
