"""Run a payload that passed every check, with imports answered from a table and from nowhere else."""

import io
import pickle
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..errors import MissingExtraError, ReadError, UndeclaredGlobalError, UnpickleError, text_of

__all__ = ["load_object"]

_DTYPE = "pickleseal", "rebuild_dtype"
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


class _GuardedUnpickler(pickle._Unpickler):
    """Python's own unpickler, for the rare payload that holds numpy dtypes: BUILD must not reach their `__setstate__`.

    A forged state makes a dtype whose fields lie outside its items, and an array of it reads and writes foreign memory.
    CPython's C unpickler has no hook at BUILD.
    """

    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> None:
        super().__init__(io.BytesIO(payload), buffers=buffers)
        self.resolved = resolved

    def find_class(self, module: str, name: str) -> Any:
        return _Unpickler.find_class(self, module, name)  # type: ignore[arg-type]

    def load_build(self) -> None:
        import numpy as np

        target = self.stack[-2] if len(self.stack) > 1 else None
        if type(target) is np.ndarray or isinstance(target, np.dtype | np.generic):
            what = type(target).__name__
            raise UnpickleError("the payload sets the state of a numpy object", "a rebuild function", what)
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build


# numpy's own pickling, which sets states. Who trusts these by name takes them as they are (SECURITY.md).
_RAW_NUMPY = frozenset({"dtype", "_reconstruct", "scalar", "_frombuffer"})


def _needs_guard(payload: bytes, resolved: Resolved) -> bool:
    """Tell whether a payload may reach a dtype with BUILD, without its reader having asked for just that."""
    if _DTYPE not in resolved or pickle.BUILD not in payload:
        return False
    return not any(name in _RAW_NUMPY and module.partition(".")[0] == "numpy" for module, name in resolved)


def load_object(payload: bytes, buffers: Sequence[Any], resolved: Resolved) -> Any:
    """Unpickle a checked payload. Runs the payload's opcodes and the code of the classes that `resolved` holds.

    Raises:
        UndeclaredGlobalError: the payload imports a name outside `resolved`.
        UntrustedGlobalError: the payload used a guarded substitute for something else.
        UnpickleError: anything else that came out of it; the original exception is the `__cause__`.
    """
    load: Callable[[], Any]
    if _needs_guard(payload, resolved):
        load = _GuardedUnpickler(payload, buffers, resolved).load
    else:
        unpickler = _Unpickler(io.BytesIO(payload), buffers=buffers)
        unpickler.resolved = resolved
        load = unpickler.load
    try:
        return load()
    except MissingExtraError as exc:
        raise UnpickleError(f"the payload is intact, and {exc.reason}: numpy is not installed", hint=exc.hint) from exc
    except Exception as exc:
        if isinstance(exc, ReadError) and exc.step == 20:  # a refusal of this very payload, or of one inside it
            raise
        reason = f"the payload is intact and raised {type(exc).__name__} while it was loaded: {text_of(exc)}"
        changed = isinstance(exc, AttributeError | ImportError | TypeError)
        hint = "have its classes changed since it was written?" if changed else None
        raise UnpickleError(reason, hint=hint) from exc
