"""Objects in, checked artifacts out: a container around pickle that is validated before anything is unpickled.

    import pickleseal

    data = pickleseal.pack({"id": 7, "state": "done"})
    pickleseal.peek(data)      # the header; runs nothing
    pickleseal.verify(data)    # all checksums; runs nothing
    pickleseal.unpack(data)    # the object, or a refusal with a reason

Everything here is re-exported from private modules. The public modules are `pickleseal.errors`, `pickleseal.trust` with
the rules that `trust=` takes, and for work on files that are there already `pickleseal.catalog`, `pickleseal.convert`
and `pickleseal.maintenance`. All but the first are imported when they are first used.
"""

from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any

from . import errors
from ._async import receive, send
from ._files import dump, dumps, load, loads, peek, verify
from ._format.header import ClassSchema, Header, Section
from ._format.limits import Limits
from ._incremental import IncrementalReader
from ._ingestion.reader import Event, Quarantine, Reader, ReadResult
from ._keys import Key, KeyRing
from ._mapped import Mapped
from ._packing import PackOptions, pack, pack_parts
from ._payload.arrays import (  # payloads name them here (spec section 8.1); they are not listed
    fill_object_array as fill_object_array,
)
from ._payload.arrays import (
    rebuild_array as rebuild_array,
)
from ._payload.arrays import (
    rebuild_dtype as rebuild_dtype,
)
from ._payload.arrays import (
    rebuild_object_array as rebuild_object_array,
)
from ._payload.arrays import (
    rebuild_scalar as rebuild_scalar,
)
from ._policy import Policy
from ._reading import unpack
from ._schema.drift import Change
from ._schema.registry import Registry, artifact, default_registry, migration, register
from ._serializer import Serializer
from ._streams.reader import StreamReader, iter_load
from ._streams.scanner import Frame, SkippedRange
from ._streams.writer import StreamWriter, append
from ._version import __version__

if TYPE_CHECKING:
    from . import catalog, convert, maintenance, trust

__all__ = [
    "Change",
    "ClassSchema",
    "Event",
    "Frame",
    "Header",
    "IncrementalReader",
    "Key",
    "KeyRing",
    "Limits",
    "Mapped",
    "PackOptions",
    "Policy",
    "Quarantine",
    "ReadResult",
    "Reader",
    "Registry",
    "Section",
    "Serializer",
    "SkippedRange",
    "StreamReader",
    "StreamWriter",
    "__version__",
    "append",
    "artifact",
    "catalog",
    "convert",
    "default_registry",
    "dump",
    "dumps",
    "errors",
    "iter_load",
    "load",
    "loads",
    "maintenance",
    "migration",
    "pack",
    "pack_parts",
    "peek",
    "receive",
    "register",
    "send",
    "trust",
    "unpack",
    "verify",
]

_LATER = {"catalog", "convert", "maintenance", "trust"}
# What users see, and what pickles of these classes name, is the module that exports them, so the rooms behind can move.
for _name in set(__all__) - _LATER:
    _value: object = globals()[_name]
    if isinstance(_value, type | FunctionType):
        _value.__module__ = __name__
del _name, _value

# Where names are that stood here before: they can still be imported from here until 1.0, and are not listed.
_MOVED = {
    "HeaderEntry": "catalog",
    "iter_headers": "catalog",
    "scan_partition": "catalog",
    "repair": "maintenance",
    "seal": "maintenance",
    "upgrade": "maintenance",
}


def __getattr__(name: str) -> Any:
    """Import a public module, or a name that moved into one, when it is first asked for (PEP 562)."""
    if name in _LATER:
        return import_module(f"{__name__}.{name}")
    if name in _MOVED:
        return getattr(import_module(f"{__name__}.{_MOVED[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
