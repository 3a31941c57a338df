"""Vectors whose signatures a reader verifies (spec 10): valid ones, and those with `signature-invalid` at step 9.

The manifest publishes the signing keys, so they sign nothing but vectors. Ed25519 needs the package cryptography. Only
`signed_valid` and `signed_invalid` import it.
"""

from __future__ import annotations

import base64
from typing import Any

from frames import KEY, PAYLOAD, SIGNED_TYPE, Frame, framed, mac, pad64, pae
from invalid_frame import Vector
from valid import VALID

__all__ = ["signed_invalid", "signed_valid"]

OLD = b"an older key of the test vectors"
PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032, 7.1, test 1
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
ORDER = 2**252 + 27742317777372353535851937790883648493  # L of RFC 8032, 5.1

HMAC_KEY = {"id": "test-2026", "alg": "hmac-sha256", "secret": KEY.hex()}
OLD_KEY = {"id": "test-2025", "alg": "hmac-sha256", "secret": OLD.hex()}
PUBLIC_KEY = {"id": "test-ed", "alg": "ed25519", "public": PUBLIC.hex()}
BY_HMAC = {"keys": [HMAC_KEY]}
BY_ED25519 = {"keys": [PUBLIC_KEY]}
CONTEXTS = (
    ("context", "signed in a context", "cache:perms:alice", ""),
    ("context-purpose", "signed in a context, for a purpose", "cache:perms:alice", "jobs"),
    (
        "context-characters",
        "a context of characters that a purpose can't have",
        "a;purpose=b \u00e9 e\u0301 \U0001f511\n",
        "",
    ),
)


def _ed25519(message: bytes, key: str = "test-ed") -> dict[str, str]:
    """A signature by Ed25519, which is deterministic."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    raw = Ed25519PrivateKey.from_private_bytes(PRIVATE).sign(message)
    return {"alg": "ed25519", "key": key, "sig": base64.b64encode(raw).decode()}


def _sealed(**fields: Any) -> Frame:
    """A frame whose header is ready to be signed."""
    return Frame(PAYLOAD, **fields).sign()


def signed_valid() -> dict[str, tuple[str, Frame, dict[str, Any] | None]]:
    """Return the valid vectors, by name."""
    found: dict[str, tuple[str, Frame, dict[str, Any] | None]] = {}

    def add(name: str, about: str, frame: Frame, policy: dict[str, Any], *signatures: dict[str, str]) -> None:
        if signatures:
            frame.sign(*signatures)
        found[f"signed-{name}"] = about, frame, policy

    add("hmac", "signed by HMAC-SHA256, verified", _sealed(), BY_HMAC)
    add("hmac-meta", "signed, with labels", _sealed(meta={"team": "risk"}), BY_HMAC)
    frame = _sealed()
    add(
        "hmac-rotated",
        "signed by the older of two keys",
        frame,
        {"keys": [HMAC_KEY, OLD_KEY]},
        frame.signature("test-2025", OLD),
    )
    for name, purpose in (("purpose", "models/prod"), ("purpose-longest", "A" * 250 + "z9._:")):
        frame = _sealed()
        policy = {**BY_HMAC, "purpose": purpose}
        add(name, "signed for a purpose", frame, policy, frame.signature(purpose=purpose))
    for name, about, context, purpose in CONTEXTS:
        frame = _sealed()
        policy = {**BY_HMAC, "context": context, **({"purpose": purpose} if purpose else {})}
        add(name, about, frame, policy, frame.signature(purpose=purpose, context=context))
    frame = Frame()
    frame.preamble = {"stream_id": 0x0123456789ABCDEF, "seq": 2}
    add("stream-frame", "a signed frame of a stream: the signature covers stream_id and seq", frame.sign(), BY_HMAC)
    frame = _sealed(format="pickleseal/1.2", future=1)
    frame.minor = 2
    add("minor-2", "a signed artifact of a newer minor", frame.sign(), BY_HMAC)
    frame = VALID["buffers"][1].copy()
    add("buffers", "a signed artifact with buffers", frame.sign(), BY_HMAC)
    frame = _sealed()
    add(
        "among-unknown",
        "one signature that verifies, among signatures by unknown keys and algorithms",
        frame,
        BY_HMAC,
        {"alg": "future-1", "key": "test-2026", "sig": "AA=="},
        frame.signature(),
        frame.signature("test-2027", b"a key that the reader doesn't have"),
    )
    frame = _sealed()
    wrong = frame.signature("test-2025", KEY)
    add(
        "one-of-two",
        "one of two known keys verifies, the other does not",
        frame,
        {"keys": [HMAC_KEY, OLD_KEY]},
        wrong,
        frame.signature(),
    )
    frame = _sealed()
    add("ed25519", "signed by Ed25519, verified", frame, BY_ED25519, _ed25519(pae(frame.signed_body())))
    frame = _sealed()
    policy = {**BY_ED25519, "purpose": "models/prod"}
    add(
        "ed25519-purpose",
        "signed by Ed25519 for a purpose",
        frame,
        policy,
        _ed25519(pae(frame.signed_body(), "models/prod")),
    )
    frame = _sealed()
    both = frame.signature(), _ed25519(pae(frame.signed_body()))
    policy = {"keys": [PUBLIC_KEY, HMAC_KEY], "signed_by": ["test-2026", "test-ed"]}
    add("both", "signed with both algorithms, and both signatures are required", frame, policy, *both)
    frame = _sealed()
    same = _ed25519(pae(frame.signed_body()), "test-2026"), frame.signature()
    policy = {"keys": [{**PUBLIC_KEY, "id": "test-2026"}, HMAC_KEY]}
    add("same-id", "two keys with one identity, one for each algorithm", frame, policy, *same)
    return found


def signed_invalid() -> dict[str, Vector]:
    """Return the invalid vectors, by name."""
    found: dict[str, Vector] = {}

    def add(name: str, about: str, frame: Frame, policy: dict[str, Any] = BY_HMAC) -> None:
        found[f"signature-{name}"] = about, "signature-invalid", 9, frame.data, policy

    def resealed(*signatures: dict[str, str], frame: Frame | None = None) -> Frame:
        return (frame or _sealed()).sign(*signatures)

    def forged(**fields: Any) -> Frame:
        """A frame with other content, right checksums, and the signature of the usual frame."""
        frame = _sealed(**fields)
        return frame.sign(_sealed().signature())

    good = _sealed()
    add("none", "no seal, but a signature is required", Frame())
    add("none-but-sha256", "SHA-256 of the section, but no seal", VALID["sha256"][1])
    add("wrong-secret", "the right identity, but another secret", resealed(good.signature(secret=OLD)))
    add("unknown-key", "signed by a key that the reader does not have", resealed(good.signature("test-2025", OLD)))
    add(
        "unknown-alg",
        "only a signature with an unknown algorithm",
        resealed({"alg": "future-1", "key": "test-2026", "sig": "AA=="}),
    )
    flipped = bytearray(base64.b64decode(good.signature()["sig"]))
    flipped[31] ^= 1
    add(
        "bit",
        "one bit of the signature flipped",
        resealed({**good.signature(), "sig": base64.b64encode(flipped).decode()}),
    )
    add(
        "zeros",
        "a signature of zero bytes",
        resealed({**good.signature(), "sig": base64.b64encode(bytes(32)).decode()}),
    )
    add("header-changed", "another label, with the right checksums", forged(meta={"team": "risk"}))
    add("type-changed", "another type, with the right checksums", forged(type="builtins:list"))
    frame = Frame(framed(b"N"), type="builtins:dict").sign(good.signature())
    add("payload-changed", "another payload, with the right checksums and SHA-256", frame)
    for name, about, fields in (
        ("seq", "a seq other than the signed one", {"stream_id": 7, "seq": 3}),
        ("stream-id", "a stream_id other than the signed one", {"stream_id": 8, "seq": 2}),
        ("stream-left", "a frame taken out of its stream", {}),
    ):
        frame = Frame()
        frame.preamble = {"stream_id": 7, "seq": 2}
        frame.sign()
        frame.preamble = fields
        add(f"{name}-changed", about, frame)
    frame = _sealed()
    frame.minor = 1
    add("minor-changed", "a version_minor other than the signed one", frame)
    for_models = resealed(good.signature(purpose="models"))
    add("purpose-other", "signed for another purpose", for_models, {**BY_HMAC, "purpose": "jobs"})
    add(
        "purpose-prefix",
        "signed for a purpose with which the reader's purpose begins",
        for_models,
        {**BY_HMAC, "purpose": "models/prod"},
    )
    add("purpose-case", "signed for a purpose that differs in case", for_models, {**BY_HMAC, "purpose": "Models"})
    add("purpose-unasked", "signed for a purpose, but the reader has none", for_models)
    add("purpose-missing", "signed without a purpose, but the reader has one", good, {**BY_HMAC, "purpose": "models"})
    alice = resealed(good.signature(context="cache:perms:alice"))
    for name, about, frame, told in (
        ("other", "signed in another context", alice, {"context": "cache:perms:bob"}),
        ("unasked", "signed in a context, but the reader has none", alice, {}),
        ("missing", "signed without a context, but the reader has one", good, {"context": "cache:perms:alice"}),
        (
            "purpose-missing",
            "the right context, but another purpose",
            alice,
            {"context": "cache:perms:alice", "purpose": "jobs"},
        ),
        (
            "normalised",
            "a context that is equal only after normalisation",
            resealed(good.signature(context="\u00e9")),
            {"context": "e\u0301"},
        ),
        ("as-purpose", "signed for a purpose, which the reader has as its context", for_models, {"context": "models"}),
    ):
        add(f"context-{name}", about, frame, {**BY_HMAC, **told})
    body = good.signed_body()
    for name, about, message in (
        ("over-body", "a signature over the body without the DSSE encoding", body),
        ("over-unpadded", "a signature over the header without its padding", pae(body.rstrip(b" "))),
        ("over-preamble", "a signature over the whole preamble", pae(good.data[:64] + good.header_bytes())),
        ("over-header", "a signature over the header alone", pae(good.header_bytes())),
        (
            "over-no-length",
            "a signature over a DSSE encoding without lengths",
            b"DSSEv1 %s %s" % (SIGNED_TYPE, body),
        ),
    ):
        add(name, about, resealed(mac("test-2026", message)))
    confused = [{"id": "test-2026", "alg": "ed25519", "public": PUBLIC.hex()}]
    add("other-alg", "an HMAC, but the reader's key with that identity is an Ed25519 key", good, {"keys": confused})
    as_secret = resealed(good.signature("test-ed", PUBLIC))
    add("public-as-secret", "an HMAC whose secret is the public key", as_secret, BY_ED25519)
    two = {"keys": [HMAC_KEY, OLD_KEY]}
    older, newer = good.signature("test-2025", OLD), good.signature()
    swapped = {**older, "sig": newer["sig"]}, {**newer, "sig": older["sig"]}
    add("swapped", "two signatures, each with the identity of the other", resealed(*swapped), two)
    add(
        "signed-by",
        "signed by one of two keys, both of which have to sign",
        good,
        {**two, "signed_by": ["test-2025", "test-2026"]},
    )
    wrong = {**older, "sig": newer["sig"]}
    both = {**two, "signed_by": ["test-2025", "test-2026"]}
    add(
        "signed-by-wrong",
        "signed by both keys that have to sign, but one signature is wrong",
        resealed(wrong, newer),
        both,
    )
    add(
        "signed-by-other",
        "signed by a known key, but not by the one that has to sign",
        good,
        {**two, "signed_by": ["test-2025"]},
    )
    frame = Frame()
    frame.header_padded = pad64(b'{"not": canonical}', b" ")
    frame.sign(mac("test-2026", pae(frame.signed_body()), OLD))
    add("before-json", "a header that is not JSON, with a wrong signature: the signature is checked first", frame)
    frame = frame.copy().sign(frame.signature())
    about = "a header that is not JSON, with a right signature"
    found["signature-right-header-wrong"] = about, "header-encoding", 10, frame.data, BY_HMAC
    frame = _sealed()
    frame.section_fields[0]["sha256"] = "0" * 64
    about = "a wrong SHA-256, with a right signature"
    found["signature-right-sha256-wrong"] = about, "section-checksum", 16, frame.sign().data, BY_HMAC

    ed = _ed25519(pae(body))
    add(
        "ed25519-header-changed",
        "another label, with the right checksums",
        resealed(ed, frame=_sealed(meta={"a": "b"})),
        BY_ED25519,
    )
    add(
        "ed25519-purpose-missing",
        "signed without a purpose, but the reader has one",
        resealed(ed),
        {**BY_ED25519, "purpose": "models"},
    )
    other = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")  # RFC 8032, 7.1, test 2
    add(
        "ed25519-other-key",
        "the right identity, but another key",
        resealed(ed),
        {"keys": [{**PUBLIC_KEY, "public": other.hex()}]},
    )
    raw = base64.b64decode(ed["sig"])
    s = int.from_bytes(raw[32:], "little") + ORDER
    large = base64.b64encode(raw[:32] + s.to_bytes(32, "little")).decode()
    add("ed25519-s-plus-l", "S is not reduced, which RFC 8032 forbids", resealed({**ed, "sig": large}), BY_ED25519)
    add(
        "ed25519-zeros",
        "a signature of zero bytes",
        resealed({**ed, "sig": base64.b64encode(bytes(64)).decode()}),
        BY_ED25519,
    )
    return found
