"""What pickles of protocols 0 to 2 call for what later ones have opcodes for: objects and bytes."""

import copyreg
from collections.abc import Iterable
from typing import Any

from ..errors import UntrustedGlobalError

__all__ = ["old_functions"]

# Classes whose values stand beside the state of an object.
_BASES = (object, int, float, str, bytes, tuple, list, dict, set, frozenset, complex)
_HINT = "if this came from outside, it is an attempt to get more"


def _encode(text: object, encoding: object = None) -> bytes:
    """Stand in for `codecs.encode`, which bytes are made with: text to Latin-1, and nothing else."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise UntrustedGlobalError("the payload encodes something", "text to latin1 only", str(encoding), _HINT).at(20)
    return text.encode("latin-1")


def _reconstructor(cls: object, base: object, state: object) -> Any:
    """Stand in for `copyreg._reconstructor`, which objects are made with: of a class and a base of it."""
    if not isinstance(cls, type) or issubclass(cls, type) or base not in _BASES or base not in cls.__mro__:
        reason = "the payload makes an object past its class"
        raise UntrustedGlobalError(reason, "a class and its base only", type(cls).__name__, _HINT).at(20)
    return copyreg._reconstructor(cls, base, state)  # type: ignore[attr-defined]


_FUNCTIONS = {"_codecs:encode": _encode, "copyreg:_reconstructor": _reconstructor}


def old_functions(names: Iterable[str]) -> dict[tuple[str, str], Any]:
    """Return the guarded substitutes among some globals, by module and name. They need no trust."""
    found = {}
    for name in names:
        if name in _FUNCTIONS:
            module, _, qualname = name.partition(":")
            found[module, qualname] = _FUNCTIONS[name]
    return found
