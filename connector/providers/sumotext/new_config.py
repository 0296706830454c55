"""Sumotext in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import Keywords, NewProvider


def _lines(keywords: Keywords, _: Mapping[str, str]) -> list[str]:
    number = keywords[0][0] if keywords else "84700"
    return [f'short_number: "{number}"', f"start_words: [{', '.join(word for _, word in keywords)}]"]


NEW = NewProvider(region="US", lines=_lines, asks_keywords=False)
