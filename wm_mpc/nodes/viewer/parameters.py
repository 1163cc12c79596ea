"""The settings of the node `viewer`, which are its parameters."""

from __future__ import annotations

import dataclasses

from wm_mpc.settings.fields import check, setting


@dataclasses.dataclass(frozen=True)
class ViewerSettings:
    """Of the node `viewer`. Raises SettingError when they are not accepted."""

    host: str = setting(
        "127.0.0.1",
        "Address on which the page is served; with the default, only this computer reaches it",
        read_only=True,
    )
    port: int = setting(
        8080,
        "Port of the page; if it is taken, the next free one",
        "",
        1,
        65535,
        read_only=True,
    )
    rate: float = setting(10.0, "How often the page shows new pictures", "Hz", 0.5, 30.0)
    theme: str = setting("dark", "Colours of the page", choices=("dark", "light"), read_only=True)
    seconds: float = setting(60.0, "How far back the charts go", "s", 5.0, 3600.0, read_only=True)
    mpc: str = setting("mpc", "Name of the controller's node", read_only=True)
    goal_height: float = setting(
        0.0,
        "Height above the ground at which a click on the picture sets a goal",
        "m",
        -10.0,
        10.0,
    )
    cameras: str = setting(
        "",
        "Topics of a robot's further cameras, separated by commas; the page shows them below the "
        "goal",
        read_only=True,
    )
    recordings: str = setting("recordings", "Directory of the recordings that the page makes")

    def __post_init__(self) -> None:
        check(self)
