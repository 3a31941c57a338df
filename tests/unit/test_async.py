"""`receive` and `send` over real sockets, and from asynchronous iterables."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import canary
import pytest

from pickleseal import Limits, Policy, dump, load, pack, peek, receive, send
from pickleseal.errors import (
    LimitExceededError,
    PackError,
    ReadError,
    SectionChecksumError,
    TrailingBytesError,
    TruncatedError,
    TypeMismatchError,
)


class Tripping:
    def __reduce__(self) -> Any:
        return canary.trip, ()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(client: Callable[[Streams], Awaitable[Any]], server: Callable[[Streams], Awaitable[Any]]) -> Any:
    """Run both ends of a connection over the loopback, and return what each returns."""
    accepted: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()

    async def on_connection(*streams: Any) -> None:
        accepted.set_result(streams)

    listening = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    try:
        near = await asyncio.open_connection(*listening.sockets[0].getsockname())
        far = await accepted
        try:
            return await asyncio.wait_for(asyncio.gather(client(near), server(far)), 30)
        finally:
            for _, writer in (near, far):
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for _, writer in (near, far)), return_exceptions=True)
    finally:
        listening.close()
        await listening.wait_closed()


async def body(data: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
    yield b""  # as ASGI servers end a body


def test_objects_go_both_ways_one_after_the_other() -> None:
    values = [{"id": 7}, "x" * 300_000, [], bytearray(200_000)]

    async def client(streams: Streams) -> list[Any]:
        reader, writer = streams
        for value in values:
            await send(writer, value)
        return [await receive(reader) for _ in values]

    async def server(streams: Streams) -> None:
        reader, writer = streams
        for _ in values:
            await send(writer, await receive(reader))
        writer.write_eof()
        with pytest.raises(TruncatedError) as caught:
            await receive(reader)
        assert caught.value.found == 0

    async def client_then_eof(streams: Streams) -> list[Any]:
        got = await client(streams)
        streams[1].write_eof()
        return got

    assert asyncio.run(connected(client_then_eof, server))[0] == values


def test_the_bytes_are_those_of_pack_parts() -> None:
    numpy = pytest.importorskip("numpy")
    value = [numpy.arange(100_000), numpy.zeros(20_000)]

    async def client(streams: Streams) -> None:
        await send(streams[1], value, meta={"team": "risk"})
        streams[1].write_eof()

    async def server(streams: Streams) -> bytes:
        return await streams[0].read()

    data = asyncio.run(connected(client, server))[1]
    assert peek(data).meta["team"] == "risk"
    assert len(data) == peek(data).frame_len
    assert all(map(numpy.array_equal, load(io.BytesIO(data)), value))


def test_what_was_sent_does_not_change_with_the_object() -> None:
    """A transport keeps what the socket does not take at once."""
    numpy = pytest.importorskip("numpy")
    value = numpy.ones(2_000)  # below the high-water mark: drain does not wait

    async def client(streams: Streams) -> None:
        streams[1].transport.pause_reading()
        for _ in range(100):
            await send(streams[1], value)
            value[:] = value + 1
        value[:] = 0

    async def server(streams: Streams) -> list[float]:
        await asyncio.sleep(0.1)
        return [(await receive(streams[0]))[0] for _ in range(100)]

    assert asyncio.run(connected(client, server))[1] == [float(n) for n in range(1, 101)]


def test_a_slow_receiver_holds_the_sender_back() -> None:
    sent: list[int] = []

    class Stalled:
        def write(self, data: bytes) -> None:
            assert type(data) is bytes
            sent.append(len(data))

        async def drain(self) -> None:
            if sum(sent) > 500_000:
                await asyncio.sleep(3600)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(send(Stalled(), bytes(5_000_000)), 0.05)

    asyncio.run(main())
    assert sum(sent) < 600_000
    assert max(sent) <= 65_536


def test_what_cannot_be_packed_writes_nothing() -> None:
    class Untouched:
        def write(self, data: bytes) -> None:
            raise AssertionError("written")

        async def drain(self) -> None:
            raise AssertionError("drained")

    with pytest.raises(PackError):
        asyncio.run(send(Untouched(), lambda: 0))


def test_a_small_artifact_is_one_write() -> None:
    writes: list[bytes] = []

    class Sink:
        write = staticmethod(writes.append)

        async def drain(self) -> None:
            pass

    asyncio.run(send(Sink(), {"id": 7}))
    assert len(writes) == 1


class TestReceive:
    @pytest.mark.parametrize("size", [1, 64, 1 << 20])
    def test_an_asynchronous_iterable_is_one_artifact(self, size: int) -> None:
        assert asyncio.run(receive(body(pack([1, 2]), size), expect=list)) == [1, 2]
        with pytest.raises(TrailingBytesError):
            asyncio.run(receive(body(pack([1, 2]) + b"x", size)))
        with pytest.raises(TruncatedError):
            asyncio.run(receive(body(pack([1, 2])[:-1], size)))

    def test_an_upload_is_refused_before_its_body_is_read(self) -> None:
        data = pack(bytes(1_000_000))
        for policy, error in (
            ({"policy": Policy(limits=Limits(max_frame=1000))}, LimitExceededError),
            ({"expect": dict}, TypeMismatchError),
        ):
            taken: list[int] = []

            async def upload(taken: list[int] = taken) -> AsyncIterator[bytes]:
                async for chunk in body(data, 64):
                    taken.append(len(chunk))
                    yield chunk

            with pytest.raises(error):
                asyncio.run(receive(upload(), **policy))
            assert sum(taken) < 1000

    def test_a_damaged_body_is_refused(self) -> None:
        data = bytearray(pack(bytes(1000)))
        data[-100] ^= 1
        with pytest.raises(SectionChecksumError):
            asyncio.run(receive(body(bytes(data))))

    def test_a_cancelled_read_runs_nothing(self) -> None:
        before = canary.tripped
        data = pack(Tripping())

        async def client(streams: Streams) -> None:
            streams[1].write(data[:-1])
            await streams[1].drain()
            await asyncio.sleep(0.2)
            streams[1].write(data[-1:])

        async def cancelled(streams: Streams) -> None:
            task = asyncio.ensure_future(receive(streams[0], trust=[canary.trip]))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        async def whole(streams: Streams) -> None:
            assert await receive(streams[0], trust=[canary.trip]) == "tripped"

        asyncio.run(connected(client, cancelled))
        assert canary.tripped == before
        asyncio.run(connected(client, whole))
        assert canary.tripped == before + 1

    def test_a_lost_connection_is_truncated(self) -> None:
        async def client(streams: Streams) -> None:
            streams[1].write(pack(bytes(100_000))[:50_000])
            await streams[1].drain()
            streams[1].close()

        async def server(streams: Streams) -> int:
            with pytest.raises(TruncatedError) as caught:
                await receive(streams[0])
            assert isinstance(caught.value.found, int)
            return caught.value.found

        assert asyncio.run(connected(client, server))[1] == 50_000

    def test_other_errors_of_the_stream_pass_through(self) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield pack(1)[:70]
            raise ConnectionResetError("gone")

        with pytest.raises(ConnectionResetError):
            asyncio.run(receive(broken()))

    @pytest.mark.parametrize("wrong", [b"bytes", io.BytesIO(b"x"), [b"x"], None])
    def test_what_is_no_asynchronous_stream_is_a_type_error(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="asynchronous"):
            asyncio.run(receive(wrong))

    def test_many_connections_at_once(self) -> None:
        async def one(number: int) -> bool:
            value = {"number": number, "data": "x" * number * 1000}

            async def client(streams: Streams) -> None:
                await send(streams[1], value)

            async def server(streams: Streams) -> Any:
                return await receive(streams[0], expect=dict)

            return (await connected(client, server))[1] == value

        async def main() -> list[bool]:
            return await asyncio.gather(*map(one, range(30)))

        assert all(asyncio.run(main()))


def test_a_stream_of_dumped_artifacts_is_received() -> None:
    file = io.BytesIO()
    for value in ("first", "second"):
        dump(value, file)

    async def main() -> list[Any]:
        reader = asyncio.StreamReader()
        reader.feed_data(file.getvalue())
        reader.feed_eof()
        found = []
        while True:
            try:
                found.append(await receive(reader))
            except ReadError as exc:
                assert exc.found == 0
                return found

    assert asyncio.run(main()) == ["first", "second"]
