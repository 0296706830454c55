"""The example config, with the parts that it shows in comments."""

from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "config.example.yaml"


def with_sinks() -> str:
    """The text with its `sinks:` switched on."""
    before, shown, sinks = EXAMPLE.read_text().partition("# sinks:")
    return before + shown.removeprefix("# ") + sinks.replace("\n# ", "\n")
