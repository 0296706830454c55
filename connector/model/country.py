"""Reads a country field of a CRM: an ISO code, or a name in English, in the country's own language or in a few others."""

import unicodedata
from functools import cache

from phonenumbers import SUPPORTED_REGIONS

# Common names that libphonenumber's table lacks, and three-letter ISO codes found in CRMs.
OTHER_NAMES = {
    "US": ("usa", "us of a", "united states of america", "the united states", "america"),
    "GB": (
        "uk",
        "gbr",
        "great britain",
        "britain",
        "england",
        "scotland",
        "wales",
        "northern ireland",
        "storbritannia",
    ),
    "NO": ("nor",),
    "DK": ("dnk",),
    "SE": ("swe",),
    "FI": ("fin",),
    "IS": ("isl",),
    "DE": ("deu",),
    "FO": ("fro", "færøerne", "færøyene"),
    "GL": ("grl",),
}


def region_of(value: object) -> str | None:
    """The ISO code of two letters; None if the value names no country that has phone numbers."""
    if not isinstance(value, str):
        return None
    code = value.strip().upper()
    if code in SUPPORTED_REGIONS:
        return code
    return _names().get(_folded(value))


def _folded(name: str) -> str:
    """The name without case, accents, dots and blanks: `Türkiye`, `U.S.A.`."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    return "".join(one for one in plain if one.isalnum())


@cache
def _names() -> dict[str, str]:
    # The table is large, and most installations have no country field.
    from phonenumbers.geodata.locale import LOCALE_DATA  # noqa: PLC0415 - it takes a quarter of a second to be read.

    names = {_folded(name): code for code, several in OTHER_NAMES.items() for name in several}
    for code, by_language in LOCALE_DATA.items():
        if code in SUPPORTED_REGIONS:
            for name in by_language.values():
                if not name.startswith("*"):  # a star means: the same name as in that other language
                    names.setdefault(_folded(name), code)
    return names
