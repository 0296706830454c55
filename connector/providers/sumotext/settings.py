"""The settings under `providers:` for Sumotext. provider.py builds the provider from them."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from connector.config.settings import Region
from connector.config.validation import Duration
from connector.providers.auth_settings import AuthSettings

Word = Annotated[str, Field(min_length=1)]
REGION = "US"
# "Receiving Post Data" shows only USA. What is sent for Canada is not documented, but its carriers are in Sumotext's
# list.
COUNTRIES = {"USA": "US", "US": "US", "CAN": "CA", "CA": "CA"}


class SumotextSettings(AuthSettings):
    """A Sumotext account. Sumotext neither signs its callbacks nor publishes its addresses: use a path secret."""

    type: Literal["sumotext"] = "sumotext"
    """The kind of provider."""
    short_number: str | None = None
    """The short code for callbacks that name none, such as Text-4-Info."""
    region: Region = REGION
    """The country for callbacks that name none, such as US."""
    countries: dict[Word, Region] = Field(default_factory=dict)
    """What Sumotext writes as `country`, and the country that it means, besides CAN, ISO codes and names of countries."""
    stop_words: tuple[Word, ...] = ()
    """Words that mean stop at this provider, besides the usual ones and those of `consent:`."""
    start_words: tuple[Word, ...] = ()
    """Words that mean joining, besides START, YES and UNSTOP; for example the keywords by which people join."""
    repeat_window: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(days=3))] = timedelta(minutes=10)
    """How long the same callback counts as a repeat: most callbacks have no id."""
