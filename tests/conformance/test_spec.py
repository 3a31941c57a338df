"""The spec's other parts, held to the code: JSON Schema, file(1) magic, registry, tables, known answers, links."""

import json
import os
import re
import shutil
import subprocess
from typing import Any

import jsonschema
import pytest
from _helpers.support import SPEC, cases, manifest, read

import pickleseal
from pickleseal import errors
from pickleseal._format.checksum import checksum, checksum_hex

SCHEMA = json.loads((SPEC / "header.schema.json").read_text("utf-8"))
TEXT = (SPEC / "format.md").read_text("utf-8")
# What JSON Schema cannot say (its own description lists it).
BEYOND_SCHEMA = re.compile(
    r"schema-(globals-(order|order-utf-16|long-bytes)|crit-(order|not-in-ext)|created-(feb|apr).*|sealed-.*|types-(version-differs|fields-twice|defaults-twice|defaults-other|attributes-twice|attributes-field)"
    r"|format-minor|format-minor-1)"
)


def _header_json(entry: dict[str, Any]) -> Any:
    data = read(entry)
    return json.loads(data[64 : 64 + int.from_bytes(data[24:28], "little")])


def _validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("entry", cases("valid"))
def test_the_schema_accepts_valid_headers(entry: dict[str, Any]) -> None:
    if "minor" in entry["file"]:
        pytest.skip("the schema is that of minors 0 and 1")
    _validator().validate(_header_json(entry))


def _schema_cases() -> list[Any]:
    chosen = [case for case in cases("invalid") if case.values[0]["error"] == "header-schema"]
    assert len(chosen) > 100
    return chosen


@pytest.mark.parametrize("entry", _schema_cases())
def test_the_schema_refuses_what_the_code_refuses(entry: dict[str, Any]) -> None:
    name = entry["file"].removeprefix("invalid/").removesuffix(".pseal")
    accepted = _validator().is_valid(_header_json(entry))
    assert accepted == bool(BEYOND_SCHEMA.fullmatch(name)), entry["about"]


def test_file_names_the_artifact() -> None:
    if shutil.which("file") is None:
        assert not os.environ.get("CI"), "file(1) has to be installed in CI"
        pytest.skip("file(1) is not installed")
    for entry in manifest()["valid"]:
        path = SPEC / "vectors" / entry["file"]
        header = pickleseal.peek(path)
        command = ["file", "--brief", "--magic-file", str(SPEC / "pickleseal.magic"), str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        minor = header.preamble.version_minor
        assert said.startswith(f"pickleseal artifact, format 1.{minor}, header {header.preamble.header_len} bytes"), (
            said
        )
        assert f"{header.frame_len} bytes" in said
        assert ("sealed" in said) == bool(header.signatures)


def test_known_answers_of_the_checksum() -> None:
    inputs = [b"", b"a", b"pickleseal", bytes(64), bytes(range(256)) * 5]
    rows = re.findall(r"^\|[^|]+\| `([0-9a-f]{16})` \| `([0-9a-f ]{23})` \|$", TEXT, re.MULTILINE)
    assert len(rows) == len(inputs)
    for data, (in_header, in_binary) in zip(inputs, rows, strict=True):
        assert checksum_hex(data) == in_header
        assert checksum(data).to_bytes(8, "little").hex(" ") == in_binary


def test_the_registry_lists_the_code_s_error_classes_and_steps() -> None:
    section = TEXT.split("## 15 ")[1].split("## 16 ")[0]
    listed = {
        code: {int(n) for n in steps.split(",")}
        for code, steps in re.findall(r"^\| `([a-z-]+)` \|[^|]+\| ([\d, ]+) \|$", section, re.MULTILINE)
    }
    in_code = {
        cls.code: cls.step
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, errors.ReadError) and cls.code != errors.ReadError.code
    }
    assert set(listed) == set(in_code)
    for code, step in in_code.items():
        assert step in listed[code], code
    steps = TEXT.split("## 11 ")[1].split("## 12 ")[0]
    assert set(re.findall(r"\| `([a-z-]+)` \|", steps)) == set(listed)


def test_the_opcode_table_equals_that_of_the_code() -> None:
    import pickletools

    import independent_reader

    section = TEXT.split("| permitted for n | opcodes |")[1].split("\n\n")[0]
    by_name = {opcode.name: opcode for opcode in pickletools.opcodes}
    permitted: dict[str, set[int]] = {}
    for protocols, names in re.findall(r"^\| ([\d, ]+) \| ([A-Z0-9_, ]+) \|$", section, re.MULTILINE):
        for name in names.split(", "):
            permitted[name] = {int(n) for n in protocols.split(",")}
    assert len(permitted) > 50
    for name, opcode in by_name.items():
        code = ord(opcode.code)
        theirs = independent_reader._OPCODES.get(code)
        assert (set(theirs.protocols) if theirs else set()) == permitted.get(name, set()), name
        for protocol in (2, 3, 4, 5):
            if name not in ("PROTO", "STOP", "FRAME", "NEXT_BUFFER", "READONLY_BUFFER", "GLOBAL"):
                assert _ours_permits(code, opcode, protocol) == (protocol in permitted.get(name, ())), (name, protocol)


def _ours_permits(code: int, opcode: Any, protocol: int) -> bool:
    from pickleseal._payload.structure import check_envelope

    argument = bytes(max(0, opcode.arg.n)) if opcode.arg is not None and opcode.arg.n >= 0 else b""
    if opcode.arg is not None and opcode.arg.n < 0:
        argument = {-2: b"\0", -3: bytes(4), -4: bytes(4), -5: bytes(8)}.get(opcode.arg.n, b"")
    try:
        check_envelope(bytes((0x80, protocol)) + bytes((code,)) + argument + b".", protocol, [])
    except errors.PickleEnvelopeError as error:
        assert "not permitted" in error.reason, error
        return False
    return True


def test_links_inside_the_spec_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert links
    assert links <= headings


def test_every_limit_in_the_table_equals_that_of_the_code() -> None:
    from pickleseal._format import limits

    assert f"{limits.MAX_HEADER:,}" in TEXT
    assert f"{limits.MAX_SEAL:,}" in TEXT
    assert f"{limits.MAX_SECTIONS:,}" in TEXT
    assert f"{limits.MAX_NAME:,} bytes" in TEXT
    assert f"{limits.MAX_ZSTD_WINDOW:,}" in TEXT
    assert limits.DEFAULT_MAX_DECODED == 2**30
    assert limits.MAX_DEPTH == 16
    assert limits.MAX_SIGNATURES == 64
