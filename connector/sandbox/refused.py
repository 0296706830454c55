"""What sandboxes of several providers say when they cannot take something."""


class RefusedError(ValueError):
    """A request or an option is invalid; the message says why. The response to a request is 400."""
