"""URLs: what counts as one, which parts may be shown, and how failures of a store are raised.

Stores raise the errors of their client libraries. Here each becomes an `OSError` with a number, as for files. This
module sends no request.
"""

import errno
import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import MissingExtraError, text_of

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z0-9+.-]+)*://")  # one letter is a drive of Windows
_LOCAL = re.compile(r"(file|local)://")
# A password may have a slash, though the standard forbids it.
_USER = re.compile(r"://(?:[^/\s]*|[^/\s@:]*:(?!:|\d{1,5}/)[^\s@]*)@")
# Signed URLs have their key in the query. No text is searched twice: it may be long, and come from a server.
_QUERY = re.compile(r"(https?://(?:(?!https?://)[^?\s])*)\?.*?(?=::|\s|$)", re.IGNORECASE)
_WORD = re.compile(r"\S+")
_NUMBERS = (
    (FileNotFoundError, errno.ENOENT),
    (PermissionError, errno.EACCES),
    (IsADirectoryError, errno.EISDIR),
    (TimeoutError, errno.ETIMEDOUT),
)


def is_url(data: object) -> bool:
    """Return whether this is a URL: a string that begins with a scheme, or schemes chained by `::`, and `://`."""
    return isinstance(data, str) and _URL.match(data) is not None


def masked(text: str) -> str:
    """Return a text without what may be secret in its URLs: user, password, and the query of http(s)."""
    if "@" in text:
        text = _WORD.sub(_without_users, text)
    return _QUERY.sub(r"\1?***", text)


def _without_users(word: re.Match[str]) -> str:
    before, at, behind = word[0].rpartition("@")  # so that each search for an "@" ends with one
    return _USER.sub("://***@", before + at) + behind


def check_options(data: object, options: object) -> None:
    """Check `storage_options`: a mapping, and given for a URL only.

    Raises:
        TypeError, ValueError: it is not. The message does not show the options.
    """
    if options is None:
        return
    if not isinstance(options, Mapping):
        raise TypeError(f"storage_options: expected a mapping, found {type(options).__name__}")
    if not is_url(data) or (options and _LOCAL.match(str(data))):
        raise ValueError("storage_options: they are for URLs of remote stores only")


def refuse_url(path: object, what: str, way: str = "load() it and dump() it") -> None:
    """Refuse a URL where a file is changed in place.

    Raises:
        ValueError: it is a URL.
    """
    if is_url(path):
        raise ValueError(f"{what}: expected a path, found a URL ({masked(str(path))}); {way}")


def import_fsspec() -> Any:
    """Return the module fsspec.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("URLs need fsspec", None, None, "pip install 'pickleseal[fsspec]'") from None
    return fsspec


def local_path(url: str) -> str | None:
    """Return the path that a `file://` or `local://` URL stands for, as fsspec reads it, or None for other URLs."""
    if _LOCAL.match(url) is None or "::" in url:
        return None
    import_fsspec()
    from fsspec.implementations.local import LocalFileSystem

    return str(LocalFileSystem._strip_protocol(url))


def os_error(exc: Exception, url: str) -> OSError:
    """Return a store's error as the `OSError` for its number. It names the URL without secrets."""
    number = exc.errno if isinstance(exc, OSError) and isinstance(exc.errno, int) and exc.errno else None
    if number is None:
        number = next((number for kind, number in _NUMBERS if isinstance(exc, kind)), errno.EIO)
    text = os.strerror(number)
    if number == errno.EIO or not isinstance(exc, OSError):
        text = f"{type(exc).__name__}: {error_text(exc, url)}".removesuffix(": ")
    return OSError(number, text, masked(url))


def error_text(exc: Exception, url: str) -> str:
    """Return the message of a store's error, without secrets."""
    return masked(text_of(exc).replace(url, masked(url))).strip()
