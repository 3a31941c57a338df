"""Run a payload that passed every check, with imports answered from a table and from nowhere else."""

import io
import pickle
from collections.abc import Sequence
from typing import Any

from ..errors import MissingExtraError, ReadError, UndeclaredGlobalError, UnpickleError

__all__ = ["load_object"]

Resolved = dict[tuple[str, str], Any]


class _Unpickler(pickle.Unpickler):
    """CPython's unpickler; the table is the only source of globals (spec 8, Imports)."""

    __slots__ = ("resolved",)
    resolved: Resolved

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return self.resolved[module, name]
        except KeyError:
            raise UndeclaredGlobalError(
                "the payload imports a name that its header does not declare", None, f"{module}:{name}", None, "globals"
            ) from None

    def persistent_load(self, pid: Any, /) -> Any:
        raise UndeclaredGlobalError("the payload uses a persistent id", None, None)  # E2 refuses these opcodes before


def load_object(payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> Any:
    """Unpickle a checked payload. Runs the payload's opcodes and the code of the classes that `resolved` holds.

    Raises:
        UndeclaredGlobalError: the payload imports a name outside `resolved`.
        MissingExtraError: the payload holds numpy arrays, and numpy is not installed.
        UnpickleError: anything else that came out of it; the original exception is the `__cause__`.
    """
    unpickler = _Unpickler(io.BytesIO(payload), buffers=buffers)
    unpickler.resolved = resolved
    try:
        return unpickler.load()
    except (ReadError, MissingExtraError):
        raise
    except Exception as exc:
        raise UnpickleError(
            f"the payload is intact and raised {type(exc).__name__} while it was loaded: {exc}",
            hint="the classes that it needs are missing or have changed since it was written",
        ) from exc
