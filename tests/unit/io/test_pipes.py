"""Pipes and sockets, real ones: both ways, in pieces of any size, with a far side that goes away."""

import os
import pickle
import random
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _helpers.support import ROOT
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import errors

BUFFER = random.Random(5).randbytes(3_000_000)  # beyond what a pipe or a socket takes at once
OBJECTS: list[Any] = [{"id": 7}, ["x" * 100_000], pickle.PickleBuffer(BUFFER), None, "日" * 50_000]
SMALL = pickleseal.pack({"id": 7, "rows": [1, 2, 3]})
LARGE = pickleseal.pack(["x" * 20_000, pickle.PickleBuffer(BUFFER[:200_000])])


def plain(obj: Any) -> Any:
    return bytes(obj) if isinstance(obj, memoryview | pickle.PickleBuffer) else obj


def again(obj: Any) -> Any:
    """Make what was loaded ready to be packed: a view has to be wrapped."""
    return pickle.PickleBuffer(obj) if isinstance(obj, memoryview) else obj


@contextmanager
def running(work: Callable[[], object]) -> Iterator[None]:
    """Do some work in a thread, and wait for it. What it raises fails the test."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join(30)
        assert not thread.is_alive()


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Give both ends of a TCP connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    for end in (near, far):
        end.settimeout(10)
    with near, far:
        yield near, far


@contextmanager
def piped(buffering: int = -1) -> Iterator[tuple[Any, Any]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering) as back, os.fdopen(writing, "wb", buffering) as out:
        yield back, out


class TestPipes:
    @pytest.mark.parametrize("buffering", [0, -1])
    def test_one_artifact_after_the_other(self, buffering: int) -> None:
        with piped(buffering) as (back, out):

            def send() -> None:
                for obj in OBJECTS:
                    pickleseal.dump(obj, out)
                out.close()

            with running(send):
                assert [plain(pickleseal.load(back)) for _ in OBJECTS] == [plain(obj) for obj in OBJECTS]
                with pytest.raises(errors.TruncatedError) as caught:
                    pickleseal.load(back)
        assert (caught.value.found, caught.value.missing) == (0, 64)

    def test_each_is_verified_or_peeked_at(self) -> None:
        with piped() as (back, out):

            def send() -> None:
                out.write(LARGE + LARGE)
                out.close()

            with running(send):
                assert pickleseal.verify(back) == pickleseal.peek(LARGE)
                header = pickleseal.peek(back)
                assert len(back.read()) == header.frame_len - header.preamble.head_len

    def test_a_process_answers(self) -> None:
        code = """if True:
            import pickle, sys, pickleseal
            for _ in range(5):
                obj = pickleseal.load(sys.stdin.buffer)
                obj = pickle.PickleBuffer(obj) if isinstance(obj, memoryview) else obj
                pickleseal.dump(obj, sys.stdout.buffer)
                sys.stdout.flush()
        """
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for obj in OBJECTS:
                pickleseal.dump(obj, process.stdin)  # type: ignore[arg-type]
                process.stdin.flush()
                assert plain(pickleseal.load(process.stdout)) == plain(obj)  # type: ignore[arg-type]
            assert process.wait(30) == 0

    @pytest.mark.parametrize("read", [pickleseal.load, pickleseal.verify])
    @pytest.mark.parametrize(
        "obj", ["x" * 64_000_000, pickle.PickleBuffer(bytes(64_000_000))], ids=["pickle", "buffer"]
    )
    def test_a_declared_length_allocates_nothing(self, read: Callable[[Any], Any], obj: Any) -> None:
        data = b"".join(bytes(part[:50_000]) for part in pickleseal.pack_parts(obj))[:50_000]
        with piped(0) as (back, out):
            out.write(data)
            out.close()
            tracemalloc.start()
            try:
                with pytest.raises(errors.TruncatedError):
                    read(back)
                assert tracemalloc.get_traced_memory()[1] < 2_000_000
            finally:
                tracemalloc.stop()

    @given(st.integers(0, len(LARGE) - 1), st.sampled_from([0, -1]))
    def test_a_writer_that_goes_away(self, cut: int, buffering: int) -> None:
        with piped(buffering) as (back, out):

            def send() -> None:
                out.write(LARGE[:cut])
                out.close()

            with running(send), pytest.raises(errors.TruncatedError) as caught:
                pickleseal.load(back)
        with pytest.raises(errors.TruncatedError) as wanted:
            pickleseal.unpack(LARGE[:cut])
        assert (caught.value.step, caught.value.expected) == (wanted.value.step, wanted.value.expected)

    def test_a_reader_that_goes_away(self) -> None:
        with piped(0) as (back, out):
            back.close()
            with pytest.raises(BrokenPipeError):
                pickleseal.dump(1, out)


class TestSockets:
    @pytest.mark.parametrize("buffering", [0, -1])
    def test_requests_and_answers(self, buffering: int) -> None:
        with connected() as (near, far):

            def answer() -> None:
                with far.makefile("rwb", buffering=buffering) as file:
                    for _ in OBJECTS:
                        request = pickleseal.load(file)  # type: ignore[call-overload]
                        pickleseal.dump(again(request), file)  # type: ignore[arg-type]
                        file.flush()

            with running(answer), near.makefile("rwb", buffering=buffering) as file:
                for obj in OBJECTS:
                    pickleseal.dump(obj, file)  # type: ignore[arg-type]
                    file.flush()
                    assert plain(pickleseal.load(file)) == plain(obj)  # type: ignore[call-overload]

    def test_short_writes(self) -> None:
        with connected() as (near, far):
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            left: list[int] = []

            class Short(socket.SocketIO):
                def write(self, data: Any) -> int | None:
                    count = super().write(data)
                    left.append(len(data) - (count or 0))
                    return count

            def send() -> None:
                with Short(near, "wb") as out:
                    pickleseal.dump(pickle.PickleBuffer(BUFFER[:500_000]), out)  # type: ignore[arg-type]

            with running(send), far.makefile("rb") as back:
                time.sleep(0.05)  # let the sender run into a full buffer
                assert plain(pickleseal.load(back)) == BUFFER[:500_000]
        assert any(left)

    def test_one_byte_at_a_time(self) -> None:
        with connected() as (near, far):
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def send() -> None:
                for byte in SMALL * 2:
                    near.send(bytes([byte]))

            with running(send), far.makefile("rb", buffering=0) as back:
                for _ in range(2):
                    assert pickleseal.load(back) == {"id": 7, "rows": [1, 2, 3]}  # type: ignore[call-overload]

    @pytest.mark.parametrize("cut", [1, 63, 64, 500, 30_000, len(LARGE) - 1])
    def test_a_peer_that_closes_in_the_middle(self, cut: int) -> None:
        with connected() as (near, far), far.makefile("rb", buffering=0) as back:

            def send() -> None:
                near.sendall(LARGE[:cut])
                near.close()

            with running(send), pytest.raises(errors.TruncatedError) as caught:
                pickleseal.load(back)  # type: ignore[call-overload]
            assert caught.value.path is None

    def test_a_peer_that_resets_is_an_os_error(self) -> None:
        with connected() as (near, far), far.makefile("rb") as back:
            near.sendall(LARGE[:100])
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            with pytest.raises((ConnectionResetError, errors.TruncatedError)):  # the 100 bytes may be lost or not
                pickleseal.load(back)

    def test_a_peer_that_stalls_meets_the_sockets_timeout(self) -> None:
        with connected() as (near, far), far.makefile("rb") as back:
            near.sendall(LARGE[:1000])
            far.settimeout(0.05)
            with pytest.raises(TimeoutError):
                pickleseal.load(back)

    def test_non_blocking_ones_are_named(self) -> None:
        with connected() as (near, _):
            near.setblocking(False)
            with near.makefile("rwb", buffering=0) as file:
                with pytest.raises(BlockingIOError, match="non-blocking"):
                    pickleseal.load(file)  # type: ignore[call-overload]
                with pytest.raises(BlockingIOError, match="non-blocking"):
                    pickleseal.dump(pickle.PickleBuffer(bytes(64_000_000)), file)  # type: ignore[arg-type]

    def test_a_socket_itself_is_named(self) -> None:
        with connected() as (near, _):
            with pytest.raises(TypeError, match=r"found socket; makefile\(\) gives one"):
                pickleseal.load(near)  # type: ignore[call-overload]
            with pytest.raises(TypeError, match="expected a path or a binary file, found socket"):
                pickleseal.dump(1, near)  # type: ignore[arg-type]


class TestHowItIsWritten:
    def written(self, obj: Any) -> list[Any]:
        class Recorder:
            parts: list[Any] = []  # noqa: RUF012

            def write(self, data: Any) -> int:
                self.parts.append(data)
                return len(data)

        pickleseal.dump(obj, Recorder())  # type: ignore[arg-type]
        return Recorder.parts

    def test_a_small_artifact_is_one_write(self) -> None:
        # Several would each wait for the other side's acknowledgement of the one before: 40 ms on TCP.
        assert [len(part) for part in self.written({"id": 7})] == [len(pickleseal.pack({"id": 7}))]

    def test_a_large_buffer_is_not_copied(self) -> None:
        buffer = bytearray(BUFFER[:-1])
        parts = self.written([1, pickle.PickleBuffer(buffer), "x" * 100])
        assert len(parts) == 3
        assert parts[1].obj is buffer

    @given(st.lists(st.sampled_from([0, 1, 100, 30_000, 65_535, 65_536, 100_000]), max_size=8))
    def test_all_bytes_in_order(self, sizes: list[int]) -> None:
        from pickleseal._io.atomic import _gathered

        parts = [bytes([number]) * size for number, size in enumerate(sizes)]
        assert b"".join(_gathered(parts)) == b"".join(parts)


class Drip:
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int) -> None:
        self._data, self._most, self._at = data, most, 0

    def read(self, count: int) -> bytes:
        start = self._at
        self._at = min(start + min(count, self._most), len(self._data))
        return self._data[start : self._at]


@pytest.mark.parametrize("quarantine", [True, False])
def test_many_tiny_chunks_take_no_more_memory_than_large_ones(quarantine: bool, tmp_path: Any) -> None:
    data = pickleseal.pack("x" * 100_000)
    reader = pickleseal.Reader(expect=str, quarantine=tmp_path if quarantine else None)
    reader.read(Drip(data, 50_000))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        assert len(reader.read(Drip(data, 3)).object) == 100_000  # type: ignore[arg-type]
        assert tracemalloc.get_traced_memory()[1] < 6 * len(data)
        reader.check(Drip(data, 3))  # type: ignore[arg-type]
    finally:
        tracemalloc.stop()
