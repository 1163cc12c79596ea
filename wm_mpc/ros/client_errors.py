"""What a client of the controller cannot do."""


class ClientError(RuntimeError):
    """The controller, or its robot, does not do what was asked; the text says what, and why."""
