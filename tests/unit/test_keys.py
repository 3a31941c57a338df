"""Keys and key rings: made, stored for their owner alone, and never shown."""

import base64
import errno
import hmac
import os
import pickle
import stat
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from _helpers.keys import ALGS, POLICY, SECRETS, SIGNING, key_from, refused

from pickleseal import Key, KeyRing, PackOptions, Policy, Serializer, pack, peek, unpack, verify
from pickleseal import _keys as keys
from pickleseal.errors import (
    MissingExtraError,
    PackError,
    SignatureError,
)
from pickleseal.maintenance import seal


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
        assert unpack(pack(1, options=PackOptions(keys=ring)), policy=Policy(keys=public)) == 1
        with pytest.raises(ValueError, match="none can sign"):
            PackOptions(keys=public)
        with pytest.raises(ValueError, match="only verifies"):
            public.keys[0]._sign(b"")
        mixed = KeyRing([public.keys[0], ring.keys[1]], "p")  # the newest that can sign
        assert peek(pack(1, options=PackOptions(keys=mixed))).signatures == (("ed25519", "b"),)

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
            lambda: PackOptions(keys=good),  # type: ignore[arg-type]
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

    def test_without_the_extra_the_error_names_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
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
        header = verify(pack(1, options=SIGNING), policy=POLICY)
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
        for value in (*keys, ring, Policy(keys=ring), PackOptions(keys=ring)):
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
    def test_errors_name_the_line_but_do_not_show_it(
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
        data = pack(1, options=PackOptions(keys=KeyRing([Key.hmac("k", SECRETS[0])])))
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
            KeyRing([Key.generate("other")]).to_file(path, overwrite=True)
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
        KeyRing([Key.generate("k", "ed25519")]).public().to_file(path, overwrite=True)
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
        KeyRing([Key.generate("k", "ed25519")]).public().to_file(path, overwrite=True)
        path.chmod(0o644)
        os.chown(path, 12345, -1)
        with pytest.raises(PermissionError, match="12345, who could put other keys in it"):
            KeyRing.from_file(path)

    def test_a_file_of_another_kind_is_not_a_key_file(self, path: Path, tmp_path: Path) -> None:
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

    def test_keys_are_not_overwritten_unless_asked_for(self, path: Path, tmp_path: Path) -> None:
        before = path.read_bytes()
        (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
        for taken in (path, tmp_path / "nowhere"):
            with pytest.raises(FileExistsError) as caught:
                KeyRing([Key.generate("other")]).to_file(taken)
            assert caught.value.filename == str(taken)
        assert path.read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == ["nowhere", "ring"]

    @pytest.mark.parametrize("makes", [True, False], ids=["another made it meanwhile", "it is not there"])
    def test_a_file_system_without_hard_links(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, makes: bool
    ) -> None:
        path = tmp_path / "ring"

        def link(source: str, target: str) -> None:
            if makes:
                path.write_text("theirs")
            raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
        if makes:
            with pytest.raises(FileExistsError):
                KeyRing([Key.generate("k")]).to_file(path)
            assert path.read_text() == "theirs"
        else:
            KeyRing([Key.generate("k")]).to_file(path)
            assert KeyRing.from_file(path).keys[0].id == "k"
        assert os.listdir(tmp_path) == ["ring"]

    def test_a_failed_write_leaves_the_old_file(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = path.read_bytes()

        def fail(source: str, target: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space"):
            KeyRing([Key.generate("other")]).to_file(path, overwrite=True)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == ["ring"]


SECRET = "a secret of an application, 50 characters or so long"


class TestDerive:
    def test_the_key_is_that_of_rfc_5869(self) -> None:
        hkdf = pytest.importorskip("cryptography.hazmat.primitives.kdf.hkdf")
        hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
        salt = b"pickleseal KeyRing.derive v1"
        (key,) = KeyRing.derive(SECRET, purpose="cache").keys
        for part, wanted in ((b"key", base64.b64decode(key.to_text().split()[4])), (b"id", None)):
            made = hkdf.HKDF(hashes.SHA256(), 32, salt, b"hmac-sha256 " + part + b" cache").derive(SECRET.encode())
            assert made == wanted if wanted is not None else key.id == f"derived-{made[:8].hex()}"

    def test_keys_and_ids_never_change(self) -> None:
        assert KeyRing.derive(SECRET, purpose="cache").keys[0].id == "derived-1a511f48aa6724c3"
        assert (
            KeyRing.derive(SECRET.encode(), purpose="cache").to_text() == KeyRing.derive(SECRET, (), "cache").to_text()
        )

    def test_each_secret_and_purpose_has_a_key_of_its_own(self) -> None:
        texts = {
            KeyRing.derive(secret, purpose=purpose).to_text()
            for secret in (SECRET, SECRET + "x")
            for purpose in ("", "cache", "jobs")
        }
        assert len(texts) == 6

    def test_fallbacks_only_verify(self) -> None:
        old = pack(7, keys=KeyRing.derive("o" * 40))
        ring = KeyRing.derive(SECRET, ["o" * 40, SECRET, b"p" * 40])
        assert len(ring.keys) == 3
        assert unpack(old, keys=ring, level="signed") == 7
        with pytest.raises(SignatureError):
            unpack(pack(7, keys=ring), keys=KeyRing.derive("o" * 40))
        assert unpack(pack(7, keys=ring), keys=KeyRing.derive(SECRET)) == 7

    @pytest.mark.parametrize(
        ("secret", "fallbacks", "error", "text"),
        [
            ("x" * 31, (), ValueError, "secret: expected at least 32 bytes"),
            (SECRET, ["x" * 31], ValueError, r"fallbacks\[0\]: expected at least 32"),
            (SECRET, SECRET, TypeError, "fallbacks: expected a list"),
            (None, (), TypeError, "secret: expected bytes"),
            ("x" * 40 + "\ud800", (), ValueError, "surrogate"),
        ],
    )
    def test_what_is_refused_without_showing_it(self, secret: Any, fallbacks: Any, error: Any, text: str) -> None:
        with pytest.raises(error, match=text) as caught:
            KeyRing.derive(secret, fallbacks)
        assert "xxx" not in str(caught.value)

    def test_nothing_shows_the_secret(self) -> None:
        ring = KeyRing.derive(SECRET)
        assert SECRET not in repr(ring) + repr(ring.keys[0]) + ring.to_text()


class TestRotation:
    def test_no_reader_refuses_anything_on_the_way(self) -> None:
        old, new = Key.generate("rel-2025"), Key.generate("rel-2026")
        steps = [  # readers, writers
            ([old], [old]),
            ([old, new], [old]),
            ([old, new], [new, old]),
            ([new, old], [new, old]),
            ([new], [new]),
        ]
        for (readers, writers), (later, _) in zip(steps, [*steps[1:], steps[-1]], strict=True):
            data = pack(7, keys=KeyRing(writers))
            assert unpack(data, keys=KeyRing(readers), level="signed") == 7
            if old in later or writers[0] is new:  # readers and writers take the next step at different times
                assert unpack(data, keys=KeyRing(later), level="signed") == 7

    def test_the_old_key_goes_when_nothing_is_left_of_it(self) -> None:
        old, new = Key.generate("rel-2025"), Key.generate("rel-2026")
        data = pack(7, keys=KeyRing([old]))
        assert unpack(data, keys=KeyRing([old]).rotated(new)) == 7
        with pytest.raises(SignatureError, match="by no key"):
            unpack(data, keys=KeyRing([new]))


class TestExternal:
    def test_an_hmac_in_a_service_signs_and_verifies(self) -> None:
        secret = b"s" * 32
        key = Key.external("kms", "hmac-sha256", lambda message: hmac.digest(secret, message, "sha256"))
        ring = KeyRing([key])
        assert key.can_sign
        assert unpack(pack(7, keys=ring, context="a"), keys=KeyRing([Key.hmac("kms", secret)]), context="a") == 7
        assert unpack(pack(7, keys=KeyRing([Key.hmac("kms", secret)])), keys=ring, level="signed") == 7
        with pytest.raises(SignatureError):
            unpack(pack(7, keys=KeyRing([Key.generate("kms")])), keys=ring)

    def test_an_ed25519_key_in_a_service_signs(self) -> None:
        ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
        private = ed25519.Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw()
        ring = KeyRing([Key.external("hsm", "ed25519", private.sign, public)])
        assert unpack(pack(7, keys=ring), keys=ring.public(), level="signed") == 7
        other = ed25519.Ed25519PrivateKey.generate()
        with pytest.raises(OSError, match="key hsm: what its function returned does not verify"):
            pack(7, keys=KeyRing([Key.external("hsm", "ed25519", other.sign, public)]))

    def test_a_service_that_fails_is_an_os_error(self) -> None:
        def fails(message: bytes) -> bytes:
            raise RuntimeError("no connection")

        ring = KeyRing([Key.external("kms", "hmac-sha256", fails)])
        data = pack(7, keys=KeyRing([Key.generate("kms")]))
        for call in (
            lambda: pack(7, keys=ring),
            lambda: unpack(data, keys=ring),
            lambda: Serializer(keys=ring).loads(data),
        ):
            with pytest.raises(OSError, match="key kms: its function failed: RuntimeError: no connection") as caught:
                call()
            assert isinstance(caught.value.__cause__, RuntimeError)
        miss: Serializer[Any] = Serializer(keys=ring, on_refuse="miss")
        with pytest.raises(OSError, match="kms"):
            miss.loads(data)

    @pytest.mark.parametrize("result", [None, "x" * 32, b"", b"x" * 31, bytearray(32)])
    def test_a_result_that_is_no_signature(self, result: Any) -> None:
        with pytest.raises(OSError, match="has to return 32 bytes"):
            pack(7, keys=KeyRing([Key.external("kms", "hmac-sha256", lambda message: result)]))

    def test_arguments_are_checked_and_secrets_stay_away(self) -> None:
        key = Key.external("kms", "hmac-sha256", len)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="elsewhere"):
            key.to_text()
        for arguments, error in (
            (("kms", "hmac-sha256", None), TypeError),
            (("kms", "rsa", len), ValueError),
            (("kms", "ed25519", len), ValueError),
            (("kms", "hmac-sha256", len, b"x" * 32), ValueError),
            (("no id", "hmac-sha256", len), ValueError),
        ):
            with pytest.raises(error):
                Key.external(*arguments)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="one key"):
            Policy(keys=KeyRing([key, Key.external("b", key.alg, len)]), signed_by=["kms", "b"])  # type: ignore[arg-type]


class TestReferences:
    def test_a_ring_from_a_file_is_pickled_as_its_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        ring = KeyRing([Key.generate("k")], "jobs")
        ring.to_file("keys")
        from_file = KeyRing.from_file("keys", "jobs")
        data = pickle.dumps([from_file, from_file.in_context("a"), Serializer(keys=from_file, level="signed")])
        assert ring.to_text().split()[4].encode() not in data
        monkeypatch.chdir("/")
        copy, bound, serializer = pickle.loads(data)
        assert (copy.to_text(), copy.purpose) == (ring.to_text(), "jobs")
        assert unpack(pack(7, keys=ring, context="a"), keys=bound) == 7
        assert serializer.loads(pack(7, keys=ring)) == 7
        for derived in (from_file.rotated(Key.generate("new")), KeyRing(from_file.keys)):
            with pytest.raises(TypeError, match=r"KeyRing\.from_file or"):
                pickle.dumps(derived)

    def test_a_ring_from_the_environment_is_pickled_as_its_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHOP_KEYS", KeyRing([Key.generate("k")]).to_text())
        data = pickle.dumps(KeyRing.from_env("SHOP_KEYS"))
        later = KeyRing([Key.generate("later")]).to_text()
        monkeypatch.setenv("SHOP_KEYS", later)
        assert pickle.loads(data).to_text() == later
        monkeypatch.delenv("SHOP_KEYS")
        with pytest.raises(ValueError, match="SHOP_KEYS is not set"):
            pickle.loads(data)


@pytest.mark.parametrize(
    "between", ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\t", "\0"]
)
def test_a_line_of_keys_ends_at_lf_alone(between: str, tmp_path: Path) -> None:
    first, second = Key.generate("a").to_text(), Key.generate("b").to_text()
    for text in (f"# a comment{between}{first}\n{second}\n", f"{first}{between}{second}", f"{first}{between}\n"):
        with pytest.raises(ValueError, match="line 1: expected no control characters"):
            KeyRing.from_text(text)
    with pytest.raises(ValueError, match="control character"):
        Key.from_text(f"{first}{between}")
    assert [key.id for key in KeyRing.from_text(f"{first}\n\n# x\n{second}").keys] == ["a", "b"]
    assert Key.from_text(first + "\n").id == "a"
