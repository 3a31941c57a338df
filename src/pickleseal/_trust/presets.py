"""The presets: for each library, the names that its pickles need, with what payloads may do with each.

A row has the modules that have the names (all of them, where releases differ), the verbs, and the names. The verbs are:

- `value`: it stands in the object, as a class, a function or a constant. All other verbs include this one.
- `make`: NEWOBJ makes objects of the class, and they get one state.
- `call`: REDUCE calls it with any arguments. For a function this means that somebody looked at it: its results are new
  objects, no class or function or text, and cannot be called. Level `guarded` makes no dry run for such a function.
- `state`: what a call of the function returns gets a state; only beside `call`.
- `items`: objects of the class get items, by `append`, `extend`, `add` or `__setitem__`.
- `method`: the name is `C.m`, a class method or static method of C, which payloads call by `getattr(C, "m")`.

A row comes into a table together with the object that needs it (`tests/unit/trust/test_presets.py`). This module
imports none of the libraries.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .allow_list import CALL, VALUE, VERBS, Entry

_METHOD = "method"
Row = tuple[str, str, str]


class Table(NamedTuple):
    """The rows of one preset, and the presets whose rows it has as well."""

    rows: tuple[Row, ...]
    includes: tuple[str, ...] = ()


PRESETS: dict[str, Table] = {
    "numpy.random": Table(
        (
            ("numpy.random._pickle", "call state", "__bit_generator_ctor __generator_ctor __randomstate_ctor"),
            ("numpy.random._mt19937", "value", "MT19937"),
            ("numpy.random._pcg64", "value", "PCG64 PCG64DXSM"),
            ("numpy.random._philox", "value", "Philox"),
            ("numpy.random._sfc64", "value", "SFC64"),
            ("numpy.random.bit_generator", "make", "SeedSequence"),
        )
    ),
    "pandas": Table(
        (
            ("pandas pandas.core.frame", "make", "DataFrame"),
            ("pandas pandas.core.series", "make", "Series"),
        )
    ),
}


def _entries(name: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for included in PRESETS[name].includes:
        found |= _entries(included)
    methods: dict[str, tuple[str, ...]] = {}
    for modules, verbs, names in PRESETS[name].rows:
        for module in modules.split():
            for qualname in names.split():
                if verbs == _METHOD:
                    owner, _, method = f"{module}:{qualname}".rpartition(".")
                    methods[owner] = (*methods.get(owner, ()), method)
                else:
                    found[f"{module}:{qualname}"] = Entry(None, _verbs(verbs.split()), (), f"preset({name!r})")
    for owner, own in methods.items():
        found[owner] = found.get(owner, Entry(None, frozenset((VALUE,)), (), f"preset({name!r})"))._replace(methods=own)
    return found


def _verbs(verbs: Iterable[str]) -> frozenset[str]:
    found = frozenset((VALUE, *verbs))
    if not found <= VERBS or ("state" in found and CALL not in found):
        raise ValueError(f"no verbs of a preset: {' '.join(verbs)}")
    return found


# The entries of each preset, by global.
ENTRIES: dict[str, dict[str, Entry]] = {name: _entries(name) for name in PRESETS}
