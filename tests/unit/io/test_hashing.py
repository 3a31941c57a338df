"""SHA-256 on several cores: the verdict and the error are those of one thread."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _helpers.keys import POLICY, SIGNING, refused
from _helpers.support import verdict_of
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Policy, pack, peek, unpack, verify
from pickleseal._format.frame import encode_frame, frame_parts
from pickleseal._io import source, threads
from pickleseal._io.hashing import sha256_hex
from pickleseal._io.source import FileSource
from pickleseal._io.threads import ThreadPool
from pickleseal._reading import verify_source
from pickleseal.errors import ReadError

PAYLOAD = b"\x80\x05]\x94(" + b"\x97" * 4 + b"e."
LENGTHS = [len(PAYLOAD), 300_001, 400_000, 100, 500_003]
BLOCKS = [PAYLOAD, *(bytes([n]) * length for n, length in enumerate(LENGTHS[1:], 1))]


@pytest.fixture
def cores() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "cores", lambda: 3)
        yield


def verdict(judge: Callable[[], Any]) -> object:
    try:
        judge()
    except ReadError as error:
        return error.code, error.step, error.where, error.expected, error.found
    return None


def artifact(wrong_sha256: set[int], blocks: list[bytes] = BLOCKS) -> bytes:
    """An artifact of these sections; of some the SHA-256 is wrong and nothing else."""
    entries = [{"sha256": "0" * 64 if n in wrong_sha256 else sha256_hex([raw])} for n, raw in enumerate(blocks)]
    fields = {
        "build": {},
        "created": "2026-01-02T03:04:05.678901Z",
        "format": "pickleseal/1.0",
        "globals": [],
        "pickle": {"protocol": 5},
        "sections": entries,
        "type": "builtins:list",
        "version": 0,
    }
    return b"".join(frame_parts(encode_frame(fields, [[raw] for raw in blocks])))


class TestAllCores:
    @settings(max_examples=40)
    @given(
        st.sets(st.integers(0, 4), max_size=2),
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2**20), st.booleans()), max_size=2),
        st.none() | st.floats(0, 1),
        st.booleans(),
    )
    def test_the_verdict_is_that_of_one_thread(
        self,
        wrong_sha256: set[int],
        damages: list[tuple[int, int, bool]],
        cut: float | None,
        trailing: bool,
    ) -> None:
        data = bytearray(artifact(wrong_sha256))
        starts = [len(data) - sum(n + -n % 64 for n in LENGTHS[k:]) for k in range(5)]
        for index, offset, in_padding in damages:
            length = LENGTHS[index]
            at = length + offset % (-length % 64) if in_padding and length % 64 else offset % length
            data[starts[index] + at] ^= 0x10
        if cut is not None:
            del data[starts[0] + int(cut * (len(data) - starts[0])) :]
        if trailing:
            data += b"x"
        raw = bytes(data)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "a.pseal")
            Path(path).write_bytes(raw)

            def piped() -> Any:
                with open(path, "rb") as file, open(os.devnull, "rb"):
                    return verify(file)

            judges: list[Callable[[], Any]] = [
                lambda: unpack(raw),
                lambda: verify(raw),
                lambda: pickleseal.load(path),
                lambda: verify(path),
                piped,
            ]
            found = []
            for many in (1, 3):
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(threads, "cores", lambda many=many: many)
                    found.append([verdict(judge) for judge in judges])
        assert found[0] == found[1]
        assert cut is not None or found[1][0] == found[1][1] == found[1][2] == found[1][3]

    def test_it_takes_several_threads(self, cores: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        started: list[object] = []
        start = ThreadPool.start

        def count(pool: ThreadPool, work: Callable[[], Any]) -> Callable[[], Any]:
            started.append(work)
            return start(pool, work)

        monkeypatch.setattr(ThreadPool, "start", count)
        obj = [pickle.PickleBuffer(bytearray(700_000)) for _ in range(3)]
        path = tmp_path / "a.pseal"
        for run in (
            lambda: pickleseal.dump(obj, path, options=SIGNING, durable=False),
            lambda: unpack(path.read_bytes(), policy=POLICY),
            lambda: pickleseal.load(path, policy=POLICY),
            lambda: verify(path, policy=POLICY),
        ):
            started.clear()
            run()
            assert len(started) in (3, 4)
        started.clear()
        pack([pickle.PickleBuffer(bytearray(2 << 20))], options=SIGNING)  # one section is not worth a thread
        pack([pickle.PickleBuffer(bytearray(20_000))] * 9, options=SIGNING)
        assert not started

    def test_a_source_checks_the_next_frame_as_well(self, cores: None, tmp_path: Path) -> None:
        path = tmp_path / "two.pseal"
        path.write_bytes(
            artifact(set()) + artifact({0}, [b"\x80\x05B" + (100_000).to_bytes(4, "little") + bytes(100_000) + b"."])
        )
        for buffering in (0, -1):
            with open(path, "rb", buffering) as file:
                source = FileSource(file, whole=False)
                verify_source(source, Policy())
                assert refused(lambda source=source: verify_source(source, Policy())).where == "sections[0]"  # type: ignore[misc]

    def test_sections_are_hashed_without_threads_if_none_can_start(
        self, cores: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import concurrent.futures

        def refuse(*args: object) -> Any:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

        obj = [pickle.PickleBuffer(bytearray(700_000)) for _ in range(3)]
        data = pack(obj, options=SIGNING)
        monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", refuse)
        assert verify(data, policy=POLICY) == verify(data)
        assert [section.sha256 for section in peek(pack(obj, options=SIGNING)).sections[1:]] == [
            section.sha256 for section in peek(data).sections[1:]
        ]

    def test_a_file_that_shrinks_under_the_threads_is_truncated(self, cores: None, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        path.write_bytes(artifact(set()))
        hash_range = source._hash_range

        def shrink(*args: Any) -> Any:
            os.truncate(path, 400_000)
            return hash_range(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(source, "_hash_range", shrink)
            assert verdict_of(refused(lambda: verify(path))) == ("truncated", 16)

    def test_sections_are_hashed_while_the_interpreter_exits(self) -> None:
        code = (
            "import atexit, pickle, pickleseal as p\n"
            "from pickleseal._io import threads\n"
            "threads.cores = lambda: 2\n"
            "ring = p.KeyRing([p.Key.generate('k')])\n"
            "obj = [pickle.PickleBuffer(bytearray(1 << 20)) for _ in range(2)]\n"
            "def last():\n"
            "    data = p.pack(obj, options=p.PackOptions(keys=ring))\n"
            "    print(len(p.verify(data, policy=p.Policy(keys=ring)).verified))\n"
            "atexit.register(last)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("1\n", "")
