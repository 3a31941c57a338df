"""Compressed sections (spec section 7.2): bounded, exact, one frame each way. Step 18 of the reader algorithm.

Zstandard comes with Python 3.14 (`compression.zstd`, PEP 784); before that the extra `pickleseal[zstd]` brings the same
module as `backports.zstd`. It is imported when it is first needed. Both directions work in small steps: memory grows
with the data and not with the length that a header declares, and other threads can run in between.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import CodecDataError, MissingExtraError, PackError, UnsupportedCodecError
from .limits import MAX_ZSTD_WINDOW

CODECS = ("zstd",)  # spec 7.2
_STEP = 1 << 20  # bytes that go into a compressor at once
_BLOCK = 1 << 17  # what goes into and comes out of a decompressor at once: Zstandard's largest block, fits into a cache
_HINT = "pip install 'pickleseal[zstd]'"


def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd  # type: ignore[no-redef, unused-ignore]
    return zstd


def check_codec(name: str, where: str) -> None:
    """Refuse a codec that is unknown, or known and not installed (spec 11, step 14)."""
    if name not in CODECS:
        raise UnsupportedCodecError("unknown codec", ", ".join(CODECS), name, "upgrade pickleseal", f"{where}.codec")
    try:
        _zstd()
    except ImportError:
        raise UnsupportedCodecError("no Zstandard library is installed", None, name, _HINT, f"{where}.codec") from None


def check_level(level: int) -> None:
    """Check that the installed library has a compression level.

    Raises:
        MissingExtraError: no library is installed.
        ValueError: it has no such level.
    """
    try:
        zstd = _zstd()
    except ImportError:
        raise MissingExtraError("compression needs a Zstandard library", None, None, _HINT) from None
    least, most = zstd.CompressionParameter.compression_level.bounds()
    if not least <= level <= most:
        raise ValueError(f"compress_level: expected {least} to {most}, found {level}")


def compressed_chunks(parts: Sequence[bytes | bytearray | memoryview], length: int, level: int) -> Iterator[bytes]:
    """Compress the parts of a section, `length` bytes together, into one Zstandard frame; give it piece by piece.

    Raises:
        PackError: the library failed, most likely because memory ran out.
    """
    zstd = _zstd()
    try:
        compressor = _compressor(zstd, length, level)
        for part in parts:
            view = memoryview(part)
            for start in range(0, len(view), _STEP):
                yield compressor.compress(view[start : start + _STEP], compressor.CONTINUE)
        yield compressor.flush(compressor.FLUSH_FRAME)
    except zstd.ZstdError as exc:
        raise PackError(f"Zstandard failed: {exc}") from exc


def _compressor(zstd: Any, length: int, level: int) -> Any:
    """Return a compressor for frames with content size, without dictionary and content checksum (spec 7.2).

    The window is set at every level: by themselves the highest levels would take 128 MiB.
    """
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: level, parameter.window_log: MAX_ZSTD_WINDOW.bit_length() - 1}
    compressor = zstd.ZstdCompressor(options=options)
    compressor.set_pledged_input_size(length)
    return compressor


def decompressed_chunks(entry: dict[str, Any], stored: bytes | memoryview, where: str) -> Iterator[bytes]:
    """Decompress one section to exactly `raw_len` bytes, and give them piece by piece.

    The caller has compared `raw_len` with its limit. Allocates a window of `raw_len` or at most 8 MiB, and two blocks.
    If it raises, the pieces that it gave before must not be used.

    Raises:
        CodecDataError: not exactly one frame, or its size, window or dictionary break spec 7.2.
    """
    zstd, raw_len, position = _zstd(), entry["raw_len"], 0
    missing = raw_len
    view = memoryview(stored)
    try:
        _check_frame_header(zstd, view, raw_len, where)
        decompressor = zstd.ZstdDecompressor()
        while not decompressor.eof:
            piece = view[:0]
            if decompressor.needs_input:
                if position >= len(view):
                    raise CodecDataError("the frame is cut off", raw_len, raw_len - missing, None, where)
                piece = view[position : position + _BLOCK]
                position += len(piece)
            chunk = decompressor.decompress(piece, min(_BLOCK, missing + 1))  # one more: the end is in the frame
            missing -= len(chunk)
            if missing < 0:
                break
            yield chunk
    except zstd.ZstdError as exc:
        raise CodecDataError(f"not valid Zstandard data: {exc}", where=where) from None
    if missing:
        raise CodecDataError("not exactly raw_len bytes", raw_len, raw_len - missing, None, where)
    if position < len(view) or decompressor.unused_data:
        raise CodecDataError("something follows the frame", "nothing", "more", None, where)


def _check_frame_header(zstd: Any, stored: memoryview, raw_len: int, where: str) -> None:
    """Check the header of a Zstandard frame before anything is allocated for it (spec 7.2)."""
    if bytes(stored[:4]) != b"\x28\xb5\x2f\xfd":
        raise CodecDataError("not a Zstandard frame", "28 b5 2f fd", bytes(stored[:4]).hex(" "), None, where)
    info = zstd.get_frame_info(stored[:18])  # a frame header has at most 18 bytes, RFC 8878 3.1.1.1
    if info.decompressed_size != raw_len:
        raise CodecDataError("wrong content size", raw_len, info.decompressed_size or "none", None, where)
    if info.dictionary_id:
        raise CodecDataError("needs a dictionary", "none", info.dictionary_id, None, where)
    window = _window_size(stored, raw_len)
    if window > MAX_ZSTD_WINDOW:
        raise CodecDataError("window too large", f"at most {MAX_ZSTD_WINDOW}", window, None, where)


def _window_size(stored: memoryview, raw_len: int) -> int:
    """Read the window size from a frame header that get_frame_info has accepted (RFC 8878, 3.1.1.1.2).

    By hand, because libzstd compares it with its own limit, which is larger.
    """
    if stored[4] & 0x20:  # Single_Segment_flag: the content is the window
        return raw_len
    base = 1 << (10 + (stored[5] >> 3))
    return base + base // 8 * (stored[5] & 7)


def foreign_chunks(stored: bytes, step: int) -> Iterator[bytes]:
    """Decompress Zstandard data that is no section: any number of frames, in pieces of at most `step` bytes.

    Windows are bounded by `MAX_ZSTD_WINDOW`, as in artifacts. The caller bounds the length.

    Raises:
        MissingExtraError: no library is installed.
        CodecDataError: not Zstandard data, or cut off, or its window is larger.
    """
    try:
        zstd = _zstd()
    except ImportError:
        raise MissingExtraError("it is compressed, and no Zstandard library is installed", None, None, _HINT) from None
    options = {zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW.bit_length() - 1}
    rest = stored
    try:
        while rest:
            decompressor = zstd.ZstdDecompressor(options=options)
            chunk = decompressor.decompress(rest, step)
            yield chunk
            while not decompressor.eof:
                if decompressor.needs_input:
                    raise CodecDataError("the frame is cut off")
                yield decompressor.decompress(b"", step)
            rest = decompressor.unused_data
    except zstd.ZstdError as exc:
        raise CodecDataError(f"not valid Zstandard data: {exc}") from None
