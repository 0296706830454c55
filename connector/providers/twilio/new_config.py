"""Twilio in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import Keywords, NewProvider, Secret


def _lines(keywords: Keywords, secrets: Mapping[str, str]) -> list[str]:
    return [
        f"auth_tokens: [{secrets['auth-token']}]",
        f"keywords: [{', '.join(dict.fromkeys(word for _, word in keywords))}]",
    ]


NEW = NewProvider(region="US", secrets=(Secret(name="auth-token"),), lines=_lines, commands=False, asks_keywords=False)
