"""What `connector init` must know of a provider and of a CRM. Each has a `new_config.py` with a `NEW` of these."""

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

Keywords = Sequence[tuple[str, str]]  # short number, keyword


class Secret(Struct, frozen=True, kw_only=True):
    """A secret that a person gets from the other side."""

    name: str  # after the name of the provider or the CRM, such as api-key
    is_file: bool = False  # it is asked for by the name of its file, because it has several lines


class Question(Struct, frozen=True, kw_only=True):
    """Something that a person is asked, and an option of the command."""

    name: str  # of the option, such as client-id
    prompt: str
    help: str  # of the option
    default: str  # where nothing is asked, and nothing is given
    offered: bool = False  # whether the prompt offers the default
    choices: tuple[str, ...] = ()


class NewProvider(Struct, frozen=True, kw_only=True):
    """A provider in a new config."""

    region: str  # the country of its numbers
    lines: Callable[[Keywords, Mapping[str, str]], list[str]]  # keywords and secrets → lines below its name
    secrets: tuple[Secret, ...] = ()
    commands: bool = True  # whether an opt-out that is made in the CRM can be sent to it
    asks_keywords: bool = True
    public: Mapping[str, str] = {}  # endpoints that donors' browsers call, without a secret → what follows their names


class NewCrm(Struct, frozen=True, kw_only=True):
    """A CRM in a new config."""

    label: str
    questions: tuple[Question, ...]
    secrets: Callable[[Mapping[str, str]], tuple[Secret, ...]]  # by the answers
    lines: Callable[[Mapping[str, str], Mapping[str, str], bool], list[str]]  # answers, secrets, one way → lines
    mapping_sets: tuple[str, ...]  # directories of the shipped mappings, the first one that has the provider's counts
    next_steps: tuple[str, ...]  # commands that prepare the org
