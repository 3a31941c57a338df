"""`repair`: cut off what an append left behind that did not finish (spec section 9.3)."""

import os

from ..atomic import naming
from ..errors import ReadError
from .tail import Tail
from .url import refuse_url

__all__ = ["repair"]


def repair(path: str | os.PathLike[str], *, drop_corrupt: bool = False) -> int:
    """Cut off the torn tail of a stream, and sync. Return the number of bytes that were cut off; 0: it was whole.

    Takes the lock that appends take, so nothing that is being written is touched. What is whole stays as it is,
    damage in front of the last frame too. Unpickles nothing.

    Args:
        drop_corrupt: also cut off what is at the end and is corrupt, not torn: frames that may have been acknowledged
            and were damaged since. Copy the file first.

    Raises:
        ReadError: the last frame is corrupt, and `drop_corrupt` is false; or the file is no stream.
        OSError: from the operating system; there is no such file.

    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "events.pseal")
    >>> append(path, "whole")
    >>> with open(path, "ab") as file:
    ...     _ = file.write(pack("torn")[:-1])
    >>> repair(path) > 0, list(iter_load(path))
    (True, ['whole'])
    """
    refuse_url(path, "path")
    tail = Tail(os.fsdecode(path), create=False)
    try:
        with naming(tail.path, over=True), tail.locked():
            return tail.validate(repair=True, drop_corrupt=drop_corrupt)
    except ReadError as exc:
        exc.path = tail.path
        raise
    finally:
        tail.close()
