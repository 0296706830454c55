"""Reads statements and questions about stopping that ask for nothing: `can I cancel?`, `you can stop this`, `it stops`.

They have no other words than a request, so only a person knows which of the two they are.
"""

from collections.abc import Sequence
from itertools import pairwise

from connector.consent import opt_out_table as table

ABLE = frozenset({"can", "could", "may", "kan", "kunne", "kunde"})
BOUND = frozenset({"må", "måste", "skal", "skall", "ska"})
WILLING = frozenset({"vil", "vill", "will"})
SPEAKERS = frozenset({"i", "jeg", "eg", "jag", "we", "vi"})
LISTENERS = frozenset({"you", "u", "du", "dere", "ni"})
OTHERS = table.DEMONSTRATIVES | {"all", "everything", "alle", "alt", "alla", "allt"}
STATEMENT_VERBS = frozenset({"stopper", "slutter", "avslutter", "afslutter", "stoppar", "slutar", "avslutar"})


def states_or_asks(words: Sequence[str], *, begins: bool) -> bool:
    """Whether the words of a stop may be a statement or a question instead of a request.

    They are without courtesies; `begins`: the first of them is also the first of the text.
    """
    if begins and len(words) > 1 and words[0] in BOUND and words[1] in SPEAKERS:
        return True  # `må jeg si opp?`, but not `nå må jeg si opp`
    return any(_is_no_request(one, two) for one, two in pairwise(words))


def _is_no_request(one: str, two: str) -> bool:
    if two in STATEMENT_VERBS:
        return one not in SPEAKERS
    if one in ABLE:
        return two in SPEAKERS or two in OTHERS
    if two in ABLE:
        return one in SPEAKERS or one in LISTENERS or one in OTHERS
    return one in OTHERS and (two in BOUND or two in WILLING)
