"""Which objects are values: they never change, so it makes no difference whether two places share one or have two.

The comparison of graphs and reproducible packing ask this, and have to give one answer. Nothing here is called on an
object, and nothing is imported.
"""

import copyreg
from typing import Any

_attribute = type.__getattribute__  # past a metaclass's own ways

# Immutable types of the standard library and of numpy: `module:qualname`, as most of them need not be imported.
_VALUES = frozenset(
    f"{module}:{name}"
    for module, names in {
        "builtins": "str bytes int float bool complex tuple frozenset range slice NoneType ellipsis NotImplementedType",
        "datetime": "date time datetime timedelta timezone",
        "decimal": "Decimal",
        "fractions": "Fraction",
        "ipaddress": "IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network",
        "pathlib": "PurePosixPath PureWindowsPath PosixPath WindowsPath",
        "pathlib._local": "PurePosixPath PureWindowsPath PosixPath WindowsPath",
        "uuid": "UUID",
        "zoneinfo": "ZoneInfo",
    }.items()
    for name in names.split()
)


def is_value(cls: type) -> bool:
    """Return whether instances of a class are values: of immutable types of the library or numpy, or named tuples."""
    module = _attribute(cls, "__module__")
    if f"{module}:{_attribute(cls, '__qualname__')}" in _VALUES:
        return True
    bases = _attribute(cls, "__mro__")
    if str(module).partition(".")[0] == "numpy":
        names = {f"{base.__module__}:{base.__qualname__}" for base in bases}
        return "numpy:void" not in names and not names.isdisjoint(("numpy:generic", "numpy:dtype"))
    return tuple in bases and not _attribute(cls, "__dictoffset__") and _is_plain_tuple(cls)


def _is_plain_tuple(cls: Any) -> bool:
    """Return whether a tuple's class keeps nothing but the items: no slots, and no pickling of its own."""
    return (
        cls.__reduce_ex__ is object.__reduce_ex__
        and cls.__reduce__ is object.__reduce__
        and not copyreg._slotnames(cls)  # type: ignore[attr-defined]
        and cls not in copyreg.dispatch_table
    )
