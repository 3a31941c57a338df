"""Seals: who signed, whose signatures count, and that nothing else gets through."""

import base64
import itertools
import os
import pickle
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import independent_reader
import pytest
from _helpers.support import VECTORS, cases, flips, key_of, read, verdict_of
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Key, KeyRing, Limits, Policy, Writer, pack, peek, seal, unpack, upgrade, verify
from pickleseal import _keys as keys
from pickleseal._format.checksum import checksum
from pickleseal._format.frame import encode_frame, frame_parts
from pickleseal._format.limits import MAX_HEADER
from pickleseal._format.preamble import encode_preamble
from pickleseal._format.seal import Signature, decode_seal, encode_seal, pre_authentication
from pickleseal._io import source, threads
from pickleseal._io.hashing import sha256_hex
from pickleseal._io.source import FileSource
from pickleseal._io.threads import ThreadPool
from pickleseal._reading import verify_source
from pickleseal.errors import (
    MissingExtraError,
    PackError,
    PolicyError,
    ReadError,
    SectionChecksumError,
    SignatureError,
)

try:
    import cryptography  # noqa: F401

    ALGS = ["hmac-sha256", "ed25519"]
except ImportError:
    ALGS = ["hmac-sha256"]

SECRETS = [bytes([n]) * 32 for n in range(1, 7)]
PURPOSES = st.text("abcXYZ019._:/-", max_size=12) | st.just("p" * 255)
OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def key_from(id: str, alg: str, secret: bytes) -> Key:
    return Key.hmac(id, secret) if alg == "hmac-sha256" else Key.ed25519(id, private=secret)


KEYS = [key_from(f"k{n % 4}", alg, secret) for alg in ALGS for n, secret in enumerate(SECRETS[:4])]
RINGS = st.lists(st.sampled_from(KEYS), min_size=1, unique=True)
FIXED = Writer(keys=KeyRing([Key.hmac("k", SECRETS[0])]))
POLICY = Policy(keys=FIXED.keys)


def refused(judge: Callable[[], object]) -> ReadError:
    with pytest.raises(ReadError) as caught:
        judge()
    return caught.value


class TestProperties:
    @given(OBJECTS, RINGS, PURPOSES)
    def test_what_a_ring_signed_it_reads_and_names(self, obj: Any, keys: list[Key], purpose: str) -> None:
        ring = KeyRing(keys, purpose)
        data = pack(obj, writer=Writer(keys=ring))
        header = verify(data, policy=Policy(keys=ring, signed_by=(keys[0].id,)))
        assert header.verified == header.signatures == ((keys[0].alg, keys[0].id),)
        assert all(section.sha256 is not None for section in header.sections)
        assert unpack(data, policy=Policy(keys=ring)) == obj
        assert unpack(data) == obj  # without keys a seal is no obstacle
        assert peek(data).verified == ()

    @given(RINGS, RINGS, PURPOSES, PURPOSES)
    def test_a_signature_verifies_with_its_key_for_its_purpose_and_in_no_other_way(
        self, writers: list[Key], readers: list[Key], purpose: str, other: str
    ) -> None:
        data = pack(1, writer=Writer(keys=KeyRing(writers, purpose)))
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
    def test_no_changed_bit_gets_through(self, alg: str) -> None:
        ring = KeyRing([key_from("k", alg, SECRETS[0])])
        data = pack({"id": 1}, writer=Writer(keys=ring))
        policy = Policy(keys=ring)
        assert unpack(data, policy=policy) == {"id": 1}
        for offset, bit, changed in flips(data):
            try:
                unpack(changed, policy=policy)
            except ReadError:
                continue
            pytest.fail(f"bit {bit} of byte {offset}")

    @given(st.data())
    def test_whatever_stands_in_the_seal_only_the_key_s_signature_counts(self, data: st.DataObject) -> None:
        good = pack({"id": 1}, writer=FIXED)
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
    def test_two_bodies_and_purposes_are_never_signed_alike(self, one: bytes, p: str, two: bytes, q: str) -> None:
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
def test_any_artifact_can_be_sealed_and_says_the_same(entry: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    path.write_bytes(read(entry))
    before = verify(path)
    key = Key.hmac("z-new", SECRETS[5])
    after = seal(path, KeyRing([key], "audit"))
    assert after.verified == (("hmac-sha256", "z-new"),)
    assert after == peek(path) == verify(path, policy=Policy(keys=KeyRing([key], "audit")))
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
        assert verify(path, policy=Policy(keys=ring)).verified


class TestKeys:
    def test_known_answer_of_hmac(self) -> None:
        key = Key.hmac("k", b"\xaa" * 131)  # RFC 4231, 4.7
        mac = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        message = b"Test Using Larger Than Block-Size Key - Hash Key First"
        assert key._sign(message).hex() == mac
        assert key._verifies(message, bytes.fromhex(mac))
        assert not key._verifies(message + b"x", bytes.fromhex(mac))

    def test_known_answer_of_ed25519(self) -> None:
        pytest.importorskip("cryptography")
        private = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")  # RFC 8032, 7.1, 3
        public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
        signature = bytes.fromhex(
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        )
        key = Key.ed25519("k", private=private)
        assert key._sign(b"\xaf\x82") == signature
        assert base64.b64decode(key.public().to_text().split()[4]) == public
        assert Key.ed25519("k", public=public)._verifies(b"\xaf\x82", signature)
        assert not Key.ed25519("k", public=public)._verifies(b"\xaf\x83", signature)

    def test_the_public_half_verifies_and_cannot_sign(self) -> None:
        pytest.importorskip("cryptography")
        ring = KeyRing([Key.generate("a", "ed25519"), Key.generate("b", "ed25519")], "p")
        public = ring.public()
        assert [key.can_sign for key in public.keys] == [False, False]
        assert unpack(pack(1, writer=Writer(keys=ring)), policy=Policy(keys=public)) == 1
        with pytest.raises(ValueError, match="none can sign"):
            Writer(keys=public)
        with pytest.raises(ValueError, match="only verifies"):
            public.keys[0]._sign(b"")
        mixed = KeyRing([public.keys[0], ring.keys[1]], "p")  # the newest that can sign
        assert peek(pack(1, writer=Writer(keys=mixed))).signatures == (("ed25519", "b"),)

    def test_hmac_has_no_public_half(self) -> None:
        with pytest.raises(ValueError, match="no public key"):
            KeyRing([Key.generate("k")]).public()

    def test_generated_keys_differ(self) -> None:
        for alg in ALGS:
            assert Key.generate("k", alg).to_text() != Key.generate("k", alg).to_text()
            assert Key.generate("k", alg).alg == alg

    def test_misuse(self) -> None:
        good = Key.generate("k")
        for wrong in (
            lambda: Key(),
            lambda: Key.generate("k", "md5"),
            lambda: Key.generate("1k"),
            lambda: Key.generate(""),
            lambda: Key.hmac("k", b"x" * 31),
            lambda: Key.hmac("k", "x" * 32),  # type: ignore[arg-type]
            lambda: Key.hmac(7, b"x" * 32),  # type: ignore[arg-type]
            lambda: Key.from_text(b"x"),  # type: ignore[arg-type]
            lambda: KeyRing([]),
            lambda: KeyRing(good),  # type: ignore[arg-type]
            lambda: KeyRing("k"),  # type: ignore[arg-type]
            lambda: KeyRing(7),  # type: ignore[arg-type]
            lambda: KeyRing([good, Key.generate("k")]),
            lambda: KeyRing([good]).rotated(Key.generate("k")),
            lambda: KeyRing([good], "a b"),
            lambda: KeyRing([good], "a;purpose=b"),
            lambda: KeyRing([good], "a\n"),
            lambda: KeyRing([good], "p" * 256),
            lambda: KeyRing([good], "größe"),
            lambda: KeyRing([good], None),  # type: ignore[arg-type]
            lambda: Writer(keys=good),  # type: ignore[arg-type]
            lambda: Policy(keys=good),  # type: ignore[arg-type]
            lambda: Policy(keys=KeyRing([good]), signed_by="k"),  # type: ignore[arg-type]
            lambda: Policy(keys=KeyRing([good]), signed_by=("other",)),
            lambda: Policy(signed_by=("k",)),
            lambda: seal("nowhere", "k"),  # type: ignore[arg-type]
        ):
            with pytest.raises((TypeError, ValueError)):
                wrong()

    def test_misuse_of_ed25519(self) -> None:
        pytest.importorskip("cryptography")
        private, other = Key.generate("k", "ed25519"), Key.generate("k", "ed25519")
        raw = base64.b64decode(private.to_text().split()[4])
        public = base64.b64decode(other.public().to_text().split()[4])
        for wrong in (
            lambda: Key.ed25519("k"),
            lambda: Key.ed25519("k", raw[:31]),
            lambda: Key.ed25519("k", public=raw + b"x"),
            lambda: Key.ed25519("k", raw, public),
        ):
            with pytest.raises(ValueError, match=r"32 bytes|expected a private|is not the public"):
                wrong()
        public = base64.b64decode(private.public().to_text().split()[4])
        assert Key.ed25519("k", raw, public).can_sign

    def test_keys_for_which_anyone_can_sign_are_refused(self) -> None:
        pytest.importorskip("cryptography")
        p = 2**255 - 19
        d = -121665 * pow(121666, -1, p) % p

        def double(x: int, y: int) -> tuple[int, int]:
            t = d * x * x * y * y
            return 2 * x * y * pow(1 + t, -1, p) % p, (y * y + x * x) * pow(1 - t, -1, p) % p

        assert len(keys._SMALL_ORDER) == 7
        for encoded in keys._SMALL_ORDER:
            y = encoded % p
            square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
            x = pow(square, (p + 3) // 8, p)
            x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
            assert x * x % p == square
            assert double(*double(*double(x, y))) == (0, 1)
            for sign in (0, 1 << 255):
                with pytest.raises(ValueError, match="small order"):
                    Key.ed25519("k", public=(encoded | sign).to_bytes(32, "little"))

    def test_without_the_extra_ed25519_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
        with pytest.raises(MissingExtraError, match="ed25519"):
            Key.generate("k", "ed25519")

    def test_keys_are_not_pickled_copied_or_packed(self) -> None:
        key = Key.generate("k")
        for value in (key, KeyRing([key])):
            with pytest.raises(TypeError, match="can't be pickled"):
                pickle.dumps(value)
            with pytest.raises(PackError):
                pack({"value": value})

    def test_policy_and_writer_stay_values(self) -> None:
        ring = KeyRing([Key.generate("k")])
        assert Policy(keys=ring) == Policy(keys=ring)
        assert hash(Policy(keys=ring)) == hash(Policy(keys=ring))
        assert Policy(keys=ring) != Policy()

    def test_a_pickled_header_does_not_say_verified(self) -> None:
        header = verify(pack(1, writer=FIXED), policy=POLICY)
        copy = pickle.loads(pickle.dumps(header))
        assert (copy, copy.signatures, copy.verified) == (header, header.signatures, ())


class TestSecrecy:
    SECRET = bytes(range(100, 132))
    TEXT = base64.b64encode(SECRET).decode()

    def leaks(self, text: str) -> bool:
        return any(part in text for part in (self.TEXT[:12], self.SECRET.hex()[:16], self.SECRET[:8].decode()))

    def test_reprs_show_no_secret(self) -> None:
        keys = [key_from("k", alg, self.SECRET) for alg in ALGS]
        ring = KeyRing(keys)
        for value in (*keys, ring, Policy(keys=ring), Writer(keys=ring)):
            assert not self.leaks(repr(value) + str(value) + f"{value}")
        assert self.leaks(keys[0].to_text())

    @pytest.mark.parametrize(
        "line",
        [
            f"pickleseal-key-v1 hmac-sha256 k secret {TEXT}x",
            f"pickleseal-key-v1 hmac-sha256 k secret {TEXT[:-1]}",
            f"pickleseal-key-v1 hmac-sha256 k secret {TEXT} trailing",
            f"pickleseal-key-v1 hmac-sha256 {TEXT} secret k",
            f"pickleseal-key-v1 {TEXT} k secret {TEXT}",
            f"pickleseal-key-v1 hmac-sha256 k {TEXT} {TEXT}",
            f"pickleseal-key-v1 hmac-sha256 k public {TEXT}",
            f"pickleseal-key-v1 ed25519 k secret {TEXT}",
            f"pickleseal-key-v2 hmac-sha256 k secret {TEXT}",
            f"pickleseal-key-v1 hmac-sha256 ä secret {TEXT}",
            f"pickleseal-key-v1 hmac-sha256 k secret {base64.b64encode(SECRET[:16]).decode()}",
            TEXT,
            f"pickleseal-key-v1 hmac-sha256 k secret {TEXT}\npickleseal-key-v1 hmac-sha256 k secret {TEXT}",
        ],
    )
    def test_errors_name_the_line_and_show_nothing_of_it(
        self, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "keys"
        path.write_text(f"# a comment\n\n{line}\n", "utf-8")
        path.chmod(0o600)
        monkeypatch.setenv("THE_KEYS", path.read_text("utf-8"))
        for load, place in (
            (lambda: KeyRing.from_file(path), str(path)),
            (lambda: KeyRing.from_env("THE_KEYS"), "THE_KEYS"),
        ):
            with pytest.raises(ValueError, match=r"line 3|two hmac-sha256 keys") as caught:
                load()
            error: BaseException | None = caught.value
            assert place in str(error)
            while error is not None:
                assert not self.leaks(repr(error) + str(error) + repr(error.args) + repr(vars(error)))
                error = error.__cause__ or error.__context__
            assert not self.leaks("".join(traceback.format_exception(caught.value)))

    def test_a_refusal_shows_no_secret(self) -> None:
        ring = KeyRing([Key.hmac("k", self.SECRET)])
        data = pack(1, writer=Writer(keys=KeyRing([Key.hmac("k", SECRETS[0])])))
        for bad in (data, pack(1)):
            error = refused(lambda bad=bad: unpack(bad, policy=Policy(keys=ring)))  # type: ignore[misc]
            assert not self.leaks("".join(traceback.format_exception(error)) + repr(error))
            assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
class TestFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "ring"
        KeyRing([Key.generate("k")]).to_file(path)
        return path

    def test_a_written_file_is_its_owner_s_alone(self, path: Path, tmp_path: Path) -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o666)
        before = os.umask(0)
        try:
            KeyRing([Key.generate("other")]).to_file(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [key.id for key in KeyRing.from_file(path, "p").keys] == ["other"]
        assert os.listdir(tmp_path) == ["ring"]

    @pytest.mark.parametrize("mode", [0o604, 0o602, 0o640, 0o620, 0o644, 0o660, 0o666])
    def test_a_file_that_others_can_use_is_refused(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        with pytest.raises(PermissionError, match="chmod 600") as caught:
            KeyRing.from_file(path)
        assert caught.value.filename == str(path)
        link = path.with_name("link")
        link.symlink_to(path)
        with pytest.raises(PermissionError):
            KeyRing.from_file(link)

    @pytest.mark.parametrize("mode", [0o400, 0o600, 0o700, 0o611])
    def test_other_modes_are_taken(self, path: Path, mode: int) -> None:
        path.chmod(mode)
        assert KeyRing.from_file(str(path)).keys[0].id == "k"

    def test_public_keys_may_be_read_by_all_and_written_by_none(self, path: Path) -> None:
        pytest.importorskip("cryptography")
        KeyRing([Key.generate("k", "ed25519")]).public().to_file(path)
        path.chmod(0o644)
        assert not KeyRing.from_file(path).keys[0].can_sign
        for mode in (0o664, 0o646):
            path.chmod(mode)
            with pytest.raises(PermissionError, match="chmod go-w"):
                KeyRing.from_file(path)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
    def test_a_file_of_another_user_is_refused(self, path: Path) -> None:
        os.chown(path, 12345, -1)
        with pytest.raises(PermissionError, match="12345"):
            KeyRing.from_file(path)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
    def test_another_user_s_file_of_public_keys_is_refused(self, path: Path) -> None:
        pytest.importorskip("cryptography")
        KeyRing([Key.generate("k", "ed25519")]).public().to_file(path)
        path.chmod(0o644)
        os.chown(path, 12345, -1)
        with pytest.raises(PermissionError, match="12345, who could put other keys in it"):
            KeyRing.from_file(path)

    def test_what_is_no_key_file(self, path: Path, tmp_path: Path) -> None:
        for content in (b"", b"# nothing\n", b"\xff\xfe" * 100, b"x" * (1 << 21)):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=str(path)):
                KeyRing.from_file(path)
        with pytest.raises(FileNotFoundError):
            KeyRing.from_file(tmp_path / "none")
        with pytest.raises(IsADirectoryError):
            KeyRing.from_file(tmp_path)
        with pytest.raises(ValueError, match="NO_SUCH_KEYS is not set"):
            KeyRing.from_env("NO_SUCH_KEYS")

    def test_a_failed_write_leaves_the_old_file(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = path.read_bytes()

        def fail(source: str, target: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            KeyRing([Key.generate("other")]).to_file(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["ring"]


class TestReading:
    def test_rotation(self) -> None:
        old = KeyRing([Key.generate("old")], "p")
        new = old.rotated(Key.generate("new"))
        assert ([key.id for key in new.keys], new.purpose) == (["new", "old"], "p")
        before, after = pack(1, writer=Writer(keys=old)), pack(2, writer=Writer(keys=new))
        policy = Policy(keys=new)
        assert (unpack(before, policy=policy), unpack(after, policy=policy)) == (1, 2)
        assert verify(after, policy=policy).verified == (("hmac-sha256", "new"),)
        refused(lambda: unpack(after, policy=Policy(keys=old)))

    def test_hints_tell_the_cases_apart(self) -> None:
        data = pack(1, writer=FIXED)
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

    def test_nothing_is_tried_that_the_ring_does_not_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
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
        data = pack(1, writer=FIXED)
        other = KeyRing([Key.hmac("k", SECRETS[1])])
        policy = Policy(keys=other, limits=Limits(max_frame=64))
        assert refused(lambda: unpack(data, policy=policy)).step == 6
        assert refused(lambda: unpack(data[:100], policy=Policy(keys=other))).step == 7

    def test_a_payload_that_was_put_under_a_signed_header_is_refused(self) -> None:
        data = pack(b"a" * 100, writer=FIXED)
        other = data.replace(b"a" * 100, b"b" * 100)
        assert isinstance(refused(lambda: unpack(other, policy=POLICY)), SectionChecksumError)
        assert peek(other, policy=POLICY).verified  # the header is genuine; of the payload it says nothing yet

    def test_one_writer_and_policy_serve_files(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pseal"
        pickleseal.dump([1], path, writer=FIXED)
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

    def test_sealing_again_changes_nothing_but_the_own_signature(self, path: Path) -> None:
        key, other = Key.hmac("k", SECRETS[0]), Key.hmac("other", SECRETS[1])
        seal(path, key)
        one = path.read_bytes()
        seal(path, other)
        two = path.read_bytes()
        header_len = peek(path).preamble.header_len
        assert one[64 : 64 + header_len] == two[64 : 64 + header_len]
        assert verify(path, policy=Policy(keys=KeyRing([key, other]), signed_by=("k", "other"))).verified
        seal(path, Key.hmac("k", SECRETS[2]))
        assert peek(path).signatures == (("hmac-sha256", "k"), ("hmac-sha256", "other"))
        refused(lambda: verify(path, policy=Policy(keys=KeyRing([key]))))
        seal(path, key)
        assert path.read_bytes() == two

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

    def test_a_full_seal_takes_no_more(self, path: Path) -> None:
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

    def test_buffers_do_not_go_through_memory(self, path: Path) -> None:
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
    def test_it_signs_anew_what_it_verified(self, tmp_path: Path) -> None:
        path, ring = tmp_path / "job.pseal", KeyRing([Key.generate("k")])
        older, newer = pickleseal.Registry(), pickleseal.Registry()
        older.register(Job, "seals.Job", version=1)
        newer.register(Job, "seals.Job", version=2)
        newer.migration("seals.Job", from_version=1)(lambda state: {**state, "new": True})
        pickleseal.dump(Job(), path, writer=Writer(registry=older, keys=ring))
        before = path.read_bytes()
        for policy, writer in (
            (Policy(registry=newer), Writer(registry=newer)),
            (Policy(registry=newer, keys=ring), Writer(registry=newer)),
            (Policy(registry=newer), Writer(registry=newer, keys=ring)),
        ):
            with pytest.raises(PolicyError, match="seal"):
                upgrade(path, policy=policy, writer=writer)
            assert path.read_bytes() == before
        new_ring = ring.rotated(Key.generate("new"))
        policy = Policy(registry=newer, keys=new_ring)
        assert upgrade(path, policy=policy, writer=Writer(registry=newer, keys=new_ring))
        assert verify(path, policy=policy).verified == (("hmac-sha256", "new"),)
        assert pickleseal.load(path, policy=policy).new


# --- SHA-256 on all cores ---------------------------------------------------------------------------------------------


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


PAYLOAD = b"\x80\x05]\x94(" + b"\x97" * 4 + b"e."
LENGTHS = [len(PAYLOAD), 300_001, 400_000, 100, 500_003]
BLOCKS = [PAYLOAD, *(bytes([n]) * length for n, length in enumerate(LENGTHS[1:], 1))]


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
            lambda: pickleseal.dump(obj, path, writer=FIXED, durable=False),
            lambda: unpack(path.read_bytes(), policy=POLICY),
            lambda: pickleseal.load(path, policy=POLICY),
            lambda: verify(path, policy=POLICY),
        ):
            started.clear()
            run()
            assert len(started) in (3, 4)
        started.clear()
        pack([pickle.PickleBuffer(bytearray(2 << 20))], writer=FIXED)  # one section is not worth a thread
        pack([pickle.PickleBuffer(bytearray(20_000))] * 9, writer=FIXED)
        assert not started

    def test_a_source_that_goes_on_to_another_frame_judges_it(self, cores: None, tmp_path: Path) -> None:
        path = tmp_path / "two.pseal"
        path.write_bytes(
            artifact(set()) + artifact({0}, [b"\x80\x05B" + (100_000).to_bytes(4, "little") + bytes(100_000) + b"."])
        )
        for buffering in (0, -1):
            with open(path, "rb", buffering) as file:
                source = FileSource(file, whole=False)
                verify_source(source, Policy())
                assert refused(lambda source=source: verify_source(source, Policy())).where == "sections[0]"  # type: ignore[misc]

    def test_without_threads_it_hashes_all_the_same(self, cores: None, monkeypatch: pytest.MonkeyPatch) -> None:
        import concurrent.futures

        def refuse(*args: object) -> Any:
            raise RuntimeError("cannot schedule new futures after interpreter shutdown")

        obj = [pickle.PickleBuffer(bytearray(700_000)) for _ in range(3)]
        data = pack(obj, writer=FIXED)
        monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", refuse)
        assert verify(data, policy=POLICY) == verify(data)
        assert [section.sha256 for section in peek(pack(obj, writer=FIXED)).sections[1:]] == [
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

    def test_it_works_while_the_interpreter_exits(self) -> None:
        code = (
            "import atexit, pickle, pickleseal as p\n"
            "from pickleseal._io import threads\n"
            "threads.cores = lambda: 2\n"
            "ring = p.KeyRing([p.Key.generate('k')])\n"
            "obj = [pickle.PickleBuffer(bytearray(1 << 20)) for _ in range(2)]\n"
            "def last():\n"
            "    data = p.pack(obj, writer=p.Writer(keys=ring))\n"
            "    print(len(p.verify(data, policy=p.Policy(keys=ring)).verified))\n"
            "atexit.register(last)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == ("1\n", "")


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


def test_every_combination_of_signers_is_judged_by_who_has_to_sign(tmp_path: Path) -> None:
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
