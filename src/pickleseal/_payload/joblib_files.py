"""Read files as joblib writes them: a pickle with the bytes of arrays between its opcodes.

joblib's own reader imports what the pickle names, and reads arrays of objects with a bare `pickle.load`. Here Python's
own unpickler does the work, with stand-ins for what the format needs of numpy: a dtype is made from a checked
description, and an array from nothing but the bytes that follow. The caller decides what else the pickle may import.
"""

import io
import pickle
import re
from collections.abc import Callable
from math import prod
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar

from ..errors import MissingExtraError, ReadError, UnpickleError, text_of
from .states import check_slots

FindGlobal = Callable[[str, str], Any]  # module and qualified name -> the object, or an error
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_MOST_DIMENSIONS = 64
_SIMPLE = re.compile(r"[<>|=]?[?bBhHiIlLqQpPefdgFDGScuUVMmO]\d{0,9}", re.ASCII)


def load_mixed(data: bytes, find_global: FindGlobal) -> Any:
    """Load such a file, of joblib 0.10 or later, decompressed. Runs the code of what `find_global` returns.

    `find_global` is asked when the pickle imports a name: what comes before it in the pickle has run by then.

    Raises:
        ReadError: what `find_global` raises.
        UnpickleError: it is no such file; it has arrays of a kind that is not read here; loading it raised.
        MissingExtraError: numpy is not installed.
    """
    try:
        import numpy  # noqa: F401  # asked for before anything runs
    except ImportError as exc:
        raise MissingExtraError("it holds numpy arrays", None, None, "pip install 'pickleseal[numpy]'") from exc
    file = io.BytesIO(data)
    try:
        obj = _Unpickler(file, find_global).load()
    except ReadError:
        raise
    except RecursionError:
        raise UnpickleError("nested too deeply") from None
    except Exception as exc:
        raise UnpickleError(f"raised {type(exc).__name__} while it was loaded: {text_of(exc)}") from exc
    if file.tell() != len(data):
        raise UnpickleError("something follows the pickle", len(data), file.tell())
    return obj


class _NdArray:
    """Stands for `numpy.ndarray`, whose constructor reads any memory as objects. It is a name and nothing more."""


def _new_dtype(described: object, align: object = False, copy: object = False) -> Any:
    """Make a dtype from a checked description. It is a new object, as a state is going to change it."""
    import numpy as np

    if not isinstance(described, str) or not _SIMPLE.fullmatch(described):
        raise UnpickleError("an array of records, or of another kind that is not read here", None, described)
    built: Any = np.dtype(described, copy=True)
    if not built.itemsize:
        raise UnpickleError("an array of elements without size is not read here", None, described)
    return built


def _set_dtype(dtype: Any, state: object) -> None:
    """Take the byte order and the time unit from a state, and not its sizes and offsets: numpy would believe them."""
    import numpy as np

    if not isinstance(state, tuple) or not 8 <= len(state) <= 9 or state[2:5] != (None, None, None):
        raise UnpickleError("a dtype with fields or metadata is not read here")
    order, meant = state[1], dtype
    if order not in ("<", ">", "|", "="):
        raise UnpickleError("not a byte order", "< > | =", order)
    if len(state) == 9 and state[8] is not None:
        unit = state[8][1] if isinstance(state[8], tuple) and len(state[8]) == 2 else None
        if dtype.kind not in "mM" or not (isinstance(unit, tuple) and len(unit) == 4 and unit[1:] == (1, 1, 1)):
            raise UnpickleError("a time unit that is not read here", None, state[8])
        name = unit[0].decode("ascii") if isinstance(unit[0], bytes) else str(unit[0])
        meant = np.dtype(f"{dtype.kind}8" + ("" if name == "generic" else f"[{name}]"))
    version, _, *rest = meant.__reduce__()[2]
    if meant.byteorder != "|":
        dtype.__setstate__((version, order, *rest))


class _Wrapper:
    """Stands for joblib's NumpyArrayWrapper, whose state says which array the following bytes are."""

    def read(self, state: object, file: io.BytesIO, find_global: FindGlobal) -> Any:
        """Read the array."""
        import numpy as np

        if not isinstance(state, dict) or state.get("subclass") is not _NdArray:
            raise UnpickleError("an array of a class other than numpy.ndarray is not read here")
        shape, dtype = _shape(state.get("shape")), state.get("dtype")
        if not isinstance(dtype, np.dtype):
            raise UnpickleError("an array without a dtype")
        if dtype.hasobject:
            array = _Unpickler(file, find_global).load()
            if type(array) is not np.ndarray:
                raise UnpickleError("not an array", None, type(array).__name__)
            return array
        if state.get("numpy_array_alignment_bytes") is not None:
            file.seek(file.read(1)[0], io.SEEK_CUR)
        count = prod(shape) * dtype.itemsize
        raw = file.read(count)
        if len(raw) != count:
            raise UnpickleError("an array is cut off", count, len(raw))
        array = np.frombuffer(bytearray(raw), dtype) if count else np.empty(0, dtype)
        return array.reshape(shape[::-1]).T if state.get("order") == "F" else array.reshape(shape)


def _shape(shape: object) -> tuple[int, ...]:
    if (
        type(shape) is tuple
        and len(shape) <= _MOST_DIMENSIONS
        and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    ):
        return shape
    raise UnpickleError("not the shape of an array")


def _new_array(cls: object, shape: object, code: object) -> Any:
    """Make an empty array, which a state fills, as numpy's own `_reconstruct` does for its own pickles."""
    import numpy as np

    if cls is not _NdArray or shape != (0,):
        raise UnpickleError("an array of a class other than numpy.ndarray is not read here")
    return np.empty(0, np.int8)


class _Unpickler(pickle._Unpickler):
    stack: list[Any]
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO, find_global: FindGlobal) -> None:
        super().__init__(file)
        self._raw = file
        self._find_global = find_global

    def find_class(self, module: str, name: str) -> Any:
        if name == "NumpyArrayWrapper" and module.rpartition(".")[2] == "numpy_pickle":
            return _Wrapper
        if module == "numpy" and name in ("ndarray", "dtype"):
            return _NdArray if name == "ndarray" else _new_dtype
        if module in _ARRAY_MODULES and name == "_reconstruct":
            return _new_array
        return self._find_global(module, name)

    def persistent_load(self, pid: Any) -> Any:
        raise UnpickleError("uses a persistent id, which only the program that wrote it can look up")

    def get_extension(self, code: int) -> None:
        raise UnpickleError("uses the extension registry, whose codes mean something else in other processes")

    def load_build(self) -> None:
        import numpy as np

        state, target = self.stack[-1], self.stack[-2]
        if isinstance(target, _Wrapper):
            self.stack[-2:] = [target.read(state, self._raw, self._find_global)]
        elif isinstance(target, np.dtype):
            _set_dtype(target, self.stack.pop())
        elif isinstance(target, type | FunctionType | BuiltinFunctionType):
            raise UnpickleError("sets the state of a class or a function")
        elif type(target) is np.ndarray:
            _fill(target, self.stack.pop())
        else:
            if isinstance(state, tuple) and len(state) == 2 and state[1]:
                check_slots(state[1])
            if isinstance(state, dict):
                check_slots(state)
            super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build


def _fill(array: Any, state: Any) -> None:
    """Check the state of an empty array, and set it."""
    import numpy as np

    if array.size or not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], np.dtype):
        raise UnpickleError("not the state of an array")
    _, shape, dtype, is_fortran, items = state
    count = prod(_shape(shape))
    if dtype.hasobject:
        if type(items) is not list or len(items) != count:
            raise UnpickleError("not as many objects as the array has")
    elif type(items) is not bytes or len(items) != count * dtype.itemsize:
        raise UnpickleError("not as many bytes as the array has")
    array.__setstate__((1, shape, dtype, bool(is_fortran), items))
