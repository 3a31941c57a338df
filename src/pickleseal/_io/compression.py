"""Compression of sections (spec sections 7.2 and 12): which of them, and several at once.

Zstandard lets go of the interpreter while it works, so threads use all cores, a section each. A section that does not
become smaller by an eighth stays as it is: it can be mapped and checked without a second copy, and numbers that look
like noise, images and archives cost no time to read. A large one is judged by samples first, and the work on any one
ends as soon as it is known not to pay. So the outcome depends on the bytes, the level and the release of Zstandard
alone; threads do not change it. (Zstandard's own threads would, and gain nothing at the usual levels: appendix B.)
"""

import io
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

from .._format.codec import CODECS, check_level, compressed_chunks, decompressed_chunks
from .._format.frame import Part
from .._format.limits import DEFAULT_MAX_DECODED
from ..errors import PackWarning, frames_up
from .hashing import Crew, pays

__all__ = ["check_compression", "compress_sections", "decompress_sections"]

_SMALLEST = 1024  # bytes; below, padding and the entry in the header take what is gained
_LEAST_GAIN = 8  # an eighth of the section, as ZFS has it; random floats lose a sixteenth and are not worth it
_SAMPLED_FROM = 1 << 20  # bytes; compressing less than this takes a few milliseconds
_SAMPLES, _SAMPLE = 8, 1 << 15  # evenly spaced: a quarter of a megabyte, half a millisecond
_SAMPLE_LEVEL = 1


def check_compression(compress: object, level: object) -> None:
    """Check how a writer is to compress.

    Raises:
        TypeError, ValueError: no such codec, or the library has no such level.
        MissingExtraError: no library is installed.
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
    """Return the sections as they are to be stored, and say in `entries` which are compressed (spec 12).

    Nothing is joined. Beyond the sections themselves it takes what is stored of the compressed ones, and a compressor
    for each core: 9 MB at level 3, 140 MB at level 22.

    Warns with `PackWarning` where they decompress to more than readers accept by default (spec 14).

    Raises:
        PackError: the library failed.
    """
    lengths = [sum(map(len, parts)) for parts in sections]
    tasks = list(zip(sections, lengths, strict=True))
    if pays(lengths):
        with Crew() as crew:
            waiting = [crew.start(partial(_compressed, *task, level, crew)) for task in tasks]
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


def _compressed(parts: Sequence[Part], length: int, level: int, crew: Crew | None) -> list[bytes] | None:
    """Compress one section, or return None where that does not pay, or nobody waits for it any more."""
    if length < _SMALLEST:
        return None
    if length >= _SAMPLED_FROM:
        sample = _sample(parts, length)
        size = sum(map(len, sample))
        if _shrunk(sample, size, _SAMPLE_LEVEL, None) is None:
            return None
    return _shrunk(parts, length, level, crew)


def _shrunk(parts: Sequence[Part], length: int, level: int, crew: Crew | None) -> list[bytes] | None:
    most, size, chunks = length - length // _LEAST_GAIN, 0, []
    for chunk in compressed_chunks(parts, length, level):
        size += len(chunk)
        if size > most or (crew is not None and crew.stopped):
            return None
        if chunk:
            chunks.append(chunk)
    return chunks


def _sample(parts: Sequence[Part], length: int) -> list[memoryview]:
    """Return evenly spaced pieces of a section; what lies at the end of a part is a shorter piece."""
    pieces: list[memoryview] = []
    start, distance = 0, length // _SAMPLES
    for part in parts:
        while len(pieces) * distance < start + len(part) and len(pieces) < _SAMPLES:
            offset = len(pieces) * distance - start
            pieces.append(memoryview(part)[offset : offset + _SAMPLE])
        start += len(part)
    return pieces


def decompress_sections(entries: Sequence[dict[str, Any]], stored: list[Any], keep_buffers: bool) -> None:
    """Replace compressed sections by what they hold: section 0 by bytes, others by writable memory (spec 11, step 18).

    Without `keep_buffers` only section 0 is kept; the others are judged and dropped as they go by.

    Raises:
        CodecDataError: of the first section that breaks spec 7.2, whichever thread is done first.
    """
    tasks = [
        (index, entry, stored[index], keep_buffers or not index)
        for index, entry in enumerate(entries)
        if "codec" in entry
    ]
    if pays(entry["raw_len"] for _, entry, _, _ in tasks):
        with Crew() as crew:
            waiting = [crew.start(partial(_decompressed, *task, crew)) for task in tasks]
            results = [wait() for wait in waiting]
    else:
        results = [_decompressed(*task, None) for task in tasks]
    for task, result in zip(tasks, results, strict=True):
        stored[task[0]] = result


def _decompressed(index: int, entry: dict[str, Any], stored: Any, keep: bool, crew: Crew | None) -> Any:
    """Decompress one section; memory grows with what comes out of it."""
    raw = io.BytesIO()
    for chunk in decompressed_chunks(entry, stored, f"sections[{index}]"):
        if crew is not None and crew.stopped:
            return None
        if keep:
            raw.write(chunk)
    if not keep:
        return None
    return raw.getbuffer() if index else raw.getvalue()
