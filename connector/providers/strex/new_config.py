"""Strex in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import Keywords, NewProvider, Secret


def _lines(keywords: Keywords, secrets: Mapping[str, str]) -> list[str]:
    listed = [f'  - {{short_number: "{number}", keyword: {word}}}' for number, word in keywords]
    return [f"api: {{key: {secrets['api-key']}}}", *(["subscriptions:", *listed] if listed else [])]


NEW = NewProvider(region="NO", secrets=(Secret(name="api-key"),), lines=_lines)
