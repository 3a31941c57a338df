"""Which files hold what a follower has not read yet, after the file that it reads was rotated or emptied.

Rotation renames a file (`NAME` becomes `NAME.1`, and `NAME.1` becomes `NAME.2`), or copies it and empties it
(copytruncate). Between two looks of a follower this may happen several times. So the follower looks at the files beside
the stream whose names begin with its name. It knows each file by its first frame, which no two streams share: neither
names nor numbers of files say which one it is.
"""

import io
import os
import stat
import struct
from contextlib import suppress
from typing import NamedTuple

from .._format.frame import decode_head
from .._format.limits import Limits
from .._format.preamble import PREAMBLE_SIZE, Preamble, decode_preamble
from .._io.source import open_at_once, read_at
from ..errors import ReadError
from .index import INDEX_ENDING

_LIMITS = Limits()
_AFTER_NAME = ".-_"  # what may follow the name of the stream in that of a rotated file: events.pseal.1
_LOOKS = 20  # at the folder, while files are renamed


class Mark(NamedTuple):
    """A few bytes that show whether a file still has what was read of it: where they are, and what they are."""

    offset: int
    data: bytes

    def is_in(self, descriptor: int) -> bool:
        """Return whether a file has these bytes there."""
        return read_at(descriptor, len(self.data), self.offset) == self.data


def mark_of(offset: int, preamble: Preamble) -> Mark:
    """Return what shows that a frame is at an offset: three fields of its preamble (spec 4.1), the first a checksum."""
    return Mark(offset + 32, struct.pack("<QQQ", preamble.header_xxh3, preamble.stream_id, preamble.seq))


class FirstFrame(NamedTuple):
    """The first frame of a file.

    Attributes:
        identity: what tells its stream from others, also if it was rewritten, with signatures for example.
        created: when it was made.
        mark: what shows that the file still has it.
    """

    identity: int | bytes
    created: str
    mark: Mark


class Found(NamedTuple):
    """A file that was found: open, how long it was, and its first frame."""

    file: io.FileIO
    size: int
    first: FirstFrame


class Siblings:
    """The files beside a stream that may hold records of it, and which of them were read.

    Files that are there at the start count as read: a follower begins with what the path names.

    Args:
        path: of the stream, absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: set[int | bytes] = set()
        self._owner: int | None = None
        for found in self.look():
            self._read.add(found.first.identity)
            found.file.close()

    def note_owner(self, file: io.FileIO) -> None:
        """Remember whose stream it is: others may put files into a shared folder."""
        self._owner = os.fstat(file.fileno()).st_uid

    def note_read(self, first: FirstFrame) -> None:
        """Remember that a file was read to its end."""
        self._read.add(first.identity)

    def is_read(self, first: FirstFrame) -> bool:
        """Return whether a file was read to its end, or was there before."""
        return first.identity in self._read

    def look(self) -> list[Found]:
        """Open all files that hold a stream of this name, each stream once, in the order in which they began.

        Of a stream that is in several files, the longest is taken: a copy may not be complete yet.
        """
        found: dict[int | bytes, Found] = {}
        there: set[tuple[int, int]] = set()
        for _ in range(_LOOKS):  # until two looks see the same: files may be renamed while the folder is listed
            before_this, there = there, set()
            for file in [*self._open(self._path), *self._open_all()]:
                status, first = os.fstat(file.fileno()), first_frame(file)
                there.add((status.st_dev, status.st_ino))
                before = None if first is None else found.get(first.identity)
                if (
                    first is None
                    or (self._owner is not None and status.st_uid != self._owner)
                    or (before is not None and before.size >= status.st_size)
                ):
                    file.close()
                    continue
                if before is not None:
                    before.file.close()
                found[first.identity] = Found(file, status.st_size, first)
            if there == before_this:
                break
        return sorted(found.values(), key=lambda each: each.first.created)

    def _open_all(self) -> list[io.FileIO]:
        """Open all files beside the stream that have its name and something behind it."""
        folder, name = os.path.split(self._path)
        paths: list[str] = []
        with suppress(OSError), os.scandir(folder) as entries:
            paths = [
                entry.path
                for entry in entries
                if entry.name.startswith(name)
                and entry.name[len(name) : len(name) + 1] in _AFTER_NAME
                and not entry.name.endswith(INDEX_ENDING)
            ]
        return [file for path in paths if path != self._path for file in self._open(path)]

    @staticmethod
    def _open(path: str) -> list[io.FileIO]:
        """Open a regular file. Return nothing for anything else, and if it can't be opened."""
        with suppress(OSError):
            file = io.FileIO(path, opener=open_at_once)
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return [file]
            file.close()
        return []


def first_frame(file: io.FileIO) -> FirstFrame | None:
    """Return the first frame of a file, or None if the file does not begin with a frame whose header is right."""
    try:
        start = read_at(file.fileno(), PREAMBLE_SIZE, 0)
        preamble = decode_preamble(start, _LIMITS)
        head = read_at(file.fileno(), preamble.head_len, 0)[PREAMBLE_SIZE:]
        created = decode_head(preamble, head, _LIMITS, None).created
    except (ReadError, OSError):
        return None
    return FirstFrame(preamble.stream_id or start, created, mark_of(0, preamble))
