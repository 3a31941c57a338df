"""Read and write one object by its URL: by fsspec for every scheme that it knows, or by obstore for S3.

obstore serves plain `s3://` URLs if it is installed and has all settings that it needs from the options or the
environment: a pair of keys (or `anon`), and a region or an endpoint. obstore does not read `~/.aws`. fsspec serves all
other URLs, with s3fs for S3. If s3fs is not installed, obstore serves every plain `s3://` URL, with the settings that
it has. Options have fsspec's names in both cases.

obstore hangs in the child of a fork if the parent used it before, so such a child uses fsspec.

This module knows objects and ranges. It knows nothing of artifacts.
"""

import errno
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from .._format.frame import Part
from ..errors import MissingExtraError
from . import processes
from .url import error_text, import_fsspec, masked, os_error

# Why obstore is called directly, and not through its own fsspec store (`obstore.fsspec`): `cat_file` returns the bytes
# and drops the object's size and ETag, which came in the same answer. A header scan needs the size, so each artifact
# over 8 KiB would cost a second request. Artifacts of 31 KB, two cores, medians of alternating runs, headers/s:
#
#                                              moto     nginx
#     iter_headers, obstore directly           425      4,278
#     iter_headers, obstore's fsspec store     215      2,208
#     iter_headers, s3fs                       124        231
#     peek, one after the other, directly        -      3,036
#     peek, through obstore's fsspec store       -      1,811
#     async _cat_file, no sizes                409      7,104
#     async _cat_file and _info                208      4,253
#
# The fsspec store has no conditional read either (`if_match`), and its files cannot give up an upload in parts: when
# the program is interrupted, the upload stays in the bucket.

_PART = 1 << 23  # bytes in a part of a multipart upload, unless there would be too many; S3 takes 5 MiB to 5 GiB
_MOST_PARTS = 9000  # S3 takes 10,000
_S3_OPTIONS = {"anon", "client_kwargs", "endpoint_url", "key", "secret", "token"}
_IN_FLIGHT = 4  # parts that obstore sends at a time


class Store(Protocol):
    """One object in a store."""

    url: str
    has_threads: bool  # whether several threads may read at once

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return the bytes from `start` up to `end`, or fewer if the object ends. A store without ranges gives all.

        Raises:
            OSError: from the store. ESTALE if the store knows that the object was replaced since the first read.
        """

    def size(self) -> int | None:
        """Return the object's size in bytes, or None if the store does not give it."""

    def write(self, parts: Sequence[Part]) -> None:
        """Replace the object. If this fails, a store with atomic writes still holds the old object."""


def open_store(url: str, options: Mapping[str, Any] | None) -> Store:
    """Choose a store. Sends a request only where fsspec opens the outer file of a chain (`zip://a::s3://...`).

    Raises:
        OSError: such a request failed.
        MissingExtraError: fsspec, or its package for the scheme, is not installed.
        ValueError, TypeError: fsspec does not know the scheme, or does not accept the options.
    """
    config = _s3_config(url, options or {})
    if config is not None and _is_complete(config) and _has_obstore():
        return _ObstoreStore(url, config)
    try:
        return _FsspecStore(url, options or {})
    except MissingExtraError:
        if config is not None and _has_obstore():
            return _ObstoreStore(url, config)
        raise


class _FsspecStore:
    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url
        fsspec = import_fsspec()
        try:
            self._fs, self._path = fsspec.core.url_to_fs(url, **options)
        except ImportError as exc:
            scheme = url.partition("://")[0]
            raise MissingExtraError(f"a package for {scheme}:// is missing", None, None, str(exc)) from None
        except (TypeError, ValueError) as exc:
            kind = TypeError if isinstance(exc, TypeError) else ValueError
            raise kind(error_text(exc, url)) from None
        except Exception as exc:  # fsspec may open the outer file of a chain at once
            raise os_error(exc, url) from None
        self.has_threads = bool(type(self._fs).async_impl)  # an instance of a cache would show that of the store below

    def read(self, start: int, end: int) -> bytes:
        try:
            return bytes(self._fs.cat_file(self._path, start=start, end=end))
        except Exception as exc:
            # Some stores raise for a range after the end, and for any range of an empty object.
            if not isinstance(exc, FileNotFoundError | PermissionError) and self._ends_before(start):
                return b""
            raise os_error(exc, self.url) from None

    def _ends_before(self, start: int) -> bool:
        try:
            size = self.size()
        except OSError:
            return False
        return size is not None and start >= size

    def size(self) -> int | None:
        try:
            self._fs.invalidate_cache(self._path)  # a listing may be older than the object
            size = self._fs.info(self._path).get("size")
        except FileNotFoundError:  # some caches over HTTP raise it for an object they have just read
            return None
        except Exception as exc:
            raise os_error(exc, self.url) from None
        return size if isinstance(size, int) else None

    def write(self, parts: Sequence[Part]) -> None:
        total = sum(map(len, parts))
        protocol = self._fs.protocol
        is_s3 = "s3" in ((protocol,) if isinstance(protocol, str) else protocol)
        try:
            if is_s3 and total > _PART:
                self._upload(parts, total)
            else:
                self._fs.pipe_file(self._path, b"".join(parts))
        except NotImplementedError:
            raise OSError(errno.EROFS, "this kind of URL cannot be written to", masked(self.url)) from None
        except Exception as exc:
            raise os_error(exc, self.url) from None

    def _upload(self, parts: Sequence[Part], total: int) -> None:
        """Upload in parts. `close` completes the upload, so it must never be called after a failure."""
        size = _part_size(total)
        file = self._fs.open(self._path, "wb", block_size=size)
        try:
            for chunk in _chunks(parts, size):
                file.write(chunk)
            file.close()
        except BaseException:
            file.closed = True
            file.discard()
            raise


class _ObstoreStore:
    has_threads = True

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        self.url = url
        bucket, self._key = _split_s3(url)
        self._store = s3_store(bucket, tuple(sorted(config.items())), _environment())
        self._size: int | None = None
        self._etag: str | None = None

    def read(self, start: int, end: int) -> memoryview:
        import obstore

        options: dict[str, Any] = {"range": (start, end)}
        if self._etag is not None:
            options["if_match"] = self._etag
        try:
            result = obstore.get(self._store, self._key, options=options)
            self._size, self._etag = result.meta["size"], result.meta["e_tag"]
            return memoryview(result.bytes())
        except obstore.exceptions.PreconditionError:
            raise OSError(errno.ESTALE, "the object was replaced while it was read", masked(self.url)) from None
        except Exception as exc:
            if not isinstance(exc, FileNotFoundError) and self._ends_before(start):
                return memoryview(b"")
            raise self._os_error(exc) from None

    def _ends_before(self, start: int) -> bool:
        try:
            return start >= self.size()
        except OSError:
            return False

    def size(self) -> int:
        import obstore

        if self._size is None:
            try:
                self._size = int(obstore.head(self._store, self._key)["size"])
            except Exception as exc:
                raise self._os_error(exc) from None
        return self._size

    def write(self, parts: Sequence[Part]) -> None:
        import obstore

        total = sum(map(len, parts))
        try:
            if total > _PART:
                size = _part_size(total)
                chunks = _chunks(parts, size)
                obstore.put(
                    self._store, self._key, chunks, use_multipart=True, chunk_size=size, max_concurrency=_IN_FLIGHT
                )
            else:
                obstore.put(self._store, self._key, b"".join(parts), use_multipart=False)
        except Exception as exc:
            raise self._os_error(exc) from None

    def _os_error(self, exc: Exception) -> OSError:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        if isinstance(exc, PermissionDeniedError | UnauthenticatedError):
            return OSError(errno.EACCES, os.strerror(errno.EACCES), masked(self.url))
        return os_error(exc, self.url)


def _chunks(parts: Sequence[Part], size: int) -> Iterator[memoryview]:
    """Yield all bytes in pieces of at most `size`, without copies."""
    for part in parts:
        view = memoryview(part).cast("B")
        for start in range(0, len(view), size):
            yield view[start : start + size]


def _part_size(total: int) -> int:
    return max(_PART, -(-total // _MOST_PARTS))


def _split_s3(url: str) -> tuple[str, str]:
    bucket, _, key = url.partition("://")[2].partition("/")
    return bucket, key


def _s3_config(url: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return obstore's settings for an S3 URL, or None if obstore would read the URL or the options unlike s3fs."""
    bucket, key = _split_s3(url)
    if not url.startswith("s3://") or "::" in url or set(options) - _S3_OPTIONS:
        return None
    if not bucket or "?" in key or not {"", ".", ".."}.isdisjoint(key.split("/")):
        return None
    more = options.get("client_kwargs") or {}
    if not isinstance(more, Mapping) or set(more) - {"endpoint_url", "region_name"}:
        return None
    env = os.environ.get
    config = {
        "access_key_id": options.get("key") or env("AWS_ACCESS_KEY_ID"),
        "secret_access_key": options.get("secret") or env("AWS_SECRET_ACCESS_KEY"),
        "session_token": options.get("token") or (None if options.get("key") else env("AWS_SESSION_TOKEN")),
        "region": more.get("region_name") or env("AWS_REGION") or env("AWS_DEFAULT_REGION"),
        "endpoint": (
            options.get("endpoint_url")
            or more.get("endpoint_url")
            or env("AWS_ENDPOINT_URL_S3")
            or env("AWS_ENDPOINT_URL")
        ),
        "skip_signature": True if options.get("anon") else None,
    }
    return {name: value for name, value in config.items() if value}


def _is_complete(config: Mapping[str, Any]) -> bool:
    has_keys = "skip_signature" in config or ("access_key_id" in config and "secret_access_key" in config)
    return has_keys and ("region" in config or "endpoint" in config)


def _environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


# State of the process. `s3_store` keeps obstore's stores, which hold the connections; an entry goes when 16 newer ones
# came. `obstore_fork_count` is `fork_count` when obstore was first used, or None; it never changes afterwards.
obstore_fork_count: int | None = None


@functools.lru_cache(16)
def s3_store(bucket: str, config: tuple[tuple[str, Any], ...], environment: object) -> Any:
    """Return obstore's store for a bucket, its options, and the environment (which obstore reads itself)."""
    from obstore.store import S3Store

    global obstore_fork_count
    obstore_fork_count = processes.fork_count if obstore_fork_count is None else obstore_fork_count
    settings = dict(config)
    allow = {"allow_http": True} if str(settings.get("endpoint", "")).startswith("http://") else {}
    return S3Store(bucket, config=settings, client_options=allow)


def _has_obstore() -> bool:
    """Return whether obstore is installed and can be used in this process."""
    if obstore_fork_count not in (None, processes.fork_count):
        return False
    try:
        import obstore
    except ImportError:
        return False
    # Before 0.12 a failed upload in parts stayed in the store.
    return tuple(int(number) for number in re.findall(r"\d+", obstore.__version__)[:2]) >= (0, 12)
