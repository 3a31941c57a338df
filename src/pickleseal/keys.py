"""Keys and key rings: who may sign, and whose signatures count (spec section 10).

A ring looks a key up by identity and algorithm, and tries no other. The first key that can sign signs; any of them
verifies, so that a key is changed by putting a new one in front. Ed25519 comes from `cryptography`, the extra
`pickleseal[ed25519]`, imported when the first such key is made.
"""

import base64
import os
from collections.abc import Iterable
from typing import Any, NoReturn

from .errors import MissingExtraError
from .format.grammar import is_key
from .format.seal import decode_base64, is_purpose
from .keyfile import read_key_file, write_key_file

__all__ = ["Key", "KeyRing"]

HMAC = "hmac-sha256"
ED25519 = "ed25519"
_LEAST_SECRET = 32  # bytes: as long as the hash, RFC 2104 section 3
_MARK = "pickleseal-key-v1"
# y of the points of small order, in every encoding, without the sign of x (RFC 8032, 5.1.2): anyone can sign for these.
_SMALL_ORDER = frozenset(
    {
        0,
        1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
        2**255 - 20,
        2**255 - 19,
        2**255 - 18,
    }
)
_FORM = f"{_MARK} ALG ID private|public|secret BASE64"


class Key:
    """One key: of HMAC-SHA256, which signs and verifies, or of Ed25519, whose public half verifies alone. Immutable.

    Make one with `Key.generate`, `Key.hmac`, `Key.ed25519` or `Key.from_text`. `repr` shows no secret, and a key can't
    be pickled: `to_text` is the one way out.

    Raises:
        TypeError: `Key()` itself.
    """

    __slots__ = ("_alg", "_id", "_native", "_private", "_public")
    _id: str
    _alg: str
    _private: bytes | None  # HMAC's secret, or Ed25519's private key
    _public: bytes | None
    _native: Any  # Ed25519's public key, as `cryptography` has it

    def __init__(self) -> None:
        raise TypeError("Key: make one with Key.generate, Key.hmac, Key.ed25519 or Key.from_text")

    @classmethod
    def _make(cls, id: object, alg: str, private: bytes | None, public: bytes | None, native: Any) -> "Key":
        if not isinstance(id, str) or not is_key(id):
            raise ValueError("id: expected a letter, then up to 255 of letters, digits, _ . : -")
        key = object.__new__(cls)
        key._id, key._alg, key._private, key._public, key._native = id, alg, private, public, native
        return key

    @classmethod
    def generate(cls, id: str, alg: str = HMAC) -> "Key":
        """Make a new random key, from the operating system's source. Runs no code of an artifact. Spec section 10.

        Raises:
            ValueError: the id is no key in the sense of the spec, or the algorithm is unknown.
            MissingExtraError: `ed25519`, and `cryptography` is not installed.
        """
        if alg == HMAC:
            return cls.hmac(id, os.urandom(_LEAST_SECRET))
        if alg == ED25519:
            return cls.ed25519(id, private=os.urandom(32))
        raise ValueError(f"alg: expected {HMAC} or {ED25519}, found {alg!r}")

    @classmethod
    def hmac(cls, id: str, secret: bytes) -> "Key":
        """Take a secret that writers and readers share: at least 32 random bytes, not a password.

        Raises:
            TypeError, ValueError: the secret is not bytes, or too short; the id is no key in the sense of the spec.
        """
        return cls._make(id, HMAC, _as_bytes("secret", secret, _LEAST_SECRET), None, None)

    @classmethod
    def ed25519(cls, id: str, private: bytes | None = None, public: bytes | None = None) -> "Key":
        """Take an Ed25519 key as RFC 8032 encodes it, 32 bytes: the private one signs, the public one only verifies.

        The public one follows from the private; where both are given they have to agree.

        Raises:
            TypeError, ValueError: a key is not 32 bytes, none is given, they do not belong together, or the public one
                is a point of small order; the id is no key in the sense of the spec.
            MissingExtraError: `cryptography` is not installed.
        """
        asymmetric = _ed25519()
        if private is not None:
            private = _as_bytes("private", private, 32, 32)
            native = asymmetric.Ed25519PrivateKey.from_private_bytes(private).public_key()
            derived = native.public_bytes_raw()
            if public is not None and public != derived:
                raise ValueError("public: is not the public key of the private one")
            return cls._make(id, ED25519, private, derived, native)
        if public is None:
            raise ValueError("expected a private or a public key")
        public = _as_bytes("public", public, 32, 32)
        if int.from_bytes(public, "little") & (2**255 - 1) in _SMALL_ORDER:
            raise ValueError("public: a point of small order, for which anyone can sign")
        return cls._make(id, ED25519, None, public, asymmetric.Ed25519PublicKey.from_public_bytes(public))

    @classmethod
    def from_text(cls, text: str) -> "Key":
        """Read a key from its line of text, as `to_text` gives it. No error shows what the line holds.

        Raises:
            TypeError, ValueError: it is not such a line.
            MissingExtraError: it is of Ed25519, and `cryptography` is not installed.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected a line of text, found {type(text).__name__}")
        words = text.split()
        if len(words) != 5:
            raise ValueError(f"expected `{_FORM}`, found {len(words)} words")
        if words[0] != _MARK:
            raise ValueError(f"expected `{_FORM}`, found another first word")
        _, alg, id, kind, encoded = words
        raw = decode_base64(encoded)
        if raw is None:
            raise ValueError("fifth word: expected base64 with padding")
        if (alg, kind) == (HMAC, "secret"):
            return cls.hmac(id, raw)
        if (alg, kind) == (ED25519, "private"):
            return cls.ed25519(id, private=raw)
        if (alg, kind) == (ED25519, "public"):
            return cls.ed25519(id, public=raw)
        raise ValueError(f"second and fourth word: expected {HMAC} with secret, or {ED25519} with private or public")

    @property
    def id(self) -> str:
        """The identity by which a seal names the key."""
        return self._id

    @property
    def alg(self) -> str:
        """The algorithm: `hmac-sha256` or `ed25519`."""
        return self._alg

    @property
    def can_sign(self) -> bool:
        """Whether the key holds what it takes to sign."""
        return self._private is not None

    def public(self) -> "Key":
        """Return the half of an Ed25519 key that verifies and cannot sign.

        Raises:
            ValueError: an HMAC key, which has no such half: who can verify can sign.
        """
        if self._public is None:
            raise ValueError(f"key {self._id}: HMAC has no public key; who verifies can sign")
        return Key._make(self._id, self._alg, None, self._public, self._native)

    def to_text(self) -> str:
        """Return the key as one line of text, with its secret. `Key.from_text` reads it."""
        kind = "public" if self._private is None else "secret" if self._alg == HMAC else "private"
        raw = self._public if self._private is None else self._private
        return f"{_MARK} {self._alg} {self._id} {kind} {base64.b64encode(raw or b'').decode('ascii')}"

    def __repr__(self) -> str:
        return f"<Key {self._id} {self._alg}{'' if self.can_sign else ', verifies only'}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Key can't be pickled or copied: secrets travel by to_text() alone")

    def _is(self, other: "Key") -> bool:
        """Tell whether two keys are the same but for their ids. Not in constant time: both are the caller's."""
        mine, theirs = (self._public or self._private, other._public or other._private)
        return self._alg == other._alg and mine == theirs

    def _sign(self, message: bytes) -> bytes:
        if self._private is None:
            raise ValueError(f"key {self._id} only verifies")
        if self._alg == HMAC:
            return _hmac_sha256(self._private, message)
        raw: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(self._private).sign(message)
        return raw

    def _verifies(self, message: bytes, raw: bytes) -> bool:
        if self._alg == HMAC and self._private is not None:
            import hmac

            return hmac.compare_digest(_hmac_sha256(self._private, message), raw)
        from cryptography.exceptions import InvalidSignature

        try:
            self._native.verify(raw, message)
        except InvalidSignature:
            return False
        return True


def _as_bytes(what: str, value: object, least: int, most: int | None = None) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{what}: expected bytes, found {type(value).__name__}")
    if len(value) < least or (most is not None and len(value) > most):
        raise ValueError(f"{what}: expected {'' if most else 'at least '}{least} bytes, found {len(value)}")
    return value


def _hmac_sha256(secret: bytes, message: bytes) -> bytes:
    import hmac  # loads OpenSSL: only where there are keys

    return hmac.digest(secret, message, "sha256")


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtraError(
            "Ed25519 needs the package cryptography", None, None, "pip install 'pickleseal[ed25519]'"
        ) from None
    return ed25519


class KeyRing:
    """Keys in order: the first that can sign signs, any of them verifies. Immutable, shared freely between threads.

    Args:
        keys: the newest first. An id may occur once for each algorithm.
        purpose: what the signatures are for, agreed between writers and readers and stored nowhere: 0 to 255 of
            letters, digits, `. _ : / -`. A signature for one purpose does not verify for another.

    Raises:
        TypeError, ValueError: there is no key, something is no key, two have the same id and algorithm, or the purpose
            has other characters.

    Runs no code of an artifact. A ring can't be pickled. Spec section 10.

    >>> ring = KeyRing([Key.generate("jobs-2026")], purpose="models")
    >>> data = pack([1, 2], writer=Writer(keys=ring))
    >>> verify(data, policy=Policy(keys=ring)).verified
    (('hmac-sha256', 'jobs-2026'),)
    """

    __slots__ = ("_by_identity", "_keys", "_purpose")

    def __init__(self, keys: Iterable[Key], purpose: str = "") -> None:
        if isinstance(keys, Key) or not isinstance(keys, Iterable):
            raise TypeError(f"keys: expected several keys, found {type(keys).__name__}")
        self._keys = tuple(keys)
        for key in self._keys:
            if not isinstance(key, Key):
                raise TypeError(f"keys: expected keys, found {type(key).__name__}")
        if not self._keys:
            raise ValueError("keys: expected at least one")
        if not isinstance(purpose, str) or not is_purpose(purpose):
            raise ValueError("purpose: expected 0 to 255 of letters, digits, . _ : / -")
        self._purpose = purpose
        self._by_identity: dict[tuple[str, str], Key] = {}
        for key in self._keys:
            if self._by_identity.setdefault((key.id, key.alg), key) is not key:
                raise ValueError(f"keys: two {key.alg} keys have the id {key.id}")

    @classmethod
    def from_text(cls, text: str, purpose: str = "") -> "KeyRing":
        """Read a ring from text: one key a line, the newest first. Lines that are empty or begin with `#` are skipped.

        Raises:
            TypeError, ValueError: a line is no key, which is named by its number, or `KeyRing` refuses the keys. No
                error shows what a line holds.
            MissingExtraError: a key is of Ed25519, and `cryptography` is not installed.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected text, found {type(text).__name__}")
        keys = []
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    keys.append(Key.from_text(line))
                except ValueError as exc:
                    raise ValueError(f"line {number}: {exc}") from None
        return cls(keys, purpose)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], purpose: str = "") -> "KeyRing":
        """Read a ring from a file, in the form of `from_text`.

        On POSIX a file is refused that others could have changed: one that belongs to neither this user nor root, or
        that others can write to; one with secrets also if others can read it. It is the opened file that is checked.

        Raises:
            PermissionError: such a file; the message says what to do.
            OSError: from the operating system.
            ValueError, MissingExtraError: as for `from_text`; the message names the file.
        """
        name = os.fsdecode(path)
        text, check = read_key_file(name)
        try:
            ring = cls.from_text(text, purpose)
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from None
        check(any(key.can_sign for key in ring.keys))
        return ring

    @classmethod
    def from_env(cls, name: str, purpose: str = "") -> "KeyRing":
        """Read a ring from an environment variable, in the form of `from_text`.

        Raises:
            ValueError: the variable is not set, or as for `from_text`; the message names the variable.
            MissingExtraError: as for `from_text`.
        """
        text = os.environ.get(name)
        if text is None:
            raise ValueError(f"environment variable {name} is not set")
        try:
            return cls.from_text(text, purpose)
        except ValueError as exc:
            raise ValueError(f"environment variable {name}: {exc}") from None

    def to_text(self) -> str:
        """Return the keys as text, with their secrets, one a line. The purpose is not part of it."""
        return "".join(f"{key.to_text()}\n" for key in self._keys)

    def to_file(self, path: str | os.PathLike[str]) -> None:
        """Write the ring to a file that its owner alone can read and write, atomically and durably.

        Raises:
            OSError: from the operating system; a file that was there is left as it was, unless only the last sync of
            the folder failed.
        """
        write_key_file(os.fsdecode(path), self.to_text())

    def rotated(self, key: Key) -> "KeyRing":
        """Return a ring with a new key in front: it signs from now on, and the others still verify.

        Raises:
            TypeError, ValueError: as for `KeyRing`.
        """
        return KeyRing([key, *self._keys], self._purpose)

    def public(self) -> "KeyRing":
        """Return a ring that verifies and cannot sign.

        Raises:
            ValueError: an HMAC key is among the keys.
        """
        return KeyRing([key.public() for key in self._keys], self._purpose)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys, the newest first."""
        return self._keys

    @property
    def purpose(self) -> str:
        """What the signatures are for."""
        return self._purpose

    def __repr__(self) -> str:
        purpose = f" for {self._purpose}" if self._purpose else ""
        return f"<KeyRing {', '.join(f'{key.id} ({key.alg})' for key in self._keys)}{purpose}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "a KeyRing can't be pickled or copied: read it where it is needed, from a file or the environment"
        )
