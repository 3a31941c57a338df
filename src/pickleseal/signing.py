"""Signing and verifying with a key ring: what writers and readers hand down to `format` (spec section 10)."""

from .errors import SignatureError
from .format.seal import Sign, Signature, Verify, pre_authentication
from .keys import Key, KeyRing

__all__ = ["check_keys", "signer", "verifier"]


def signer(ring: KeyRing) -> Sign:
    """Return the function that signs with the newest key that can.

    Raises:
        ValueError: no key can.
    """
    key = next((key for key in ring.keys if key.can_sign), None)
    if key is None:
        raise ValueError("keys: none can sign, all are public keys")
    return lambda body: Signature(key.alg, key.id, key._sign(pre_authentication(body, ring.purpose)))


def check_keys(ring: object, signed_by: object) -> None:
    """Check what a policy says of keys.

    Raises:
        TypeError, ValueError: they are not a ring and a tuple of ids that it has.
    """
    if ring is not None and not isinstance(ring, KeyRing):
        raise TypeError(f"keys: expected a KeyRing, found {type(ring).__name__}")
    if not isinstance(signed_by, tuple):
        raise TypeError(f"signed_by: expected a tuple of key ids, found {type(signed_by).__name__}")
    missing = [id for id in signed_by if ring is None or all(id != key.id for key in ring.keys)]
    if missing:
        raise ValueError(f"signed_by: expected ids of keys=, found {', '.join(map(repr, missing))}")
    if ring is not None:
        _check_apart([key for key in ring.keys if key.id in signed_by])


def _check_apart(keys: list[Key]) -> None:
    """Refuse one key under two ids, of which both have to sign: one holder would be enough."""
    for index, key in enumerate(keys):
        for other in keys[:index]:
            if key._is(other):
                raise ValueError(f"signed_by: {other.id} and {key.id} are one key, so its holder can sign as both")


def verifier(ring: KeyRing, signed_by: tuple[str, ...] = ()) -> Verify:
    """Return the function that judges signatures: one has to verify, and one of each id in `signed_by`.

    It tries each signature whose key the ring has, once, and raises SignatureError (spec 11, step 9).
    """

    def verify(body: bytes, signatures: tuple[Signature, ...]) -> tuple[tuple[str, str], ...]:
        message = pre_authentication(body, ring._purpose)
        verified, known = [], False
        for alg, id, raw in signatures:
            key = ring._by_identity.get((id, alg))
            if key is not None:
                known = True
                if key._verifies(message, raw):
                    verified.append((alg, id))
        missing = [id for id in signed_by if all(id != by for _, by in verified)]
        if not verified or missing:
            raise _refusal(ring, signatures, known, missing if verified else [])
        return tuple(verified)

    return verify


def _refusal(ring: KeyRing, signatures: tuple[Signature, ...], known: bool, missing: list[str]) -> SignatureError:
    """Say why no signature counts, and which ids there are on either side."""
    has = ", ".join(f"{key.id} ({key.alg})" for key in ring.keys)
    if not signatures:
        hint = "if you know who wrote it: seal(path, keys) adds one"
        return SignatureError("the artifact has no seal", f"a signature by one of {has}", None, hint)
    claims = ", ".join(f"{id} ({alg})" for alg, id, _ in signatures)
    hint = f"the seal names {claims}; the ring has {has}, " + (
        f"for the purpose {ring.purpose}" if ring.purpose else "without a purpose"
    )
    if missing:
        return SignatureError("not signed by all who have to", ", ".join(missing), None, hint)
    if known:
        reason = "the signature does not verify: another key of that id, another purpose, or the artifact was changed"
        return SignatureError(reason, hint=hint)
    return SignatureError("signed by no key of the ring", hint=hint)
