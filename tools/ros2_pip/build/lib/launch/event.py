"""Base class of everything that happens while launching."""


class Event:
    """Something that happened; event handlers are chosen by its class."""

    name = "launch.Event"
