"""`receive` and `send`: artifacts over the streams of asyncio, and from any asynchronous iterable of bytes.

Thin shells over `IncrementalReader` and `pack_parts`, without a decision of their own. They call methods of what the
caller gives, so that neither asyncio nor a framework is imported.
"""

from collections.abc import AsyncIterable, Awaitable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, overload

from ._format.frame import Part
from ._incremental import IncrementalReader
from ._packing import PackOptions, pack_parts
from ._policy import Policy, Trust

if TYPE_CHECKING:
    from ._typing import A, B, C, D, E, TypeForm, Untyped

__all__ = ["receive", "send"]

_CHUNK = 1 << 16  # bytes that are read or written at once: asyncio's own limit and high-water mark


class _AsyncReadable(Protocol):
    """What `asyncio.StreamReader` is, and aiohttp's."""

    def read(self, count: int, /) -> Awaitable[bytes]: ...


class _AsyncWritable(Protocol):
    """What `asyncio.StreamWriter` is."""

    def write(self, data: bytes, /) -> object: ...

    def drain(self) -> Awaitable[None]: ...


if TYPE_CHECKING:

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: None = None,
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> Any: ...

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: type[A],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> A: ...

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: tuple[type[A], type[B]],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> A | B: ...

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: tuple[type[A], type[B], type[C]],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> A | B | C: ...

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: tuple[type[A], type[B], type[C], type[D]],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> A | B | C | D: ...

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: Untyped,
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> Any: ...

    @overload
    async def receive(
        stream: _AsyncReadable | AsyncIterable[bytes],
        *,
        expect: TypeForm[E],
        trust: Trust = (),
        policy: Policy | None = None,
        context: str | None = None,
    ) -> E: ...


async def receive(
    stream: _AsyncReadable | AsyncIterable[bytes],
    *,
    expect: Any = None,
    trust: Trust = (),
    policy: Policy | None = None,
    context: str | None = None,
) -> Any:
    """Read one artifact from a stream, and return its object. Arguments and guarantees as for `unpack`.

    The artifact is refused as early as an `IncrementalReader` can refuse it. By its policy, that is before the body is
    read; the body is then not read. Validating and unpickling run in the event loop, and no other task runs meanwhile.

    Args:
        stream: an object with an asynchronous `read(count)`, such as `asyncio.StreamReader`: one frame is read, and the
            stream is left right after it. At its end, a `TruncatedError` is raised whose `found` is 0. Or an
            asynchronous iterable of bytes, such as the body of a request: it must hold exactly one artifact.
        expect, trust, policy, context: as for `unpack`. `Limits(max_frame=...)` bounds the memory that a peer can take.

    Raises:
        ReadError: as for `unpack`.
        TypeError, ValueError: as for `unpack`, or `stream` is no such stream.
        Exception: what the stream raises. After that, and after a refusal, a cancellation or a timeout, the stream may
            be within a frame: close the connection. Of an artifact that did not arrive as a whole, nothing has run.

    >>> import asyncio
    >>> async def body():
    ...     yield pack({"id": 7})
    >>> asyncio.run(receive(body()))
    {'id': 7}
    """
    reader: IncrementalReader[Any] = IncrementalReader(policy, expect=expect, trust=trust, context=context)
    if hasattr(stream, "read"):
        while reader.needed:
            chunk: Any = stream.read(min(reader.needed, _CHUNK))
            if not isinstance(chunk, Awaitable):
                raise TypeError(
                    f"stream: expected an asynchronous read(), found {type(stream).__name__}; load() has it"
                )
            chunk = await chunk
            if not chunk:
                break
            reader.feed(chunk)
    elif isinstance(stream, AsyncIterable):
        async for chunk in stream:
            reader.feed(chunk)
    else:
        found = type(stream).__name__
        raise TypeError(f"stream: expected an asynchronous read() or an asynchronous iterable, found {found}")
    return reader.finish()


async def send(
    stream: _AsyncWritable,
    obj: Any,
    *,
    type: str | None = None,
    meta: Mapping[str, str] | None = None,
    context: str | None = None,
    options: PackOptions | None = None,
) -> None:
    """Pack an object, and write the artifact to a stream, at the speed at which the stream takes it.

    Packing runs in the event loop. Large arrays are not copied as a whole, so don't change the object before this
    returns: the receiver would refuse the artifact.

    Args:
        stream: an object with `write` and an asynchronous `drain`, such as `asyncio.StreamWriter`.
        obj, type, meta, context, options: as for `pack`.

    Raises:
        PackError, TypeError, ValueError: as for `pack`, before anything is written.
        Exception: what the stream raises. After that, and after a cancellation or a timeout, a part of the frame may be
            written: close the connection.

    `receive` has an example. Two tasks must not send on one stream at the same time.
    """
    for chunk in _chunks(pack_parts(obj, type=type, meta=meta, context=context, options=options)):
        stream.write(chunk)
        await stream.drain()


def _chunks(parts: Iterable[Part]) -> Iterator[bytes]:
    """Join small parts, and cut large ones. Each chunk is a copy: a transport keeps what it could not send at once."""
    chunk = bytearray()
    for part in parts:
        view = memoryview(part)
        while view:
            room = _CHUNK - len(chunk)
            chunk += view[:room]
            view = view[room:]
            if len(chunk) == _CHUNK:
                yield bytes(chunk)
                chunk.clear()
    if chunk:
        yield bytes(chunk)
