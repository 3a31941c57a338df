"""Keys of the tests, a writer and a policy that share one, and what is raised for other keys."""

from collections.abc import Callable

import pytest

from pickleseal import Key, KeyRing, PackOptions, Policy
from pickleseal.errors import ReadError

try:
    import cryptography  # noqa: F401

    ALGS = ["hmac-sha256", "ed25519"]
except ImportError:
    ALGS = ["hmac-sha256"]

SECRETS = [bytes([n]) * 32 for n in range(1, 7)]


def key_from(id: str, alg: str, secret: bytes) -> Key:
    return Key.hmac(id, secret) if alg == "hmac-sha256" else Key.ed25519(id, private=secret)


SIGNING = PackOptions(keys=KeyRing([Key.hmac("k", SECRETS[0])]))
POLICY = Policy(keys=SIGNING.keys)


def refused(call: Callable[[], object]) -> ReadError:
    """Return the error with which a read is refused."""
    with pytest.raises(ReadError) as caught:
        call()
    return caught.value
