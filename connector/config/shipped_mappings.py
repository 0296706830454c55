"""Where the shipped mapping files are. Each is copied before it is used."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / "connector" / "cli" / "shipped_mappings"  # in an installed package; else they are the repository's


def shipped_mappings() -> Path:
    """The directory of the shipped mappings."""
    return INSTALLED if INSTALLED.is_dir() else ROOT / "mappings"
