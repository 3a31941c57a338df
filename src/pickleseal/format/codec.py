"""Decoding of compressed sections (spec section 7.2): bounded, exact, one frame. Step 18 of the reader algorithm.

Zstandard comes with Python 3.14 (`compression.zstd`, PEP 784); before that the extra `pickleseal[zstd]` brings the same
module as `backports.zstd`. It is imported when the first compressed section is met.
"""

from typing import Any

from ..errors import CodecDataError, UnsupportedCodecError
from .limits import MAX_ZSTD_WINDOW

__all__ = ["CODECS", "check_codec", "decode_section"]

CODECS = ("zstd",)  # spec 7.2


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
        raise UnsupportedCodecError(
            "no Zstandard library is installed", None, name, "pip install 'pickleseal[zstd]'", f"{where}.codec"
        ) from None


def decode_section(entry: dict[str, Any], stored: bytes | memoryview, where: str) -> bytes:
    """Decompress one section to exactly `raw_len` bytes.

    The caller has compared `raw_len` with its limit. Never allocates more than `raw_len` + one block.

    Raises:
        CodecDataError: not exactly one frame, or its size, window or dictionary break spec 7.2.
    """
    zstd, raw_len = _zstd(), entry["raw_len"]
    try:
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
        decompressor = zstd.ZstdDecompressor()
        raw: bytes = decompressor.decompress(stored, raw_len + 1)
        if len(raw) == raw_len and not decompressor.eof:  # the end of the frame may still be in the decompressor
            raw += decompressor.decompress(b"", 1)
    except zstd.ZstdError as exc:
        raise CodecDataError(f"not valid Zstandard data: {exc}", where=where) from None
    if len(raw) != raw_len or not decompressor.eof or decompressor.unused_data:
        raise CodecDataError("not exactly one frame of raw_len bytes", raw_len, len(raw), None, where)
    return raw


def _window_size(stored: bytes | memoryview, raw_len: int) -> int:
    """Read the window size from a frame header that get_frame_info has accepted (RFC 8878, 3.1.1.1.2).

    By hand, because libzstd compares it with its limit only when it decodes in several steps.
    """
    if stored[4] & 0x20:  # Single_Segment_flag: the content is the window
        return raw_len
    base = 1 << (10 + (stored[5] >> 3))
    return base + base // 8 * (stored[5] & 7)
