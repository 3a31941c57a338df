"""The header as callers get it: a read-only view over the validated fields (spec section 6).

`fields.validate` has judged the dict that JSON gave; `Header` shows it without building a second structure.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .fields import SECTION_MEMBERS
from .preamble import Preamble

__all__ = ["ClassSchema", "Header", "Section"]


class Section(NamedTuple):
    """One entry of `sections`: the pickle, or an out-of-band buffer (spec 6.1). Lengths in bytes."""

    len: int
    xxh3: str
    codec: str | None = None
    raw_len: int | None = None
    sha256: str | None = None
    readonly: bool = False


class ClassSchema(NamedTuple):
    """One entry of `types` (spec 6.2): a class as it was when the artifact was written."""

    fields: tuple[tuple[str, str], ...]
    global_: str
    kind: str
    state: str
    version: int
    defaults: tuple[tuple[str, str], ...] = ()
    shape: str | None = None


class Header:
    """What an artifact says of itself: a read-only view of a validated header (spec section 6).

    Made by `peek`, `verify` and the readers, never by hand. A header is a claim: its checksum shows that it is intact,
    not that it is authentic.
    """

    __slots__ = ("_fields", "_preamble", "_signatures", "_verified")

    def __init__(
        self,
        fields: dict[str, Any],
        preamble: Preamble,
        signatures: tuple[tuple[str, str], ...] = (),
        verified: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self._fields = fields
        self._preamble = preamble
        self._signatures = signatures
        self._verified = verified

    def __reduce__(self) -> tuple[Any, ...]:  # without `verified`: a pickle can say anything
        return Header, (self._fields, self._preamble, self._signatures)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Header):
            return NotImplemented
        return self._fields == other._fields and self._preamble == other._preamble

    def __hash__(self) -> int:
        return hash(self._preamble)

    def __repr__(self) -> str:
        return f"<Header type={self.type!r} version={self.version} created={self.created!r} {self.frame_len} bytes>"

    @property
    def preamble(self) -> Preamble:
        """The fields of the 64 bytes in front: lengths, stream_id, seq (spec 4.1)."""
        return self._preamble

    @property
    def signatures(self) -> tuple[tuple[str, str], ...]:
        """What the seal claims: `(algorithm, key id)` of each signature, verified or not."""
        return self._signatures

    @property
    def verified(self) -> tuple[tuple[str, str], ...]:
        """The signatures that verified with the caller's keys; none where no keys were given, nor in a copy by pickle.

        Of the sections they say something only where these were checked too, as `verify` and `load` do.
        """
        return self._verified

    @property
    def type(self) -> str:
        """Name of the root object's type: its registered name, else `module:qualname`."""
        name: str = self._fields["type"]
        return name

    @property
    def version(self) -> int:
        """Schema version of the root type, 0 where it declares none."""
        version: int = self._fields["version"]
        return version

    @property
    def created(self) -> str:
        """When it was packed: UTC, `YYYY-MM-DDTHH:MM:SS.ffffffZ`."""
        created: str = self._fields["created"]
        return created

    @property
    def build(self) -> Mapping[str, str]:
        """How it was made: `python`, `implementation`, `platform`, `pickleseal`, and what the application set."""
        return MappingProxyType(self._fields["build"])

    @property
    def meta(self) -> Mapping[str, str]:
        """The user's labels."""
        return MappingProxyType(self._fields.get("meta", {}))

    @property
    def globals(self) -> tuple[str, ...]:
        """Every `module:qualname` that the payload may import."""
        return tuple(self._fields["globals"])

    @property
    def packages(self) -> Mapping[str, str]:
        """Distribution -> version at write time, for what the payload needs."""
        return MappingProxyType(self._fields.get("packages", {}))

    @property
    def protocol(self) -> int:
        """The pickle protocol, 2 to 5."""
        protocol: int = self._fields["pickle"]["protocol"]
        return protocol

    @property
    def records(self) -> int | None:
        """How many stream records the frame holds, or None for a single object."""
        return self._fields.get("records")

    @property
    def sections(self) -> tuple[Section, ...]:
        """The pickle, then its out-of-band buffers."""
        return tuple(Section(**entry) for entry in self._known_sections())

    @property
    def types(self) -> Mapping[str, ClassSchema]:
        """The classes in the payload as they were, by name."""
        return MappingProxyType({name: _class_schema(entry) for name, entry in self._fields.get("types", {}).items()})

    @property
    def ext(self) -> Mapping[str, Any]:
        """Vendor members, by dotted key."""
        return MappingProxyType(_copy(self._fields.get("ext", {})))

    @property
    def frame_len(self) -> int:
        """Length of the whole frame in bytes."""
        return self._preamble.frame_len

    def as_dict(self) -> dict[str, Any]:
        """Return the header as plain JSON values, a copy (spec section 6)."""
        copied: dict[str, Any] = _copy(self._fields)
        return copied

    def _known_sections(self) -> list[dict[str, Any]]:
        return [{k: v for k, v in entry.items() if k in SECTION_MEMBERS} for entry in self._fields["sections"]]


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _class_schema(entry: dict[str, Any]) -> ClassSchema:
    fields = tuple((name, annotation) for name, annotation in entry["fields"])
    defaults = tuple((name, text) for name, text in entry.get("defaults", ()))
    kind, state, version = entry["kind"], entry["state"], entry["version"]
    return ClassSchema(fields, entry["global"], kind, state, version, defaults, entry.get("shape"))
