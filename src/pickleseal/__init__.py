"""Objects in, checked artifacts out: a container around pickle that is validated before anything is unpickled.

    import pickleseal

    data = pickleseal.pack({"id": 7, "state": "done"})
    pickleseal.peek(data)      # the header; runs nothing
    pickleseal.verify(data)    # all checksums; runs nothing
    pickleseal.unpack(data)    # the object, or a refusal with a reason

Everything here is re-exported; the modules behind are private, save `pickleseal.errors`.
"""

from . import errors
from ._async import receive, send
from ._files import dump, dumps, load, loads, peek, verify
from ._format.header import ClassSchema, Header, Section
from ._format.limits import Limits
from ._incremental import IncrementalReader
from ._ingestion.reader import Artifact, Event, Quarantine, Reader
from ._keys import Key, KeyRing
from ._mapped import Mapped
from ._packing import Writer, pack, pack_parts
from ._payload.arrays import fill_object_array, rebuild_array, rebuild_dtype, rebuild_object_array, rebuild_scalar
from ._policy import Policy
from ._reading import unpack
from ._schema.drift import Change
from ._schema.registry import Registry, artifact, default_registry, migration, register
from ._serializer import Serializer
from ._streams.reader import StreamReader, iter_load
from ._streams.scanner import Frame, Lost
from ._streams.writer import StreamWriter, append
from ._version import __version__
from .catalog import HeaderEntry, iter_headers, scan_partition
from .maintenance import repair, seal, upgrade

__all__ = [
    "Artifact",
    "Change",
    "ClassSchema",
    "Event",
    "Frame",
    "Header",
    "HeaderEntry",
    "IncrementalReader",
    "Key",
    "KeyRing",
    "Limits",
    "Lost",
    "Mapped",
    "Policy",
    "Quarantine",
    "Reader",
    "Registry",
    "Section",
    "Serializer",
    "StreamReader",
    "StreamWriter",
    "Writer",
    "__version__",
    "append",
    "artifact",
    "default_registry",
    "dump",
    "dumps",
    "errors",
    "fill_object_array",
    "iter_headers",
    "iter_load",
    "load",
    "loads",
    "migration",
    "pack",
    "pack_parts",
    "peek",
    "rebuild_array",
    "rebuild_dtype",
    "rebuild_object_array",
    "rebuild_scalar",
    "receive",
    "register",
    "repair",
    "scan_partition",
    "seal",
    "send",
    "unpack",
    "upgrade",
    "verify",
]

# What users see, and what pickles of these classes name, is the module that exports them, so the rooms behind can move.
for _name in __all__:
    _value: object = globals()[_name]
    if isinstance(_value, type):
        _value.__module__ = __name__
del _name, _value
