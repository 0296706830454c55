"""OnlineFundraising in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import Keywords, NewProvider, Secret


def _lines(keywords: Keywords, secrets: Mapping[str, str]) -> list[str]:
    return [
        f"api: {{url: https://api.example.org, key: {secrets['api-key']}}}   # your own base address",
        f"keywords: [{', '.join(word for _, word in keywords)}]",
    ]


NEW = NewProvider(region="DK", secrets=(Secret(name="api-key"),), lines=_lines, commands=False)
