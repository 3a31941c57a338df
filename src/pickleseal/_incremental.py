"""`IncrementalReader`: reads one artifact from chunks that the caller gives it, as they come in.

It opens and waits for nothing, so it serves any transport: sockets, request bodies, message queues. This module only
says when which step of the reader algorithm can be taken; `_reading` has the steps. `_async` reads streams with it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, overload

from ._format.header import Header, fields_of
from ._format.preamble import PREAMBLE_SIZE, decode_preamble
from ._io.fed import FedSource
from ._policy import Policy, Trust, request_of
from ._reading import Accepted, accept, check_body, dry_run, load_accepted, name_packages
from ._typing import A, T
from .errors import ReadError

if TYPE_CHECKING:
    from ._typing import B, C, D, E, TypeForm, Untyped


__all__ = ["IncrementalReader"]


class IncrementalReader(Generic[T]):
    """Reads one artifact from chunks of any size, with the verdict that `unpack` has on all of the bytes.

    Each check is made as soon as its bytes are there, and a refusal is raised by the call that finds it:

    - with the first 64 bytes: format version, and `limits` on the length of the frame and of the header;
    - with the header: signatures, policy, expected type, trust and schemas (steps 1 to 15). So an upload is refused
      before its body is read;
    - with the last byte of each section: its checksum;
    - with the first byte after the frame: that there is one.

    No opcode runs before `finish`. It takes as much memory as was fed, and as compressed sections decode to, which
    `Limits(max_decoded=...)` bounds. Once the reader has refused its input or given its object, it takes nothing more.
    One thread at a time may use it. It keeps no quarantine and reports no events; `docs/ingestion.md` shows how a
    `Reader` does that for the bytes that came in.

    Args:
        policy: what is accepted; None: `Policy()`. Use `Policy(limits=Limits(max_frame=...))` for what strangers send.
        expect, trust, context: as for `unpack`.
        keep_buffers: false: buffers are checked and dropped. Then `accepts` can be called, and `finish` can't.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> reader = IncrementalReader(expect=list)
    >>> data = pack([1, 2])
    >>> reader.feed(data[:100])
    >>> reader.feed(data[100:])
    >>> reader.needed, reader.header.type
    (0, 'builtins:list')
    >>> reader.finish()
    [1, 2]
    """

    __slots__ = ("_accepted", "_header", "_keep_buffers", "_needed", "_request", "_source")

    if TYPE_CHECKING:

        @overload
        def __init__(
            self: "IncrementalReader[Any]",
            policy: Policy | None = None,
            *,
            expect: None = None,
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

        @overload
        def __init__(
            self: "IncrementalReader[A]",
            policy: Policy | None = None,
            *,
            expect: type[A],
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

        @overload
        def __init__(
            self: "IncrementalReader[A | B]",
            policy: Policy | None = None,
            *,
            expect: tuple[type[A], type[B]],
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

        @overload
        def __init__(
            self: "IncrementalReader[A | B | C]",
            policy: Policy | None = None,
            *,
            expect: tuple[type[A], type[B], type[C]],
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

        @overload
        def __init__(
            self: "IncrementalReader[A | B | C | D]",
            policy: Policy | None = None,
            *,
            expect: tuple[type[A], type[B], type[C], type[D]],
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

        @overload
        def __init__(
            self: "IncrementalReader[Any]",
            policy: Policy | None = None,
            *,
            expect: Untyped,
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

        @overload
        def __init__(
            self: "IncrementalReader[E]",
            policy: Policy | None = None,
            *,
            expect: TypeForm[E],
            trust: Trust = (),
            context: str | None = None,
            keep_buffers: bool = True,
        ) -> None: ...

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        expect: Any = None,
        trust: Trust = (),
        context: str | None = None,
        keep_buffers: bool = True,
    ) -> None:
        self._request = request_of(expect, trust, policy, context=context)
        self._keep_buffers = keep_buffers
        self._source: FedSource | None = FedSource(keep_buffers)
        self._accepted: Accepted | None = None
        self._header: Header | None = None
        self._needed = PREAMBLE_SIZE

    @property
    def needed(self) -> int:
        """How many bytes are missing for the next check, or to the end of the frame. None of them is one after it."""
        return self._needed

    @property
    def header(self) -> Header | None:
        """The header, once it was accepted (steps 1 to 15), also after a later refusal. None before."""
        return self._header

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Runs no opcode; the header's globals that are trusted are imported, as by `unpack`.

        Args:
            data: as many bytes as there are. They are copied where they can change.

        Raises:
            ReadError: the artifact is refused (steps 1 to 17 of spec section 11).
            TypeError: it is not bytes-like.
            ValueError: the reader has refused its input or given its object before.
        """
        view = memoryview(data if type(data) is bytes else _copied(data))
        self._or_close(lambda source: self._feed(source, view))

    def _feed(self, source: FedSource, view: memoryview) -> None:
        while view:
            part, view = view[: self._needed], view[self._needed :]
            self._needed -= len(part)
            accepted = self._accepted
            if accepted is None:
                source.head += part
                if not self._needed:
                    self._advance(source)
            elif part:
                source.feed(part)
            else:
                source.is_followed = True
                check_body(source, accepted.header)  # raises

    def _advance(self, source: FedSource) -> None:
        """Decide about the preamble, or about the header, when all bytes of it are there."""
        if len(source.head) == PREAMBLE_SIZE:
            self._needed = decode_preamble(bytes(source.head), self._request.policy.limits).head_len - PREAMBLE_SIZE
        else:
            self._accepted = accepted = accept(source, self._request)
            self._header = accepted.header
            self._needed = accepted.header.frame_len - len(source.head)
            source.begin(fields_of(accepted.header)["sections"])

    def accepts(self) -> Header:
        """Check everything that can be checked without unpickling, when all bytes were fed, and return the header.

        Steps 1 to 19 of spec section 11, and of step 20 what the policy's level checks before a payload runs. Imports
        what is trusted; runs no other code of the artifact. `finish` may follow.

        Raises:
            ReadError: the artifact is refused; `TruncatedError` if bytes are missing.
            ValueError: the reader has refused its input or given its object before.
        """

        def check(source: FedSource) -> Header:
            accepted = self._accepted or accept(source, self._request)  # without a header: truncated
            dry_run(accepted)
            return accepted.header

        return self._or_close(check)

    def finish(self) -> T:
        """Return the object, when all bytes were fed. Runs the code of the classes that are trusted, as `unpack` does.

        Raises:
            ReadError: the artifact is refused; `TruncatedError` if bytes are missing.
            ValueError: the reader has refused its input or given its object before, or keeps no buffers.
        """
        if not self._keep_buffers:
            raise ValueError("keep_buffers: this reader dropped the buffers; accepts() returns the header")

        def load(source: FedSource) -> Any:
            return load_accepted(self._accepted or accept(source, self._request))

        obj: T = self._or_close(load)
        self._close()
        return obj

    def _or_close(self, work: Callable[[FedSource], A]) -> A:
        """Call a function with the source. If it raises, drop the source, because the reader can't go on."""
        if self._source is None:
            raise ValueError("this reader has refused its input or given its object; use a new one")
        try:
            return work(self._source)
        except BaseException as exc:
            if isinstance(exc, ReadError) and self._accepted is not None:
                name_packages(exc, fields_of(self._accepted.header))
            self._close()
            raise

    def _close(self) -> None:
        self._source = self._accepted = None
        self._needed = 0


def _copied(data: object) -> bytes:
    try:
        return memoryview(data).tobytes()  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"data: expected bytes-like, found {type(data).__name__}") from None
