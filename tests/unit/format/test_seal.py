"""The form of a seal, and the bytes that a signature is about."""

import base64
from typing import Any

import pytest
from frames import make_seal, pae

from pickleseal._format.limits import MAX_SEAL, MAX_SIGNATURES
from pickleseal._format.seal import Signature, decode_base64, decode_seal, encode_seal, is_purpose, pre_authentication
from pickleseal.errors import PackError, SealError

RAW = bytes(range(32))


def entry(**changed: Any) -> dict[str, Any]:
    return {"alg": "hmac-sha256", "key": "k", "sig": base64.b64encode(RAW).decode(), **changed}


def refusal(value: Any) -> SealError:
    with pytest.raises(SealError) as caught:
        decode_seal(make_seal(value))
    assert caught.value.step == 9
    return caught.value


class TestForm:
    def test_signatures_come_back_ordered_by_key_and_algorithm(self) -> None:
        signatures = [
            Signature("hmac-sha256", "b", RAW),
            Signature("other", "a", b"x"),
            Signature("ed25519", "a", RAW * 2),
        ]
        data = encode_seal(signatures)
        assert len(data) % 64 == 0
        assert decode_seal(data) == tuple(reversed(signatures))

    def test_it_is_what_the_generator_of_the_vectors_makes(self) -> None:
        assert encode_seal([Signature("hmac-sha256", "k", RAW)]) == make_seal({"signatures": [entry()]})

    def test_any_changed_bit_is_damage(self) -> None:
        data = encode_seal([Signature("hmac-sha256", "k", RAW)])
        for position in range(len(data)):
            changed = bytearray(data)
            changed[position] ^= 1
            with pytest.raises(SealError, match="damaged"):
                decode_seal(bytes(changed))

    @pytest.mark.parametrize(
        "value",
        [
            {},
            {"signatures": []},
            {"signatures": {}},
            {"signatures": [entry()], "more": 1},
            {"signatures": [entry(key=f"k{n:03}") for n in range(MAX_SIGNATURES + 1)]},
        ],
    )
    def test_one_member_with_1_to_64_signatures(self, value: Any) -> None:
        assert "1 to 64" in str(refusal(value))

    def test_64_signatures_are_accepted(self) -> None:
        assert len(decode_seal(make_seal({"signatures": [entry(key=f"k{n:03}") for n in range(MAX_SIGNATURES)]}))) == 64

    @pytest.mark.parametrize(("keys", "algs"), [("ba", "xx"), ("aa", "xx"), ("aa", "yx"), ("ab", "xx"), ("aa", "xy")])
    def test_the_order_is_by_key_then_algorithm(self, keys: str, algs: str) -> None:
        value = {"signatures": [entry(key=key, alg=alg) for key, alg in zip(keys, algs, strict=True)]}
        if sorted(set(zip(keys, algs, strict=True))) == list(zip(keys, algs, strict=True)):
            assert len(decode_seal(make_seal(value))) == 2
        else:
            assert "out of order" in str(refusal(value))

    @pytest.mark.parametrize(
        ("changed", "member"),
        [
            ({"alg": 1}, "alg"),
            ({"alg": "HMAC"}, "alg"),
            ({"alg": "a" * 33}, "alg"),
            ({"key": 1}, "key"),
            ({"key": ""}, "key"),
            ({"key": "9"}, "key"),
            ({"sig": 1}, "sig"),
            ({"sig": ""}, "sig"),
            ({"sig": base64.b64encode(RAW[1:]).decode()}, "sig"),
            ({"sig": base64.b64encode(RAW + b"x").decode()}, "sig"),
            ({"alg": "ed25519"}, "sig"),
        ],
    )
    def test_a_wrong_member_is_refused_with_its_place(self, changed: dict[str, Any], member: str) -> None:
        error = refusal({"signatures": [entry(key="a"), entry(**{"key": "b", **changed})]})
        assert error.where == f"signatures[1].{member}"
        assert error.found == changed.get(member, entry()[member])

    @pytest.mark.parametrize("wrong", [1, [], {}, {"alg": "a", "key": "k"}, entry(more=1)])
    def test_an_entry_has_three_members(self, wrong: Any) -> None:
        assert refusal({"signatures": [wrong]}).where == "signatures[0]"

    def test_an_unknown_algorithm_has_a_signature_of_any_length(self) -> None:
        value = {"signatures": [entry(alg="future-1", sig="eA==")]}
        assert decode_seal(make_seal(value)) == (Signature("future-1", "k", b"x"),)

    def test_numbers_that_headers_exclude_are_excluded(self) -> None:
        text = b'{"signatures":[{"alg":1.5}]}'
        with pytest.raises(SealError, match="fraction"):
            decode_seal(make_seal(None, text))
        with pytest.raises(SealError, match="out of range"):
            decode_seal(make_seal(None, b'{"signatures":[9007199254740992]}'))


class TestRoom:
    def test_64_signatures_have_room_and_no_more(self) -> None:
        signatures = [Signature("hmac-sha256", f"k{n:03}", RAW) for n in range(MAX_SIGNATURES + 1)]
        assert len(decode_seal(encode_seal(signatures[:-1]))) == MAX_SIGNATURES
        with pytest.raises(PackError, match="the seal is full") as caught:
            encode_seal(signatures)
        assert str(caught.value.found).startswith("65 in ")

    def test_a_seal_has_a_greatest_size(self) -> None:
        overhead = len('{"signatures":[{"alg":"future","key":"k","sig":""}]}') + 8
        most = (MAX_SEAL - overhead) // 4 * 3
        data = encode_seal([Signature("future", "k", bytes(most))])
        assert len(data) == MAX_SEAL
        with pytest.raises(PackError, match="the seal is full"):
            encode_seal([Signature("future", "k", bytes(most + 3))])


def test_base64_has_one_form() -> None:
    for raw in (b"", b"x", b"xy", b"xyz"):
        assert decode_base64(base64.b64encode(raw).decode()) == raw
    for wrong in (None, 5, b"eA==", "eA", "eA=", "eB==", "e A==", "eA==\n", "\u0665A==", "_w=="):
        assert decode_base64(wrong) is None


def test_purposes() -> None:
    assert all(map(is_purpose, ("", "a", "Az09._:/-", "x" * 255)))
    assert not any(map(is_purpose, (" ", "a;b", "é", "a\n", "x" * 256)))


@pytest.mark.parametrize("purpose", ["", "jobs"])
def test_what_is_signed_is_the_encoding_of_dsse(purpose: str) -> None:
    assert pre_authentication(b"body \xff", purpose) == pae(b"body \xff", purpose)
