"""CPython's unpickler with one source of globals: a table."""

import io
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UndeclaredGlobalError

__all__ = ["Resolved", "new_unpickler", "undeclared"]

Resolved = Mapping[tuple[str, str], Any]


def undeclared(module: str, name: str) -> UndeclaredGlobalError:
    """Return the refusal of a name that the table lacks."""
    reason = "the payload imports a name that its header does not declare"
    return UndeclaredGlobalError(reason, None, f"{module}:{name}", None, "globals")


class _Unpickler(pickle.Unpickler):
    """CPython's unpickler; the table is the only source of globals (spec 8, Imports)."""

    __slots__ = ("resolved",)
    resolved: Resolved

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return self.resolved[module, name]
        except KeyError:
            raise undeclared(module, name) from None

    def persistent_load(self, pid: Any, /) -> Any:
        raise UndeclaredGlobalError("the payload uses a persistent id", None, None)  # E2 refuses these opcodes before


def new_unpickler(payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> pickle.Unpickler:
    """Return an unpickler for one payload, whose globals come from `resolved`."""
    unpickler = _Unpickler(io.BytesIO(payload), buffers=buffers)
    unpickler.resolved = resolved
    return unpickler
