"""Reads the lists of a page."""

import re


def entries(text: str) -> list[str]:
    """The entries of all lists in a text, each as one line, however it is wrapped."""
    found = re.findall(r"^- (.*(?:\n  .*)*)", text, re.MULTILINE)
    return [re.sub(r"\n +", " ", one) for one in found]
