"""Files that hold keys: read only where nobody else could, written for their owner alone."""

import errno
import os
import stat
from collections.abc import Callable

from .atomic import naming, replace_with, write_all

__all__ = ["read_key_file", "write_key_file"]

_LARGEST = 1 << 20


def read_key_file(path: str) -> tuple[str, Callable[[bool], None]]:
    """Return a file's text, and the check of its permissions, which is told whether the text holds secrets.

    The check is about the file that was opened, whatever the path leads to by then.

    Raises:
        OSError: from the operating system.
        ValueError: the file is too large to hold keys.
    """
    with naming(path), open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        data = b""
        while len(data) <= _LARGEST:
            chunk = file.read(_LARGEST + 1)
            if not chunk:
                break
            data += chunk
    if len(data) > _LARGEST:
        raise ValueError(f"{path}: larger than {_LARGEST} bytes: not a file of keys")

    def check(has_secrets: bool) -> None:
        if os.name == "posix":
            _check(path, status, has_secrets)

    return data.decode("ascii", "replace"), check  # what is not ASCII is no key


def _check(path: str, status: os.stat_result, has_secrets: bool) -> None:
    mode, problem = stat.S_IMODE(status.st_mode), None
    if status.st_uid not in (os.geteuid(), 0):
        problem = f"belongs to user {status.st_uid}, who could put other keys in it: chown it"
    elif has_secrets and mode & 0o066:
        problem = f"holds secrets and has mode {mode:03o}, which gives others access: chmod 600"
    elif mode & 0o022:
        problem = f"has mode {mode:03o}, so others could put their own keys in it: chmod go-w"
    if problem is not None:
        raise PermissionError(errno.EACCES, problem, path)


def write_key_file(path: str, text: str) -> None:
    """Replace a file by one of mode 600, atomically and durably.

    Raises:
        OSError: from the operating system; a file that was there is left as it was, unless only the last sync of the
            folder failed.
    """
    data = text.encode("ascii")
    replace_with(path, len(data), lambda descriptor: write_all(descriptor, [data]), mode=0o600)
