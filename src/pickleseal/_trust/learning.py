"""What artifacts ask their readers to trust, from the names in their headers. Imports nothing.

A header is a claim: whoever wrote the file also wrote the list. So what is found here is for a person to read, and
to pin in code or in a policy.
"""

import sys
from collections.abc import Iterable

from .._format.header import Header
from .allow_list import is_dangerous, is_listed
from .presets import ENTRIES
from .safe_functions import SAFE_FUNCTIONS


def names_to_trust(names: Iterable[str]) -> tuple[str, ...]:
    """Return those globals that a reader does not trust by itself, and may trust, ordered."""
    return tuple(sorted({name for name in names if not (is_given(name) or is_dangerous(name))}))


def presets_for(names: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return presets that have some of these names, each with those that it adds: as few presets as have them all.

    A preset that has nothing but names of the standard library among them says nothing about the artifact.
    """
    left, found = set(names), dict[str, frozenset[str]]()
    while left:
        preset = max(ENTRIES, key=lambda preset: (len(left & ENTRIES[preset].keys()), -len(ENTRIES[preset])))
        covered = frozenset(left & ENTRIES[preset].keys())
        if not covered:
            break
        if any(name.partition(":")[0].partition(".")[0] not in sys.stdlib_module_names for name in covered):
            found[preset] = covered
        left -= covered
    return found


def is_given(name: str) -> bool:
    """Return whether every reader hands out a global, or a safe function in its place."""
    return is_listed(name) or name in SAFE_FUNCTIONS


def trust_of(header: Header) -> tuple[str, ...]:
    """Return the names that a reader has to trust to load an artifact, as its header lists them.

    **Do not use this to load files that somebody else could have written.** Whoever wrote the file also wrote this
    list, so `trust=trust_of(peek(path))` allows whatever the file asks for, and checks nothing. It is for tests, and to
    find out once what your own artifacts import; then pin the names (`pickleseal trust` prints them). For files that
    your own programs write and read, sign them and load them with `level="signed"`.

    What readers trust anyway is left out, and so is what no reader below `signed` hands out. Of a name that is
    registered, the class is trusted by each program that registers it. Imports nothing and runs nothing.

    >>> from argparse import Namespace
    >>> trust_of(peek(pack([Namespace(id=7)])))
    ('argparse:Namespace',)
    """
    return names_to_trust(header.globals)
