"""Every vector under spec/vectors/, judged by the library and by an independent reader written from the spec alone."""

import ast
import datetime
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import independent_reader
import pytest
from _helpers.support import SPEC, VECTORS, cases, manifest, policy_of, read

import pickleseal
from pickleseal.errors import ReadError

# Steps of a verifier; the others need a policy, or run the payload.
VERIFIED = {*range(1, 15), 16, 17, 18, 19}
PEEKED = set(range(1, 14))
JUDGED = (  # by the independent reader
    *("expect", "protocols", "limits", "types", "python", "build", "meta", "codecs", "packages"),
)
ABOUT_CLASSES = {"schema-drift", "schema-version"}
TRUSTED = {"untrusted-global", "class-missing"}  # their vectors name all that is trusted
# These need code of the application; tests/unit/schema/test_migrations.py shows them.
BEYOND_VECTORS = {"invalid-object", "isolation-failed", "migration-failed"}


def _keys_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what the independent reader is told of keys."""
    told = entry.get("policy", {})
    if any(key["alg"] == "ed25519" for key in told.get("keys", ())):
        pytest.importorskip("cryptography")
    return {key: told[key] for key in ("keys", "purpose", "context", "signed_by") if key in told}


@pytest.mark.parametrize("entry", cases("valid"))
class TestValid:
    def test_verify_accepts_and_finds_the_header(self, entry: dict[str, Any]) -> None:
        assert pickleseal.verify(read(entry)).as_dict() == entry["header"]

    def test_peek_finds_the_header(self, entry: dict[str, Any]) -> None:
        assert pickleseal.peek(read(entry)).as_dict() == entry["header"]

    def test_a_file_gets_the_same_verdict(self, entry: dict[str, Any]) -> None:
        assert pickleseal.verify(VECTORS / entry["file"]).as_dict() == entry["header"]

    def test_the_independent_reader_agrees(self, entry: dict[str, Any]) -> None:
        assert independent_reader.verify(read(entry), **_keys_of(entry)) == entry["header"]

    def test_its_keys_verify_it(self, entry: dict[str, Any]) -> None:
        policy = policy_of(entry)["policy"]
        for judge in (pickleseal.verify, pickleseal.peek):
            for data in (read(entry), VECTORS / entry["file"]):
                header = judge(data, policy=policy)
                assert header.as_dict() == entry["header"]
                assert bool(header.verified) == ("keys" in entry.get("policy", {}))
                assert set(header.verified) <= set(header.signatures)

    def test_attributes_show_what_the_header_says(self, entry: dict[str, Any]) -> None:
        header, wanted = pickleseal.peek(read(entry)), entry["header"]
        assert (header.type, header.version, header.created) == (wanted["type"], wanted["version"], wanted["created"])
        assert dict(header.build) == wanted["build"]
        assert dict(header.meta) == wanted.get("meta", {})
        assert dict(header.packages) == wanted.get("packages", {})
        assert dict(header.ext) == wanted.get("ext", {})
        assert list(header.globals) == wanted["globals"]
        assert header.records == wanted.get("records")
        assert [section.len for section in header.sections] == [section["len"] for section in wanted["sections"]]
        assert {name: schema.version for name, schema in header.types.items()} == {
            name: schema["version"] for name, schema in wanted.get("types", {}).items()
        }
        assert len(read(entry)) == header.frame_len


@pytest.mark.parametrize("entry", cases("invalid"))
class TestInvalid:
    def test_unpack_refuses_with_class_and_step(self, entry: dict[str, Any]) -> None:
        import canary

        before = canary.tripped
        with pytest.raises(ReadError) as caught:
            pickleseal.unpack(read(entry), **policy_of(entry))
        assert (caught.value.code, caught.value.step) == (entry["error"], entry["step"])
        assert canary.tripped == before
        assert all(line.isprintable() for line in str(caught.value).split("\n"))

    def test_a_file_gets_the_same_verdict(self, entry: dict[str, Any]) -> None:
        with pytest.raises(ReadError) as caught:
            pickleseal.load(VECTORS / entry["file"], **policy_of(entry))
        assert caught.value.code == entry["error"]
        assert caught.value.path == str(VECTORS / entry["file"])

    def test_verify_and_peek_check_their_steps(self, entry: dict[str, Any]) -> None:
        policy = policy_of(entry)["policy"]
        for judge, steps in ((pickleseal.verify, VERIFIED), (pickleseal.peek, PEEKED)):
            if entry["step"] in steps:
                with pytest.raises(ReadError) as caught:
                    judge(read(entry), policy=policy)
                assert caught.value.code == entry["error"]
            elif entry["step"] != 14 and not (judge is pickleseal.verify and entry["step"] == 15):
                judge(read(entry), policy=policy)

    def test_the_independent_reader_agrees(self, entry: dict[str, Any]) -> None:
        told = entry.get("policy", {})
        arguments: dict[str, Any] = {key: told[key] for key in JUDGED if key in told}
        arguments.update(_keys_of(entry))
        if entry["error"] in TRUSTED:
            arguments["trust"] = set(told["trust"])
        if entry["step"] == 20 or entry["error"] in ABOUT_CLASSES:
            independent_reader.check(read(entry), **arguments)  # it runs and imports nothing, so it accepts them
            return
        with pytest.raises(independent_reader.Refused) as caught:
            independent_reader.check(read(entry), **arguments)
        assert (caught.value.error, caught.value.step) == (entry["error"], entry["step"])


@pytest.mark.parametrize("entry", [case for case in cases("invalid") if case.values[0]["step"] == 15])
def test_verify_finds_a_refusal_by_the_policy_or_says_that_it_cannot(entry: dict[str, Any]) -> None:
    arguments = policy_of(entry)
    try:
        policy = replace(arguments["policy"], trust=arguments["trust"])
        header = pickleseal.verify(read(entry), policy=policy)
    except ReadError as exc:
        assert (exc.code, exc.step) == (entry["error"], 15)
    else:
        assert arguments["expect"] is not None or entry["error"] in (header.left_out or ())


def test_every_registered_class_has_a_vector() -> None:
    from pickleseal import errors

    registered = {
        cls.code
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, ReadError) and cls.code != ReadError.code
    }
    shown = {entry.get("error") for kind in ("invalid", "streams") for entry in manifest()[kind]}
    assert registered - shown == BEYOND_VECTORS


def test_there_are_enough_and_no_file_is_outside_the_manifest() -> None:
    listed = {entry["file"] for kind in manifest().values() for entry in kind}
    present = {str(path.relative_to(VECTORS)).replace("\\", "/") for path in VECTORS.rglob("*.pseal")}
    assert listed == present
    assert len(manifest()["invalid"]) >= 130


def test_no_two_invalid_vectors_are_the_same() -> None:
    seen: dict[tuple[bytes, str], str] = {}
    for entry in manifest()["invalid"]:
        key = read(entry), repr(entry.get("policy"))
        assert key not in seen, (entry["file"], seen.get(key))
        seen[key] = entry["file"]


def test_the_generator_gives_the_committed_files() -> None:
    pytest.importorskip("cryptography")
    import generate

    for name, data in generate.build().items():
        assert (SPEC / name).read_bytes() == data, f"{name} is out of date: run python spec/generate.py"


@pytest.mark.parametrize("entry", cases("legacy"))
def test_legacy_artifacts_are_still_read(entry: dict[str, Any]) -> None:
    obj = pickleseal.load(VECTORS / entry["file"], **policy_of(entry))
    if "value" in entry:
        assert obj == ast.literal_eval(entry["value"])
    else:
        kind = Path(entry["file"]).stem.rpartition("-")[2]
        assert LEGACY[kind](obj), obj


def _is_legacy_arrays(obj: Any) -> bool:
    np = pytest.importorskip("numpy")
    record = np.zeros(2, dtype=[("a", "<i4"), ("b", "<f8", (2,))])
    return (
        obj["o"].tolist() == [1, "x", None]
        and obj["s"].dtype == record.dtype
        and obj["s"].tobytes() == record.tobytes()
        and obj["d"].tolist() == [datetime.date(2026, 1, 1)]
        and (type(obj["f"]), obj["f"], obj["t"]) == (np.float32, 1.5, np.dtype("<u2"))
    )


def _is_legacy_array(obj: Any) -> bool:
    np = pytest.importorskip("numpy")
    return obj.dtype == "<f8" and np.array_equal(obj, np.arange(4096.0).reshape(64, 64))


LEGACY = {
    "arrays": _is_legacy_arrays,
    "array": _is_legacy_array,
    "dates": lambda obj: (
        obj
        == {
            "when": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
            "for": datetime.timedelta(hours=2),
        }
    ),
}


def test_vectors_in_one_stream_are_read_one_after_the_other() -> None:
    entries = manifest()["valid"]
    stream = io.BytesIO(b"".join(read(entry) for entry in entries))
    assert [pickleseal.verify(stream).as_dict() for _ in entries] == [entry["header"] for entry in entries]
    assert stream.read() == b""


def test_manifest_paths_stay_inside() -> None:
    for kind in manifest().values():
        for entry in kind:
            assert (VECTORS / entry["file"]).resolve().is_relative_to(Path(VECTORS).resolve())
