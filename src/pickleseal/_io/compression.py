"""Compression of sections: which sections are worth it, and several at once (spec sections 7.2 and 12).

Zstandard lets other threads run while it works, so each section gets a thread. A section that does not become smaller
by an eighth is stored as it is. Such a section (random numbers, images, archives) can be mapped, and costs no time for
decompression. Samples of a large section are compressed first. Compression stops as soon as it can no longer save
enough. So the result depends only on the bytes, the level and the release of Zstandard, and not on threads.
(Zstandard's own threads would change it, and gain nothing at the usual levels: appendix B.)

This module works in memory; it opens no file.
"""

import io
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from .._format.codec import CODECS, check_level, compressed_chunks, decompressed_chunks
from .._format.frame import Part
from .._format.limits import DEFAULT_MAX_DECODED
from ..errors import PackWarning, frames_up
from .threads import ThreadPool, pays

_SMALLEST = 1024  # bytes; below, padding and the entry in the header take what is gained
_LEAST_GAIN = 8  # an eighth of the section, as ZFS has it; random floats lose a sixteenth and are not worth it
_SAMPLED_FROM = 1 << 20  # bytes; compressing less than this takes a few milliseconds
_SAMPLES, _SAMPLE = 8, 1 << 15  # evenly spaced: a quarter of a megabyte, half a millisecond
_SAMPLE_LEVEL = 1


Compression = Literal["zstd"]


def check_compression(compress: object, level: object) -> None:
    """Check the codec and the level that a writer asks for.

    Raises:
        TypeError, ValueError: there is no such codec, or the library has no such level.
        MissingExtraError: no Zstandard library is installed.
    """
    if not isinstance(level, int) or isinstance(level, bool):
        raise TypeError(f"compress_level: expected an int, found {level!r}")
    if compress is None:
        return
    if compress not in CODECS:
        raise ValueError(f"compress: expected None or {', '.join(CODECS)}, found {compress!r}")
    check_level(level)


def compress_sections(
    sections: Sequence[Sequence[Part]], entries: Sequence[dict[str, Any]], level: int
) -> list[Sequence[Part]]:
    """Return the sections as they will be stored, and note in `entries` which ones are compressed (spec 12).

    Parts are not joined. Memory beyond the sections: the compressed bytes, and a compressor for each core (9 MB at
    level 3, 140 MB at level 22).

    Warns with `PackWarning` if the sections decompress to more than readers accept by default (spec 14).

    Raises:
        PackError: the library failed.
    """
    lengths = [sum(map(len, parts)) for parts in sections]
    tasks = list(zip(sections, lengths, strict=True))
    if pays(lengths):
        with ThreadPool() as pool:
            waiting = [pool.start(partial(_compressed, *task, level, pool)) for task in tasks]
            results = [wait() for wait in waiting]
    else:
        results = [_compressed(*task, level, None) for task in tasks]
    stored, decoded = list(sections), 0
    for index, result in enumerate(results):
        if result is not None:
            stored[index] = result
            entries[index].update(codec="zstd", raw_len=lengths[index])
            decoded += lengths[index]
    if decoded > DEFAULT_MAX_DECODED:
        text = f"decompresses to {decoded} bytes: readers need Policy(limits=Limits(max_decoded=...)) of that or more"
        warnings.warn(text, PackWarning, stacklevel=frames_up())
    return stored


def _compressed(parts: Sequence[Part], length: int, level: int, pool: ThreadPool | None) -> list[bytes] | None:
    """Compress one section. Return None if that saves too little, or if nobody waits for the result any more."""
    if length < _SMALLEST:
        return None
    if length >= _SAMPLED_FROM:
        sample = _sample(parts, length)
        size = sum(map(len, sample))
        if _shrunk(sample, size, _SAMPLE_LEVEL, None) is None:
            return None
    return _shrunk(parts, length, level, pool)


def _shrunk(parts: Sequence[Part], length: int, level: int, pool: ThreadPool | None) -> list[bytes] | None:
    most, size, chunks = length - length // _LEAST_GAIN, 0, []
    for chunk in compressed_chunks(parts, length, level):
        size += len(chunk)
        if size > most or (pool is not None and pool.is_stopped):
            return None
        if chunk:
            chunks.append(chunk)
    return chunks


def _sample(parts: Sequence[Part], length: int) -> list[memoryview]:
    """Return evenly spaced pieces of a section. A piece ends where its part ends."""
    pieces: list[memoryview] = []
    start, distance = 0, length // _SAMPLES
    for part in parts:
        while len(pieces) * distance < start + len(part) and len(pieces) < _SAMPLES:
            offset = len(pieces) * distance - start
            pieces.append(memoryview(part)[offset : offset + _SAMPLE])
        start += len(part)
    return pieces


def decompress_sections(entries: Sequence[dict[str, Any]], stored: list[Any], keep_buffers: bool) -> None:
    """Replace compressed sections by their content: section 0 by bytes, others by writable memory (spec 11, step 18).

    Without `keep_buffers` only section 0 is kept; the others are checked and dropped piece by piece.

    Raises:
        CodecDataError: a section breaks spec 7.2. If several do, the error is of the first one in the frame.
    """
    tasks = [
        (index, entry, stored[index], keep_buffers or not index)
        for index, entry in enumerate(entries)
        if "codec" in entry
    ]
    if pays(entry["raw_len"] for _, entry, _, _ in tasks):
        with ThreadPool() as pool:
            waiting = [pool.start(partial(_decompressed, *task, pool)) for task in tasks]
            results = [wait() for wait in waiting]
    else:
        results = [_decompressed(*task, None) for task in tasks]
    for task, result in zip(tasks, results, strict=True):
        stored[task[0]] = result


def _decompressed(index: int, entry: dict[str, Any], stored: Any, keep: bool, pool: ThreadPool | None) -> Any:
    """Decompress one section. Memory grows with what comes out, not with the length in the header."""
    raw = io.BytesIO()
    for chunk in decompressed_chunks(entry, stored, f"sections[{index}]"):
        if pool is not None and pool.is_stopped:
            return None
        if keep:
            raw.write(chunk)
    if not keep:
        return None
    return raw.getbuffer() if index else raw.getvalue()
