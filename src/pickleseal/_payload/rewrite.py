"""Rewrite a pickle in other opcodes without running it: buffers put in-band, strings of Python 2 made text."""

from collections.abc import Callable, Sequence

from ..errors import Hint, PickleEnvelopeError
from .analysis import Outline, outline
from .opcodes import CODE

_FRAME_SIZE = 9
_BYTEARRAY8, _BINBYTES8, _BINUNICODE, _BINBYTES = (
    bytes((CODE[name],)) for name in ("BYTEARRAY8", "BINBYTES8", "BINUNICODE", "BINBYTES")
)
Piece = bytes | bytearray | memoryview


def _pieces(payload: bytes, changes: list[tuple[int, int, list[Piece]]]) -> list[Piece]:
    """Replace parts of a payload."""
    view, parts, position = memoryview(payload), [], 0
    for start, end, pieces in sorted(changes, key=lambda change: change[0]):
        parts += [view[position:start], *pieces]
        position = end
    return [*parts, view[position:]]


def _without_frames(found: Outline) -> list[tuple[int, int, list[Piece]]]:
    """Take out the FRAMEs, whose lengths would be wrong. A pickle does not need them."""
    return [(start, start + _FRAME_SIZE, []) for start in found.frames]


def in_band(payload: bytes, buffers: Sequence[Piece]) -> list[Piece]:
    """Return the parts of a pickle that holds its buffers itself: as bytes where read-only, else as a bytearray.

    The payload has passed the structure check with these buffers (spec section 8, E1 to E6).

    Raises:
        PickleEnvelopeError: an opcode takes what is not on the stack.
    """
    if not buffers:
        return [payload]
    found = outline(payload)
    changes = _without_frames(found)
    frames = set(found.frames)
    for start, buffer in zip(found.buffers, buffers, strict=True):
        follows = start + 1
        if follows in frames:  # the pair may stand on both sides of a span's end
            follows += _FRAME_SIZE
        is_readonly = payload[follows] == CODE["READONLY_BUFFER"]
        end = follows + 1 if is_readonly else start + 1
        length = memoryview(buffer).nbytes.to_bytes(8, "little")
        changes.append((start, end, [(_BINBYTES8 if is_readonly else _BYTEARRAY8) + length, buffer]))
    return _pieces(payload, changes)


def transcoded(payload: bytes, found: Outline, encoding: str) -> bytes:
    """Return the pickle with its strings of Python 2 decoded to text; with the encoding `bytes`, they become bytes.

    Raises:
        PickleEnvelopeError: a string can't be decoded.
        LookupError: there is no such encoding.
    """
    if not found.texts:
        return payload
    make = _as_bytes if encoding == "bytes" else _as_text(encoding)
    changes = _without_frames(found)
    changes += [(start, end, [make(raw, start)]) for start, end, raw in found.texts]
    return b"".join(_pieces(payload, changes))


def _as_bytes(raw: bytes, start: int) -> bytes:
    return _BINBYTES + len(raw).to_bytes(4, "little") + raw


def _as_text(encoding: str) -> Callable[[bytes, int], bytes]:
    def make(raw: bytes, start: int) -> bytes:
        try:
            text = raw.decode(encoding).encode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            hint = Hint(
                'encoding="latin-1" takes any; encoding="bytes" keeps bytes, and dates and arrays of Python 2',
                "--encoding latin-1 takes any; --encoding bytes keeps bytes, and dates and arrays of Python 2",
            )
            reason = f"a string of Python 2 that is not {encoding}"
            raise PickleEnvelopeError(reason, None, raw[:40], hint, f"payload[{start}]") from None
        return _BINUNICODE + len(text).to_bytes(4, "little") + text

    return make
