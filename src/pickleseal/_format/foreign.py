"""What bytes that are no artifact look like, so that a refusal can name them. It decides nothing else."""

import re

from ..errors import Hint

_WRAP = Hint(
    "pickleseal.convert.adopt(data) wraps it without running it",
    "`pickleseal convert FILE NEW.pseal` wraps it without running it",
)
_REPICKLE = Hint(
    "pickleseal.convert.repickle(data) reads it under an allow-list, and packs the object",
    "`pickleseal convert --load FILE NEW.pseal` reads it under an allow-list, and packs the object",
)
_DECOMPRESS = Hint(
    "if there is a pickle in it: pickleseal.convert.adopt(pickleseal.convert.decompress(data)[0])",
    "if there is a pickle in it, `pickleseal convert FILE NEW.pseal` decompresses it and wraps it",
)
_DECODE = Hint(
    "pickleseal.convert.adopt(base64.b64decode(data)) wraps it without running it",
    "decode it first; then `pickleseal convert FILE NEW.pseal` wraps it without running it",
)
_OTHERS = (
    (b"\xf7PSL\n\x1a\n", "an artifact whose CR LF became LF: it went through a text-mode transfer", None),
    (b"\xf7PSL\r\r\n", "an artifact whose LF became CR LF: it went through a text-mode transfer", None),
    (b"\xf7PSL\r\n\x1a\r\n", "an artifact whose LF became CR LF: it went through a text-mode transfer", None),
    (b"\x77PSL", "an artifact whose bit 7 was cleared: it went through a 7-bit transfer", None),
    (b"\xc3\xb7PSL", "an artifact that was decoded as Latin-1 and encoded as UTF-8", None),
    (b"\xef\xbf\xbdPSL", "an artifact that was decoded as UTF-8 text", None),
    (b"\x1f\x8b", "gzip data", _DECOMPRESS),
    (b"(\xb5/\xfd", "Zstandard data", _DECOMPRESS),
    (b"BZh", "bzip2 data", _DECOMPRESS),
    (b"\xfd7zXZ\x00", "xz data", _DECOMPRESS),
    (b"PK\x03\x04", "a zip archive (torch.save and numpy.savez write these)", None),
    (b"\x93NUMPY", "a NumPy .npy file", None),
    (b"SQLite format 3\x00", "an SQLite database", None),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", None),
    (b"PAR1", "a Parquet file", None),
    (b"%PDF-", "a PDF document", None),
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself: run `git lfs pull`", None),
)
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")  # RFC 1950, 2.2
# What pickles of the protocols 2 to 5 begin with, in base64: gAI gAM gAS gAW and more.
_BASE64 = re.compile(rb"gA[I-X][A-Za-z0-9+/\r\n=]*")
# Pickles of the protocols 0 and 1, which have no mark of their own: a value alone, a container, or a class.
_PROTOCOL_0 = re.compile(
    rb"N\.|(?:I-?\d+|L-?\d+L|F-?[\d.einfa]+)\n\.|[VS][^\n]*\n(?:p\d+\n)\.|c[\w.]+\n[\w.]+\n[p(.]"
    rb"|\((?:[dl]p\d+\n|t(?:p\d+\n)?\.|i[\w.]+\n\w+\n|[VSLIF][^\n]*\n[VSLIFNptdlc(]|c[\w.]+\n[\w.]+\n[p(.])"
)
_PROTOCOL_1 = re.compile(
    rb"(?s)K.\.|J.{4}\.|G.{8}\.|\)\.|[]})]q.|[XT].{2}\0\0|U.[ -~]*q.\.|c[\w.]+\n[\w.]+\nq."
    rb"|\((?:K.[KJGXU(}\])NIt]|J.{4}|U.|X.{2}\0\0|G.{8}|c[\w.]+\n[\w.]+\nq.)"
)


def identify(start: bytes) -> tuple[str, Hint | None]:
    """Say what foreign bytes look like, from their first 64, and what to do with them."""
    for prefix, name, hint in _OTHERS:
        if start.startswith(prefix):
            return name, hint
    if len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5:
        if b"joblib.numpy_pickle" in start:
            return "a file of joblib", _REPICKLE
        return f"a bare pickle of protocol {start[1]}", _WRAP
    if _BASE64.fullmatch(start):
        return "a bare pickle in base64", _DECODE
    if start.startswith(_ZLIB):
        return "zlib data", _DECOMPRESS
    for protocol, pattern in enumerate((_PROTOCOL_0, _PROTOCOL_1)):
        if pattern.match(start):
            return f"a bare pickle of protocol {protocol}", _REPICKLE
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page (an error page or a login form instead of the file?)", None
    if text.startswith(b"<?xml"):
        return "an XML document (an object store's error message?)", None
    if text.startswith((b"{", b"[")):
        return "JSON text", None
    if start.count(0) == len(start):
        return "zero bytes (a sparse or preallocated file that was never written?)", None
    return f"bytes {start[:8].hex(' ')}", None
