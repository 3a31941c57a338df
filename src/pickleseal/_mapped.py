"""`Mapped`: an artifact file whose arrays are views of a memory map.

`MapSource` in `_io.source` gives the bytes of the map; `_reading` decides what is accepted.
"""

import io
import os
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

from ._format.header import Header, fields_of
from ._io.atomic import naming
from ._io.source import MapSource, open_at_once
from ._io.url import is_url
from ._policy import Policy, Trust, request_of
from ._reading import accept, load_accepted, name_packages
from ._typing import T
from .errors import ReadError

if TYPE_CHECKING:
    from ._typing import A, B, C, D, E, TypeForm, Untyped

MapMode = Literal["r", "c"]
Verification = Literal["full", "header"]


class Mapped(Generic[T]):
    """An artifact file whose arrays are views of a memory map: pages that are not used are not read.

    Header and pickle are read and checked as by `load`. Buffers stay in the file, aligned to 64 bytes. They are hashed
    before anything is unpickled or, with `verify="header"`, when `verify` is called. A private copy is made of each
    buffer, read and checked as by `load`, if the policy does not trust the source (levels `strict` and `signed`,
    `isolated`, or `keys`): whoever may write to the file could otherwise change a buffer after its check. A compressed
    buffer is always a private copy.

    The map lives as long as an array refers to it, even after this object is closed. During that time the file must not
    be cut off: the use of a missing page ends the process with SIGBUS. Changes of the file show in the arrays. `dump`
    is safe: it replaces the file by a new one, and the old one stays as long as it is mapped. Windows refuses to
    replace or remove a mapped file.

    Args:
        path: a file of exactly one artifact, on this machine.
        mmap: `"r"`: all buffers are read-only. `"c"`: buffers are writable if they were when they were packed; changes
            stay in this process, and never reach the file.
        verify: `"full"`: everything is checked first. `"header"`: everything but checksums and padding of mapped
            buffers.
        expect, trust, policy, context: as for `unpack`.

    Attributes:
        header: what `peek` returns.
        path: as it was given, as text.

    Raises:
        ReadError: as for `load`. With `verify="header"`, damage in mapped buffers is not noticed.
        TypeError: `path` is not a path.
        ValueError: `mmap` or `verify` has an unknown value, or `path` names a pipe, a device or a URL.
        OSError: from the operating system; some file systems can't map files.

    The code of trusted classes runs, as with `unpack`. Spec sections 8 and 11.

    >>> import os, pickle, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "large.pseal")
    >>> dump(pickle.PickleBuffer(bytes(100_000)), path)
    >>> with Mapped(path, verify="header") as mapped:
    ...     mapped.verify().type, len(mapped.object)
    ('pickle:PickleBuffer', 100000)
    """

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: "Mapped[Any]",
            path: str | os.PathLike[str],
            *,
            expect: None = None,
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Mapped[A]",
            path: str | os.PathLike[str],
            *,
            expect: type[A],
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Mapped[A | B]",
            path: str | os.PathLike[str],
            *,
            expect: tuple[type[A], type[B]],
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Mapped[A | B | C]",
            path: str | os.PathLike[str],
            *,
            expect: tuple[type[A], type[B], type[C]],
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Mapped[A | B | C | D]",
            path: str | os.PathLike[str],
            *,
            expect: tuple[type[A], type[B], type[C], type[D]],
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Mapped[Any]",
            path: str | os.PathLike[str],
            *,
            expect: Untyped,
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

        @overload
        def __init__(
            self: "Mapped[E]",
            path: str | os.PathLike[str],
            *,
            expect: TypeForm[E],
            mmap: MapMode = "r",
            verify: Verification = "full",
            trust: Trust = (),
            policy: Policy | None = None,
            context: str | None = None,
        ) -> None: ...

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        expect: Any = None,
        mmap: MapMode = "r",
        verify: Verification = "full",
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> None:
        if mmap not in ("r", "c"):
            raise ValueError(f'mmap: expected "r" or "c", found {mmap!r}')
        if verify not in ("full", "header"):
            raise ValueError(f'verify: expected "full" or "header", found {verify!r}')
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f"path: expected a path, found {type(path).__name__}: what is no path is loaded without mmap"
            )
        self.path: str = os.fsdecode(path)
        if is_url(self.path):
            raise ValueError("mmap: a URL can't be mapped: load it without mmap")
        request = request_of(expect, trust, policy, context=context)
        try:
            with naming(self.path), io.FileIO(self.path, opener=open_at_once) as file:
                source = MapSource(file, mmap, copies=_needs_copies(request.policy), unchecked=verify == "header")
                accepted = accept(source, request)
                self.header: Header = accepted.header
                self._object = load_accepted(accepted)
        except ReadError as exc:
            exc.path = self.path
            raise
        self._source: MapSource | None = source

    @property
    def object(self) -> T:
        """The object.

        Raises:
            ValueError: this is closed.
        """
        self._opened()
        obj: T = self._object
        return obj

    def verify(self) -> Header:
        """Hash the buffers of this map as they are now, and return the header. Runs no code.

        After `verify="header"` this makes up for the skipped checks. After `"full"` it finds later changes of the file.
        With `mmap="c"`, verify before you change a buffer, as your changes count too. Private copies were checked when
        they were made.

        Raises:
            SectionChecksumError, SectionPaddingError: a buffer is not as it was written (spec section 11, step 16).
            ValueError: this is closed.
        """
        try:
            self._opened().check_views()
        except ReadError as exc:
            name_packages(exc, fields_of(self.header))
            exc.path = self.path
            raise
        return self.header

    def close(self) -> None:
        """Let go of object and map. Arrays that are still referred to stay valid, and keep the map."""
        source, self._source, self._object = self._source, None, None
        if source is not None:
            source.close()

    def _opened(self) -> MapSource:
        if self._source is None:
            raise ValueError(f"{self.path}: closed: take out what you need before you close it")
        return self._source

    def __enter__(self) -> "Mapped[T]":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Mapped {self.path!r}{', closed' if self._source is None else ''}>"


def _needs_copies(policy: Policy) -> bool:
    """Return whether the checked bytes must be the ones that are used, even if others can write to the file."""
    return policy.level in ("strict", "signed") or policy.isolated or policy.keys is not None
