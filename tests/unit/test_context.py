"""Contexts (spec section 10): a value that was signed in one context can be read in it alone."""

import asyncio
import inspect
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from frames import Frame, framed
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import (
    IncrementalReader,
    Key,
    KeyRing,
    PackOptions,
    Policy,
    Reader,
    Serializer,
    StreamReader,
    StreamWriter,
    append,
    dump,
    iter_load,
    load,
    pack,
    peek,
    unpack,
    verify,
)
from pickleseal._format.index import decode_entries, encode_entry
from pickleseal._reading import accept
from pickleseal.catalog import HeaderEntry, iter_headers, read_headers
from pickleseal.convert import adopt, extract, extract_parts, repickle
from pickleseal.errors import PackError, PolicyError, ReadError, SignatureError
from pickleseal.maintenance import seal, upgrade

KEY = Key.generate("k")
RING = KeyRing([KEY], "jobs")
POLICY = Policy(keys=RING)
CONTEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)

READS: dict[str, Callable[[bytes, str | None], Any]] = {
    "unpack": lambda data, context: unpack(data, keys=RING, context=context),
    "policy": lambda data, context: unpack(data, policy=POLICY, context=context),
    "load": lambda data, context: load(io.BytesIO(data), keys=RING, context=context),
    "verify": lambda data, context: verify(data, policy=POLICY, context=context),
    "peek": lambda data, context: peek(data, policy=POLICY, context=context),
    "Reader": lambda data, context: Reader(POLICY).read(data, context=context),
    "accepts": lambda data, context: Reader(POLICY).accepts(data, context=context),
    "Serializer": lambda data, context: Serializer(keys=RING).loads(data, context=context),
    "Serializer of type": lambda data, context: Serializer(keys=RING, expect=int).loads(data, context=context),
    "Serializer.load": lambda data, context: Serializer(keys=RING).load(io.BytesIO(data), context=context),
    "with events": lambda data, context: Serializer(keys=RING, on_event=bool).unpack(data, context=context),
    "extract": lambda data, context: extract(data, policy=POLICY, context=context),
    "extract_parts": lambda data, context: extract_parts(data, policy=POLICY, context=context),
    "iter_load": lambda data, context: list(iter_load(io.BytesIO(data), policy=POLICY, context=context)),
    "incremental": lambda data, context: _fed(IncrementalReader(POLICY, context=context), data),
    "receive": lambda data, context: asyncio.run(_received(data, context)),
}


def _fed(reader: IncrementalReader[Any], data: bytes) -> Any:
    reader.feed(data)
    return reader.finish()


async def _received(data: bytes, context: str | None) -> Any:
    stream = asyncio.StreamReader()
    stream.feed_data(data)
    stream.feed_eof()
    return await pickleseal.receive(stream, policy=POLICY, context=context)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_way_to_read_needs_the_same_context(read: Callable[[bytes, str | None], Any]) -> None:
    for written in (None, "alice"):
        data = pack(7, keys=RING, context=written)
        for asked in (None, "alice", "bob", "Alice", "alice;context=bob"):
            if asked == written:
                read(data, asked)
            else:
                with pytest.raises(SignatureError, match="another context"):
                    read(data, asked)


@given(CONTEXTS, CONTEXTS)
def test_a_value_verifies_in_its_own_context_alone(mine: str, other: str) -> None:
    data = pack(7, keys=RING, context=mine)
    assert unpack(data, keys=RING, context=mine) == 7
    assert data.find(mine.encode()) < 0 or len(mine.encode()) < 8
    if other != mine:
        with pytest.raises(SignatureError):
            unpack(data, keys=RING, context=other)


@pytest.mark.parametrize(
    ("mine", "other"),
    [("é", "e\u0301"), ("a", "a;purpose=jobs"), ("a", "a\0"), ("a" * 10**6, "a" * 10**6 + "b"), ("jobs", "job")],
)
def test_contexts_are_compared_as_they_are(mine: str, other: str) -> None:
    data = pack(7, keys=RING, context=mine)
    assert unpack(data, keys=RING, context=mine) == 7
    with pytest.raises(SignatureError):
        unpack(data, keys=RING, context=other)


def test_a_context_is_no_purpose_and_no_purpose_a_context() -> None:
    key = Key.generate("k")
    for written, asked in (
        (KeyRing([key], "a"), KeyRing([key]).in_context("a")),
        (KeyRing([key]).in_context("a"), KeyRing([key], "a")),
        (KeyRing([key], "a").in_context("b"), KeyRing([key], "b").in_context("a")),
    ):
        with pytest.raises(SignatureError):
            unpack(pack(7, keys=written), keys=asked)


@pytest.mark.parametrize(
    ("context", "error", "text"),
    [("", ValueError, "empty"), ("\ud800", ValueError, "surrogate"), (b"a", TypeError, "bytes"), (7, TypeError, "int")],
)
def test_what_is_no_context(context: Any, error: type[Exception], text: str) -> None:
    for call in (
        lambda: pack(7, keys=RING, context=context),
        lambda: unpack(b"", keys=RING, context=context),
        lambda: RING.in_context(context),
    ):
        with pytest.raises(error, match=text):
            call()


def test_a_context_needs_keys(tmp_path: Path) -> None:
    data, path = pack(7), tmp_path / "a.pseal"
    for call in (
        lambda: pack(7, context="a"),
        lambda: dump(7, path, context="a"),
        lambda: append(path, 7, context="a"),
        lambda: unpack(data, context="a"),
        lambda: unpack(data, policy=Policy(), context="a"),
        lambda: load(path, context="a"),
        lambda: verify(data, context="a"),
        lambda: peek(data, context="a"),
        lambda: Reader().read(data, context="a"),
        lambda: Serializer().dumps(7, context="a"),
        lambda: Serializer().loads(data, context="a"),
        lambda: StreamReader(path, context="a"),
        lambda: StreamWriter(path, context="a"),
        lambda: IncrementalReader(context="a"),
    ):
        with pytest.raises(ValueError, match="context: expected keys"):
            call()
    assert not path.exists()


def test_what_takes_keys_for_one_call_takes_a_context() -> None:
    """Classes that hold keys for many calls take the context at each call."""
    holders = {KeyRing, PackOptions, Policy, Reader, Serializer}
    checked = 0
    for module in (pickleseal, pickleseal.catalog, pickleseal.convert, pickleseal.maintenance):
        for name in module.__all__:
            value = getattr(module, name)
            if (
                callable(value)
                and value not in holders
                and not (isinstance(value, type) and issubclass(value, Exception))
            ):
                names = inspect.signature(value).parameters.keys()
                if {"keys", "policy", "options"} & names:
                    checked += 1
                    assert "context" in names, name
    assert checked > 20


def test_conversions_sign_in_a_context() -> None:
    for convert in (adopt, repickle):
        found = convert(pickle.dumps(7), context="a", options=PackOptions(keys=RING))
        assert unpack(found.data, keys=RING, context="a") == 7
        with pytest.raises(SignatureError):
            unpack(found.data, keys=RING)


def test_keys_are_in_one_context_at_most() -> None:
    bound = RING.in_context("a")
    assert bound.has_context
    assert not RING.has_context
    for call in (lambda: bound.in_context("a"), lambda: pack(7, keys=bound, context="b")):
        with pytest.raises(ValueError, match="already"):
            call()
    for ring in (bound.rotated(Key.generate("new")), bound):
        assert ring.has_context
    assert "in a context" in repr(bound)
    assert unpack(pack(7, keys=RING, context="a"), keys=bound.rotated(Key.generate("new"))) == 7


def test_a_context_leaves_the_rest_of_a_policy_and_of_options() -> None:
    policy = Policy(keys=RING, types={"builtins:int": "*"}, meta={"team": "risk"})
    options = PackOptions(keys=RING, build={"app": "shop"}, compress=None)
    data = pack(7, context="a", options=options, meta={"team": "risk"})
    assert unpack(data, policy=policy, context="a") == 7
    assert peek(data).build["app"] == "shop"
    with pytest.raises(PolicyError):
        unpack(pack(7, context="a", options=options), policy=policy, context="a")


def test_writes_are_still_checked_in_a_context() -> None:
    serializer = Serializer(keys=RING, check_writes=True)
    for context in ("a", "b", None):
        with pytest.raises(PackError):
            serializer.dumps(pickleseal.errors.Hint, context=context)
        for _ in range(2):
            assert serializer.loads(serializer.dumps(7, context=context), context=context) == 7


def test_writes_are_checked_against_the_keys_of_the_reader_in_a_context() -> None:
    other = KeyRing([Key.generate("other")], "jobs")
    for policy, options in ((RING, other), (RING.in_context("a"), RING), (RING, KeyRing([KEY], "models"))):
        serializer = Serializer(Policy(keys=policy), PackOptions(keys=options), check_writes=True)
        with pytest.raises(PackError, match="sign what is written"):
            serializer.dumps(7, context="a")


def test_a_header_that_was_seen_is_not_checked_anew_in_another_context(monkeypatch: pytest.MonkeyPatch) -> None:
    serializer = Serializer(keys=RING, check_writes=True)
    serializer.dumps(7, context="a")
    checked: list[object] = []

    def noting(*given: Any) -> Any:
        checked.append(given)
        return accept(*given)

    monkeypatch.setattr("pickleseal._written.accept", noting)
    for context in ("a", "b", None):
        serializer.dumps(8, context=context)
    assert not checked
    serializer.dumps({"a": OrderedDict()}, context="a")
    assert checked


def test_catalogs_take_a_context(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    dump(7, path, keys=RING, context="a")

    def entries(context: str | None) -> list[HeaderEntry]:
        of_file = iter_headers([path], policy=POLICY, context=context)
        return [*of_file, *read_headers(path.read_bytes(), policy=POLICY, context=context)]

    assert [entry.header is not None and entry.header.verified for entry in entries("a")] == [((KEY.alg, "k"),)] * 2
    for context in ("b", None):
        assert [type(entry.error) for entry in entries(context)] == [SignatureError] * 2
    with pytest.raises(ValueError, match="context: expected keys"):
        iter_headers([path], context="a")


def test_a_required_signature_in_another_context_is_named_as_such() -> None:
    other = Key.generate("other")
    data = pack(7, keys=KeyRing([other]).in_context("a"))
    both = Policy(keys=KeyRing([KEY, other]), signed_by=("k", "other"))
    with pytest.raises(SignatureError, match="another context"):
        unpack(data, policy=both)


def test_a_file_in_a_context_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    dump({"a": 1}, path, keys=RING, context="a")
    assert load(path, keys=RING, context="a", mmap="r") == {"a": 1}
    with pytest.raises(SignatureError):
        load(path, keys=RING, context="b", mmap="r")


class TestStreams:
    def test_a_stream_has_one_context(self, tmp_path: Path) -> None:
        path = tmp_path / "s.pseal"
        with StreamWriter(path, batch=2, context="a", options=PackOptions(keys=RING)) as stream:
            for n in range(4):
                stream.append(n)
        with StreamReader(path, policy=POLICY, context="a") as reader:
            assert (reader.count(), list(reader)) == (4, [0, 1, 2, 3])
        append(path, 4, context="b", options=PackOptions(keys=RING))
        records = iter_load(path, policy=POLICY, context="a")
        assert [next(records) for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(SignatureError):
            next(records)
        for context in ("a", "b", None):
            with StreamReader(path, policy=POLICY, context=context) as reader, pytest.raises(SignatureError):
                reader.count()

    def test_with_keys_no_number_of_an_unsigned_header_is_used(self, tmp_path: Path) -> None:
        path = tmp_path / "s.pseal"
        with StreamWriter(path, batch=50) as stream:
            for n in range(50):
                stream.append(n)
        with StreamReader(path, policy=POLICY) as reader:
            for call in (reader.count, lambda: reader.seek(-1), lambda: reader.seek(3)):
                with pytest.raises(SignatureError):
                    call()

    def test_with_keys_no_number_of_a_forged_frame_is_used(self, tmp_path: Path) -> None:
        path = tmp_path / "s.pseal"
        for n in range(4):
            append(path, n, options=PackOptions(keys=RING))
        with StreamReader(path) as reader:
            frame = list(reader.frames())[1]
        forged = Frame(framed(b"]"), records=4_000_000_000, type="builtins:int", stream_id=frame.stream_id, seq=1).data
        data = path.read_bytes()
        path.write_bytes(data[: frame.offset] + forged + data[frame.offset + frame.length :])
        calls: list[Callable[[StreamReader[Any]], Any]] = [StreamReader.count, list]
        calls += [lambda reader, to=to: reader.seek(to) for to in (-1, 3, 10**6)]  # type: ignore[misc]
        for on_error in ("raise", "skip"):
            for call in calls:
                with StreamReader(path, policy=POLICY, on_error=on_error) as reader:
                    with pytest.raises(SignatureError):
                        call(reader)
                    assert not reader.lost
        records = [entry.record for entry in iter_headers([path], policy=POLICY)]
        assert max(records) < 10
        with pytest.raises(SignatureError):
            list(iter_load(io.BytesIO(path.read_bytes()), policy=POLICY))

    def test_with_keys_the_index_is_not_used(self, tmp_path: Path) -> None:
        path = tmp_path / "s.pseal"
        with StreamWriter(path, options=PackOptions(keys=RING), fsync=0) as stream:
            for n in range(1500):
                stream.append(n)
        indexes = [each for each in tmp_path.iterdir() if each != path]
        assert indexes
        entries = decode_entries(indexes[0].read_bytes())
        forged = [encode_entry(entry._replace(record=entry.record + 9)) for entry in entries]
        assert forged
        indexes[0].write_bytes(b"".join(forged))
        with StreamReader(path) as reader:
            assert reader.count() == 1509
        with StreamReader(path, policy=POLICY) as reader:
            assert reader.count() == 1500
            assert (reader.seek(1400), next(reader)) == (1400, 1400)


class TestMaintenance:
    def test_seal_signs_in_a_context(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        dump(7, path)
        assert seal(path, KEY, context="a").verified
        assert load(path, keys=KeyRing([KEY]), context="a") == 7
        with pytest.raises(SignatureError):
            load(path, keys=KeyRing([KEY]))

    def test_signatures_in_two_contexts_stand_side_by_side(self, tmp_path: Path) -> None:
        path, other = tmp_path / "a.pseal", Key.generate("other")
        dump(7, path, keys=KeyRing([KEY]), context="a")
        seal(path, other, context="b")
        assert load(path, keys=KeyRing([KEY]), context="a") == 7
        assert load(path, keys=KeyRing([other]), context="b") == 7
        with pytest.raises(SignatureError):
            load(path, keys=KeyRing([KEY, other]))

    def test_upgrade_keeps_the_context(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        dump(7, path, keys=RING, context="a")
        options = PackOptions(keys=RING)
        assert not upgrade(path, policy=POLICY, options=options, context="a")
        with pytest.raises(SignatureError):
            upgrade(path, policy=POLICY, options=options)
        with pytest.raises(ValueError, match="one context"):
            upgrade(path, policy=Policy(keys=RING.in_context("a")), options=options)


@given(st.data())
def test_a_flipped_bit_is_refused_in_a_context(draw: st.DataObject) -> None:
    data = bytearray(pack({"id": 7}, keys=RING, context="a"))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    with pytest.raises(ReadError):
        unpack(bytes(data), keys=RING, context="a")
