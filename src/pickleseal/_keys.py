"""Keys and key rings: who may sign, and whose signatures are accepted (spec section 10).

A ring looks a key up by identity and algorithm, and tries no other key. The first key that can sign signs. Every key
verifies, so a key is replaced by putting a new one first. Ed25519 comes from `cryptography`, the extra
`pickleseal[ed25519]`, which is imported when the first such key is made. This module gets the bytes that are signed; it
reads no artifact.
"""

import base64
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ._format.header import is_key
from ._format.seal import (
    SIGNATURE_LEN,
    Sign,
    Signature,
    Verify,
    context_digest,
    decode_base64,
    is_purpose,
    pre_authentication,
)
from ._io.atomic import naming, replace_with, write_all
from .errors import Hint, MissingExtraError, SignatureError, text_of

HMAC = "hmac-sha256"
ED25519 = "ed25519"
_LEAST_SECRET = 32  # bytes: as long as the hash, RFC 2104 section 3
_MARK = "pickleseal-key-v1"
_DERIVE_SALT = b"pickleseal KeyRing.derive v1"
# y of the points of small order, in every encoding, without the sign of x (RFC 8032, 5.1.2): anyone can sign for them.
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
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # what could show a line of a key file as two
_FORM = f"{_MARK} ALG ID private|public|secret BASE64"


class Key:
    """One key: of HMAC-SHA256, which signs and verifies, or of Ed25519, whose public half only verifies. Immutable.

    Make one with `Key.generate`, `Key.hmac`, `Key.ed25519`, `Key.external` or `Key.from_text`. `repr` shows no secret,
    and a key can't be pickled: only `to_text` gives out the secret.

    Raises:
        TypeError: `Key()` itself.
    """

    __slots__ = ("_alg", "_id", "_native", "_private", "_public", "_signer")
    _id: str
    _alg: str
    _private: bytes | None  # HMAC's secret, or Ed25519's private key
    _public: bytes | None
    _native: Any  # Ed25519's public key, as `cryptography` has it
    _signer: Callable[[bytes], bytes] | None  # of a key whose secret is elsewhere

    def __init__(self) -> None:
        raise TypeError("Key: make one with Key.generate, Key.hmac, Key.ed25519, Key.external or Key.from_text")

    @classmethod
    def _make(cls, id: object, alg: str, private: bytes | None, public: bytes | None, native: Any) -> "Key":
        if not isinstance(id, str) or not is_key(id):
            raise ValueError("id: expected a letter, then up to 255 of letters, digits, _ . : -")
        key = object.__new__(cls)
        key._id, key._alg, key._private, key._public, key._native = id, alg, private, public, native
        key._signer = None
        return key

    @classmethod
    def generate(cls, id: str, alg: str = HMAC) -> "Key":
        """Make a new random key, from the operating system's source. Runs no code of an artifact. Spec section 10.

        Raises:
            ValueError: the id is not a key in the sense of the spec, or the algorithm is unknown.
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
            TypeError, ValueError: the secret is not bytes, or too short; the id is not a key in the sense of the spec.
        """
        return cls._make(id, HMAC, _as_bytes("secret", secret, _LEAST_SECRET), None, None)

    @classmethod
    def ed25519(cls, id: str, private: bytes | None = None, public: bytes | None = None) -> "Key":
        """Take an Ed25519 key as RFC 8032 encodes it, 32 bytes: the private one signs, the public one only verifies.

        The public key follows from the private one. If both are given they have to agree.

        Raises:
            TypeError, ValueError: a key is not 32 bytes; none is given; they do not belong together; the public key is
                a point of small order; the id is not a key in the sense of the spec.
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
    def external(cls, id: str, alg: str, sign: Callable[[bytes], bytes], public: bytes | None = None) -> "Key":
        """Take a key whose secret is elsewhere, such as in a KMS or an HSM, and a function that signs with it.

        Args:
            id: the identity by which a seal names the key.
            alg: `hmac-sha256` or `ed25519`.
            sign: takes the bytes to sign, and returns the HMAC of 32 bytes, or the Ed25519 signature of 64 bytes. The
                bytes are those of the header and some 150 more; many services take at most 4,096. An HMAC is also
                verified by calling it, so it is called once for each HMAC of this id that is read.
            public: the public key of Ed25519, 32 bytes. What the function returns is verified with it.

        Raises:
            TypeError, ValueError: an argument is not what it should be; a public key is missing, or given for an HMAC.
            MissingExtraError: `ed25519`, and `cryptography` is not installed.

        When packing or reading calls the function, any `Exception` that it raises, and a result that is no signature,
        is an `OSError` that names the key; the exception is its cause. Such a key has no text form. Spec section 10.
        """
        if not callable(sign):
            raise TypeError(f"sign: expected a function of bytes that returns bytes, found {type(sign).__name__}")
        if alg == ED25519:
            if public is None:
                raise ValueError("public: expected the public key, by which signatures are verified")
            key = cls.ed25519(id, public=public)
        elif alg == HMAC:
            if public is not None:
                raise ValueError("public: expected none, as HMAC has no public key")
            key = cls._make(id, HMAC, None, None, None)
        else:
            raise ValueError(f"alg: expected {HMAC} or {ED25519}, found {alg!r}")
        key._signer = sign
        return key

    @classmethod
    def from_text(cls, text: str) -> "Key":
        """Read a key from its line of text, as `to_text` gives it. No error shows what the line holds.

        One LF may end the line. No other control character may stand in it.

        Raises:
            TypeError, ValueError: the text is not such a line.
            MissingExtraError: it is an Ed25519 key, and `cryptography` is not installed.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected a line of text, found {type(text).__name__}")
        if _CONTROL.search(text.removesuffix("\n")):
            raise ValueError("expected one line of text that ends at LF, found a control character")
        words = [word for word in text.removesuffix("\n").split(" ") if word]
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
        """Whether the key can sign, and not only verify."""
        return self._private is not None or self._signer is not None

    def public(self) -> "Key":
        """Return the half of an Ed25519 key that verifies and cannot sign.

        Raises:
            ValueError: an HMAC key, which has no such half: who can verify can sign.
        """
        if self._public is None:
            raise ValueError(f"key {self._id}: HMAC has no public key; who verifies can sign")
        return Key._make(self._id, self._alg, None, self._public, self._native)

    def to_text(self) -> str:
        """Return the key as one line of text, with its secret. `Key.from_text` reads it.

        Raises:
            ValueError: the secret is elsewhere (`Key.external`).
        """
        if self._signer is not None:
            raise ValueError(f"key {self._id}: has no text form, because its secret is elsewhere")
        kind = "public" if self._private is None else "secret" if self._alg == HMAC else "private"
        raw = self._public if self._private is None else self._private
        return f"{_MARK} {self._alg} {self._id} {kind} {base64.b64encode(raw or b'').decode('ascii')}"

    def __repr__(self) -> str:
        return f"<Key {self._id} {self._alg}{'' if self.can_sign else ', verifies only'}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Key can't be pickled or copied: secrets travel by to_text() alone")

    def _has_same_secret(self, other: "Key") -> bool:
        """Return whether two keys differ only in their ids. Not in constant time: both are the caller's."""
        mine = self._public or self._private or self._signer
        theirs = other._public or other._private or other._signer
        return self._alg == other._alg and mine == theirs

    def _sign(self, message: bytes) -> bytes:
        if self._signer is not None:
            raw = self._ask(self._signer, message)
            if self._alg == ED25519 and not self._verifies(message, raw):
                raise OSError(f"key {self._id}: what its function returned does not verify by its public key")
            return raw
        if self._private is None:
            raise ValueError(f"key {self._id} only verifies")
        if self._alg == HMAC:
            return _hmac_sha256(self._private, message)
        made: bytes = _ed25519().Ed25519PrivateKey.from_private_bytes(self._private).sign(message)
        return made

    def _ask(self, sign: Callable[[bytes], bytes], message: bytes) -> bytes:
        """Call the function of an external key. A service that fails says nothing about an artifact: OSError."""
        try:
            raw = sign(message)
        except Exception as exc:
            raise OSError(f"key {self._id}: its function failed: {type(exc).__name__}: {text_of(exc)}") from exc
        length = SIGNATURE_LEN[self._alg]
        if not isinstance(raw, bytes) or len(raw) != length:
            found = f"{len(raw)} bytes" if isinstance(raw, bytes) else type(raw).__name__
            raise OSError(f"key {self._id}: its function has to return {length} bytes, and returned {found}")
        return raw

    def _verifies(self, message: bytes, raw: bytes) -> bool:
        if self._alg == HMAC:
            import hmac

            return hmac.compare_digest(self._sign(message), raw)
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
    import hmac  # loads OpenSSL, so only if there are keys

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
    """Keys in order: the first that can sign signs, every one verifies. Immutable, shared freely between threads.

    Args:
        keys: the newest key first. An id may occur once for each algorithm.
        purpose: what the signatures are for. Writers and readers agree on it, and it is stored nowhere: 0 to 255 of
            letters, digits, `. _ : / -`. A signature for one purpose does not verify for another.

    Raises:
        TypeError, ValueError: there is no key; an item is not a key; two keys have the same id and algorithm; the
            purpose has other characters.

    Runs no code of an artifact. A ring from `from_file` or `from_env` is pickled as that reference, which is read
    again where it is unpickled. No other ring can be pickled. Spec section 10.

    >>> ring = KeyRing([Key.generate("jobs-2026")], purpose="models")
    >>> data = pack([1, 2], options=PackOptions(keys=ring))
    >>> verify(data, policy=Policy(keys=ring)).verified
    (('hmac-sha256', 'jobs-2026'),)
    """

    __slots__ = ("_by_identity", "_context", "_keys", "_origin", "_purpose")
    _context: str  # the digest of the context, or ""
    _origin: tuple[str, str] | None  # "file" or "env", and its name

    def __init__(self, keys: Iterable[Key], purpose: str = "") -> None:
        if isinstance(keys, Key) or not isinstance(keys, Iterable):
            hint = "; write KeyRing([key])" if isinstance(keys, Key) else ""
            raise TypeError(f"keys: expected a list of keys, found {type(keys).__name__}{hint}")
        self._keys = tuple(keys)
        for key in self._keys:
            if not isinstance(key, Key):
                raise TypeError(f"keys: expected a list of Key objects, found {type(key).__name__} in it")
        if not self._keys:
            raise ValueError("keys: expected at least one")
        if not isinstance(purpose, str) or not is_purpose(purpose):
            raise ValueError(_PURPOSE_RULE)
        self._purpose, self._context, self._origin = purpose, "", None
        self._by_identity: dict[tuple[str, str], Key] = {}
        for key in self._keys:
            if self._by_identity.setdefault((key.id, key.alg), key) is not key:
                raise ValueError(f"keys: two {key.alg} keys have the id {key.id}")

    @classmethod
    def derive(cls, secret: str | bytes, fallbacks: Iterable[str | bytes] = (), purpose: str = "") -> "KeyRing":
        """Make a ring from a secret that an application has already, such as Django's `SECRET_KEY`.

        HKDF-SHA256 (RFC 5869) makes one HMAC key of each secret. The same secret and purpose always give the same key
        and id, in every process and version. Neither key nor id leads back to a secret that can't be guessed.

        Args:
            secret: signs and verifies. At least 32 bytes in UTF-8, and random: HKDF makes no password strong.
            fallbacks: former secrets, the newest first. They only verify.
            purpose: as for `KeyRing`. Each purpose has keys of its own.

        Raises:
            TypeError, ValueError: a secret is not text or bytes, or too short; `fallbacks` is one secret and no list;
                or as for `KeyRing`. No error shows a secret.

        Runs no code of an artifact. Spec section 10.

        >>> ring = KeyRing.derive("a secret of at least 32 bytes, from the settings", purpose="cache")
        >>> unpack(pack({"id": 7}, keys=ring), keys=ring, level="signed")
        {'id': 7}
        """
        if isinstance(fallbacks, str | bytes) or not isinstance(fallbacks, Iterable):
            raise TypeError(f"fallbacks: expected a list of secrets, found {type(fallbacks).__name__}")
        if not isinstance(purpose, str) or not is_purpose(purpose):
            raise ValueError(_PURPOSE_RULE)
        keys: dict[str, Key] = {}
        for index, each in enumerate([secret, *fallbacks]):
            key = _derived_key(each, f"fallbacks[{index - 1}]" if index else "secret", purpose)
            keys.setdefault(key.id, key)
        return cls(keys.values(), purpose)

    @classmethod
    def from_text(cls, text: str, purpose: str = "") -> "KeyRing":
        """Read a ring from text: one key a line, the newest first. Lines that are empty or begin with `#` are skipped.

        A line ends at LF alone, and no other control character may stand in the text.

        Raises:
            TypeError, ValueError: a line is not a key (the message has its number), or `KeyRing` refuses the keys. No
                error shows what a line holds.
            MissingExtraError: there is an Ed25519 key, and `cryptography` is not installed.
        """
        if not isinstance(text, str):
            raise TypeError(f"text: expected text, found {type(text).__name__}")
        keys = []
        for number, line in enumerate(text.split("\n"), 1):
            if _CONTROL.search(line):
                hint = ", a CR: save the file with the line ends of Unix" if line.endswith("\r") else ""
                raise ValueError(f"line {number}: expected no control characters, found one{hint}")
            if line.strip() and not line.lstrip().startswith("#"):
                try:
                    keys.append(Key.from_text(line))
                except ValueError as exc:
                    raise ValueError(f"line {number}: {exc}") from None
        return cls(keys, purpose)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], purpose: str = "") -> "KeyRing":
        """Read a ring from a file, in the form of `from_text`.

        On POSIX a file is refused if others could have changed it: if it belongs to neither this user nor root, or if
        others can write to it. A file with secrets is also refused if others can read it. The opened file is checked.

        Raises:
            PermissionError: the file is refused; the message says what to do.
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
        ring._origin = "file", os.path.abspath(name)
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
            ring = cls.from_text(text, purpose)
        except ValueError as exc:
            raise ValueError(f"environment variable {name}: {exc}") from None
        ring._origin = "env", name
        return ring

    def to_text(self) -> str:
        """Return the keys as text, with their secrets, one key a line. The purpose is not part of it."""
        return "".join(f"{key.to_text()}\n" for key in self._keys)

    def to_file(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the ring to a file that only its owner can read and write, atomically and durably.

        Args:
            path: the file.
            overwrite: whether an existing file may be replaced. The keys in it are lost.

        Raises:
            FileExistsError: the file is there already, and `overwrite` is not given.
            OSError: from the operating system. An existing file is unchanged, unless only the last sync of the folder
                failed.
        """
        write_key_file(os.fsdecode(path), self.to_text(), overwrite)

    def rotated(self, key: Key) -> "KeyRing":
        """Return a ring with a new first key, which signs from now on; the others still verify.

        Raises:
            TypeError, ValueError: as for `KeyRing`.
        """
        return self._with_keys([key, *self._keys])

    def public(self) -> "KeyRing":
        """Return a ring that only verifies.

        Raises:
            ValueError: an HMAC key is among the keys.
        """
        return self._with_keys([key.public() for key in self._keys])

    def _with_keys(self, keys: list[Key]) -> "KeyRing":
        ring = KeyRing(keys, self._purpose)
        ring._context = self._context
        return ring

    def in_context(self, context: str) -> "KeyRing":
        """Return a ring with the same keys, whose signatures are made for one context and verify in it alone.

        The context says where an artifact belongs, such as `"cache:perms:alice"`, so that a signed value can't be moved
        to another place. Writers and readers agree on it; it is stored nowhere. `context=` of `pack`, `unpack` and
        other functions does this for one call. This is the way for what takes keys and has no `context=`.

        Args:
            context: text of at least one character, of any length. It is not normalised.

        Raises:
            TypeError: it is not text.
            ValueError: it is empty or has no UTF-8 form, or the ring is in a context already.

        Runs no code of an artifact. Spec section 10.

        >>> ring = KeyRing([Key.generate("caches")])
        >>> data = pack(7, keys=ring.in_context("cache:alice"))
        >>> unpack(data, keys=ring, context="cache:alice")
        7
        """
        if self._context:
            raise ValueError("context: expected none, as these keys are in a context already")
        digest = context_digest(context)
        ring = object.__new__(KeyRing)
        ring._keys, ring._purpose, ring._by_identity = self._keys, self._purpose, self._by_identity
        ring._context, ring._origin = digest, self._origin
        return ring

    @property
    def has_context(self) -> bool:
        """Whether the signatures are for one context (`in_context`)."""
        return bool(self._context)

    def has_context_of(self, other: "KeyRing") -> bool:
        """Return whether two rings are in the same context, or both in none."""
        return self._context == other._context

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
        context = ", in a context" if self._context else ""
        return f"<KeyRing {', '.join(f'{key.id} ({key.alg})' for key in self._keys)}{purpose}{context}>"

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        if self._origin is None:
            raise TypeError(
                "this KeyRing can't be pickled or copied: expected one of KeyRing.from_file or KeyRing.from_env, which"
                " is read again where it is unpickled, found one that was made of keys"
            )
        return KeyRing._read_again, (*self._origin, self._purpose, self._context)

    @classmethod
    def _read_again(cls, kind: str, name: str, purpose: str, context: str) -> "KeyRing":
        """Read a ring from what a pickle has in its place."""
        ring = cls.from_file(name, purpose) if kind == "file" else cls.from_env(name, purpose)
        ring._context = context
        return ring


_PURPOSE_RULE = "purpose: expected 0 to 255 of letters, digits, . _ : / -"


def _derived_key(secret: object, what: str, purpose: str) -> Key:
    """Return the HMAC key of a secret, by HKDF-SHA256 (RFC 5869). Key and id are outputs of different `info`."""
    if isinstance(secret, str):
        try:
            secret = secret.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError(f"{what}: expected text that has a UTF-8 form, found a lone surrogate") from None
    pseudorandom = _hmac_sha256(_DERIVE_SALT, _as_bytes(what, secret, _LEAST_SECRET))
    parts = []
    for part in (b"key", b"id"):
        info = b"hmac-sha256 " + part + b" " + purpose.encode("ascii")
        parts.append(_hmac_sha256(pseudorandom, info + b"\x01"))  # the first block of the expansion: 32 bytes
    return Key.hmac(f"derived-{parts[1][:8].hex()}", parts[0])


def keys_for(keys: KeyRing | None, context: str | None) -> KeyRing | None:
    """Return the keys of a call that may give a context.

    Raises:
        TypeError, ValueError: there is a context and no keys, or it is no context, or the keys are no ring.
    """
    if context is None:
        return keys
    if keys is None:
        raise ValueError("context: expected keys beside it, as a signature is what holds it; give keys=KeyRing(...)")
    check_keys(keys, ())
    return keys.in_context(context)


# --- files of keys ----------------------------------------------------------------------------------------------------

_LARGEST = 1 << 20  # bytes of a file of keys


def read_key_file(path: str) -> tuple[str, Callable[[bool], None]]:
    """Return the text of a file and a function that checks its permissions, called with whether the text has secrets.

    The check is about the file that was opened, wherever the path leads afterwards.

    Raises:
        OSError: from the operating system.
        ValueError: the file is too large to hold keys.
    """
    with naming(path), open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        data = b""
        while len(data) <= _LARGEST:
            chunk = file.read(_LARGEST + 1)
            if not chunk:
                break
            data += chunk
    if len(data) > _LARGEST:
        raise ValueError(f"{path}: larger than {_LARGEST} bytes: not a file of keys")

    def check(has_secrets: bool) -> None:
        if os.name == "posix":
            _check_permissions(path, status, has_secrets)

    return data.decode("ascii", "replace"), check  # what is not ASCII is no key


def _check_permissions(path: str, status: os.stat_result, has_secrets: bool) -> None:
    mode, problem = stat.S_IMODE(status.st_mode), None
    if status.st_uid not in (os.geteuid(), 0):
        problem = f"belongs to user {status.st_uid}, who could put other keys in it: chown it"
    elif has_secrets and mode & 0o066:
        problem = f"holds secrets and has mode {mode:03o}, which gives others access: chmod 600"
    elif mode & 0o022:
        problem = f"has mode {mode:03o}, so others could put their own keys in it: chmod go-w"
    if problem is not None:
        raise PermissionError(errno.EACCES, problem, path)


def write_key_file(path: str, text: str, overwrite: bool) -> None:
    """Write a file of mode 600, atomically and durably.

    Raises:
        FileExistsError: it is there, and may not be overwritten.
        OSError: from the operating system. An existing file is unchanged, unless only the last sync of the folder
            failed.
    """
    data = text.encode("ascii")
    replace_with(path, len(data), lambda descriptor: write_all(descriptor, [data]), mode=0o600, overwrite=overwrite)


# --- signing and verifying --------------------------------------------------------------------------------------------


def signer(ring: KeyRing) -> Sign:
    """Return the function that signs with the newest key that can.

    Raises:
        ValueError: no key can.
    """
    key = next((key for key in ring.keys if key.can_sign), None)
    if key is None:
        raise ValueError("keys: none can sign, all are public keys")
    return lambda body: Signature(key.alg, key.id, key._sign(pre_authentication(body, ring.purpose, ring._context)))


def check_keys(ring: object, signed_by: object) -> tuple[str, ...]:
    """Check what a policy says about keys. Return `signed_by` as a tuple.

    Raises:
        TypeError, ValueError: they are not a ring and a list of ids that the ring has.
    """
    if ring is not None and not isinstance(ring, KeyRing):
        hint = "; write KeyRing([key])" if isinstance(ring, Key) else ""
        raise TypeError(f"keys: expected a KeyRing, found {type(ring).__name__}{hint}")
    if not isinstance(signed_by, tuple | list):
        raise TypeError(f"signed_by: expected a list of key ids, found {type(signed_by).__name__}")
    missing = [id for id in signed_by if ring is None or all(id != key.id for key in ring.keys)]
    if missing:
        raise ValueError(f"signed_by: expected ids of keys=, found {', '.join(map(repr, missing))}")
    if ring is not None:
        _check_apart([key for key in ring.keys if key.id in signed_by])
    return tuple(signed_by)


def _check_apart(keys: list[Key]) -> None:
    """Refuse one key under two ids that both have to sign: one holder would be enough."""
    for index, key in enumerate(keys):
        for other in keys[:index]:
            if key._has_same_secret(other):
                raise ValueError(f"signed_by: {other.id} and {key.id} are one key, so its holder can sign as both")


def verifier(ring: KeyRing, signed_by: tuple[str, ...] = ()) -> Verify:
    """Return the function that verifies signatures: at least one, and one by each id in `signed_by`.

    It tries each signature whose key the ring has, once, and raises SignatureError (spec 11, step 9).
    """

    def verify(body: bytes, signatures: tuple[Signature, ...]) -> tuple[tuple[str, str], ...]:
        message = pre_authentication(body, ring._purpose, ring._context)
        verified, known = [], False
        for alg, id, raw in signatures:
            key = ring._by_identity.get((id, alg))
            if key is not None:
                known = True
                if key._verifies(message, raw):
                    verified.append((alg, id))
        missing = [id for id in signed_by if all(id != by for _, by in verified)]
        if not verified or missing:
            raise _signature_error(ring, signatures, known, missing if verified else [])
        return tuple(verified)

    return verify


def _signature_error(
    ring: KeyRing, signatures: tuple[Signature, ...], known: bool, missing: list[str]
) -> SignatureError:
    """Return the error that says why the signatures are not enough, with the ids in seal and ring."""
    has = ", ".join(f"{key.id} ({key.alg})" for key in ring.keys)
    if not signatures:
        hint = Hint(
            "pickleseal.maintenance.seal(path, keys) adds a signature. Do this only if you know who wrote the file.",
            "`pickleseal seal FILE --key KEYFILE` adds a signature. Do this only if you know who wrote the file.",
        )
        return SignatureError("the artifact has no seal", f"a signature by one of {has}", None, hint)
    claims = ", ".join(f"{id} ({alg})" for alg, id, _ in signatures)
    ids = f"the seal names {claims}; the ring has {has}, " + (
        f"for the purpose {ring.purpose}" if ring.purpose else "without a purpose"
    )
    ids += ", in the context that the reader gave" if ring.has_context else ", without a context"
    words: str = ids
    if not ring.has_context:
        given = "if it was signed in a context, give that"
        words = Hint(f"{ids}; {given}, with context=", f"{ids}; {given}, with --context TEXT")
    if missing:
        claimed = [id for id in missing if any(id == key for _, key, _ in signatures)]
        reason = "not signed by all who have to"
        if claimed:
            reason += f": the signature by {', '.join(claimed)} does not verify, maybe as it is for another context"
        return SignatureError(reason, ", ".join(missing), None, words if claimed else ids)
    if known:
        reason = (
            "the signature does not verify: another key of that id, another purpose, another context (or one that the"
            " reader did not give), or the artifact was changed"
        )
        return SignatureError(reason, hint=words)
    return SignatureError("signed by no key of the ring", hint=ids)
