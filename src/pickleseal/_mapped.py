"""`Mapped`: an artifact file whose arrays are views of a memory map.

`MapSource` in `_io.source` gives the bytes of the map; `_reading` decides what is accepted.
"""

import io
import os
from typing import Any

from ._format.header import Header
from ._io.atomic import naming
from ._io.source import MapSource
from ._io.url import is_url
from ._policy import Policy, Trust, request_of
from ._reading import accept, load_accepted
from .errors import ReadError

__all__ = ["Mapped", "check_verify"]


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
        if mmap not in ("r", "c"):
            raise ValueError(f'mmap: expected "r" or "c", found {mmap!r}')
        check_verify(verify)
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f"path: expected a path, found {type(path).__name__}: what is no path is loaded without mmap"
            )
        self.path = os.fsdecode(path)
        if is_url(self.path):
            raise ValueError("mmap: a URL can't be mapped: load it without mmap")
        request = request_of(expect, trust, policy)
        try:
            with naming(self.path), io.FileIO(self.path, opener=_open) as file:
                source = MapSource(file, mmap, copies=_needs_copies(request.policy), unchecked=verify == "header")
                accepted = accept(source, request)
                self.header = accepted.header
                self._object = load_accepted(accepted)
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
            self._opened().check_views()
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
