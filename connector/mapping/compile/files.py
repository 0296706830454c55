"""The files of the mappings' directory: which are read, and which a person may think are read."""

from pathlib import Path

from connector.model.problem import Problem, ProblemsFound, Severity

ENDINGS = frozenset({".yaml", ".yml"})
# The folders of the shipped sets, from which files are copied. `cp -r mappings` copies them too.
SETS = frozenset({"more", "npsp", "nonprofit-cloud"})
# Endings that editors, mail and word processors give to a mapping. Other files, such as a README, are no mistake.
MISTAKEN = frozenset({".txt", ".json", ".doc", ".docx", ".rtf", ".bak", ".old", ".orig"})


def mapping_files(directory: Path) -> list[Path]:
    """The mapping files of a directory. Raises ProblemsFound if it cannot be read."""
    return [path for path in _entries(directory) if path.suffix in ENDINGS]


def unread_files(directory: Path) -> list[Problem]:
    """A warning for each file in the directory that is not read. Raises ProblemsFound if the directory cannot be read."""
    return [_unread(path) for path in _entries(directory) if _looks_used(path)]


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ProblemsFound([_unreadable(directory.name, error)]) from None


def _unreadable(name: str, error: OSError) -> Problem:
    return Problem(
        file=name,
        position=None,
        code="unreadable-file",
        message=f"the folder of the mappings cannot be read: {error.strerror or type(error).__name__}",
        hint="create it, let the service's user read it, or name another one by `mappings:` in the config",
    )


def _looks_used(path: Path) -> bool:
    if path.suffix in ENDINGS:
        return False
    if path.is_dir():
        return path.name not in SETS and any(one.suffix in ENDINGS for one in _entries(path))
    folded = path.name.casefold()
    return path.suffix.casefold() in MISTAKEN or any(ending in folded for ending in ENDINGS)


def _unread(path: Path) -> Problem:
    if path.is_dir():
        message, hint = "the files in this folder are not read", "move those that are meant to be used out of it"
    else:
        message = "this file is not read: a mapping ends in .yaml"
        meant = _meant(path.name)
        hint = (
            "take it out of the folder"
            if path.with_name(meant).exists()
            else f"rename it to {meant}, or take it out of the folder"
        )
    return Problem(
        file=path.name, position=None, code="unread-file", message=message, hint=hint, severity=Severity.WARNING
    )


def _meant(name: str) -> str:
    """The name without the ending that an editor or a mail program added: `x.yaml.txt`, `x.yaml~`, `x.YAML`."""
    folded = name.casefold()
    for ending in ENDINGS:
        before, found, _ = folded.partition(ending)
        if found and before:
            return name[: len(before)] + ending
    return f"{name.partition('.')[0]}.yaml"
