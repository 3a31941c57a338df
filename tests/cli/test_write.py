"""The commands that write: `seal`, `keygen`, `upgrade`, `repair`; and `tour`. A refused file is unchanged."""

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from _helpers.cli_support import cli
from _helpers.support import ROOT, VECTORS, need

import pickleseal
from pickleseal._cli.main import COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = cli(command, "--help")
    assert said.code == 0
    assert f"    pickleseal {command}" in said.out
    assert "exit codes: 0 all well" in said.out
    assert max(map(len, said.out.splitlines())) <= 80
    assert cli(command, "--no-such-option").code == 2


# --- keygen and seal --------------------------------------------------------------------------------------------------


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    said = cli("keygen", "first", "-o", path)
    assert said.code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 or os.name != "posix"
    secret = path.read_text("ascii").split()[-1]
    assert secret not in said.out
    assert secret not in cli("keygen", "second", "-o", path, "--rotate", "--json").out
    assert [key.id for key in pickleseal.KeyRing.from_file(path).keys] == ["second", "first"]
    before = path.read_bytes()
    for arguments in ([], ["--public", tmp_path / "public", "--rotate"]):  # HMAC has no public half
        assert cli("keygen", "third", "-o", path, *arguments).code == 2
    assert cli("keygen", "second", "-o", path, "--rotate").code == 2
    assert cli("keygen", "not an id", "-o", tmp_path / "other").code == 2
    assert path.read_bytes() == before
    assert not (tmp_path / "public").exists()
    assert cli("keygen", "third", "-o", path, "--force").code == 0
    assert [key.id for key in pickleseal.KeyRing.from_file(path).keys] == ["third"]


def test_public_halves_do_not_replace_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    (tmp_path / "link").symlink_to(path)
    for public in (path, tmp_path / "." / "keys", tmp_path / "link"):
        for way in ([], ["--force"], ["--rotate"]):
            said = cli("keygen", "release", "-o", path, "--alg", "ed25519", "--public", public, *way)
            assert said.code == 2
            assert "the secret would be lost" in said.err
            assert not path.exists()


def test_public_halves_verify_and_cannot_sign(tmp_path: Path) -> None:
    need("cryptography")
    path, public, artifact = tmp_path / "keys", tmp_path / "public", tmp_path / "a.pseal"
    said = cli("keygen", "release", "-o", path, "--alg", "ed25519", "--public", public, "--json")
    assert said.result["public"] == public.read_text("ascii").strip()
    pickleseal.dump([1], artifact)
    said = cli("seal", artifact, "--key", path, "--purpose", "models", "--json")
    assert said.result["signatures"] == said.result["verified"] == [["ed25519", "release"]]
    assert cli("verify", artifact, "--key", public, "--purpose", "models").code == 0
    assert cli("verify", artifact, "--key", public).code == 1
    assert cli("seal", artifact, "--key", public).code == 2


def test_signatures_are_added_and_removed(tmp_path: Path) -> None:
    keys = [tmp_path / name for name in ("one", "two")]
    for path in keys:
        cli("keygen", path.name, "-o", path)
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("valid/minimal.pseal", "valid/buffers.pseal", "invalid/section-0-first.pseal"):
        shutil.copy(VECTORS / name, folder)
    damaged = (folder / "section-0-first.pseal").read_bytes()
    said = cli("seal", folder, "--key", keys[0], "--json")
    assert (said.code, said.json["summary"]) == (3, {"written": 2})
    assert [found["code"] for found in said.json["results"]] == [None, None, "section-checksum"]
    assert (folder / "section-0-first.pseal").read_bytes() == damaged
    (folder / "section-0-first.pseal").unlink()
    assert cli("seal", folder, "--key", keys[1]).code == 0
    for path in folder.iterdir():
        before = path.read_bytes()
        both = pickleseal.peek(path)
        assert [name for _, name in both.signatures] == ["one", "two"]
        assert (
            cli("seal", path, "--remove", "three").out
            == f"{path}: 0 signatures removed; signed by one (hmac-sha256), two (hmac-sha256)\n"
        )
        assert path.read_bytes() == before
        assert cli("seal", path, "--remove", "one").code == 0
        assert cli("verify", path, "--key", keys[1]).code == 0
        assert cli("verify", path, "--key", keys[0]).code == 1
        assert cli("seal", path, "--remove", "two", "--remove", "one").code == 0
        assert pickleseal.verify(path).signatures == ()
        assert pickleseal.peek(path).as_dict() == both.as_dict()
    assert cli("seal", folder / "minimal.pseal").code == 2
    assert cli("seal", folder / "minimal.pseal", "--remove", "one", "--key", keys[0]).code == 2
    assert cli("seal", "-", "--key", keys[0]).code == 2
    assert cli("seal", "memory://x/y.pseal", "--key", keys[0]).code == 2
    assert cli("seal", tmp_path / "none.pseal", "--key", keys[0]).code == 3


def test_a_damaged_file_is_unchanged_when_signatures_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.pseal"
    data = bytearray((VECTORS / "valid" / "signed-buffers.pseal").read_bytes())
    data[-65] ^= 1
    path.write_bytes(data)
    said = cli("seal", path, "--remove", "test-2026")
    assert said.code == 3
    assert path.read_bytes() == data


# --- upgrade ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an artifact of version 0, and the module that has version 1 of its class."""
    source = """
        from dataclasses import dataclass
        import pickleseal

        @pickleseal.artifact("cli.Job", version={version})
        @dataclass
        class Job:
            name: str
            {fields}
        {migration}
        """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "cli_jobs.py"
    path.write_text(textwrap.dedent(source).format(version=0, fields="", migration=""), "utf-8")
    code = "import cli_jobs, pickleseal; pickleseal.dump(cli_jobs.Job('x'), 'job.pseal', meta={'a': 'b'})"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(tmp_path)])}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
    migration = (
        "@pickleseal.migration('cli.Job', from_version=0)\ndef with_size(state):\n    return {**state, 'size': 7}"
    )
    text = textwrap.dedent(source).format(version=1, fields="size: int = 0", migration=migration)
    path.write_text(text, "utf-8")
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run in a process of its own, because imported modules stay imported."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pickleseal", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_upgrade_loads_only_with_load_and_rewrites_the_file(application: Path) -> None:
    path = application / "job.pseal"
    before = path.read_bytes()
    said = cli("upgrade", path, "--import", "cli_jobs")
    assert (said.code, said.out) == (2, "")
    assert "--load" in said.err
    assert "cli_jobs" not in sys.modules
    refused = run(application, "upgrade", "job.pseal", "--load")
    assert refused.returncode == 1
    assert "--trust cli_jobs:Job" in refused.stdout
    assert path.read_bytes() == before
    done = run(application, "upgrade", "job.pseal", "--load", "--import", "cli_jobs")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "job.pseal: upgraded from version 0 to cli.Job version 1\n"
    assert pickleseal.peek(path).meta == {"a": "b"}
    again = run(application, "upgrade", "job.pseal", "--load", "--import", "cli_jobs", "--json")
    assert '"written": 0' in again.stdout
    failed = run(application, "upgrade", "job.pseal", "--load", "--import", "no_such_module")
    assert (failed.returncode, "--import: there is no module no_such_module" in failed.stderr) == (2, True)


def test_upgrade_signs_the_new_file(application: Path) -> None:
    cli("keygen", "one", "-o", "keys")
    cli("seal", "job.pseal", "--key", "keys")
    arguments = ["upgrade", "job.pseal", "--load", "--import", "cli_jobs"]
    assert "policy: the artifact has a seal" in run(application, *arguments).stdout
    assert run(application, *arguments, "--key", "keys").returncode == 0
    assert "cli.Job version 1" in cli("verify", "job.pseal", "--key", "keys").out


def test_upgrade_of_current_damaged_and_remote_files(tmp_path: Path) -> None:
    for name in ("valid/minimal.pseal", "valid/none.pseal", "invalid/section-0-first.pseal"):
        shutil.copy(VECTORS / name, tmp_path)
    said = cli("upgrade", tmp_path, tmp_path / "nothing.pseal", "--load")
    assert said.code == 3
    assert f"{tmp_path / 'minimal.pseal'}: nothing to upgrade, builtins:dict version 0" in said.out
    assert "section-checksum" not in said.out  # nothing of it is loaded, as its classes are as today
    assert "4 files: 0 written" in said.out
    assert "incomplete" in said.out
    assert cli("upgrade", "-", "--load").code == cli("upgrade", "memory://a/b.pseal", "--load").code == 2
    assert cli("upgrade", VECTORS / "invalid" / "header-flip-first.pseal", "--load").code == 3
    for wrong in ("eval", "builtins:eval"):
        assert cli("upgrade", tmp_path / "none.pseal", "--load", "--trust", wrong).code == 2
    need("cryptography")
    keys, public = tmp_path / "keys", tmp_path / "public"
    cli("keygen", "one", "-o", keys, "--alg", "ed25519", "--public", public)
    assert cli("upgrade", tmp_path / "none.pseal", "--load", "--key", public).code == 2


@pytest.mark.parametrize("status", ["0", "", "'bye'"])
def test_a_module_that_exits_or_prints_does_not_end_an_upgrade(
    status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    name = f"leaves_{len(status)}"
    (tmp_path / f"{name}.py").write_text(f"import sys\nprint('hello')\nsys.exit({status})\n")
    (tmp_path / f"{name}_not.py").write_text("print('hello')\n")
    pickleseal.dump(1, "a.pseal")
    said = cli("upgrade", "a.pseal", "--load", "--import", name)
    assert (said.code, said.out) == (2, "")
    assert f"--import: {name} can't be imported (SystemExit: " in said.err
    said = cli("upgrade", "a.pseal", "--load", "--import", f"{name}_not", "--json")
    assert said.result["ok"]
    assert said.err == "hello\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["seal", "--remove", "a", "URL"],
        ["repair", "URL"],
        ["upgrade", "--load", "URL"],
        ["convert", "--out", "new", "URL"],
        ["convert", "URL", "new"],
        ["convert", "URL", "new", "--json"],
        ["scan", ".", "--catalog", "URL"],
        ["keygen", "a", "-o", "URL"],
    ],
)
def test_a_password_of_a_url_is_not_repeated(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = cli(*(one.replace("URL", "s3://me:hunter2@bucket/a.pseal") for one in arguments))
    assert said.code
    assert "bucket" in said.out + said.err
    assert "hunter2" not in said.out + said.err


# --- repair -----------------------------------------------------------------------------------------------------------


def test_repair_cuts_off_a_torn_tail_and_a_dry_run_reports_it(tmp_path: Path) -> None:
    path = tmp_path / "events.pseal"
    for number in range(3):
        pickleseal.append(path, number)
    whole = path.read_bytes()
    assert cli("repair", path).out == f"{path}: no torn tail\n"
    path.write_bytes(whole[:-10])
    end = len(whole) // 3 * 2
    said = cli("repair", path, "--dry-run", "--json")
    assert (said.code, said.result["end"], said.result["cut"]) == (1, end, len(whole) - 10 - end)
    assert path.read_bytes() == whole[:-10]
    assert not (tmp_path / "events.pseal.idx").exists()
    said = cli("repair", path, "--json")
    assert (said.code, said.result["end"], said.result["cut"]) == (0, end, len(whole) - 10 - end)
    assert path.read_bytes() == whole[:end]
    assert cli("verify", path).code == 0


@pytest.mark.parametrize("offset", [30, 70, -70])
def test_repair_cuts_off_corrupt_frames_only_with_drop_corrupt(tmp_path: Path, offset: int) -> None:
    """The offsets are in the preamble, the header and the payload of the last frame."""
    path = tmp_path / "events.pseal"
    for number in range(3):
        pickleseal.append(path, [number] * 50)
    data = bytearray(path.read_bytes())
    end = len(data) // 3 * 2
    data[offset if offset < 0 else end + offset] ^= 1
    path.write_bytes(data)
    for arguments in ([], ["--dry-run"]):
        said = cli("repair", path, *arguments)
        assert said.code == 3
        assert f"byte {end}, record 2)" in said.out
    assert path.read_bytes() == data
    assert cli("repair", path, "--dry-run", "--drop-corrupt", "--json").result["end"] == end
    assert path.read_bytes() == data
    assert cli("repair", path, "--drop-corrupt").code == 0
    assert path.read_bytes() == data[:end]


def test_repair_of_a_file_that_is_no_stream(tmp_path: Path) -> None:
    path = tmp_path / "notes.pseal"
    path.write_text("no stream at all")
    assert cli("repair", path).code == cli("repair", path, "--dry-run").code == 3
    assert path.read_text() == "no stream at all"
    assert cli("repair", "-").code == 2
    assert cli("repair", tmp_path / "none").code == 3


# --- tour -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 200])
def test_the_tour_fits_the_terminal(width: int, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": str(width), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "pickleseal", "tour"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no longer yours" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= max(width, 88)
    assert list(tmp_path.iterdir()) == []


def test_the_tour_for_programs(tmp_path: Path) -> None:
    done = run(tmp_path, "tour", "--jsonl")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 11
    assert '"step": 10' in done.stdout
