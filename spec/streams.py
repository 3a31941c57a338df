"""Vectors for streams and their indexes (spec 9): whole, torn, damaged, out of order, nested, signed.

Every record is a small integer. This module shares no code with the library. What a reader gets is written by hand.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from frames import Frame, framed, xxh3, zstd_raw
from signed import BY_HMAC

__all__ = ["INDEXES", "STREAMS"]

A, B = 0x0123456789ABCDEF, 0xFEDCBA9876543210
STREAMS: dict[str, tuple[dict[str, Any], bytes]] = {}  # name -> (its members of the manifest, the bytes of the file)
INDEXES: dict[str, bytes] = {}  # name -> the bytes of the index of this stream


def _place(frame: Frame, seq: int, stream: int = A) -> Frame:
    frame.preamble = {"stream_id": stream, "seq": seq} if stream else {}
    return frame


def _one(value: int, seq: int, stream: int = A) -> Frame:
    """A frame of a single record."""
    return _place(Frame(framed(bytes((0x4B, value))), type="builtins:int"), seq, stream)


def _batch(values: Sequence[int], seq: int, stream: int = A, **fields: Any) -> Frame:
    """A frame of several records."""
    body = b"](" + b"".join(bytes((0x4B, value)) for value in values) + b"e"
    return _place(Frame(framed(body), type="builtins:int", **{"records": len(values), **fields}), seq, stream)


def _around(inner: bytes, seq: int) -> Frame:
    """A frame whose payload is a pickle and a buffer: the buffer begins at a multiple of 64."""
    frame = Frame(framed(b"\x97"), inner, type="builtins:bytearray")
    return _place(frame, seq)


def _flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 1,)) + data[offset + 1 :]


def _add(
    name: str,
    about: str,
    pieces: Sequence[Frame | bytes],
    good: int | None = None,
    records: int | None = None,
    *,
    error: str | None = None,
    step: int | None = None,
    back: Sequence[int] | None = None,
    lost: Sequence[tuple[float, float]] = (),
    policy: dict[str, Any] | None = None,
) -> list[int]:
    """Add a stream of pieces.

    `good` frames with `records` records come before the end, or before the piece that is refused with `error`. A
    reader that skips damage gets the values `back`, and loses the extents `lost`. The two ends of an extent are numbers
    of pieces. An end within a piece is its offset in the file, as a negative number. Returns the offsets of the pieces.
    """
    assert name not in STREAMS
    datas = [piece if isinstance(piece, bytes) else piece.data for piece in pieces]
    starts = [0]
    for data in datas:
        starts.append(starts[-1] + len(data))
    good = len(pieces) if good is None else good
    entry: dict[str, Any] = {"about": about, "frames": good, "records": good if records is None else records}
    if error is not None:
        entry |= {"error": error, "step": step, "at": starts[good]}
        if error == "torn-tail":
            entry["good_end"] = starts[good]
    if back is not None:
        extents = [[starts[int(p)] if p >= 0 else int(-p) for p in extent] for extent in lost]
        entry["skipped"] = {"records": len(back), "values": list(back), "lost": extents}
    if policy is not None:
        entry["policy"] = policy
    STREAMS[name] = entry, b"".join(datas)
    return starts


FOUR = [_one(n, n).data for n in range(4)]
ZERO, FIRST, SECOND, THIRD = FOUR
SIZE = len(ZERO)

# --- whole ------------------------------------------------------------------------------------------------------------
_add("empty", "no frame at all", [])
_add("one", "one frame", [ZERO])
_add("four", "four frames of one sequence", FOUR)
_add("standalone", "standalone frames end to end", [_one(n, 0, 0) for n in range(3)])
_add("two-streams", "two sequences, one after the other", [*FOUR[:2], _one(2, 0, B), _one(3, 1, B)])
_add("interleaved", "frames of two sequences, interleaved", [ZERO, _one(1, 0, B), _one(2, 1), _one(3, 1, B)])
_add("standalone-between", "a standalone frame between two frames of a sequence", [ZERO, _one(1, 0, 0), _one(2, 1)])
_add(
    "batches",
    "batches, one of them with a single record, and frames of one record",
    [
        _batch([0, 1, 2], 0),
        _one(3, 1),
        _batch([4], 2),
        _batch([5, 6], 3),
    ],
    4,
    7,
)
_packed = _batch([0, 1, 2], 0)
_packed.section_fields = [{"codec": "zstd", "raw_len": len(_packed.sections[0])}]
_packed.sections = [zstd_raw(_packed.sections[0])]
_add("batch-compressed", "a compressed batch", [_packed, _one(3, 1)], 2, 4)
_newer = _batch([1, 2], 1, format="pickleseal/1.2", future=1)
_newer.minor = 2
_add("newer-minor", "a frame of a newer minor version among others", [ZERO, _newer, SECOND], 3, 4)
_around_one = _around(_one(9, 5).data, 1)
_add(
    "nested-whole", "a frame inside a buffer of another frame is not a frame of the stream", [ZERO, _around_one, SECOND]
)

# --- torn -------------------------------------------------------------------------------------------------------------
_SECTION = SIZE - 64
for _where, _cut, _step in (
    ("magic", 1, 1),
    ("magic-whole", 8, 1),
    ("preamble", 40, 1),
    ("preamble-last", 63, 1),
    ("behind-preamble", 64, 7),
    ("header", 100, 7),
    ("behind-header", _SECTION, 7),
    ("section", _SECTION + 3, 7),
    ("padding", SIZE - 1, 7),
):
    _add(
        f"torn-in-{_where}",
        f"ends {_cut} bytes into its third frame of {SIZE}",
        [ZERO, FIRST, SECOND[:_cut]],
        2,
        error="torn-tail",
        step=_step,
        back=[0, 1],
        lost=[(2, 3)],
    )
_sealed = _one(2, 2).sign()
_add(
    "torn-in-seal",
    "ends within the seal of its third frame",
    [ZERO, FIRST, _sealed.data[: 64 + len(_sealed.header_bytes()) + 9]],
    2,
    error="torn-tail",
    step=7,
    back=[0, 1],
    lost=[(2, 3)],
)
_add(
    "torn-in-buffer",
    "ends within a buffer",
    [ZERO, _around(bytes(range(200)), 1).data[:-70]],
    1,
    error="torn-tail",
    step=7,
    back=[0],
    lost=[(1, 2)],
)
_add("torn-first", "ends within its first frame", [ZERO[:-1]], 0, error="torn-tail", step=7, back=[], lost=[(0, 1)])
_add(
    "torn-header-damaged",
    "ends within a frame that has a damaged header",
    [ZERO, _flip(FIRST, 70)[:-1]],
    1,
    error="torn-tail",
    step=7,
    back=[0],
    lost=[(1, 2)],
)
for _where, _zeros in (("one", 1), ("unaligned", 100), ("block", 64), ("page", 4096), ("long", SIZE * 4)):
    _add(
        f"zeros-{_where}",
        f"ends in {_zeros} zero bytes",
        [ZERO, FIRST, bytes(_zeros)],
        2,
        error="torn-tail",
        step=1,
        back=[0, 1],
        lost=[(2, 3)],
    )
_add("zeros-only", "zero bytes only", [bytes(640)], 0, error="torn-tail", step=1, back=[], lost=[(0, 1)])

# --- corrupt ----------------------------------------------------------------------------------------------------------
for _where, _offset, _error, _step in (
    ("magic", 0, "not-an-artifact", 1),
    ("preamble", 20, "preamble-checksum", 2),
    ("header", 70, "header-checksum", 8),
    ("section", SIZE - 63, "section-checksum", 16),
    ("padding", SIZE - 1, "section-padding", 16),
):
    _add(
        f"corrupt-{_where}",
        f"damage in the {_where} of the second frame of four",
        [ZERO, _flip(FIRST, _offset), SECOND, THIRD],
        1,
        error=_error,
        step=_step,
        back=[0, 2, 3],
        lost=[(1, 2)],
    )
    _add(
        f"corrupt-{_where}-last",
        f"damage in the {_where} of the last frame",
        [ZERO, FIRST, _flip(SECOND, _offset)],
        2,
        error=_error,
        step=_step,
        back=[0, 1],
        lost=[(2, 3)],
    )
_add(
    "corrupt-first",
    "damage in the preamble of the first frame",
    [_flip(ZERO, 20), FIRST, SECOND],
    0,
    error="preamble-checksum",
    step=2,
    back=[1, 2],
    lost=[(0, 1)],
)
_add(
    "corrupt-neighbours",
    "damage in the preambles of two consecutive frames",
    [ZERO, _flip(FIRST, 20), _flip(SECOND, 20), THIRD],
    1,
    error="preamble-checksum",
    step=2,
    back=[0, 3],
    lost=[(1, 3)],
)
_add(
    "corrupt-batch",
    "damage in the section of a batch",
    [ZERO, _flip(_batch([1, 2, 3], 1).data, -1 + len(_batch([1, 2, 3], 1).data)), _one(4, 2)],
    1,
    error="section-padding",
    step=16,
    back=[0, 4],
    lost=[(1, 2)],
)
_add(
    "corrupt-then-torn",
    "a frame with a damaged preamble, then a truncated frame",
    [ZERO, _flip(FIRST, 20), SECOND[:-1]],
    1,
    error="preamble-checksum",
    step=2,
    back=[0],
    lost=[(1, 3)],
)
_add(
    "corrupt-before-another",
    "a frame with a damaged preamble, then another sequence",
    [ZERO, _flip(FIRST, 20), _one(2, 0, B), _one(3, 1, B)],
    1,
    error="preamble-checksum",
    step=2,
    back=[0, 2, 3],
    lost=[(1, 2)],
)
_add(
    "zeros-between",
    "zero bytes between two frames",
    [ZERO, bytes(128), FIRST],
    1,
    error="not-an-artifact",
    step=1,
    back=[0, 1],
    lost=[(1, 2)],
)
_add(
    "foreign-between",
    "128 foreign bytes between two frames",
    [ZERO, b"foreign " * 16, FIRST, SECOND],
    1,
    error="not-an-artifact",
    step=1,
    back=[0, 1, 2],
    lost=[(1, 2)],
)
_add(
    "foreign-unaligned",
    "50 foreign bytes between two frames: the later frames are not at multiples of 64",
    [ZERO, b"x" * 50, FIRST, SECOND],
    1,
    error="not-an-artifact",
    step=1,
    back=[0],
    lost=[(1, 4)],
)
_add(
    "foreign-tail",
    "foreign bytes after the last frame",
    [ZERO, FIRST, b"not a frame"],
    2,
    error="not-an-artifact",
    step=1,
    back=[0, 1],
    lost=[(2, 3)],
)
_add(
    "foreign-only",
    "text only",
    [b"a line of a log\n" * 9],
    0,
    error="not-an-artifact",
    step=1,
    back=[],
    lost=[(0, 1)],
)
_later = _one(1, 1)
_later.preamble["major"] = 2
_add(
    "newer-major",
    "a frame of another major version",
    [ZERO, _later, SECOND],
    1,
    error="unsupported-version",
    step=3,
    back=[0, 2],
    lost=[(1, 2)],
)

# --- order ------------------------------------------------------------------------------------------------------------
_add(
    "gap",
    "the second frame of four is missing",
    [ZERO, SECOND, THIRD],
    1,
    error="stream-order",
    step=5,
    back=[0, 2, 3],
    lost=[(1, 1)],
)
_add(
    "repeated",
    "a frame that occurs twice",
    [ZERO, FIRST, FIRST, SECOND],
    2,
    error="stream-order",
    step=5,
    back=[0, 1, 2],
    lost=[(2, 3)],
)
_add(
    "swapped",
    "two frames in the wrong order",
    [ZERO, SECOND, FIRST, THIRD],
    1,
    error="stream-order",
    step=5,
    back=[0, 2, 3],
    lost=[(1, 1), (2, 3)],
)
_add(
    "begins-at-5",
    "a sequence that begins at seq 5",
    [_one(5, 5), _one(6, 6)],
    0,
    error="stream-order",
    step=5,
    back=[5, 6],
    lost=[(0, 0)],
)
_add(
    "order-before-truncated",
    "a frame that is out of order and truncated",
    [ZERO, SECOND[:-1]],
    1,
    error="stream-order",
    step=5,
    back=[0],
    lost=[(1, 2)],
)

# --- a frame inside a buffer of a frame whose preamble is damaged -----------------------------------------------------
for _which, _inner in (
    ("other", _one(9, 0, B)),
    ("standalone", _one(9, 0, 0)),
    ("lower", _one(9, 0)),
):
    _outer = _flip(_around(_inner.data, 1).data, 20)
    _add(
        f"nested-{_which}",
        f"a damaged frame that holds another frame ({_which}): the stream goes on after the damaged frame",
        [ZERO, _outer, SECOND],
        1,
        error="preamble-checksum",
        step=2,
        back=[0, 2],
        lost=[(1, 2)],
    )
_start = SIZE + len(_around(b"", 1).data)
_outer = _flip(_around(_one(9, 2).data, 1).data, 20)
_add(
    "nested-higher",
    "a damaged frame that holds a copy of a later frame: the copy is taken for that frame, and the real one is refused",
    [ZERO, _outer, SECOND, THIRD],
    1,
    error="preamble-checksum",
    step=2,
    back=[0, 9, 3],
    lost=[(1, -_start), (2, 3)],
)
_add(
    "nested-lower-last",
    "a damaged last frame that holds a copy of an earlier frame: nothing is found",
    [ZERO, _flip(_around(_one(9, 0).data, 1).data, 20)],
    1,
    error="preamble-checksum",
    step=2,
    back=[0],
    lost=[(1, 2)],
)
_add(
    "nested-other-last",
    "a damaged last frame that holds a frame of another sequence: that frame is found",
    [ZERO, _flip(_around(_one(9, 0, B).data, 1).data, 20)],
    1,
    error="preamble-checksum",
    step=2,
    back=[0, 9],
    lost=[(1, -_start)],
)
_add(
    "nested-longer",
    "a damaged frame that holds the beginning of a frame longer than the rest of the stream: that is no candidate",
    [ZERO, _flip(_around(_around(bytes(9999), 2).data[:640], 1).data, 20), SECOND],
    1,
    error="preamble-checksum",
    step=2,
    back=[0, 2],
    lost=[(1, 2)],
)


# --- a frame that claims more bytes than there are --------------------------------------------------------------------
def _claiming(frame: Frame) -> bytes:
    """A frame with a frame_len that reaches beyond any end. Its preamble is right."""
    frame.preamble = {**frame.preamble, "frame_len": 1 << 20}
    return frame.data


_add(
    "claims-more",
    "the second frame of four claims to be longer than the stream: its sequence goes on, so it is no torn tail",
    [ZERO, _claiming(_one(1, 1)), SECOND, THIRD],
    1,
    error="truncated",
    step=7,
    back=[0, 2, 3],
    lost=[(1, 2)],
)
_add(
    "claims-more-first",
    "the first frame claims to be longer than the stream",
    [_claiming(_one(0, 0)), FIRST, SECOND],
    0,
    error="truncated",
    step=7,
    back=[1, 2],
    lost=[(0, 1)],
)
_add(
    "claims-more-twice",
    "two frames that claim to be longer than the stream, and a truncated one at the end",
    [ZERO, _claiming(_one(1, 1)), _claiming(_one(2, 2)), THIRD, _one(4, 4).data[:-1]],
    1,
    error="truncated",
    step=7,
    back=[0, 3],
    lost=[(1, 3), (4, 5)],
)
_add(
    "claims-more-interleaved",
    "a frame that claims to be longer than the stream, before a frame of another sequence that had begun before it",
    [ZERO, _one(1, 0, B), _claiming(_one(2, 1)), _one(3, 1, B)],
    2,
    error="truncated",
    step=7,
    back=[0, 1, 3],
    lost=[(2, 3)],
)
_add(
    "claims-more-standalone",
    "a standalone frame that claims to be longer than the stream, before another one",
    [_one(0, 0, 0), _claiming(_one(1, 0, 0)), _one(2, 0, 0)],
    1,
    error="truncated",
    step=7,
    back=[0, 2],
    lost=[(1, 2)],
)
_add(
    "claims-more-last",
    "the last frame claims to be longer than the stream: a torn tail",
    [ZERO, _claiming(_one(1, 1))],
    1,
    error="torn-tail",
    step=7,
    back=[0],
    lost=[(1, 2)],
)
for _which, _inner in (("standalone", _one(9, 0, 0)), ("other", _one(9, 0, B)), ("lower", _one(9, 0))):
    _add(
        f"torn-around-{_which}",
        f"ends within a frame that holds a whole frame ({_which}): that one is no frame of the stream",
        [ZERO, FIRST, _around(_inner.data + bytes(500), 2).data[:-256]],
        2,
        error="torn-tail",
        step=7,
        back=[0, 1],
        lost=[(2, 3)],
    )
_add(
    "zeros-over-several",
    "zero bytes from the section of the second frame of four to the end",
    [ZERO, FIRST[:_SECTION] + bytes(64), bytes(2 * SIZE)],
    1,
    error="section-checksum",
    step=16,
    back=[0],
    lost=[(1, 2), (2, 3)],
)

# --- a caller's limit -------------------------------------------------------------------------------------------------
_large = Frame(framed(b"C\xff" + bytes(255)), type="builtins:bytes")
_add(
    "limit-torn",
    "ends within a frame that is longer than the caller's limit: it is lost",
    [ZERO, FIRST, _place(_large, 2).data[:-64]],
    2,
    error="limit-exceeded",
    step=6,
    back=[0, 1],
    lost=[(2, 3)],
    policy={"limits": {"max_frame": SIZE}},
)
_add(
    "limit-claims-more",
    "a frame that claims to be longer than the caller's limit and than the stream: it is lost",
    [ZERO, _claiming(_one(1, 1)), SECOND],
    1,
    error="limit-exceeded",
    step=6,
    back=[0, 2],
    lost=[(1, 2)],
    policy={"limits": {"max_frame": SIZE}},
)
_add(
    "limit-whole",
    "a whole frame that is longer than the caller's limit: it is refused, and not lost",
    [ZERO, _place(_large.copy(), 1), SECOND],
    1,
    error="limit-exceeded",
    step=6,
    policy={"limits": {"max_frame": SIZE}},
)

# --- the number of a record after a frame that is lost ----------------------------------------------------------------
_unread = _batch([1, 2, 3], 1, surprise=True)
_add(
    "lost-header-refused",
    "a batch whose header is refused at step 11: it counts as one record",
    [ZERO, _unread, _one(4, 2)],
    1,
    error="header-schema",
    step=11,
    back=[0, 4],
    lost=[(1, 2)],
)

# --- signed -----------------------------------------------------------------------------------------------------------
_signed = [_one(n, n).sign() for n in range(3)]
_add("signed", "a signed stream", _signed, policy=BY_HMAC)
_moved = _one(1, 7).sign()
_place(_moved, 1)
_add(
    "signed-moved",
    "a signed frame whose seq was changed",
    [_signed[0], _moved, _signed[2]],
    1,
    error="signature-invalid",
    step=9,
    policy=BY_HMAC,
)
_add(
    "signed-not",
    "a frame without a seal among signed ones",
    [_signed[0], FIRST, _signed[2]],
    1,
    error="signature-invalid",
    step=9,
    policy=BY_HMAC,
)

# --- a wrong `records` -----------------------------------------------------------------------------------------------
_NOT = Frame(framed(b"K\x01"), type="builtins:int", records=1)
_TUPLE = Frame(framed(b"K\x01K\x02\x86"), type="builtins:int", records=2)
for _which, _lying in (
    ("more", _batch([1, 2], 1, records=3)),
    ("less", _batch([1, 2], 1, records=1)),
    ("no-list", _place(_NOT, 1)),
    ("tuple", _place(_TUPLE, 1)),
):
    _add(
        f"records-{_which}",
        f"a batch with a wrong `records` ({_which})",
        [ZERO, _lying, SECOND],
        1,
        error="unpickle-failed",
        step=20,
    )


# --- the index --------------------------------------------------------------------------------------------------------
def _entry(offset: int, record: int, frame: bytes) -> bytes:
    fields = struct.pack("<QQ", offset, record) + frame[56:64]
    return fields + struct.pack("<Q", xxh3(fields))


def _add_index(
    name: str, about: str, pieces: Sequence[Frame | bytes], index: bytes, used: Sequence[Sequence[int]]
) -> None:
    """Add a stream of six records with an index. A reader may use the index entries `used`, as offset and record."""
    _add(f"index-{name}", about, pieces, len(pieces), 6)
    STREAMS[f"index-{name}"][0]["index"] = [list(entry) for entry in used]
    INDEXES[f"index-{name}"] = index


_six = [_batch([0, 1], 0), _one(2, 1), _batch([3, 4], 2), _one(5, 3)]
_datas = [frame.data for frame in _six]
_starts = [sum(map(len, _datas[:n])) for n in range(4)]
_right = [_entry(_starts[n], record, _datas[n]) for n, record in ((1, 2), (2, 3), (3, 5))]
_used = [(_starts[1], 2), (_starts[2], 3), (_starts[3], 5)]
_add_index("right", "an index that is right", _six, b"".join(_right), _used)
_add_index("empty", "an index without entries", _six, b"", [])
_add_index("torn", "the last index entry is truncated", _six, b"".join(_right)[:-5], _used[:2])
_add_index(
    "damaged",
    "one bit of the second index entry is flipped: the index ends before it",
    _six,
    _right[0] + _flip(_right[1], 9) + _right[2],
    _used[:1],
)
_add_index(
    "unordered",
    "the second index entry is out of order: the index ends before it",
    _six,
    _right[1] + _right[0] + _right[2],
    _used[1:2],
)
_add_index(
    "unaligned",
    "the second index entry has an offset that is not a multiple of 64: the index ends before it",
    _six,
    _right[0] + _entry(_starts[2] + 8, 3, _datas[2]) + _right[2],
    _used[:1],
)
_add_index(
    "offset-twice",
    "the second index entry has the offset of the first one: the index ends before it",
    _six,
    _right[0] + _entry(_starts[1], 3, _datas[1]) + _right[2],
    _used[:1],
)
_add_index(
    "record-twice",
    "the second index entry has the record of the first one: the index ends before it",
    _six,
    _right[0] + _entry(_starts[2], 2, _datas[2]) + _right[2],
    _used[:1],
)
_add_index(
    "wrong-preamble",
    "the second index entry has another preamble_xxh3 than its frame: this index entry alone is not used",
    _six,
    _right[0] + _entry(_starts[2], 3, _datas[1]) + _right[2],
    [_used[0], _used[2]],
)
_add_index(
    "no-frame",
    "the second index entry has an offset at which no frame begins: this index entry alone is not used",
    _six,
    _right[0] + _entry(_starts[1] + 64, 3, _datas[1]) + _right[2],
    [_used[0], _used[2]],
)
_add_index("junk", "text instead of an index", _six, b"a line of a log\n" * 9, [])
_other = [_one(n, n, B).data for n in range(4)]
_add_index(
    "of-another",
    "an index of another stream",
    _six,
    b"".join(_entry(s, n, d) for n, (s, d) in enumerate(zip(_starts, _other, strict=True))),
    [],
)
_add_index(
    "stale",
    "an index of a longer stream: index entries beyond the end, and within a frame",
    _six,
    _right[0] + _entry(_starts[2] + 64, 4, FIRST) + _entry(1 << 20, 9, SECOND),
    _used[:1],
)
_within = _one(9, 7).data
_holder = _around(_within, 0)
_start = len(_holder.data) - len(_within)
_five = [_holder, _batch([1, 2, 3], 1), _batch([4, 5], 2)]
_astray = _entry(_start, 1, _within)
_add_index(
    "nested",
    "an index entry for a frame inside a buffer: it satisfies every rule, and misleads a reader that uses it",
    _five,
    _astray,
    [(_start, 1)],
)
