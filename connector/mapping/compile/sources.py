"""Checks `on:` and `feed:`, which say which events a file sees."""

from connector.mapping.compile.context import Findings
from connector.mapping.language.rules import MappingFile

CHANGE = "change"  # the shape of events that come from a CRM


def sources_of(model: MappingFile) -> tuple[str, ...]:
    """The sources that `on:` names."""
    return tuple(model.on) if isinstance(model.on, list) else (model.on,)


def check_sources(model: MappingFile, findings: Findings) -> tuple[str, ...]:
    """The sources of a file. Unknown or incompatible ones are reported as problems."""
    several = isinstance(model.on, list)
    sources = sources_of(model)
    for number, source in enumerate(sources):
        where = ("on", number) if several else ("on",)
        named = [part.strip() for part in source.split(",")]
        if len(named) > 1 and all(part in findings.context.sources for part in named):
            findings.add(where, "several-words", f"`{source}` is one text here", f"write a list: [{', '.join(named)}]")
        elif source not in findings.context.sources:
            findings.unknown(where, "source of events", source, findings.context.sources)
        elif sources.index(source) != number:
            findings.add(where, "source-twice", f"`{source}` is here twice", "take one of them out")
    changes = [source.rpartition(".")[2] == CHANGE for source in sources]
    if all(changes) and model.feed is None:
        findings.add(
            ("on",), "no-feed", "this does not say which object is watched", "add feed: {object: Contact, fields: […]}"
        )
    elif any(changes) and not all(changes):
        findings.add(
            ("on",), "mixed-sources", "changes in a CRM and other events do not go into one file", "make two files"
        )
    elif not any(changes) and model.feed is not None:
        findings.add(("feed",), "useless-feed", "`feed` is for changes in a CRM alone", "take it out", key=True)
    return sources
