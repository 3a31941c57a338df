"""Pickle numpy arrays, scalars and dtypes by rebuild functions of this library (spec section 8.1).

numpy's own pickle of an array imports a private function that moved between numpy 1 and 2, and calls
`dtype.__setstate__`, which crashes the process if its state is forged. The functions here take plain values, check
them, and build the array over the buffer that they are given. Their names and arguments are part of the format. numpy
is optional: it is imported when the first array comes.
"""

import re
from collections.abc import Callable
from math import prod
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np

_SIMPLE = re.compile(r"[<>|](?:[biufcSUV]\d{1,10}|[Mm]8(?:\[\d{0,9}[A-Za-zμ]{1,2}\])?)", re.ASCII)
_MAX_ITEMSIZE = 2**31 - 1  # a C int in numpy
_MOST_EMPTY = 1_000_000  # elements without a size, whose number no length of a payload limits
_MAX_NESTING = 32  # numpy's own limit on dimensions is 32 or 64; dtypes nest less


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as exc:
        raise MissingExtraError("it holds numpy arrays", None, None, "pip install 'pickleseal[numpy]'") from exc
    return numpy


# --- writing ----------------------------------------------------------------------------------------------------------


def reduce_numpy(obj: Any) -> Any:
    """Return the reduction of a numpy array, scalar or dtype, or NotImplemented for one that has no plain form.

    NotImplemented leaves it to numpy's own pickling: subclasses of ndarray, dtypes with metadata, StringDType.
    """
    import numpy as np

    if type(obj) is np.ndarray:
        return _reduce_array(obj)
    if isinstance(obj, np.dtype):
        described = describe(obj)
        return NotImplemented if described is None else (rebuild_dtype, (described,))
    if isinstance(obj, np.generic) and not isinstance(obj, np.object_):
        described = describe(obj.dtype)
        return (
            NotImplemented if described is None else (rebuild_scalar, (described, obj.tobytes()[: obj.dtype.itemsize]))
        )
    return NotImplemented


def _reduce_array(array: "np.ndarray[Any, Any]") -> Any:
    if array.dtype.char == "O":
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        items = array.flatten(order).tolist()  # type: ignore[arg-type]
        return rebuild_object_array, (array.shape, order), items, None, None, fill_object_array
    described = describe(array.dtype)
    if described is None:
        return NotImplemented
    if not array.nbytes:
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        return rebuild_array, (described, array.shape, order, PickleBuffer(_EMPTY[array.flags.writeable]()))
    layout = memory_order(array)
    flat = _contiguous(array) if layout is None else array.transpose(layout) if type(layout) is tuple else array
    # Seen as raw bytes, every dtype passes the buffer protocol, datetime64 too.
    buffer = PickleBuffer(flat.reshape(-1, order="A").view(f"V{array.itemsize}"))  # type: ignore[arg-type]
    return rebuild_array, (described, array.shape, layout or "C", buffer)


_EMPTY = {True: bytearray, False: bytes}  # by the flag writeable


def memory_order(array: "np.ndarray[Any, Any]") -> str | tuple[int, ...] | None:
    """Return the order in which the elements of an array lie in memory without gaps, or None if they do not.

    It is `C`, `F`, or the axes in the order of their strides, as a transposed array of three or more dimensions has.
    """
    if array.flags.c_contiguous:
        return "C"
    if array.flags.f_contiguous:
        return "F"
    # The stride of an axis of length 1 may be anything, so these axes come first.
    places = [(length != 1, -stride * (length != 1)) for length, stride in zip(array.shape, array.strides, strict=True)]
    axes = tuple(sorted(range(array.ndim), key=places.__getitem__))
    return axes if array.transpose(axes).flags.c_contiguous else None


def zeros_like(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return an array of the same kind, shape and order in memory, all of whose bytes are zero, gaps included."""
    import numpy as np

    order = memory_order(array)
    zeros: np.ndarray[Any, Any]
    if type(order) is tuple:
        zeros = np.zeros([array.shape[axis] for axis in order], array.dtype).transpose(_inverse(order))
    else:
        zeros = np.zeros(array.shape, array.dtype, order="F" if order == "F" else "C")
    return zeros


def _contiguous(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Copy an array into memory that was zero: gaps between fields must not hold what was in the memory before."""
    copied = zeros_like(array)
    copied[...] = array
    copied.flags.writeable = array.flags.writeable
    return copied


def describe(dtype: "np.dtype[Any]", depth: int = 0) -> Any:
    """Describe a dtype in plain values (spec 8.1). Return None if something would be lost."""
    if depth >= _MAX_NESTING:
        return None
    if dtype.metadata is not None or dtype.hasobject or type(dtype).__module__ not in ("numpy", "numpy.dtypes"):
        return None
    if dtype.subdtype is not None:
        base = describe(dtype.subdtype[0], depth + 1)
        return None if base is None else ("subarray", base, dtype.subdtype[1])
    if dtype.fields is None:
        return dtype.str if _SIMPLE.fullmatch(dtype.str) else None
    if dtype.type.__name__ != "void":
        return None  # a record: its scalar type is part of what would be lost
    members = []
    for name in dtype.names or ():
        member, offset, *title = dtype.fields[name]
        described = describe(member, depth + 1)
        if described is None or (title and not isinstance(title[0], str)):
            return None
        members.append((name, described, offset, title[0] if title else None))
    return "struct", dtype.itemsize, dtype.isalignedstruct, tuple(members)


# --- reading: these names and arguments are part of the format --------------------------------------------------------


def rebuild_dtype(dtype: object) -> "np.dtype[Any]":
    """Build a dtype from its description (spec 8.1).

    Raises:
        ValueError: it is not a description, or describes a type that this machine lacks.
    """
    return _dtype(dtype)


def rebuild_array(dtype: object, shape: object, order: object, buffer: Any) -> "np.ndarray[Any, Any]":
    """Build an array over a buffer, without a copy, writable if the buffer is (spec 8.1).

    Raises:
        ValueError: the description, shape or order is wrong; the buffer has another length, or is not plain bytes, as
            the memory of another object (an array of objects, say) must not be read as numbers.
    """
    np = _numpy()

    built, dims = _dtype(dtype), _shape(shape)
    axes = _axes(order, len(dims)) if type(order) is tuple else None
    layout = _order(order) if axes is None else "C"
    if type(buffer) not in (bytes, bytearray, memoryview, PickleBuffer):
        raise ValueError(f"array buffer: expected bytes, found {type(buffer).__name__}")
    view = memoryview(buffer)
    expected = prod(dims) * built.itemsize
    if not built.itemsize and prod(dims) > _MOST_EMPTY:
        raise ValueError(f"array of elements without size: at most {_MOST_EMPTY}")
    if view.nbytes != expected:
        raise ValueError(f"array buffer: expected {expected} bytes, found {view.nbytes}")
    laid_out = dims if axes is None else tuple(dims[axis] for axis in axes)
    array = np.ndarray(laid_out, built, view if expected else None, order=layout)
    if axes is not None:
        array = array.transpose(_inverse(axes))
    if view.readonly:
        array.flags.writeable = False
    return array  # type: ignore[no-any-return]


def rebuild_object_array(shape: object, order: object) -> "np.ndarray[Any, Any]":
    """Build an array of None, which `fill_object_array` fills (spec 8.1)."""
    np = _numpy()

    dims, layout = _shape(shape), _order(order)
    return np.empty(dims, dtype=object, order=layout)  # type: ignore[no-any-return]


def fill_object_array(array: Any, items: Any) -> None:
    """Store a list of items in an array of objects, in the array's memory order (spec 8.1).

    Raises:
        ValueError: the array is not one of objects, `items` is not a list, or it has another length.
    """
    np = _numpy()

    if type(array) is not np.ndarray or array.dtype != object or type(items) is not list or len(items) != array.size:
        raise ValueError("fill_object_array: expected an array of objects and a list of as many items")
    flat = array.reshape(-1, order="A")
    for index, item in enumerate(items):
        flat[index] = item


def rebuild_scalar(dtype: object, data: object) -> Any:
    """Build a numpy scalar from its bytes (spec 8.1).

    Raises:
        ValueError: the description is wrong, or the data has another length.
    """
    np = _numpy()

    built = _dtype(dtype)
    if type(data) is not bytes or len(data) != built.itemsize:
        raise ValueError(f"scalar: expected {built.itemsize} bytes")
    return np.ndarray((), built, bytearray(data) if data else None)[()]


class _Budget:
    """The number of parts that a description may still have. Shared tuples could make a small one exponential."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = 10_000

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("not a dtype description (spec 8.1): too many parts")


def _dtype(described: object, depth: int = 0, budget: _Budget | None = None) -> "np.dtype[Any]":
    np = _numpy()

    budget = budget or _Budget()
    budget.spend()
    if type(described) is str and _SIMPLE.fullmatch(described):
        try:
            built: Any = np.dtype(described)
        except TypeError as exc:
            raise ValueError(f"dtype {described!r} is not known on this machine: {exc}") from None
        if built.str == described:
            return built  # type: ignore[no-any-return]
    if type(described) is tuple and described and depth < _MAX_NESTING:
        if described[0] == "subarray" and len(described) == 3:
            pair = _dtype(described[1], depth + 1, budget), _shape(described[2])
            return np.dtype(pair)  # type: ignore[no-any-return]
        if described[0] == "struct" and len(described) == 4:
            return _struct(described, depth, budget)
    raise ValueError("not a dtype description (spec 8.1)")


def _struct(described: tuple[Any, ...], depth: int, budget: _Budget) -> "np.dtype[Any]":
    np = _numpy()

    _, itemsize, aligned, members = described
    if type(itemsize) is not int or type(aligned) is not bool or type(members) is not tuple:
        raise ValueError("not a dtype description (spec 8.1)")
    names, formats, offsets, titles = [], [], [], []
    for member in members:
        name, base, offset, title = member
        if type(name) is not str or type(offset) is not int or not (title is None or type(title) is str):
            raise ValueError("not a dtype description (spec 8.1)")
        built = _dtype(base, depth + 1, budget)
        if not 0 <= offset <= offset + built.itemsize <= itemsize <= _MAX_ITEMSIZE:
            # numpy's own check computes in C integers, which wrap.
            raise ValueError("not a dtype description (spec 8.1): a field lies outside its item")
        names.append(name)
        formats.append(built)
        offsets.append(offset)
        titles.append(title)
    spec = {"names": names, "formats": formats, "offsets": offsets, "titles": titles, "itemsize": itemsize}
    return np.dtype(spec, align=aligned)  # type: ignore[no-any-return]


def _shape(shape: object) -> tuple[int, ...]:
    if type(shape) is tuple and len(shape) <= 64 and all(type(n) is int and 0 <= n < 2**63 for n in shape):
        return shape
    raise ValueError("shape: expected a tuple of non-negative integers")


def size_of(shape: object) -> int:
    """Return how many elements an array of this shape has.

    Raises:
        ValueError: it is not a shape.
    """
    return prod(_shape(shape))


def _order(order: object) -> str:
    if order == "C" or order == "F":
        return str(order)
    raise ValueError(f"order: expected 'C' or 'F', found {order!r}")


def _axes(order: tuple[Any, ...], count: int) -> tuple[int, ...]:
    """Return the axes of an array in the order of their strides, the largest first."""
    if all(type(axis) is int for axis in order) and sorted(order) == list(range(count)):
        return order
    raise ValueError(f"order: expected each of {count} axes once")


def _inverse(axes: tuple[int, ...]) -> list[int]:
    return sorted(range(len(axes)), key=axes.__getitem__)


for _function in (fill_object_array, rebuild_array, rebuild_dtype, rebuild_object_array, rebuild_scalar):
    _function.__module__ = "pickleseal"  # the name under which artifacts import them, whatever this module is called


# What payloads name for numpy's objects (spec 8.1), as `pickleseal:NAME`.
REBUILD_FUNCTIONS: "tuple[Callable[..., Any], ...]" = (
    fill_object_array,
    rebuild_array,
    rebuild_dtype,
    rebuild_object_array,
    rebuild_scalar,
)
