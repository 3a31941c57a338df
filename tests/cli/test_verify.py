"""`pickleseal verify`: every vector, folders and streams, policies and keys, the quarantine, the summary."""

import json
import os
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from _helpers.cli_support import PYTHON, SHELL, cli, compare
from _helpers.support import VECTORS, key_of, manifest, need, policy_of, read
from frames import Frame

import pickleseal
from pickleseal._cli.output import Output, Progress, progress
from pickleseal.errors import ReadError

WORDS = ("policy", "type-mismatch", "untrusted-global", "package-version")
FOUND_BY_WORDS = ("types", "python", "build", "meta", "codecs", "protocols", "packages")


def options_of(entry: dict[str, Any], folder: Path) -> list[str]:
    """Return the reader's settings in the manifest as options, and write the files that they name."""
    told = entry.get("policy", {})
    options: list[str] = []
    if "keys" in told:
        pickleseal.KeyRing(map(key_of, told["keys"]), told.get("purpose", "")).to_file(folder / "keys", overwrite=True)
        options += ["--key", str(folder / "keys"), "--purpose", told.get("purpose", "")]
        options += ["--context", told["context"]] if "context" in told else []
        options += [word for id in told.get("signed_by", ()) for word in ("--signed-by", id)]
    single = ("codecs", "trust", "protocols", "level", "python")
    lines = [f"{name} = {json.dumps(told[name])}" for name in single if name in told]
    for name in ("limits", "types", "build", "meta", "packages"):
        if name in told:
            lines += [f"[{name}]", *(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in told[name].items())]
    if lines:
        (folder / "policy.toml").write_text("\n".join(lines), "utf-8")
        options += ["--policy", str(folder / "policy.toml")]
    return options


def is_found(entry: dict[str, Any]) -> bool:
    """Return whether `verify` finds this error: it checks everything except classes and what a running payload does."""
    if entry["step"] < 15 or 16 <= entry["step"] <= 19:
        return True
    told = entry.get("policy", {})
    return bool(
        entry["error"] in WORDS
        and "expect" not in told
        and (told.get("trust") or any(name in told for name in FOUND_BY_WORDS))
    )


def test_every_valid_vector_is_whole(tmp_path: Path) -> None:
    need("cryptography")
    if sys.version_info < (3, 11):
        need("tomli")
    for entry in [*manifest()["valid"], *manifest()["legacy"]]:
        said = cli("verify", VECTORS / entry["file"], "--json", *options_of(entry, tmp_path))
        assert (said.code, said.result["ok"], said.result["code"]) == (0, True, None), entry["file"]
        assert bool(said.result["verified"]) == ("keys" in entry.get("policy", {})), entry["file"]


def test_every_invalid_vector_has_the_code_and_step_of_the_manifest(tmp_path: Path) -> None:
    need("cryptography")
    if sys.version_info < (3, 11):
        need("tomli")
    seen = set()
    for entry in manifest()["invalid"]:
        said = cli("verify", VECTORS / entry["file"], "--json", "--as", "artifact", *options_of(entry, tmp_path))
        assert said.err == "", entry["file"]
        if is_found(entry):
            assert (said.result["code"], said.result["step"]) == (entry["error"], entry["step"]), entry["file"]
            is_rule = entry["step"] == 15 or entry["error"] in ("limit-exceeded", "signature-invalid")
            assert said.code == (1 if is_rule else 3), entry["file"]
            seen.add(entry["step"])
        else:
            assert (said.code, said.result["ok"]) == (0, True), entry["file"]
    assert seen == {*range(1, 20)}


def test_stream_vectors_have_the_code_and_the_lost_ranges_of_the_manifest(tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        need("tomli")
    for entry in manifest()["streams"]:
        said = cli("verify", VECTORS / entry["file"], "--json", "--as", "stream", *options_of(entry, tmp_path))
        found = said.result
        if "error" not in entry or entry["step"] == 20:
            assert (said.code, found["code"], found["lost"]) == (0, None, []), entry["file"]
            assert entry.get("step") == 20 or found["records"] == entry["records"], entry["file"]
            continue
        assert (found["code"], found["step"], found["offset"]) == (entry["error"], entry["step"], entry["at"])
        assert said.code == (1 if entry["error"] in ("signature-invalid", "limit-exceeded") else 3), entry["file"]
        if "skipped" in entry:
            assert [[one["offset"], one["end"]] for one in found["lost"]] == entry["skipped"]["lost"], entry["file"]
            assert found["records"] == entry["skipped"]["records"], entry["file"]
        if "good_end" in entry:
            (tmp_path / "torn.pseal").write_bytes(read(entry))
            dry = cli("repair", tmp_path / "torn.pseal", "--dry-run", "--json").result
            done = cli("repair", tmp_path / "torn.pseal", "--json").result
            assert dry["end"] == done["end"] == entry["good_end"], entry["file"]


def test_a_stream_is_recognised_by_its_contents() -> None:
    for entry in manifest()["streams"]:
        found = cli("verify", VECTORS / entry["file"], "--json").result
        if entry["frames"] > 1 and "error" not in entry:
            assert (found["kind"], found["records"]) == ("stream", entry["records"]), entry["file"]


def test_two_artifacts_end_to_end_are_a_stream_without_as() -> None:
    path = VECTORS / "invalid" / "trailing-frame.pseal"
    found = cli("verify", path, "--json").result
    assert (found["kind"], found["frames"], found["records"]) == ("stream", 2, 2)
    assert cli("verify", path, "--as", "artifact").code == 3
    assert cli("verify", VECTORS / "valid" / "minimal.pseal", "--as", "stream").code == 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with whole and damaged artifacts and streams."""
    folder = tmp_path / "data"
    (folder / "below").mkdir(parents=True)
    for name in ("valid/minimal.pseal", "valid/signed-hmac.pseal", "invalid/section-0-first.pseal"):
        shutil.copy(VECTORS / name, folder)
    one = read({"file": "valid/minimal.pseal"})
    (folder / "below" / "stream.pseal").write_bytes(one * 3)
    damaged = bytearray(one * 3)
    damaged[len(one) + 70] ^= 1
    (folder / "below" / "torn.pseal").write_bytes(damaged[:-1])
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("color", [False, True])
def test_golden(data: Path, width: int, color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data.parent)
    env = {"COLUMNS": str(width)} | ({"FORCE_COLOR": "1"} if color else {})
    said = cli("verify", "data", "data/minimal.pseal", "nothing.pseal", env=env)
    said = said._replace(
        out="".join(f"{line.split(' (')[0]}\n" if " files: " in line else f"{line}\n" for line in said.out.splitlines())
    )
    compare(f"verify-folder-{width}{'-color' if color else ''}", said)


def test_a_folder_is_searched_and_the_highest_exit_code_counts(data: Path) -> None:
    said = cli("verify", data, "--json")
    codes = {Path(found["path"]).name: found["code"] for found in said.json["results"]}
    assert codes == {
        "minimal.pseal": None,
        "section-0-first.pseal": "section-checksum",
        "signed-hmac.pseal": None,
        "stream.pseal": None,
        "torn.pseal": "header-checksum",
    }
    assert said.code == 3
    summary = said.json["summary"]
    assert (summary["checked"], summary["whole"], summary["refused"], summary["unreadable"]) == (5, 3, 2, 0)
    torn = next(found for found in said.json["results"] if found["path"].endswith("torn.pseal"))
    assert [one["code"] for one in torn["lost"]] == ["header-checksum", "torn-tail"]
    assert (torn["frames"], torn["records"], len(torn["others"])) == (1, 1, 1)
    assert cli("verify", data, "-q").out.split() == [
        str(data / "section-0-first.pseal"),
        str(data / "below" / "torn.pseal"),
    ]
    assert cli("verify", data / "minimal.pseal", data / "**" / "str*.pseal").code == 0


def test_streams_at_urls_and_from_standard_input(data: Path) -> None:
    fsspec = need("fsspec")
    memory = fsspec.filesystem("memory")
    for name in ("stream.pseal", "torn.pseal"):
        memory.pipe_file(f"/verify/{name}", (data / "below" / name).read_bytes())
    said = cli("verify", "memory://verify/", "--json")
    assert [found["code"] for found in said.json["results"]] == [None, "header-checksum"]
    assert said.json["results"][0]["records"] == 3
    whole = cli("verify", "-", "--json", stdin=(data / "below" / "stream.pseal").read_bytes())
    assert (whole.code, whole.result["path"], whole.result["records"]) == (0, "-", 3)
    assert cli("verify", "-", stdin=b"x").code == 3


def test_unreadable_folders_make_the_run_incomplete(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("below"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    said = cli("verify", data)
    assert said.code == 3
    assert f"{data / 'below'}: unreadable: Permission denied" in said.out
    assert said.out.endswith("incomplete: not everything could be read\n")
    assert cli("verify", data, "--json").json["complete"] is False
    assert cli("verify", data / "minimal.pseal", data / "none").code == 3


def test_help_is_for_callers_in_python_and_for_the_command_line_in_its_own_words(tmp_path: Path) -> None:
    need("cryptography")
    if sys.version_info < (3, 11):
        need("tomli")
    texts = 0
    for entry in manifest()["invalid"]:
        said = cli("verify", VECTORS / entry["file"], *options_of(entry, tmp_path))
        assert not PYTHON.search(said.out.partition("help:")[2]), (entry["file"], said.out)
        with pytest.raises(ReadError) as caught:
            pickleseal.unpack(read(entry), **policy_of(entry))
        assert not SHELL.search(str(caught.value.hint)), entry["file"]
        texts += caught.value.hint is not None
    assert texts > 100


def test_keys_and_policies_are_applied(data: Path, tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        need("tomli")
    (entry,) = [one for one in manifest()["valid"] if one["file"] == "valid/signed-hmac.pseal"]
    key = options_of(entry, tmp_path)[:2]
    path, policy = data / "signed-hmac.pseal", tmp_path / "policy.toml"
    assert "claims to be signed by test-2026 (hmac-sha256), not verified: give --key" in cli("verify", path).out
    assert "signed by test-2026 (hmac-sha256)" in cli("verify", path, *key).out
    assert cli("verify", data / "minimal.pseal", *key).code == 1
    assert cli("verify", path, *key, "--purpose", "other").code == 1
    assert cli("verify", path, *key, "--signed-by", "somebody").code == 2
    assert cli("verify", path, "--signed-by", "test-2026").code == 2
    policy.write_text(f'[keys]\nfile = "{key[1]}"\n', "utf-8")
    assert cli("verify", path, "--policy", policy).code == 0
    assert cli("verify", path, "--policy", policy, *key).code == 2
    policy.write_text('[types]\n"builtins:list" = "*"\n', "utf-8")
    said = cli("verify", path, data / "below" / "stream.pseal", "--policy", policy, "--json")
    assert [found["code"] for found in said.json["results"]] == ["type-mismatch", "type-mismatch"]
    assert said.code == 1
    policy.write_text("nonsense = 1\n", "utf-8")
    said = cli("verify", path, "--policy", policy)
    assert (said.code, "policy.toml:1: nonsense: unknown key" in said.err) == (2, True)


def test_all_that_a_policy_refuses_is_listed(data: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('protocols = [2]\n[types]\n"builtins:list" = "*"\n[meta]\nteam = "*"\n', "utf-8")
    said = cli("verify", data / "minimal.pseal", "--policy", policy, "--json")
    assert said.code == 1
    (first,) = said.json["results"]
    assert (first["code"], first["where"]) == ("policy", "pickle.protocol")
    assert [line.split(": ")[0] for line in first["others"]] == ["type-mismatch", "policy"]


def test_a_policy_is_applied_to_packages_and_python(tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        need("tomli")
    need("packaging")
    written, policy = {"orjson": "0.0.1", "my-app": "1.0"}, tmp_path / "policy.toml"
    path = tmp_path / "x.pseal"
    frames = [Frame(packages=written, build={"python": "3.12.1"}) for _ in range(2)]
    for number, frame in enumerate(frames):
        frame.preamble = {"stream_id": 1, "seq": number}
    path.write_bytes(frames[0].data + frames[1].data)
    (tmp_path / "one.pseal").write_bytes(Frame(packages=written, build={"python": "3.12.1"}).data)
    for text, codes in (
        ("[packages]\norjson = 'exact'", ["package-version"]),
        ("[packages]\norjson = '>=1'\nnumpy = '>=1'", ["package-version", "package-version"]),
        ("[packages]\norjson = 'warn'\nnumpy = 'exact'\nmy-app = '==1.*'", []),
        ("python = '>=3.13'", ["policy"]),
        ("python = '==3.12.*'", []),
    ):
        policy.write_text(f"{text}\n", "utf-8")
        for file, times in (("one.pseal", 1), ("x.pseal", 2)):
            said = cli("verify", tmp_path / file, "--policy", policy, "--json")
            assert said.code == bool(codes)
            found = [said.result["code"], *(line.split(": ")[0] for line in said.result.get("others", ()))]
            assert found == (codes * times or [None]), (text, file)
    policy.write_text("python = '>=3.13'\n", "utf-8")
    found = cli("verify", tmp_path / "one.pseal", "--policy", policy, "--json").result
    assert {entry["name"]: (entry["written"], entry["installed"]) for entry in found["packages"]} == {
        "orjson": ("0.0.1", version("orjson")),
        "my-app": ("1.0", None),
    }
    lines = cli("verify", tmp_path / "one.pseal", "--policy", policy).out.split("\n")
    assert f"  note: written with orjson 0.0.1; {version('orjson')} is installed" in lines
    assert "  note: written with my-app 1.0; it is not installed" in lines


def test_a_policy_that_names_imports_is_applied_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.version_info < (3, 11):
        need("tomli")
    path, policy = VECTORS / "valid" / "canary.pseal", tmp_path / "policy.toml"
    monkeypatch.delitem(sys.modules, "canary", raising=False)
    for text, code in (('trust = ["canary:trip"]', 0), ('trust = ["other:name"]', 1), ("max_age = 0", 1), ("", 0)):
        policy.write_text(f"{text}\n", "utf-8")
        assert cli("verify", path, "--policy", policy).code == code, text
    assert "canary" not in sys.modules


def test_refused_files_are_copied_with_the_reason(data: Path, tmp_path: Path) -> None:
    kept = tmp_path / "refused"
    said = cli("verify", data, "--quarantine", kept, "--json")
    paths = [Path(found["quarantined"]) for found in said.json["results"] if not found["ok"]]
    assert len(paths) == 2
    for path in paths:
        reason = json.loads(path.with_suffix(".json").read_text("utf-8"))
        assert Path(reason["source"]).read_bytes() == path.read_bytes()
        assert reason["code"] in ("section-checksum", "header-checksum")
    assert len(list(kept.glob("*.pseal"))) == 2
    cli("verify", data, "--quarantine", kept)
    assert len(list(kept.glob("*.pseal"))) == 2
    cli("verify", "-", "--quarantine", kept, stdin=b"what is this")
    assert len(list(kept.glob("*.pseal"))) == 3
    (tmp_path / "file").touch()
    said = cli("verify", data, "--quarantine", tmp_path / "file")
    assert (said.code, f"can't copy it to the quarantine {tmp_path / 'file'}: File exists" in said.out) == (3, True)


def test_whole_files_are_listed_if_they_are_few(tmp_path: Path) -> None:
    one = read({"file": "valid/minimal.pseal"})
    for number in range(30):
        (tmp_path / f"{number:02}.pseal").write_bytes(one)
    said = cli("verify", tmp_path)
    assert (said.code, said.out.count("\n")) == (0, 1)
    assert said.out.startswith("30 files: 30 whole (11.5 kB in ")
    assert cli("verify", tmp_path, "--all").out.count(": ok: ") == 30
    assert cli("verify", tmp_path / "0*.pseal").out.count(": ok: ") == 10
    listed = [found["path"] for found in cli("verify", tmp_path, "--json").json["results"]]
    assert listed == sorted(listed)
    assert len(listed) == 30


def test_progress_shows_rate_and_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bar = Progress(True, 1000, "files")
    bar._done = 250
    assert bar.line(5) == "250 files, 50/s, 25%, 0:00:15 left"
    sized = Progress(True, None, "bytes")
    sized._done = 5_000_000
    assert sized.line(2) == "5.0 MB, 2.5 MB/s"
    monkeypatch.setitem(sys.modules, "rich.console", None)  # as where rich is not installed
    with bar:
        bar._next = 0
        bar.advance()
    assert "251 files" in capsys.readouterr().err
    with progress(Output("verify", "json"), 10, "files") as quiet:
        quiet._start -= 10
        quiet.advance(5)
    assert capsys.readouterr().err == ""


def test_progress_with_rich(capsys: pytest.CaptureFixture[str]) -> None:
    need("rich")
    with Progress(True, 1000, "files") as bar:
        bar._next = 0
        bar.advance(10)
        bar.clear()
        bar._next = 0
        bar.advance(10)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("form", ["artifact", "stream"])
def test_an_artifact_in_a_context_is_bound_and_not_forged(form: str, tmp_path: Path) -> None:
    ring, path = pickleseal.KeyRing([pickleseal.Key.generate("k")]), tmp_path / "a.pseal"
    ring.to_file(tmp_path / "keys")
    if form == "artifact":
        pickleseal.dump(7, path, keys=ring, context="alice")
    else:
        for n in range(2):
            pickleseal.append(path, n, context="alice", options=pickleseal.PackOptions(keys=ring))
    for command in ("verify", "inspect"):
        key = ["--key", tmp_path / "keys"]
        said = cli(command, path, *key, "--context", "alice")
        assert said.code == 0
        assert "k (hmac-sha256), bound to the given context" in said.out
        assert cli(command, path, *key, "--context", "alice", "--json").json["results"][0]["in_context"]
        said = cli(command, path, *key)
        assert said.code == 1
        assert "another context" in said.out
        assert "if it was signed in a context, give that, with --context TEXT" in said.out
        assert "signed     no" not in said.out
        said = cli(command, path, *key, "--context", "bob")
        assert said.code == 1
        assert "in the context that the reader gave" in said.out
