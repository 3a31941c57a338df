"""Artifacts in memory maps: buffers stay in the file, and arrays are views of them. The reader's view is `MapSource`.

Header and pickle are read, not mapped: they are copied before they are judged, so nothing changes between check and
use, and a file that is cut off in the meantime is a refusal. Only buffers lie in the map, hashed where they lie; one
that the policy wants private is read as without a map.
"""

import errno
import io
import mmap as maps  # `mmap` is an argument here
import os
import stat
import sys
from typing import Any, NamedTuple

from ._format.frame import SectionCheck, padding_of
from ._format.header import Header
from ._io.atomic import naming
from ._io.hashing import Crew, judge_section, pays
from ._io.source import FileSource
from ._io.url import is_url
from ._policy import Policy, check_is_policy, refuse_batch
from ._reading import Trust, read_body, read_judged, trusted_by
from .errors import ReadError, TruncatedError

__all__ = ["MapSource", "Mapped"]

_ACCESS = {"r": maps.ACCESS_READ, "c": maps.ACCESS_COPY}
_POPULATE_FROM = 1 << 20
_PIECE = 1 << 26  # so that of a file larger than memory, what is hashed next is there
_MADV_POPULATE_READ = 22  # Linux 5.14; the module `mmap` lacks it
_OPTIONS: dict[str, Any] = {"trackfd": False} if sys.version_info >= (3, 13) and os.name == "posix" else {}


class _Lying(NamedTuple):
    """A buffer that lies in the map."""

    number: int
    entry: dict[str, Any]
    start: int


class MapSource(FileSource):
    """One artifact file, whose buffers are handed over as views of a map.

    Args:
        file: a regular file, at its beginning.
        mode: `"r"` or `"c"`.
        copies: whether buffers are private copies all the same.
        defers: whether views are handed over unchecked. `judge_views` checks them.

    Raises:
        ValueError: not a regular file.
    """

    def __init__(self, file: io.FileIO, mode: str, *, copies: bool, defers: bool) -> None:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("mmap: a pipe or a device can't be mapped: load it without mmap")
        super().__init__(file, whole=True)
        self.readonly = mode == "r"
        self._access = _ACCESS[mode]
        self._copies = copies
        self._defers = defers
        self._size = self._left or 0  # where it is empty, no map is made
        self._views: list[_Lying] = []
        self._map: maps.mmap | None = None

    def section(self, index: int, entry: dict[str, Any], keep: bool) -> Any:
        if index == 0 or not keep or self._copies or "codec" in entry:
            return super().section(index, entry, keep)
        length = entry["len"]
        end = self._check_there(index, length)
        lying = _Lying(index, entry, end - padding_of(length) - length)
        if self._map is None:
            self._map = self._mapped(index, end)
        self._file.seek(end)
        self._advance(end - lying.start)
        self._views.append(lying)
        if not self._defers:
            _judge(self._map, lying, self.crew)
        return memoryview(self._map)[lying.start : lying.start + length]

    def _mapped(self, index: int, end: int) -> maps.mmap:
        try:
            return maps.mmap(self._file.fileno(), self._size, access=self._access, **_OPTIONS)
        except ValueError:  # cut off since it was opened
            size, where = os.fstat(self._file.fileno()).st_size, f"sections[{index}]"
            raise TruncatedError("the input ends within a section", end, size, None, where).at(16) from None

    def judge_views(self) -> None:
        """Check all views as step 16 does, as they are now."""
        mapped, views = self._map, self._views  # another thread may close this meanwhile
        if mapped is None:
            return
        entries = [lying.entry for lying in views]
        if "sha256" in entries[0] and pays(entry["len"] for entry in entries):
            with Crew() as crew:
                for lying in views:
                    _judge(mapped, lying, crew)
        else:
            for lying in views:
                _judge(mapped, lying, None)

    def close(self) -> None:
        """Let go of the map, which is unmapped when the last view is gone.

        Never by `mmap.close`: an array refers to its map without holding its buffer, so that would not be refused.
        """
        self._map, self._views = None, []


def _judge(mapped: maps.mmap, lying: _Lying, crew: Crew | None) -> None:
    number, entry, start = lying
    length = entry["len"]
    whole = memoryview(mapped)
    stored, padding = whole[start : start + length], mapped[start + length : start + length + padding_of(length)]
    if length < _POPULATE_FROM or "sha256" in entry:
        judge_section(crew, number, entry, stored, padding)
        return
    check = SectionCheck(number, entry)
    for done in range(0, length, _PIECE):
        piece = stored[done : done + _PIECE]
        if not _populate(mapped, start + done, len(piece)):
            end = start + length + padding_of(length)
            raise TruncatedError("the file was cut off under its map", end, where=f"sections[{number}]").at(16)
        check.update(piece)
    check.finish(padding)


def _populate(mapped: maps.mmap, start: int, length: int) -> bool:
    """Have Linux map pages in one go, not in thousands of page faults. Tell whether they are there, as far as known."""
    if sys.platform == "linux":
        begin = start // maps.PAGESIZE * maps.PAGESIZE
        try:
            mapped.madvise(_MADV_POPULATE_READ, begin, start - begin + length)
        except OSError as exc:
            return exc.errno != errno.EFAULT  # it would be SIGBUS; EINVAL before Linux 5.14: slower, and as correct
    return True


class Mapped:
    """An artifact file whose arrays are views of a memory map: nothing is read that is not used.

    Header and pickle are read and judged as by `load`. Buffers stay where they are, aligned to 64 bytes, and are hashed
    there before anything is unpickled; or, with `verify="header"`, when `verify` is called. Where the policy says that
    the source is not to be relied on (levels `strict` and `signed`, `isolated`, or `keys`) each buffer is a private
    copy, read and checked as by `load`, as whoever may write to the file could change it under the map. So is one that
    is compressed.

    The map lives as long as an array refers to it, longer than this if need be. While it does, the file must not be
    cut off: using what is gone ends the process with SIGBUS. What is written into the file shows in the arrays. `dump`
    does neither: it puts a new file in the place of the old one, which stays as long as it is mapped. Windows
    refuses to replace or remove a mapped file.

    Args:
        path: a file of exactly one artifact, on this machine.
        mmap: `"r"`: buffers are read-only, all of them. `"c"`: they are writable as they were when written; what is
            written to them stays in this process, and never reaches the file.
        verify: `"full"`: everything is checked first. `"header"`: checksums and padding of mapped buffers are not.
        expect, trust, policy: as for `unpack`.

    Attributes:
        header: what `peek` returns.
        path: as it was given, as text.

    Raises:
        ReadError: as for `load`; without damage in mapped buffers where `verify="header"`.
        TypeError: not a path.
        ValueError: `mmap` or `verify` is not what it should be; a pipe, a device or a URL, which can't be mapped.
        OSError: from the operating system; some file systems can't map.

    The code of trusted classes runs, as with `unpack`. Spec sections 8 and 11.

    >>> import os, pickle, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "large.pseal")
    >>> dump(pickle.PickleBuffer(bytes(100_000)), path)
    >>> with Mapped(path, verify="header") as mapped:
    ...     mapped.verify().type, len(mapped.object)
    ('pickle:PickleBuffer', 100000)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        mmap: str = "r",
        verify: str = "full",
        expect: type[Any] | str | None = None,
        trust: Trust = (),
        policy: Policy | None = None,
    ) -> None:
        if mmap not in _ACCESS:
            raise ValueError(f'mmap: expected "r" or "c", found {mmap!r}')
        check_verify(verify)
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f"path: expected a path, found {type(path).__name__}: what is no path is loaded without mmap"
            )
        self.path = os.fsdecode(path)
        if is_url(self.path):
            raise ValueError("mmap: a URL can't be mapped: load it without mmap")
        policy = check_is_policy(policy)
        trusted = trusted_by(trust, expect)
        try:
            with naming(self.path), io.FileIO(self.path, opener=_open) as file:
                source = MapSource(file, mmap, copies=_needs_copies(policy), defers=verify == "header")
                self.header, judged = read_judged(source, expect, trusted, policy)
                refuse_batch(self.header._fields, expect)
                self._object = read_body(source, self.header, judged, expect, policy)
        except ReadError as exc:
            exc.path = self.path
            raise
        self._source: MapSource | None = source

    @property
    def object(self) -> Any:
        """The object.

        Raises:
            ValueError: this is closed.
        """
        self._opened()
        return self._object

    def verify(self) -> Header:
        """Hash the buffers of this very map, as they are now, and return the header. Runs no code.

        After `verify="header"` this is what was left out; after `"full"` it tells whether somebody wrote into the file
        since. Changes of one's own count too: with `mmap="c"` verify first. Private copies were checked already.

        Raises:
            SectionChecksumError, SectionPaddingError: a buffer is not what was written; spec section 11, step 16.
            ValueError: this is closed.
        """
        try:
            self._opened().judge_views()
        except ReadError as exc:
            exc.path = self.path
            raise
        return self.header

    def close(self) -> None:
        """Let go of object and map. Arrays that somebody else has stay valid, and keep the map."""
        source, self._source, self._object = self._source, None, None
        if source is not None:
            source.close()

    def _opened(self) -> MapSource:
        if self._source is None:
            raise ValueError(f"{self.path}: closed; what is to be used afterwards has to be taken out before")
        return self._source

    def __enter__(self) -> "Mapped":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Mapped {self.path!r}{', closed' if self._source is None else ''}>"


def check_verify(verify: str) -> None:
    """Refuse what is no way to verify.

    Raises:
        ValueError: it is neither.
    """
    if verify not in ("full", "header"):
        raise ValueError(f'verify: expected "full" or "header", found {verify!r}')


def _needs_copies(policy: Policy) -> bool:
    """Tell whether what was verified has to be what is used, though others may write to the file."""
    return policy.level in ("strict", "signed") or policy.isolated or policy.keys is not None


def _open(path: str, flags: int) -> int:
    """Open a file; a pipe that nobody writes to is opened, too, and not waited for, so that it can be refused."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
