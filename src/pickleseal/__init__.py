"""Objects in, checked artifacts out: a container around pickle that is validated before anything is unpickled.

    import pickleseal

    data = pickleseal.pack({"id": 7, "state": "done"})
    pickleseal.peek(data)      # the header; runs nothing
    pickleseal.verify(data)    # all checksums; runs nothing
    pickleseal.unpack(data)    # the object, or a refusal with a reason

Everything here is re-exported; the modules behind are private, save `pickleseal.errors`.
"""

from . import errors
from ._version import __version__
from .format.header import ClassSchema, Header, Section
from .format.limits import Limits
from .keys import Key, KeyRing
from .payload.arrays import (
    fill_object_array,
    rebuild_array,
    rebuild_dtype,
    rebuild_object_array,
    rebuild_scalar,
)
from .policy import Policy
from .reader import unpack
from .schema.change import Change
from .schema.registry import Registry, artifact, default_registry, migration, register
from .storage.files import dump, dumps, load, loads, peek, verify
from .storage.headers import HeaderEntry, iter_headers, scan_partition
from .storage.ingest import Artifact, Event, Quarantine, Reader
from .storage.iterate import iter_load
from .storage.mapped import Mapped
from .storage.repair import repair
from .storage.sealing import seal
from .storage.stream_reader import Frame, StreamReader
from .storage.stream_writer import StreamWriter, append
from .storage.upgrade import upgrade
from .storage.walk import Lost
from .writer import Writer, pack, pack_parts

__all__ = [
    "Artifact",
    "Change",
    "ClassSchema",
    "Event",
    "Frame",
    "Header",
    "HeaderEntry",
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
    "register",
    "repair",
    "scan_partition",
    "seal",
    "unpack",
    "upgrade",
    "verify",
]
