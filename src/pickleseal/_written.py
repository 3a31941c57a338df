"""Checks of an artifact that was just made of an object: whether a policy accepts it, and whether it reads back equal.

Packing calls them with each frame, and what they raise is what packing raises. They use the reader's own steps, so that
what passes here passes there. The first reads the header alone and unpickles nothing. The second loads the artifact.
"""

from typing import Any

from ._format.canonical import decode
from ._format.frame import EncodedFrame, frame_parts
from ._format.limits import MAX_HEADER
from ._format.preamble import PREAMBLE_SIZE
from ._io.source import BytesSource
from ._keys import KeyRing, signer
from ._payload.explain import path_to
from ._payload.graphs import first_difference
from ._policy import Policy, Request, preset_hints, request_of
from ._reading import accept, dry_run, read_bytes
from ._schema.names import name_of
from ._schema.registry import Registry, RegistryIndex, index_of
from ._trust.allow_list import is_dangerous
from ._trust.traits import lacks_calls
from .errors import Hint, PackError, ReadError, SignatureError, TypeMismatchError, UntrustedGlobalError, join_hints

_CREATED = b'"created":"'
_TIME = 27  # characters of a time stamp
_SECTIONS = b'"sections":[{"len":'
_CODEC = b'"codec":"'
_SECTIONS_END = b'}],"type":"'
_MOST = 256  # headers that are remembered
_LARGEST = 4096  # bytes of such a header
_SHORTEST_ENTRY = 32  # characters of one section's entry, at least
_MOST_HEAD = PREAMBLE_SIZE + MAX_HEADER + (1 << 16)  # bytes of preamble, header and seal


class AcceptedWrites:
    """Refuses to write what a request's policy would refuse to read (spec 11, steps 1 to 15). Unpickles nothing.

    For the frames that one `PackOptions` makes, in any context: it signs what it checks itself, without a context, as a
    signature verifies in each context or in none. A header that was accepted is remembered, without what is the same in
    all of them, its time stamp and its sections: an artifact whose header has the same rest passes at once. Where a
    rule trusts a class to be made, and pickles of the class call it, the level's checks of the payload are made. All
    are forgotten when a class is registered, and when they become too many.
    """

    def __init__(self, request: Request, keys: KeyRing | None, compresses: bool) -> None:
        self._request = request
        self._sign = None if keys is None else signer(keys)
        self._registry = request.policy.registry
        self._compresses = compresses
        limits = request.policy.limits
        # Shorter frames pass every limit of sizes, and short headers that of the number of sections.
        self._small = min(limits.max_frame, limits.max_section, limits.max_decoded) - _MOST_HEAD
        if limits.max_sections < _LARGEST // _SHORTEST_ENTRY:
            self._small = 0
        self._seen: set[bytes] = set()
        self._index: RegistryIndex | None = None
        self._start = 0  # where the time stamp ends: behind the build labels

    def __call__(self, frame: EncodedFrame, obj: Any) -> None:
        """Check a frame that was just made.

        Raises:
            PackError: it would be refused. `where` is the path to the object that is the reason.
        """
        text = frame.header
        start = self._start or self._find_start(text)
        sections = text.find(_SECTIONS, start)  # not there if the first section is compressed
        key = text[start:sections] + text[text.find(_SECTIONS_END, sections) :]
        index = index_of(self._registry)
        if key in self._seen and index is self._index and self._is_small(frame, sections):
            return
        head = b"".join(frame_parts(EncodedFrame(text, [], frame.length, frame.minor), self._sign))
        try:
            accepted = accept(BytesSource(head), self._request)
            if lacks_calls(accepted.decision.resolved):
                whole = b"".join(frame_parts(frame, self._sign))
                dry_run(accept(BytesSource(whole), self._request))
                return  # the header does not tell whether the next one passes
        except ReadError as exc:
            raise _refused(exc, obj) from exc
        if index is not self._index or len(self._seen) >= _MOST:
            self._seen.clear()
            self._index = index
        if self._is_small(frame, sections):
            self._seen.add(key)

    def _find_start(self, text: bytes) -> int:
        self._start = text.find(_CREATED) + len(_CREATED) + _TIME
        return self._start

    def _is_small(self, frame: EncodedFrame, sections: int) -> bool:
        """Return whether nothing of the sections can be a reason to refuse: their sizes, their number, their codecs."""
        if frame.length >= self._small or len(frame.header) > _LARGEST or sections < 0:
            return False
        return not self._compresses or frame.header.find(_CODEC, sections) < 0


def _refused(refusal: ReadError, obj: Any) -> PackError:
    where, hint = refusal.where, refusal.hint
    if isinstance(refusal, UntrustedGlobalError):
        names = frozenset(refusal.found if isinstance(refusal.found, tuple) else ())
        where = path_to(obj, lambda part: name_of(part) in names or name_of(type(part)) in names)
        if not any(map(is_dangerous, names)):
            listed = ", ".join(f'"{name}"' for name in sorted(names))
            hint = join_hints(
                "; ", [Hint(f"to allow it, give the serializer trust=[{listed}]"), *preset_hints(refusal)]
            )
    elif isinstance(refusal, TypeMismatchError):
        where = "$"
    elif isinstance(refusal, SignatureError):
        hint = Hint("sign what is written with such a key, by the serializer's options=PackOptions(keys=...)")
    reason = f"this serializer could not read it; {refusal.reason}"
    found = ", ".join(map(str, refusal.found)) if isinstance(refusal.found, tuple) else refusal.found
    return PackError(reason, refusal.expected, found, hint, where)


class ReadBack:
    """Loads what was just written, with trust for just the names in its header, and compares it with the object."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __call__(self, frame: EncodedFrame, obj: Any) -> None:
        """Check a frame that was just made.

        Raises:
            PackError: it does not load, or what is loaded differs from the object, or they can't be compared. `where`
                is the path to the first difference.
        """
        names = [name for name in decode(frame.header)["globals"] if not is_dangerous(name)]
        data = b"".join(frame_parts(frame, None))
        try:
            copy = read_bytes(data, request_of(None, names, Policy(registry=self._registry)))
        except ReadError as exc:
            reason = f"can be packed, but not read back; {exc.reason}"
            raise PackError(reason, exc.expected, exc.found, exc.hint, exc.where) from exc
        found = first_difference(obj, copy)
        if found is not None:
            what = "reads back as something else" if found.is_certain else "can't be compared with what is read back"
            hint = "compare what its __getstate__ or __reduce__ stores, or pack without read_back=True"
            raise PackError(f"{what}; {found.reason}", found.expected, found.found, hint, found.path)
