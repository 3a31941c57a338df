"""Files of other formats: recognise them, and decompress them within a limit. Nothing is run, and no file is opened."""

import bz2
import lzma
import os
import zlib
from collections.abc import Iterator
from typing import Any

from .._format.codec import foreign_chunks
from .._format.limits import DEFAULT_MAX_DECODED
from .._format.units import bytes_of
from ..errors import CodecDataError, Hint, LimitExceededError, NotAnArtifactError

__all__ = ["bytes_in", "compression_of", "decompress", "is_joblib", "refuse_foreign"]

_STEP = 1 << 20  # bytes that come out of a decompressor at once
_LAYERS = 2  # of compression; honest files have no more
_ZLIB = tuple(bytes((0x78, flags)) for flags in (0x01, 0x5E, 0x9C, 0xDA))
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((start, "zlib") for start in _ZLIB),
)
_WRAPPER = b"NumpyArrayWrapper"


def decompress(
    data: bytes | bytearray | memoryview, *, max_size: int | str = DEFAULT_MAX_DECODED
) -> tuple[bytes, str | None]:
    """Decompress the bytes of a file of pickles: gzip, bzip2, xz, lzma, zlib or Zstandard. Runs nothing.

    The first bytes say which compression it is. Bytes that are not compressed come back as they are. Data that was
    compressed twice is decompressed twice.

    Args:
        data: the bytes of the file.
        max_size: the most bytes that may come out, as an integer or a text such as `"4GiB"`. Memory is bounded by it.

    Returns:
        The bytes, and the name of the compression (`"gzip"`, or `"gzip+xz"` for two), or None.

    Raises:
        LimitExceededError: there are more than `max_size` bytes.
        CodecDataError: the bytes begin like compressed data, and are damaged or truncated.
        MissingExtraError: they are Zstandard, and no library for it is installed.
        TypeError, ValueError: an argument is not what it should be.

    >>> import gzip, pickle
    >>> data, compression = decompress(gzip.compress(pickle.dumps([1, 2])))
    >>> compression
    'gzip'
    >>> adopt(data).type
    'builtins:list'
    """
    data, most = bytes_in(data), _size_of(max_size)
    names: list[str] = []
    if len(data) > most:
        raise _too_large(most)
    while len(names) < _LAYERS:
        name = compression_of(data)
        if name is None:
            break
        names.append(name)
        data = _decompress(data, name, most)
    return data, "+".join(names) or None


def compression_of(data: bytes) -> str | None:
    """Return the compression whose data begins like this, or None."""
    return next((name for start, name in _MAGIC if data.startswith(start)), None)


def bytes_in(data: object) -> bytes:
    """Return what a caller gave as bytes.

    Raises:
        TypeError: it is not bytes-like.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        hint = "; of a file, give what Path(...).read_bytes() returns" if isinstance(data, str | os.PathLike) else ""
        raise TypeError(f"data: expected bytes, a bytearray or a memoryview, found {type(data).__name__}{hint}")
    return bytes(data)


def _size_of(max_size: object) -> int:
    if isinstance(max_size, str):
        try:
            return bytes_of(max_size)
        except ValueError as exc:
            raise ValueError(f"max_size: {exc}") from None
    if not isinstance(max_size, int) or isinstance(max_size, bool):
        raise TypeError(f"max_size: expected an int or a text such as '4GiB', found {type(max_size).__name__}")
    if max_size < 0:
        raise ValueError(f"max_size: expected 0 or more, found {max_size}")
    return max_size


def _too_large(most: int) -> LimitExceededError:
    hint = Hint(
        "a larger max_size allows more, if this size is expected", "--max-size BYTES allows more, if it is expected"
    )
    return LimitExceededError("the file holds too much", f"at most {most} bytes", "more", hint).at(15)


def _decompress(data: bytes, name: str, most: int) -> bytes:
    parts, size = [], 0
    chunks = foreign_chunks(data, _STEP) if name == "zstd" else _chunks(data, name)
    try:
        for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise _too_large(most)
            parts.append(chunk)
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as exc:
        raise CodecDataError(f"not valid {name} data: {exc}") from None
    return b"".join(parts)


def _chunks(data: bytes, name: str) -> Iterator[bytes]:
    """Decompress all members, one after the other, in small steps."""
    while data:
        decompressor = _decompressor(name)
        pending = data
        while not decompressor.eof:
            if isinstance(decompressor, bz2.BZ2Decompressor | lzma.LZMADecompressor):
                if decompressor.needs_input and not pending:
                    raise CodecDataError("the data is truncated")
                chunk = decompressor.decompress(pending, _STEP)
                pending = b""
            else:
                chunk = decompressor.decompress(pending, _STEP)
                pending = decompressor.unconsumed_tail
                if not chunk and not pending and not decompressor.eof:
                    raise CodecDataError("the data is truncated")
            yield chunk
        data = decompressor.unused_data
        if name == "gzip":
            data = data.lstrip(b"\0")  # padding, as tapes have it
        elif name in ("zlib", "lzma") and data:
            raise CodecDataError("something follows the data")


def _decompressor(name: str) -> Any:
    if name == "bzip2":
        return bz2.BZ2Decompressor()
    if name in ("xz", "lzma"):
        kind = lzma.FORMAT_XZ if name == "xz" else lzma.FORMAT_ALONE
        return lzma.LZMADecompressor(kind, memlimit=1 << 28)  # bytes; the highest preset takes 65 MiB
    return zlib.decompressobj(31 if name == "gzip" else 15)


def is_joblib(data: bytes) -> bool:
    """Return whether a pickle may have the bytes of arrays between its opcodes, as joblib writes them."""
    return _WRAPPER in data


_EXTRACT = Hint(
    "it is converted already; pickleseal.convert.extract(data) takes the pickle out again",
    "it is converted already; --extract takes the pickle out again",
)
_OTHERS = (
    (b"PK\x03\x04", "a zip, as of torch.save or numpy.savez", "load it with torch or numpy, and pack what it holds"),
    (b"\x93NUMPY", "an array as numpy.save writes it", "load it with numpy.load and pack it"),
    (b"\x89HDF", "HDF5", "read it with h5py and pack what it holds"),
    (b"\xf7PSL\r\n", "a pickleseal artifact", _EXTRACT),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", "decompress it first"),
    (b"SQLite format 3\0", "a SQLite database, such as shelve writes", "read it with shelve and pack what it holds"),
)  # fmt: skip


def refuse_foreign(data: bytes) -> None:
    """Refuse bytes that are known not to be a pickle.

    Raises:
        NotAnArtifactError: `found` says what they are, `hint` what to do.
    """
    for start, found, hint in _OTHERS:
        if data.startswith(start):
            raise NotAnArtifactError("no bare pickle", None, found, hint)
    if not data:
        raise NotAnArtifactError("no bare pickle", None, "an empty file")
