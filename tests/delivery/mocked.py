from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse


class MockedResponse(ClientResponse):
    """For aioresponses' `response_class=`.

    aiohttp 3.14 asks every response for the `stream_writer` of its request, and aioresponses 0.7.9 does not give one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"stream_writer": Mock(output_size=0), **kwargs})
