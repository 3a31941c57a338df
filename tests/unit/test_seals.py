"""Seals: who signed, whose signatures count, and that nothing else gets through."""

import itertools
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import independent_reader
import pytest
from _helpers.keys import ALGS, POLICY, SECRETS, SIGNING, key_from, refused
from _helpers.support import VECTORS, cases, flips, key_of, read, verdict_of
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import Key, KeyRing, Limits, PackOptions, Policy, pack, peek, unpack, verify
from pickleseal._format.checksum import checksum
from pickleseal._format.limits import MAX_HEADER
from pickleseal._format.preamble import encode_preamble
from pickleseal._format.seal import Signature, decode_seal, encode_seal, pre_authentication
from pickleseal.errors import (
    PackError,
    PolicyError,
    ReadError,
    SectionChecksumError,
    SignatureError,
)
from pickleseal.maintenance import remove_signatures, seal, upgrade

PURPOSES = st.text("abcXYZ019._:/-", max_size=12) | st.just("p" * 255)
OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


KEYS = [key_from(f"k{n % 4}", alg, secret) for alg in ALGS for n, secret in enumerate(SECRETS[:4])]
RINGS = st.lists(st.sampled_from(KEYS), min_size=1, unique=True)


class TestProperties:
    @given(OBJECTS, RINGS, PURPOSES)
    def test_a_ring_reads_and_names_what_it_signed(self, obj: Any, keys: list[Key], purpose: str) -> None:
        ring = KeyRing(keys, purpose)
        data = pack(obj, options=PackOptions(keys=ring))
        header = verify(data, policy=Policy(keys=ring, signed_by=(keys[0].id,)))
        assert header.verified == header.signatures == ((keys[0].alg, keys[0].id),)
        assert all(section.sha256 is not None for section in header.sections)
        assert unpack(data, policy=Policy(keys=ring)) == obj
        assert unpack(data) == obj  # without keys a seal is no obstacle
        assert peek(data).verified == ()

    @given(RINGS, RINGS, PURPOSES, PURPOSES)
    def test_a_signature_verifies_only_with_its_key_and_purpose(
        self, writers: list[Key], readers: list[Key], purpose: str, other: str
    ) -> None:
        data = pack(1, options=PackOptions(keys=KeyRing(writers, purpose)))
        policy = Policy(keys=KeyRing(readers, other))
        if writers[0] in readers and purpose == other:
            assert unpack(data, policy=policy) == 1
        else:
            error = refused(lambda: unpack(data, policy=policy))
            assert isinstance(error, SignatureError)
            assert verdict_of(error) == ("signature-invalid", 9)
            for key in readers:
                assert f"{key.id} ({key.alg})" in str(error)

    @pytest.mark.parametrize("alg", ALGS)
    def test_every_changed_bit_is_refused(self, alg: str) -> None:
        ring = KeyRing([key_from("k", alg, SECRETS[0])])
        data = pack({"id": 1}, options=PackOptions(keys=ring))
        policy = Policy(keys=ring)
        assert unpack(data, policy=policy) == {"id": 1}
        for offset, bit, changed in flips(data):
            try:
                unpack(changed, policy=policy)
            except ReadError:
                continue
            pytest.fail(f"bit {bit} of byte {offset}")

    @given(st.data())
    def test_only_a_signature_of_the_key_is_accepted(self, data: st.DataObject) -> None:
        good = pack({"id": 1}, options=SIGNING)
        preamble = peek(good).preamble
        text, seal_bytes = good[64 : 64 + preamble.header_len], good[64 + preamble.header_len : preamble.head_len]
        changed = bytearray(seal_bytes[8:])
        for at, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(changed) - 1), st.integers(0, 255)), max_size=3)
        ):
            changed[at] = value
        body = bytes(changed) if data.draw(st.booleans()) else data.draw(st.binary(max_size=300))
        body += b" " * (-(len(body) + 8) % 64)
        forged = checksum(body).to_bytes(8, "little") + body
        frame_len = preamble.frame_len - preamble.seal_len + len(forged)
        frame = encode_preamble(frame_len, text, len(forged)) + text + forged + good[preamble.head_len :]
        try:
            header = verify(frame, policy=POLICY)
        except ReadError as error:
            assert error.step == 9
            assert forged != seal_bytes
        else:
            assert forged == seal_bytes
            assert header.verified == (("hmac-sha256", "k"),)

    @given(st.binary(max_size=200), PURPOSES, st.binary(max_size=200), PURPOSES)
    def test_the_signed_bytes_differ_for_each_body_and_purpose(self, one: bytes, p: str, two: bytes, q: str) -> None:
        assert (pre_authentication(one, p) == pre_authentication(two, q)) == ((one, p) == (two, q))

    @given(
        st.lists(
            st.builds(
                Signature,
                st.sampled_from(["future-1", "x"]),
                st.from_regex(r"[A-Za-z][A-Za-z0-9_.:-]{0,20}", fullmatch=True),
                st.binary(min_size=1, max_size=99),
            ),
            min_size=1,
            max_size=64,
            unique_by=lambda signature: signature[:2],
        )
    )
    def test_a_seal_comes_back_as_it_was(self, signatures: list[Signature]) -> None:
        data = encode_seal(signatures)
        assert len(data) % 64 == 0
        assert decode_seal(data) == tuple(sorted(signatures, key=lambda s: (s.key, s.alg)))

    @given(RINGS)
    def test_a_ring_comes_back_from_its_text(self, keys: list[Key]) -> None:
        text = "# keys\n\n" + KeyRing(keys).to_text() + "  # the end\n"
        assert KeyRing.from_text(text, "p").to_text() == KeyRing(keys).to_text()
        assert [repr(Key.from_text(key.to_text())) for key in keys] == list(map(repr, keys))


@pytest.mark.parametrize("entry", cases("valid"))
def test_a_sealed_artifact_holds_the_same_object(entry: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    path.write_bytes(read(entry))
    before = verify(path)
    key = Key.hmac("z-new", SECRETS[5])
    after = seal(path, KeyRing([key], "audit"))
    assert after.verified == (("hmac-sha256", "z-new"),)
    assert after == peek(path) == verify(path, policy=Policy(keys=KeyRing([key], "audit"), protocols=(2, 3, 4, 5)))
    assert set(after.signatures) == {*before.signatures, ("hmac-sha256", "z-new")}
    expected = before.as_dict()
    for section, now in zip(expected["sections"], after.as_dict()["sections"], strict=True):
        section["sha256"] = now["sha256"]
    assert after.as_dict() == expected
    for field in ("version_minor", "stream_id", "seq"):
        assert getattr(after.preamble, field) == getattr(before.preamble, field)
    told = [{"id": "z-new", "alg": "hmac-sha256", "secret": SECRETS[5].hex()}]
    assert independent_reader.verify(path.read_bytes(), keys=told, purpose="audit") == after.as_dict()
    if "keys" in entry.get("policy", {}):  # what others signed is still signed by them
        ring = KeyRing(map(key_of, entry["policy"]["keys"]), entry["policy"].get("purpose", ""))
        ring = ring.in_context(entry["policy"]["context"]) if "context" in entry["policy"] else ring
        assert verify(path, policy=Policy(keys=ring)).verified


class TestReading:
    def test_rotation(self) -> None:
        old = KeyRing([Key.generate("old")], "p")
        new = old.rotated(Key.generate("new"))
        assert ([key.id for key in new.keys], new.purpose) == (["new", "old"], "p")
        before, after = pack(1, options=PackOptions(keys=old)), pack(2, options=PackOptions(keys=new))
        policy = Policy(keys=new)
        assert (unpack(before, policy=policy), unpack(after, policy=policy)) == (1, 2)
        assert verify(after, policy=policy).verified == (("hmac-sha256", "new"),)
        refused(lambda: unpack(after, policy=Policy(keys=old)))

    def test_each_cause_has_its_own_hint(self) -> None:
        data = pack(1, options=SIGNING)
        ring = KeyRing([Key.hmac("k", SECRETS[0]), Key.hmac("other", SECRETS[1])], "p")
        stranger = Policy(keys=KeyRing([Key.hmac("x", SECRETS[0])]))
        same_without = Policy(keys=KeyRing(ring.keys), signed_by=("other",))
        for bad, policy, words in (
            (pack(1), POLICY, "no seal"),
            (data, Policy(keys=ring), "for the purpose p"),
            (data, stranger, "signed by no key of the ring\nhelp: the seal names k"),
            (data, Policy(keys=KeyRing([Key.hmac("k", SECRETS[1])])), "does not verify"),
            (data, same_without, "not signed by all who have to, expected other"),
        ):
            error = refused(lambda bad=bad, policy=policy: peek(bad, policy=policy))  # type: ignore[misc]
            assert words in str(error)
            assert isinstance(error, SignatureError)

    def test_only_keys_of_the_ring_are_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        tried: list[str] = []

        def count(key: Key, message: bytes, raw: bytes) -> bool:
            tried.append(key.id)
            return False

        monkeypatch.setattr(Key, "_verifies", count)
        entry = next(case.values[0] for case in cases("valid") if case.id == "signed-among-unknown")
        keys = [Key.hmac(id, SECRETS[0]) for id in ("test-2026", "a", "b")]
        refused(lambda: peek(read(entry), policy=Policy(keys=KeyRing(keys))))
        assert tried == ["test-2026"]

    def test_the_header_is_not_parsed_before_a_signature_verified(self) -> None:
        data = (VECTORS / "invalid" / "signature-right-header-wrong.pseal").read_bytes()
        assert verdict_of(refused(lambda: peek(data))) == ("header-encoding", 10)
        assert verdict_of(refused(lambda: peek(data, policy=POLICY))) == ("signature-invalid", 9)

    def test_limits_and_damage_come_before_signatures(self) -> None:
        data = pack(1, options=SIGNING)
        other = KeyRing([Key.hmac("k", SECRETS[1])])
        policy = Policy(keys=other, limits=Limits(max_frame=64))
        assert refused(lambda: unpack(data, policy=policy)).step == 6
        assert refused(lambda: unpack(data[:100], policy=Policy(keys=other))).step == 7

    def test_a_payload_that_was_put_under_a_signed_header_is_refused(self) -> None:
        data = pack(b"a" * 100, options=SIGNING)
        other = data.replace(b"a" * 100, b"b" * 100)
        assert isinstance(refused(lambda: unpack(other, policy=POLICY)), SectionChecksumError)
        assert peek(other, policy=POLICY).verified  # the header is genuine; of the payload it says nothing yet

    def test_one_writer_and_policy_serve_files(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        pickleseal.dump([1], path, options=SIGNING)
        assert pickleseal.load(path, policy=POLICY) == [1]
        pickleseal.dump([1], path)
        with pytest.raises(SignatureError) as caught:
            pickleseal.load(path, policy=POLICY)
        assert caught.value.path == str(path)


class TestSeal:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.pseal"
        pickleseal.dump([pickle.PickleBuffer(bytes(20_000)), {"a": 1}], path)
        path.chmod(0o640)
        return path

    def test_it_keeps_the_object_and_the_mode_of_the_file(self, path: Path) -> None:
        before = peek(path)
        header = seal(path, Key.hmac("k", SECRETS[0]))
        assert pickleseal.load(path, policy=POLICY)[1] == {"a": 1}
        assert (header.created, header.type) == (before.created, before.type)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640 or os.name != "posix"
        assert os.listdir(path.parent) == ["a.pseal"]

    def test_sealing_again_renews_only_the_signature_of_the_same_key(self, path: Path) -> None:
        key, other = Key.hmac("k", SECRETS[0]), Key.hmac("other", SECRETS[1])
        seal(path, key)
        one = path.read_bytes()
        seal(path, other)
        two = path.read_bytes()
        header_len = peek(path).preamble.header_len
        assert one[64 : 64 + header_len] == two[64 : 64 + header_len]
        assert verify(path, policy=Policy(keys=KeyRing([key, other]), signed_by=("k", "other"))).verified
        seal(path, key)
        assert path.read_bytes() == two

    @pytest.mark.parametrize(
        "renewing",
        [
            KeyRing([Key.hmac("k", SECRETS[0])]),
            KeyRing([Key.hmac("k", SECRETS[0])], "models"),
            KeyRing([Key.hmac("k", SECRETS[0])], "jobs").in_context("other"),
            KeyRing([Key.hmac("k", SECRETS[2])], "jobs").in_context("here"),
        ],
    )
    def test_a_signature_that_does_not_verify_is_not_replaced(self, path: Path, renewing: KeyRing) -> None:
        ring = KeyRing([Key.hmac("k", SECRETS[0])], "jobs").in_context("here")
        seal(path, ring)
        signed = path.read_bytes()
        error = refused(lambda: seal(path, renewing))
        assert isinstance(error, SignatureError)
        assert "another purpose or context" in error.reason
        assert path.read_bytes() == signed
        assert seal(path, ring).verified
        assert path.read_bytes() == signed
        assert remove_signatures(path, ["k"]) == 1
        assert seal(path, renewing).verified

    def test_what_is_damaged_is_not_sealed(self, path: Path) -> None:
        good = path.read_bytes()
        for bad in (good[:-64], good + b"x", good[:-200] + b"\x01" + good[-199:], pickle.dumps(1)):
            path.write_bytes(bad)
            assert refused(lambda: seal(path, Key.generate("k"))).path == str(path)
            assert path.read_bytes() == bad
            assert os.listdir(path.parent) == ["a.pseal"]

    def test_what_changes_while_it_is_copied_is_not_sealed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from pickleseal import maintenance as sealing

        good = path.read_bytes()
        header = peek(path)
        start = header.preamble.head_len + header.sections[0].len + -header.sections[0].len % 64
        checked = sealing.verify_source
        for changed in (good[: start + 5] + b"\x01" + good[start + 6 :], good[: start + 100]):
            path.write_bytes(good)

            def then_change(source: Any, policy: Policy, changed: bytes = changed) -> Any:
                found = checked(source, policy)
                path.write_bytes(changed)
                return found

            monkeypatch.setattr(sealing, "verify_source", then_change)
            assert refused(lambda: seal(path, Key.generate("k"))).step == 16
            assert path.read_bytes() == changed
            assert os.listdir(path.parent) == ["a.pseal"]

    def test_a_full_seal_refuses_another_signature(self, path: Path) -> None:
        many = [Signature("future-1", f"x{n}", b"x") for n in range(64)]
        seal(path, Key.generate("k"))
        header = peek(path)
        data, full = path.read_bytes(), encode_seal(many)
        frame_len = header.frame_len - header.preamble.seal_len + len(full)
        text = data[64 : 64 + header.preamble.header_len]
        path.write_bytes(encode_preamble(frame_len, text, len(full)) + text + full + data[header.preamble.head_len :])
        before = path.read_bytes()
        assert len(verify(path).signatures) == 64
        with pytest.raises(PackError, match="the seal is full"):
            seal(path, Key.generate("k"))
        assert path.read_bytes() == before
        with pytest.raises(PackError, match="the seal is full"):
            encode_seal([Signature("future-1", "x", bytes(60_000))])

    def test_a_header_without_room_is_named(self, path: Path) -> None:
        meta = {f"k{n}": "x" * 60_000 for n in range(17)}
        size = len(pickleseal.pack_parts(1, meta=meta)[1])
        meta["fill"] = "x" * (MAX_HEADER - size - 20)
        pickleseal.dump(1, path, meta=meta)
        before = path.read_bytes()
        with pytest.raises(PackError, match="header is too large"):
            seal(path, Key.generate("k"))
        assert path.read_bytes() == before

    def test_sealing_does_not_read_buffers_into_memory(self, path: Path) -> None:
        import tracemalloc

        pickleseal.dump(pickle.PickleBuffer(bytearray(24 << 20)), path, durable=False)
        tracemalloc.start()
        try:
            seal(path, Key.generate("k"))
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


class Job:
    def __init__(self) -> None:
        self.id = 1


class TestUpgrade:
    def test_an_upgrade_signs_again_after_it_verified(self, tmp_path: Path) -> None:
        path, ring = tmp_path / "job.pseal", KeyRing([Key.generate("k")])
        older, newer = pickleseal.Registry(), pickleseal.Registry()
        older.register(Job, "seals.Job", version=1)
        newer.register(Job, "seals.Job", version=2)
        newer.migration("seals.Job", from_version=1)(lambda state: {**state, "new": True})
        pickleseal.dump(Job(), path, options=PackOptions(registry=older, keys=ring))
        before = path.read_bytes()
        for policy, writer in (
            (Policy(registry=newer), PackOptions(registry=newer)),
            (Policy(registry=newer, keys=ring), PackOptions(registry=newer)),
            (Policy(registry=newer), PackOptions(registry=newer, keys=ring)),
        ):
            with pytest.raises(PolicyError, match="seal"):
                upgrade(path, policy=policy, options=writer)
            assert path.read_bytes() == before
        new_ring = ring.rotated(Key.generate("new"))
        policy = Policy(registry=newer, keys=new_ring)
        assert upgrade(path, policy=policy, options=PackOptions(registry=newer, keys=new_ring))
        assert verify(path, policy=policy).verified == (("hmac-sha256", "new"),)
        assert pickleseal.load(path, policy=policy).new


def test_one_key_under_two_ids_is_not_two_signers() -> None:
    one, same, other = (Key.hmac(id, secret * 32) for id, secret in (("a", b"1"), ("b", b"1"), ("c", b"2")))
    with pytest.raises(ValueError, match="a and b are one key"):
        Policy(keys=KeyRing([one, other, same]), signed_by=("b", "c", "a"))
    Policy(keys=KeyRing([one, other, same]), signed_by=("b", "c"))  # an id that changes keeps its key for a while
    pytest.importorskip("cryptography")
    pair = Key.generate("x", "ed25519")
    renamed = Key.from_text(pair.public().to_text().replace(" x ", " y "))
    with pytest.raises(ValueError, match="x and y are one key"):
        Policy(keys=KeyRing([pair, renamed]), signed_by=("x", "y"))


def test_signed_by_accepts_exactly_the_artifacts_that_its_keys_signed(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    keys = [Key.hmac(f"k{n}", SECRETS[n]) for n in range(3)]
    ring = KeyRing(keys)
    for signers in itertools.chain.from_iterable(itertools.combinations(keys, n) for n in (1, 2, 3)):
        pickleseal.dump(1, path, durable=False)
        for key in signers:
            seal(path, key)
        ids = {key.id for key in signers}
        for wanted in itertools.chain.from_iterable(
            itertools.combinations([key.id for key in keys], n) for n in range(4)
        ):
            policy = Policy(keys=ring, signed_by=wanted)
            if ids.issuperset(wanted):
                assert {id for _, id in peek(path, policy=policy).verified} == ids
            else:
                assert refused(lambda policy=policy: peek(path, policy=policy)).code == "signature-invalid"  # type: ignore[misc]
