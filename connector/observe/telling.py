"""One fact to all who listen."""

from connector.model.facts import Fact, Tell


def fan_out(*listeners: Tell) -> Tell:
    """A Tell that passes each fact to every listener, in the order given."""

    def tell(fact: Fact) -> None:
        for listener in listeners:
            listener(fact)

    return tell
