"""`pickleseal inspect`: vectors, streams, damaged and hostile files, and files of other kinds."""

import glob
import os
import pickle
import pickletools
import shutil
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from _helpers.cli_support import cli, compare
from _helpers.support import ROOT, SPEC, VECTORS, cases, child_environment, manifest, need, read
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal._cli.inputs import expand
from pickleseal._cli.inspect.opcodes import Instruction, instructions
from pickleseal._format.frame import encode_frame, frame_parts

VIEWS = ("--layout", "--hex", "--pickle")
GOLDENS = {
    "minimal": ["valid/minimal.pseal"],
    "layout": ["valid/buffers.pseal", "--layout"],
    "hex": ["valid/minimal.pseal", "--hex"],
    "hex-damaged": ["invalid/header-flip-first.pseal", "--hex", "--limit", "2"],
    "pickle": ["valid/minimal.pseal", "--pickle"],
    "damaged": ["invalid/header-flip-first.pseal"],
    "truncated": ["invalid/cut-payload.pseal"],
    "foreign": ["invalid/foreign-pickle.pseal"],
    "signed": ["valid/signed-both.pseal"],
}
MADE_STEPS = (16, 17)  # that `inspect` finds out by the length alone


def payload_of(data: bytes, **fields: object) -> bytes:
    """Return an artifact around any payload."""
    header: dict[str, Any] = {
        "build": {},
        "created": "2026-01-02T03:04:05.678901Z",
        "format": "pickleseal/1.0",
        "globals": [],
        "pickle": {"protocol": 5},
        "sections": [{}],
        "type": "builtins:object",
        "version": 0,
        **fields,
    }
    return b"".join(map(bytes, frame_parts(encode_frame(header, [[data]]))))


def stream_of(folder: Path, count: int = 25, batch: int = 4) -> Path:
    path = folder / "events.pseal"
    with pickleseal.StreamWriter(path, batch=batch) as stream:
        for number in range(count):
            stream.append({"n": number})
    return path


# --- every vector -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [*cases("valid"), *cases("legacy")])
def test_valid_vectors_have_the_header_of_the_manifest(entry: dict[str, Any]) -> None:
    said = cli("inspect", VECTORS / entry["file"], "--json")
    assert said.code == 0, said.out
    assert said.result["ok"] is True
    if "header" in entry:
        assert said.result["header"] == entry["header"]
    for view in ((), *((view,) for view in VIEWS)):
        said = cli("inspect", VECTORS / entry["file"], *view)
        assert said.code == 0, said.out
        assert said.out


def test_invalid_vectors_have_the_code_and_exit_code_of_the_manifest() -> None:
    for entry in manifest()["invalid"]:
        known = not entry.get("policy") and (entry["step"] <= 13 or entry["step"] in MADE_STEPS)
        if entry["file"].endswith("trailing-frame.pseal"):  # two artifacts end to end are a stream
            assert cli("inspect", VECTORS / entry["file"], "--json").result["kind"] == "stream"
        said = cli("inspect", VECTORS / entry["file"], "--json", "--as", "artifact")
        if known and entry["error"] in ("section-checksum", "section-padding"):
            assert said.code == 0, entry["file"]
        elif known:
            assert (said.result["code"], said.result["step"]) == (entry["error"], entry["step"]), entry["file"]
            assert said.code == (1 if entry["error"] in ("limit-exceeded", "signature-invalid") else 3), entry["file"]


def test_the_bytes_of_invalid_vectors_are_shown() -> None:
    paths = [VECTORS / entry["file"] for entry in manifest()["invalid"]]
    said = cli("inspect", *paths, "--hex", "--limit", "4")
    assert said.code == 3
    assert all(line.isprintable() for line in said.out.splitlines())
    assert said.out.count("\noffset  bytes") >= len(paths) - 1


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name: str, width: int, color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(VECTORS)
    env = {"COLUMNS": str(width)} | ({"FORCE_COLOR": "1"} if color else {})
    said = cli("inspect", *GOLDENS[name], env=env)
    assert said.err == ""
    compare(f"inspect-{name}-{width}{'-color' if color else ''}", said)


def test_the_dump_of_the_worked_example_is_that_of_the_spec() -> None:
    """Appendix A."""
    page = (SPEC / "format.md").read_text("utf-8").split("<!-- worked-example:begin -->")[1]
    said = cli("inspect", VECTORS / "valid" / "minimal.pseal", "--hex", env={"COLUMNS": "120"})
    assert said.out == page.split("```text\n")[1].split("```")[0]


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_is_shown_as_a_whole_and_by_records(tmp_path: Path) -> None:
    path = stream_of(tmp_path)
    found = cli("inspect", path, "--json").result
    assert (found["kind"], found["records"], found["frames"], found["lost"]) == ("stream", 25, 7, [])
    assert found["types"] == {"builtins:dict": 25}
    chosen = {"0:4": [0], "3:5": [0, 4], "-1:": [24], "5": [4], "-1": [24], "30:": [], ":-23": [0]}
    for records, frames in chosen.items():
        shown = cli("inspect", path, f"--records={records}", "--json").result["shown"]
        assert [frame["record"] for frame in shown] == frames, records
    text = cli("inspect", path, "--limit", "2").out
    assert "25 in 7 frames" in text
    assert "... and 5 more frames: --records 8:" in text
    signed = cli("inspect", VECTORS / "streams" / "signed.pseal")
    assert "not verified: " in signed.out
    assert "--key verifies" in signed.out
    for view in VIEWS:
        assert "frame at byte" in cli("inspect", path, view, "--records", "5").out
    assert cli("inspect", path, "--records", "a:b").code == 2
    assert cli("inspect", VECTORS / "valid" / "minimal.pseal", "--pickle", "--records", "1").code == 2


def test_damage_in_a_stream_is_named_and_later_frames_are_shown(tmp_path: Path) -> None:
    path = stream_of(tmp_path)
    data = bytearray(path.read_bytes())
    with pickleseal.StreamReader(path) as stream:
        third = [frame.offset for frame in stream.frames()][2]
    data[third + 70] ^= 1
    path.write_bytes(data[:-1])
    said = cli("inspect", path)
    assert said.code == 3
    assert "header-checksum" in said.out
    assert "torn-tail" in said.out
    assert f"pickleseal repair {path}" in said.out
    found = cli("inspect", path, "--json").result
    assert [one["code"] for one in found["lost"]] == ["header-checksum", "torn-tail"]
    assert found["frames"] == 5


def test_standard_input_and_urls(tmp_path: Path) -> None:
    fsspec = need("fsspec")
    data, stream = read({"file": "valid/minimal.pseal"}), stream_of(tmp_path).read_bytes()
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/cli/minimal.pseal", data)
    memory.pipe_file("/cli/events.pseal", stream)
    for sent, records in ((data, None), (stream, 25)):
        found = cli("inspect", "-", "--json", stdin=sent).result
        assert (found["path"], found.get("records")) == ("-", records)
    assert "builtins:dict" in cli("inspect", "memory://cli/minimal.pseal").out
    assert cli("inspect", "memory://cli/events.pseal", "--json").result["records"] == 25
    assert [r["path"] for r in cli("inspect", "memory://cli/", "--json").json["results"]] == [
        "memory:///cli/events.pseal",
        "memory:///cli/minimal.pseal",
    ]
    assert cli("inspect", "memory://cli/minimal.pseal", "--hex").out.count("\n") > 10
    assert cli("inspect", "memory://cli/none.pseal").code == 3


# --- sections ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [None, "zstd"])
def test_a_section_is_written_decoded_and_checked(tmp_path: Path, compress: str | None) -> None:
    if compress:
        need("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
    raw = b"0123456789abcdef" * 5000
    path, target = tmp_path / "a.pseal", tmp_path / "out.bin"
    pickleseal.dump({"b": pickle.PickleBuffer(raw)}, path, options=pickleseal.PackOptions(compress=compress))
    assert cli("inspect", path, "--extract", 1, "-o", target).code == 0
    assert target.read_bytes() == raw
    assert cli("inspect", path, "--extract", 1).raw == raw
    assert pickle.loads(cli("inspect", path, "--extract", 0, "-o", "-").raw, buffers=[raw])["b"] == raw
    target.write_bytes(b"mine")
    said = cli("inspect", path, "--extract", 1, "-o", target)
    assert (said.code, target.read_bytes()) == (2, b"mine")
    assert "--force" in said.err
    data = bytearray(path.read_bytes())
    data[pickleseal.peek(path).preamble.head_len + 64] ^= 1  # section 1: the pickle before it is a short one
    path.write_bytes(data)
    assert cli("inspect", path, "--pickle").code == 0
    said = cli("inspect", path, "--extract", 1, "-o", target, "--force")
    assert (said.code, target.read_bytes()) == (3, b"mine")
    assert "section-checksum" in said.out
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".tmp"] == []
    said = cli("inspect", path, "--extract", 0, "-o", tmp_path / "none" / "x")
    assert (said.code, "No such file or directory" in said.err) == (2, True)
    for wrong in (["--extract", 7], ["--extract", -1], ["-o", "x"], ["--extract", 0, "--json"], ["--limit", "-1"]):
        assert cli("inspect", path, *wrong).code == 2, wrong


# --- hostile ----------------------------------------------------------------------------------------------------------


def test_text_from_a_file_is_escaped_everywhere(tmp_path: Path) -> None:
    hostile = "a\x1b[31mred\u202eright\nnext\x07\r\x9b"
    name = "mod\u202eule:Cl\u2028ass"
    path = tmp_path / "a.pseal"
    path.write_bytes(
        payload_of(
            b"\x80\x05\x8c\x08a\x1b[31mre\x94.".replace(b"\x8c\x08", b"\x8c\x08"),
            meta={"label": hostile},
            build={"app": hostile},
            packages={"dist\u202e": hostile},
            globals=[name],
            type="type\u202e",
            ext={"x.y": hostile},
            types={
                "type\u202e": {
                    "fields": [["f\u202e", hostile]],
                    "defaults": [["f\u202e", hostile]],
                    "global": name,
                    "kind": "plain",
                    "state": "default",
                    "version": 0,
                }
            },
        )
    )
    for view in ((), *((view,) for view in VIEWS), ("--json",), ("--jsonl",), ("-q",)):
        said = cli("inspect", path, *view)
        assert said.code == 0, said.out
        assert all(line.isprintable() for line in said.out.split("\n")), view
    assert "\\u202e" in cli("inspect", path).out


def test_names_that_an_encoding_lacks_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    pickleseal.dump(1, path, meta={"city": "Köln \u4e2d"})
    said = cli("inspect", path, "--layout", encoding="ascii")
    assert (said.code, "#" in said.out) == (0, True)
    assert "K\\xf6ln \\u4e2d" in cli("inspect", path, encoding="ascii").out


class Trap:
    def __reduce__(self) -> Any:
        return os.system, ("touch trapped",)


def test_nothing_is_imported_or_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pickleseal.dump(Trap(), "trap.pseal")
    (tmp_path / "canary.pseal").write_bytes(read({"file": "valid/canary.pseal"}))
    monkeypatch.delitem(sys.modules, "canary", raising=False)
    for path in ("trap.pseal", "canary.pseal"):
        for view in ((), *((view,) for view in VIEWS), ("--extract", 0)):
            assert cli("inspect", path, *view).code == 0
        assert cli("verify", path).code == 0
    assert "canary" not in sys.modules
    assert not (tmp_path / "trapped").exists()
    assert "'system'" in cli("inspect", "trap.pseal", "--pickle").out


HOSTILE = {
    "a million opcodes": b"\x80\x05" + b"N0" * 500_000 + b"N.",
    "an argument of a gigabyte that is not there": b"\x80\x05\x8e" + struct.pack("<Q", 1 << 30) + b"x.",
    "a length of 2**64 - 1": b"\x80\x05\x96" + b"\xff" * 8 + b".",
    "a negative length": b"\x80\x02\x8b\xff\xff\xff\xff.",
    "an integer of a megabyte": b"\x80\x05\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20) + b".",
    "a text of a megabyte": b"\x80\x05X" + struct.pack("<I", 1 << 20) + b"\xe2\x80\xae\n" * (1 << 18) + b".",
    "marks without end": b"\x80\x05" + b"(" * 100_000 + b".",
    "a line without end": b"\x80\x02c" + b"a" * 1_000_000,
    "an opcode that is none": b"\x80\x05\xff.",
    "more behind the end": b"\x80\x05N.N.",
    "text integers of protocol 0": b"I" + b"9" * 100_000 + b"\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_lists_of_hostile_pickles_are_fast_and_cut(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    path.write_bytes(payload_of(HOSTILE[name]))
    start = time.process_time()
    for arguments in (["--pickle"], ["--hex"], ["--pickle", "--json"]):
        said = cli("inspect", path, *arguments)
        assert said.code == 0
        assert len(said.out) < 60_000
        assert all(line.isprintable() and len(line) <= 160 for line in said.out.splitlines() if "{" not in line)
    assert time.process_time() - start < 20  # a quadratic pass over a million opcodes takes far longer


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["valid/minimal", "valid/signed-buffers", "valid/zstd-mixed", "streams/batches", "valid/types"]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3),
    st.integers(0, 200),
    st.sampled_from([(), *((view,) for view in VIEWS), ("--extract", "1"), ("--as", "stream"), ("--records=-2:",)]),
)
def test_damage_never_causes_an_internal_error(
    tmp_path: Path, name: str, changes: list[tuple[int, int]], cut: int, view: tuple[str, ...]
) -> None:
    data = bytearray(read({"file": f"{name}.pseal"}))
    for offset, value in changes:
        data[offset % len(data)] = value
    path = tmp_path / "a.pseal"
    path.write_bytes(data[: len(data) - cut])
    for arguments in (["inspect", path, *view], ["inspect", path, *view, "--json"], ["verify", path, "--all"]):
        if view[:1] != ("--extract",) or "--json" not in arguments:
            said = cli(*arguments)
            assert said.code in (0, 1, 2, 3), said.err
            assert view[:1] == ("--extract",) or all(line.isprintable() for line in said.out.splitlines())


@given(st.binary(max_size=300))
def test_instructions_cover_any_bytes_in_order(data: bytes) -> None:
    position = 0
    for opcode in instructions(lambda offset, count: data[offset : offset + count], len(data)):
        assert opcode.offset == position
        assert opcode.length > 0 or opcode.problem is not None
        assert (opcode.argument or "").isprintable()
        position += opcode.length
    assert position <= len(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.integers(0, 5))
def test_opcodes_are_those_that_pickletools_finds(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    found = list(instructions(lambda offset, count: data[offset : offset + count], len(data)))
    assert [(one.name, one.offset) for one in found] == [
        (opcode.name, position) for opcode, _, position in pickletools.genops(data)
    ]
    assert sum(one.length for one in found) == len(data)
    assert not any(one.problem for one in found)
    assert isinstance(found[0], Instruction)


# --- the process ------------------------------------------------------------------------------------------------------


def test_a_broken_pipe_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    path.write_bytes(payload_of(HOSTILE["a million opcodes"]))
    command = [sys.executable, "-m", "pickleseal", "inspect", str(path), "--pickle", "--limit", "100000"]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait() == 0


@pytest.mark.parametrize("arguments", [["verify"], ["inspect"], ["check"], ["verify", "-q"], ["check", "--json"]])
def test_a_broken_pipe_does_not_hide_a_refusal(arguments: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    path.write_bytes(VECTORS.joinpath("valid", "minimal.pseal").read_bytes()[:-70])
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pickleseal", *arguments, str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, env=env, check=False)
    assert (done.returncode, done.stderr) == (3, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is full")
@pytest.mark.parametrize("more", [[], ["--json"], ["--hex"], ["--extract", "0"]])
def test_a_full_disk_is_reported_in_one_line(more: list[str]) -> None:
    path = VECTORS / "valid" / "minimal.pseal"
    command = [sys.executable, "-m", "pickleseal", "inspect", str(path), *more]
    for unbuffered in ("", "1"):
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=env, check=False)
        assert done.returncode == 3
        assert done.stderr.count(b"\n") == 1
        assert done.stderr.startswith(b"pickleseal: standard output: ")


@pytest.mark.skipif(os.name != "posix", reason="a shell")
@pytest.mark.parametrize(("closed", "path", "code"), [(">&-", "good", 0), (">&-", "none", 3), ("<&-", "-", 3)])
def test_closed_standard_streams(closed: str, path: str, code: int) -> None:
    name = str(VECTORS / "valid" / "minimal.pseal") if path == "good" else path
    script = f'"$0" -m pickleseal verify "$1" {closed}'
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(["/bin/sh", "-c", script, sys.executable, name], env=env, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_one_file_takes_few_imports(command: str) -> None:
    """Heavy modules would make the start slower."""
    heavy = [
        "asyncio",
        "concurrent.futures",
        "cryptography",
        "fsspec",
        "hashlib",
        "logging",
        "multiprocessing",
        "rich",
        "tempfile",
    ]
    code = (
        "import sys; from pickleseal._cli.main import main; before = set(sys.modules)\n"
        f"assert main([{command!r}, {str(VECTORS / 'valid' / 'minimal.pseal')!r}]) == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_pattern_never_stands_for_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(VECTORS / "valid" / "minimal.pseal", "-")
    said = cli("verify", "[-]", "--json", stdin=b"something else")
    assert (said.code, said.result["path"]) == (0, os.path.join(".", "-"))


def test_patterns_go_down_as_glob_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b/a", "b/c/a", "b/[c]/a", "b/.d/a", ".e/a", "b/.a"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for pattern in ("**/a", "b/**/a", "**/c/*", "b/**/c/**/a", "*/**/a", "./**/a", f"{tmp_path}/**/a", "**/[[]c]/a"):
        expected = {os.path.normpath(name) for name in glob.glob(pattern, recursive=True)}
        assert expected
        assert {os.path.normpath(one.path) for one in expand([pattern])} == expected
    assert {one.path for one in expand(["**"])} == {name for name in glob.glob("**", recursive=True) if name[-1] == "a"}


@pytest.mark.skipif(os.name != "posix", reason="links and modes")
def test_patterns_follow_no_links_and_say_what_they_could_not_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(VECTORS / "valid" / "minimal.pseal", tmp_path / "a.pseal")
    for name in ("x", "y"):
        (tmp_path / name).symlink_to(".")
    said = cli("verify", tmp_path / "**" / "*.pseal", "--json")
    assert (said.code, said.result["path"]) == (0, str(tmp_path / "a.pseal"))
    (tmp_path / "shut").mkdir()
    list_folder = os.scandir

    def scandir(path: str) -> Any:
        if os.fspath(path).rstrip("/").endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", scandir)
    said = cli("verify", tmp_path / "**" / "*.pseal", "--json")
    assert (said.code, said.json["complete"]) == (3, False)
    assert [one["code"] for one in said.json["results"]] == ["unreadable", None]


def test_several_paths_and_the_worst_exit_code(tmp_path: Path) -> None:
    good, other = VECTORS / "valid" / "minimal.pseal", tmp_path / "o.pkl"
    other.write_bytes(pickle.dumps([1]))
    said = cli("inspect", good, other, tmp_path / "none.pseal")
    assert said.code == 3
    assert f"pickleseal convert {other} NEW.pseal" in said.out
    assert said.out.rstrip().endswith("incomplete: not everything could be read")
    assert cli("inspect", good, other, "--jsonl").out.count("\n") == 3


COMMANDS = {
    "inspect": [],
    "verify": [],
    "check": [],
    "scan": ["--catalog", "c.jsonl"],
    "seal": ["--remove", "k"],
    "upgrade": ["--load"],
    "repair": [],
    "map": [],
    "convert": ["--out", "out"],
}


@pytest.mark.parametrize("command", COMMANDS)
class TestFoldersAndPatterns:
    def test_that_stand_for_nothing_are_errors_unless_allowed(
        self, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("folder").mkdir()
        Path("folder", "notes.txt").write_text("nothing to look at")
        for path, words in (("folder", "holds no file that ends with "), ("folder/*.nothing", "nothing matches")):
            said = cli(command, *COMMANDS[command], path)
            assert (said.code, said.out) == (2, "")
            assert path in said.err
            assert words in said.err
            assert "--allow-empty" in said.err
            assert cli(command, *COMMANDS[command], "--allow-empty", path).code == 0

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
    def test_pipes_and_devices_in_them_are_not_opened(
        self, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("folder").mkdir()
        for ending in ("pseal", "pkl", "py"):
            os.mkfifo(f"folder/pipe.{ending}")
            Path(f"folder/zero.{ending}").symlink_to("/dev/zero")
        said = subprocess.run(
            [sys.executable, "-m", "pickleseal", command, *COMMANDS[command], "folder", "folder/*.p*"],
            capture_output=True,
            text=True,
            env=child_environment(),
            timeout=60,
            check=False,
        )
        assert said.returncode == 3
        assert (said.stdout + said.stderr).count("not a regular file") >= 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = read({"file": "valid/minimal.pseal"})
    for command in ("inspect", "verify"):
        writer = threading.Thread(target=path.write_bytes, args=(data,))
        writer.start()
        said = cli(command, path, "--json")
        writer.join()
        assert (said.code, said.result["path"], said.result["size"]) == (0, str(path), len(data))


def test_signatures_are_verified_with_a_key(tmp_path: Path) -> None:
    ring = pickleseal.KeyRing([pickleseal.Key.generate("audit")])
    path, keys = tmp_path / "a.pseal", tmp_path / "keys"
    ring.to_file(keys)
    pickleseal.dump(1, path, options=pickleseal.PackOptions(keys=ring))
    assert "not verified: audit (hmac-sha256); --key verifies" in cli("inspect", path).out
    assert "verified: audit (hmac-sha256)" in cli("inspect", path, "--key", keys).out
    assert cli("inspect", VECTORS / "valid" / "minimal.pseal", "--key", keys).code == 1
    assert cli("inspect", path, "--purpose", "x").code == 2
    assert cli("inspect", path, "--key", tmp_path / "none").code == 2


def test_a_terminal_gets_no_bytes() -> None:
    said = cli("inspect", VECTORS / "valid" / "minimal.pseal", "--extract", 0, terminal=True)
    assert (said.code, said.raw) == (2, b"")


def test_thousands_of_sections_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    pickleseal.dump([pickle.PickleBuffer(b"x" * 20_000) for _ in range(300)], path)
    for view in ("--layout", "--hex"):
        assert cli("inspect", path, view, "--limit", "5").out.count("\n") < 60, view
    assert cli("inspect", path, "--layout", "--limit", "0").out.count("section ") == 301
    assert len(cli("inspect", path, "--layout", "--json").result["regions"]) > 600


def test_a_file_that_is_no_artifact_is_dumped_as_a_whole_if_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 10)
    assert cli("inspect", path, "--hex", "--limit", "0").out.count("\n") == 2 + 320
    assert cli("inspect", path, "--hex", "--limit", "3").out.count("\n") == 2 + 3 + 1


def test_long_headers_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    names = [f"module:Class{number:03}" for number in range(100)]
    entry = {"fields": [], "kind": "plain", "state": "custom", "version": 2}
    types = {name: {**entry, "global": f"old.{name}"} for name in names}
    path.write_bytes(payload_of(b"\x80\x05N.", globals=names, types=types, meta={f"k{n}": "v" for n in range(100)}))
    said = cli("inspect", path, env={"COLUMNS": "160"})
    assert said.out.count("\n") < 70
    text = " ".join(said.out.split())
    assert "... and 60 more (--json shows all)" in text
    assert "... and 80 more classes (--json shows all)" in text
    assert "(plain, version 2, has pickling methods of its own, was old.module:Class000)" in text
