"""`pickleseal check`: real deploys. Each change that breaks is found, and the code of its fix makes the file load."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from _helpers.cli_runs import golden, python, run
from _helpers.support import ROOT, manifest, need, policy_of, read

import pickleseal
from pickleseal._cli.check.code import Code
from pickleseal._cli.check.evaluation import BREAKS, Evaluator
from pickleseal._cli.main import main
from pickleseal.errors import ReadError

HEAD = "import enum\nfrom dataclasses import dataclass\nfrom typing import NamedTuple\n\nimport pickleseal\n\n"


def deploy(folder: Path, source: str, module: str = "models") -> None:
    """Put a module of an application in place of the one that was there."""
    (folder / "myapp").mkdir(exist_ok=True)
    (folder / "myapp" / "__init__.py").touch()
    (folder / "myapp" / f"{module}.py").write_text(HEAD + source, "utf-8")


def write(folder: Path, expression: str, name: str = "a.pseal", module: str = "models") -> None:
    python(folder, f"import pickleseal, myapp.{module} as m; pickleseal.dump({expression}, {name!r})")


def check(folder: Path, *arguments: str, **environment: str) -> Any:
    ran = run(folder, "check", ".", "--import", "myapp", "--json", *arguments, **environment)
    assert ran.out.startswith("{"), ran.err
    assert ran.json["exit_code"] == ran.code
    return ran.json


class Deploy(NamedTuple):
    """A change of a module: how it breaks, which of the fixes is taken, and what loads then."""

    before: str
    after: str
    stored: str
    changes: list[str]
    fix: str  # how the description of the fix to take begins
    values: dict[str, str]  # what a person fills in for `...`
    loaded: str


TASK = "# above Task\n@dataclass\nclass Task:\n    name: str\n"
COLOR = "# above Color\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 2\n"
DEPLOYS = {
    "renamed": Deploy(
        TASK,
        TASK.replace("name", "title"),
        "m.Task('a')",
        ["'name' was removed or renamed", "'title' was added"],
        "if 'name' was renamed to 'title'",
        {},
        "Task(title='a')",
    ),
    "renamed, registered before": Deploy(
        TASK.replace("@data", '@pickleseal.artifact("jobs.Task", formerly=["old:T"])\n@data'),
        TASK.replace("@data", '@pickleseal.artifact("jobs.Task", formerly=["old:T"])\n@data').replace("name", "title"),
        "m.Task('a')",
        ["'name' was removed or renamed", "'title' was added"],
        "if 'name' was renamed to 'title'",
        {},
        "Task(title='a')",
    ),
    "added": Deploy(
        TASK,
        TASK + "    owner: str\n",
        "[m.Task('a')]",
        ["'owner' was added"],
        "to give old objects a default",
        {"owner: str = ...": "owner: str = 'me'"},
        "[Task(name='a', owner='me')]",
    ),
    "added, with a migration": Deploy(
        TASK,
        TASK + "    owner: str\n",
        "m.Task('a')",
        ["'owner' was added"],
        "else, with a migration",
        {'state["owner"] = ...': 'state["owner"] = "me"'},
        "Task(name='a', owner='me')",
    ),
    "removed": Deploy(
        TASK + "    owner: str\n",
        TASK,
        "m.Task('a', 'b')",
        ["'owner' was removed or renamed"],
        "with a migration",
        {},
        "Task(name='a')",
    ),
    "several": Deploy(
        TASK + "    owner: str\n",
        TASK.replace("name", "title") + "    user: str\n    due: int\n",
        "m.Task('a', 'b')",
        [
            *("'name' was removed or renamed", "'owner' was removed or renamed"),
            *("'title' was added", "'user' was added", "'due' was added"),
        ],
        "with a migration",
        {'state["due"] = ...': 'state["due"] = 1'},
        "Task(title='a', user='b', due=1)",
    ),
    "annotation": Deploy(
        TASK,
        TASK.replace("str", "int"),
        "m.Task('7')",
        ["'name' was annotated str and is int"],
        "if the values have to be converted",
        {'...(state["name"])': 'int(state["name"])'},
        "Task(name=7)",
    ),
    "member renamed": Deploy(
        COLOR,
        COLOR.replace("RED", "CRIMSON"),
        "m.Color.RED",
        ["'RED' was removed or renamed"],
        "if 'RED' was renamed to 'CRIMSON'",
        {},
        "<Color.CRIMSON: 1>",
    ),
    "member's value": Deploy(
        COLOR,
        COLOR.replace("1", "10"),
        "m.Color.RED",
        ["the value of 'RED' was 1 and is 10"],
        "else, with a migration",
        {},
        "<Color.RED: 10>",
    ),
    "version": Deploy(
        TASK.replace("@data", '@pickleseal.artifact("jobs.Task", version=1)\n@data'),
        TASK.replace("@data", '@pickleseal.artifact("jobs.Task", version=3)\n@data').replace("name", "title"),
        "m.Task('a')",
        ["it was at version 1 and is at version 3: no chain of migrations leads to the class"],
        "add those of these migrations",
        {"    ...\n": "", 'state["title"] = ...': 'state["title"] = "t"'},
        "Task(title='t')",
    ),
    "field of a namedtuple": Deploy(
        "# above P\nclass P(NamedTuple):\n    x: int\n",
        "# above P\nclass P(NamedTuple):\n    x: int\n    y: int\n",
        "m.P(1)",
        ["'y' was added"],
        "to give old objects a default",
        {"y: int = ...": "y: int = 2"},
        "P(x=1, y=2)",
    ),
}


def paste(source: str, code: str, values: dict[str, str]) -> str:
    """Apply a fix as a person does: paste each piece where it belongs, and fill in the values."""
    for dots, value in values.items():
        assert dots in code
        code = code.replace(dots, value)
    for piece in re.split(r"\n\n(?=@)", code):
        decorated = re.fullmatch(r"(@pickleseal\.artifact\(.*\))\nclass (\w+):  # as it is", piece)
        if decorated is not None:
            source = re.sub(r"@pickleseal\.artifact\(.*\)\n", "", source)
            source = source.replace(f"# above {decorated[2]}\n", f"{decorated[1]}\n")
        elif piece.startswith("@pickleseal.migration"):
            source += f"\n\n{piece}\n"
        else:
            for line in piece.split("\n"):
                field = line.partition(" = ")[0]
                assert f"    {field}\n" in source
                source = source.replace(f"    {field}\n", f"    {line}\n")
    return source


class Outcome(NamedTuple):
    """The results of a change: before its fix, and after."""

    result: Any
    mended: list[Any]
    loaded: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Do all deploys, each in a module of its own: as it was, as it breaks, and with the fix pasted."""
    folder = tmp_path_factory.mktemp("deploys")
    modules = {name: f"case{number}" for number, name in enumerate(DEPLOYS)}

    def deploy_all(sources: dict[str, str]) -> None:
        for name, source in sources.items():
            deploy(folder, source.replace("jobs.Task", f"jobs.{modules[name]}"), modules[name])

    deploy_all({name: told.before for name, told in DEPLOYS.items()})
    imports = "import pickleseal, " + ", ".join(f"myapp.{module} as {module}" for module in modules.values())
    stored = {modules[name]: told.stored.replace("m.", f"{modules[name]}.") for name, told in DEPLOYS.items()}
    lines = [f"pickleseal.dump({expression}, '{module}.pseal')" for module, expression in stored.items()]
    python(folder, "\n".join([imports, *lines]))
    assert check(folder)["results"] == []

    deploy_all({name: told.after for name, told in DEPLOYS.items()})
    broken = {result["example"]["path"]: result for result in check(folder)["results"]}
    results = {name: broken[f"./{module}.pseal"] for name, module in modules.items()}
    pasted = {}
    for name, told in DEPLOYS.items():
        fix = next(fix for fix in results[name]["fixes"] if fix["when"].startswith(told.fix))
        pasted[name] = paste(told.after, fix["code"].replace(f"jobs.{modules[name]}", "jobs.Task"), told.values)
    deploy_all(pasted)
    mended = [result["example"]["path"] for result in check(folder)["results"]]
    lines = []
    for name, module in modules.items():
        cls = re.sub(r"[\[\]<(.=].*", "", DEPLOYS[name].loaded.lstrip("[<"))
        lines.append(f"print(repr(pickleseal.load('{module}.pseal', trust=[{module}.{cls}])))")
    loaded = python(folder, "\n".join([imports, *lines])).splitlines()
    return {
        name: Outcome(results[name], [path for path in mended if path == f"./{module}.pseal"], line)
        for (name, module), line in zip(modules.items(), loaded, strict=True)
    }


class TestDeploys:
    @pytest.mark.parametrize("name", DEPLOYS)
    def test_each_change_is_found_and_its_fix_loads_the_file(self, outcomes: dict[str, Outcome], name: str) -> None:
        told, (result, mended, loaded) = DEPLOYS[name], outcomes[name]
        assert result["changes"] == told.changes
        assert result["level"] == ("warns" if name == "annotation" else "breaks")
        assert (result["artifacts"], result["files"], result["example"]["offset"]) == (1, 1, 0)
        assert re.fullmatch(r"myapp/case\d+\.py:\d+", result["source"])
        assert mended == []
        assert loaded == told.loaded

    def test_a_class_that_moved(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')")
        deploy(tmp_path, "")
        deploy(tmp_path, TASK, "newer")
        (result,) = check(tmp_path)["results"]
        assert (result["code"], result["changes"]) == ("class-missing", ["myapp.models has no Task"])
        assert "renames" in result["fixes"][0]["code"]  # nobody imported the new module, so it is not known
        (result,) = check(tmp_path, "--import", "myapp.newer")["results"]
        assert result["fixes"][0]["when"] == "if it is Task in myapp.newer today, write above that class"
        deploy(tmp_path, paste(TASK, result["fixes"][0]["code"], {}), "newer")
        assert check(tmp_path, "--import", "myapp.newer")["exit_code"] == 0
        deploy(tmp_path, TASK, "newer")
        policy = eval(result["fixes"][1]["code"], {"Policy": pickleseal.Policy})
        (tmp_path / "policy.toml").write_text(
            'trust = ["myapp.newer:Task"]\n[renames]\n'
            + "".join(f'"{old}" = "{new}"\n' for old, new in policy.renames.items())
        )
        assert check(tmp_path, "--policy", "policy.toml")["exit_code"] == 0

    def test_a_module_that_is_gone_or_broken(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')")
        (tmp_path / "myapp" / "models.py").unlink()
        (result,) = check(tmp_path)["results"]
        assert result["changes"] == ["there is no module myapp.models"]
        deploy(tmp_path, "1 / 0")
        (result,) = check(tmp_path)["results"]
        assert result["changes"] == ["myapp.models can't be imported (ZeroDivisionError: division by zero)"]

    def test_all_problems_of_an_artifact(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK + "\n\n" + COLOR + "\n\n@dataclass\nclass Gone:\n    x: int\n")
        write(tmp_path, "[m.Task('a'), m.Color.RED, m.Gone(1), slice(1), sys.exit]".replace("sys.exit", "len"))
        deploy(tmp_path, TASK.replace("name", "title") + "\n\n" + COLOR.replace("RED", "CRIMSON"))
        found = check(tmp_path)
        said = {(result["subject"], result["code"]) for result in found["results"]}
        assert said == {
            ("myapp.models:Task", "schema-drift"),
            ("myapp.models:Color", "schema-drift"),
            ("myapp.models:Gone", "class-missing"),
        }
        assert found["summary"]["break"] == 1

    def test_a_registered_name_that_no_code_registers(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK.replace("@data", '@pickleseal.artifact("jobs.Task", version=2)\n@data'))
        write(tmp_path, "m.Task('a')")
        deploy(tmp_path, TASK)
        (result,) = check(tmp_path)["results"]
        assert (result["code"], result["version"]) == ("schema-version", 2)
        assert result["fixes"][0]["code"] == '--import MODULE imports the module that registers "jobs.Task"'

    def test_a_registry_of_its_own(self, tmp_path: Path) -> None:
        own = 'REGISTRY = pickleseal.Registry()\n\n\n@REGISTRY.artifact("jobs.Task")\n' + TASK
        deploy(tmp_path, own)
        write(tmp_path, "pickleseal.PackOptions and m.Task('a')")
        code = "import pickleseal, myapp.models as m; w = pickleseal.PackOptions(registry=m.REGISTRY)\n"
        python(tmp_path, code + "pickleseal.dump(m.Task('a'), 'a.pseal', options=w)")
        deploy(tmp_path, own.replace("jobs.Task", "jobs.Other").replace("name", "title"))
        found = check(tmp_path, "--registry", "myapp.models:REGISTRY")
        assert [result["code"] for result in found["results"]] == ["schema-drift"]
        deploy(tmp_path, own)
        assert check(tmp_path, "--registry", "myapp.models:REGISTRY")["exit_code"] == 0
        assert run(tmp_path, "check", ".", "--registry", "json:loads").code == 2
        assert run(tmp_path, "check", ".", "--import", "myapp", "--registry", "myapp:nothing").code == 2


CANARY = "import pathlib\npathlib.Path('sang').touch()\nclass Boom: pass\n"


class TestTrust:
    def test_a_module_that_only_an_artifact_names_is_never_imported(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        code = """
import pickleseal, sys, types
for name in ("canary", "canary.sub", "myapp.__main__", "this", "antigravity", "json.tool"):
    module = sys.modules[name] = types.ModuleType(name)
    module.Boom = type("Boom", (), {"__module__": name})
    pickleseal.dump(module.Boom(), name + ".pseal")
"""
        python(tmp_path, code)
        (tmp_path / "canary.py").write_text(CANARY)
        (tmp_path / "myapp" / "__main__.py").write_text(CANARY)
        found = check(tmp_path)
        assert found["summary"]["break"] == 6
        assert {result["code"] for result in found["results"]} == {"class-missing"}
        assert not (tmp_path / "sang").exists()
        hints = {result["subject"]: result["fixes"][0]["code"] for result in found["results"]}
        assert hints["canary:Boom"] == "--import canary"
        (tmp_path / "myapp" / "models.py").write_text(CANARY)  # the test would see it
        assert run(tmp_path, "check", "canary.pseal", "--import", "myapp.models").code == 1
        assert (tmp_path / "sang").exists()

    def test_a_getattr_of_a_module_is_not_called(self, tmp_path: Path) -> None:
        (tmp_path / "lazy.py").write_text(
            "def __getattr__(name):\n    open('sang', 'w').close()\n    return type(name, (), {})\n"
        )
        deploy(tmp_path, "import lazy\n")
        code = """
import pickleseal, sys, types
module = sys.modules["lazy"] = types.ModuleType("lazy")
module.Boom = type("Boom", (), {"__module__": "lazy"})
pickleseal.dump(module.Boom(), "a.pseal")
"""
        python(tmp_path, code)
        assert run(tmp_path, "check", ".", "--import", "myapp.models").code == 1
        assert not (tmp_path / "sang").exists()
        assert run(tmp_path, "check", ".", "--import", "lazy").code == 0  # its own code, named by the caller

    def test_classes_that_are_not_compared_are_named(self, tmp_path: Path) -> None:
        text = "class Bag:\n    def __init__(self, **given): self.__dict__.update(given)\n"
        (tmp_path / "bags.py").write_text(text + "class Box:\n    def __init__(self): self.x = self.y = 1\n")
        deploy(tmp_path, "import bags\n")
        python(tmp_path, "import bags, pickleseal\npickleseal.dump([bags.Bag(a=1), bags.Box()], 'a.pseal')")
        found = run(tmp_path, "check", ".", "--import", "bags")
        assert found.code == 0
        assert "not compared, as their code does not say what it assigns: bags:Bag\n" in found.out
        shown = run(tmp_path, "inspect", "a.pseal").out
        assert "bags:Bag (plain, not compared)" in shown
        assert "bags:Box (plain)" in shown
        assert "sets x, y" in shown

    @pytest.mark.parametrize(
        ("now", "fix"),
        [
            ("self.x = self.y = self.z = 1", "z = ..."),
            ("self.x = self.z = 1", '"y": "z"'),
            ("self.x = 1", 'state.pop("y", None)'),
        ],
    )
    def test_a_changed_plain_class_has_fixes(self, tmp_path: Path, now: str, fix: str) -> None:
        text = "class Box:\n    def __init__(self): {}\n"
        (tmp_path / "boxes.py").write_text(text.format("self.x = self.y = 1"))
        deploy(tmp_path, "import boxes\n")
        python(tmp_path, "import boxes, pickleseal\npickleseal.dump(boxes.Box(), 'a.pseal')")
        (tmp_path / "boxes.py").write_text(text.format(now))
        found = run(tmp_path, "check", ".", "--import", "boxes")
        assert found.code == 1
        assert fix in found.out

    def test_a_dangerous_global_is_refused(self, tmp_path: Path) -> None:
        code = "import os, pickleseal\nclass E:\n    def __reduce__(self): return os.system, ('touch sang',)\n"
        python(tmp_path, code + "pickleseal.dump(E(), 'a.pseal')")
        (result,) = check_plain(tmp_path)["results"]
        assert (result["code"], result["changes"]) == ("untrusted-global", ["it can run any code"])
        assert not (tmp_path / "sang").exists()

    def test_with_trust_only_the_given_names_are_trusted(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')")
        (result,) = check(tmp_path, "--trust", "myapp.models:Other")["results"]
        assert (result["code"], result["changes"]) == ("untrusted-global", ["it is not trusted"])
        assert result["fixes"][0]["code"].startswith("--trust myapp.models:Task allows this")
        assert check(tmp_path, "--trust", "myapp.models:Task")["exit_code"] == 0
        ran = run(tmp_path, "check", ".", "--trust", "os:system")
        assert (ran.code, ran.out) == (2, "")

    def test_a_rule_of_a_policy_is_about_the_code_that_is_imported(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK + "class Other:\n    pass\n")
        write(tmp_path, "[m.Task('a'), m.Other()]")
        (tmp_path / "policy.toml").write_text('trust = [{classes_in = "myapp"}]\n')
        assert check(tmp_path, "--policy", "policy.toml")["exit_code"] == 0
        (tmp_path / "policy.toml").write_text('trust = [{subclasses_of = "myapp.models:Task"}]\n')
        found = check(tmp_path, "--policy", "policy.toml")
        assert found["exit_code"] == 1
        assert [problem["code"] for problem in found["results"]] == ["untrusted-global"]
        assert run(tmp_path, "verify", "a.pseal", "--policy", "policy.toml").code == 0

    def test_a_policy_is_evaluated_in_full(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')")
        (tmp_path / "policy.toml").write_text(
            'max_age = "0s"\n[types]\n"jobs.Task" = "*"\n[build]\ncommit = "*"\n[meta]\nteam = "risk"\n'
        )
        found = check(tmp_path, "--policy", "policy.toml")
        assert {(result["code"], result["subject"]) for result in found["results"]} == {
            ("untrusted-global", "myapp.models:Task"),
            ("type-mismatch", "type"),
            ("policy", "created"),
            ("policy", "build.commit"),
            ("policy", "meta.team"),
        }
        (tmp_path / "policy.toml").write_text('level = "unchecked"\n')
        assert check(tmp_path, "--policy", "policy.toml")["exit_code"] == 0
        (tmp_path / "policy.toml").write_text("drift = 'strict'\ntrust = ['myapp.models:Task']\n")
        assert check(tmp_path, "--policy", "policy.toml")["exit_code"] == 0
        deploy(tmp_path, TASK + "    size: int = 3\n")
        (result,) = check(tmp_path, "--policy", "policy.toml")["results"]
        assert result["fixes"][0]["code"] == 'drift = "resolve" in the --policy file loads it'

    def test_a_class_that_became_a_function(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')")
        deploy(tmp_path, "def Task(name): return name\n")
        (tmp_path / "policy.toml").write_text("trust = ['myapp.models:Task']\n")
        (result,) = check(tmp_path, "--policy", "policy.toml")["results"]
        assert (result["level"], result["code"], result["subject"]) == ("breaks", "schema-drift", "myapp.models:Task")
        assert "kind function" in result["changes"][0]
        assert '"myapp.models:Task" = "its.module:Class" under [renames]' in result["fixes"][0]["code"]

    @pytest.mark.parametrize(("newer", "status"), [("refuse", "breaks"), ("keep", "breaks"), ("drop", "warns")])
    def test_fields_that_newer_code_added(self, tmp_path: Path, newer: str, status: str) -> None:
        slots = TASK.replace("@dataclass", "@dataclass(slots=True)")
        deploy(tmp_path, slots + "    size: int = 3\n")
        write(tmp_path, "m.Task('a', 5)")
        deploy(tmp_path, slots)
        (tmp_path / "policy.toml").write_text(f"newer = '{newer}'\ntrust = ['myapp.models:Task']\n")
        (result,) = check(tmp_path, "--policy", "policy.toml")["results"]
        assert (result["level"], result["code"]) == (status, "schema-drift")
        if newer == "keep":
            assert result["fixes"][0]["code"] == 'newer = "drop" in the --policy file reads it without'
        if newer == "drop":
            assert result["fixes"][0]["code"] == "deploy the code that wrote it"

    def test_packages(self, tmp_path: Path) -> None:
        (tmp_path / "fakelib.py").write_text("class Thing:\n    pass\n")
        metadata = tmp_path / "fakelib-1.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text("Metadata-Version: 2.1\nName: fakelib\nVersion: 1.4\n")
        python(tmp_path, "import pickleseal, fakelib; pickleseal.dump(fakelib.Thing(), 'a.pseal')")
        metadata.write_text("Metadata-Version: 2.1\nName: fakelib\nVersion: 2.0\n")
        found = run(tmp_path, "check", ".", "--import", "fakelib", "--json")
        (result,) = found.json["results"]
        assert (found.code, result["level"], result["code"]) == (0, "warns", "package-version")
        assert result["changes"] == ["written with fakelib 1.4; 2.0 is installed"]
        (tmp_path / "policy.toml").write_text('trust = ["fakelib:Thing"]\n[packages]\n"*" = "refuse"\n')
        found = run(tmp_path, "check", ".", "--import", "fakelib", "--policy", "policy.toml", "--json")
        assert (found.code, found.json["results"][0]["subject"]) == (1, "packages.fakelib")

    def test_what_would_not_load_names_the_versions(self, tmp_path: Path) -> None:
        (tmp_path / "fakelib.py").write_text("class Thing:\n    pass\n")
        metadata = tmp_path / "fakelib-1.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text("Metadata-Version: 2.1\nName: fakelib\nVersion: 1.4\n")
        python(tmp_path, "import pickleseal, fakelib; pickleseal.dump(fakelib.Thing(), 'a.pseal')")
        metadata.write_text("Metadata-Version: 2.1\nName: fakelib\nVersion: 1.5\n")
        (tmp_path / "fakelib.py").write_text("")
        note = "written with fakelib 1.4; 1.5 is installed"
        reports = ("--sarif", "out.sarif", "--junit", "out.xml")
        found = run(tmp_path, "check", ".", "--import", "fakelib", "--json", *reports)
        (result,) = found.json["results"]
        assert (found.code, result["code"]) == (1, "class-missing")
        assert result["packages"] == [{"name": "fakelib", "written": "1.4", "installed": "1.5", "instead": "fakelib"}]
        assert note in (tmp_path / "out.sarif").read_text("utf-8")
        assert note in (tmp_path / "out.xml").read_text("utf-8")
        assert f"        {note}\n" in run(tmp_path, "check", ".", "--import", "fakelib").out


def check_plain(folder: Path) -> Any:
    return run(folder, "check", ".", "--json").json


class TestRuns:
    def test_classes_are_compared_once_for_each_header_of_a_stream(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from pickleseal._cli.check import evaluation

        evaluated = []
        evaluate = evaluation.evaluate_classes
        monkeypatch.setattr(
            evaluation, "evaluate_classes", lambda fields, *rest: evaluated.append(fields) or evaluate(fields, *rest)
        )
        path = str(tmp_path / "events.pseal")
        with pickleseal.StreamWriter(path, fsync=0) as stream:
            for number in range(10_000):
                stream.append({"n": number})
        assert main(["check", path, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["summary"]["artifacts"], found["summary"]["files"], len(evaluated)) == (10_000, 1, 1)

    def test_a_record_of_a_stream(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        code = "import pickleseal, myapp.models as m\nwith pickleseal.StreamWriter('a.pseal') as s:\n"
        python(tmp_path, code + "    s.append(1); s.append(m.Task('a')); s.append(m.Task('b'))")
        deploy(tmp_path, TASK.replace("name", "title"))
        found = check(tmp_path)
        (result,) = found["results"]
        assert (result["artifacts"], result["files"], result["example"]["record"]) == (2, 1, 1)
        assert found["summary"] | {"artifacts": 3, "load": 1, "break": 2} == found["summary"]

    def test_unreadable_files_make_the_run_incomplete(self, tmp_path: Path) -> None:
        pickleseal.dump(1, tmp_path / "a.pseal")
        data = (tmp_path / "a.pseal").read_bytes()
        (tmp_path / "cut.pseal").write_bytes(data[:-1])
        (tmp_path / "bad.pseal").write_bytes(data[:100] + b"\xff" + data[101:])
        (tmp_path / "html.pseal").write_bytes(b"<html>")
        ran = run(tmp_path, "check", ".", "gone.pseal")
        assert ran.code == 3
        assert "1 of 1 artifact would load; 4 can't be checked" in ran.out
        assert ran.out.endswith("incomplete: not everything could be read\n")
        found = check_plain(tmp_path)
        assert [result["code"] for result in found["results"]] == ["header-checksum", "truncated", "not-an-artifact"]
        assert found["complete"] is False

    def test_an_empty_folder_gives_a_message(self, tmp_path: Path) -> None:
        ran = run(tmp_path, "check", "--allow-empty", ".")
        assert (ran.code, ran.err) == (0, "pickleseal: there is no artifact, so nothing was checked\n")

    def test_output_forms(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')")
        write(tmp_path, "m.Task('a')", "b.pseal")
        write(tmp_path, "1", "c.pseal")
        deploy(tmp_path, TASK.replace("name", "title"))
        quiet = run(tmp_path, "check", ".", "--import", "myapp", "-q")
        assert (quiet.code, quiet.out) == (1, "./a.pseal\n./b.pseal\n")
        lines = run(tmp_path, "check", ".", "--import", "myapp", "--jsonl").out.splitlines()
        assert json.loads(lines[0])["artifacts"] == 2
        assert json.loads(lines[-1])["summary"]["findings"] == 1
        data = (tmp_path / "a.pseal").read_bytes()
        (result,) = run(tmp_path, "check", "-", "--import", "myapp", "--json", stdin=data).json["results"]
        assert result["example"]["path"] == "-"

    def test_an_imported_module_may_print(self, tmp_path: Path) -> None:
        deploy(tmp_path, "print('hello')\n" + TASK)
        write(tmp_path, "m.Task('a')")
        assert check(tmp_path)["exit_code"] == 0
        assert "hello" in run(tmp_path, "check", ".", "--import", "myapp.models").err

    @pytest.mark.parametrize("source", ["1 / 0\n", "import sys\nsys.exit(0)\n", "import nothing_of_that_name\n"])
    def test_code_that_can_not_be_imported(self, tmp_path: Path, source: str) -> None:
        (tmp_path / "broken.py").write_text(source)
        ran = run(tmp_path, "check", ".", "--import", "broken")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("pickleseal: --import: broken can't be imported (")
        assert run(tmp_path, "check", ".", "--import", "nothing_of_that_name").code == 2

    def test_hostile_text_is_escaped(self, tmp_path: Path) -> None:
        deploy(tmp_path, TASK)
        evil = "x\\x1b[31m\\u202e\\nimport os"
        code = f'import pickleseal, dataclasses, sys\nC = dataclasses.make_dataclass("T", [("a", "{evil}")])\n'
        code += "import myapp.models as m; C.__module__ = 'myapp.models'; m.T = C\n"
        python(tmp_path, code + "pickleseal.dump(C(1), 'a.pseal', meta={'k': '\\x1b[31m'})")
        deploy(tmp_path, "@dataclass\nclass T:\n    a: int\n")
        for form in ("--no-color", "--json", "--jsonl"):
            ran = run(tmp_path, "check", ".", "--import", "myapp", form)
            assert "\x1b" not in ran.out
            assert "\u202e" not in ran.out
        for result in check(tmp_path)["results"]:
            for fix in result["fixes"]:
                compile(fix["code"].replace("...(", "int("), "fix", "exec")
                assert "\nimport os" not in fix["code"]


class TestReports:
    @pytest.fixture
    def broken(self, tmp_path: Path) -> Path:
        deploy(tmp_path, TASK)
        write(tmp_path, "m.Task('a')", "a b.pseal")
        write(tmp_path, "1", "good.pseal")
        (tmp_path / "html.pseal").write_bytes(b"<html>")
        deploy(tmp_path, TASK.replace("name", "title"))
        return tmp_path

    def test_sarif(self, broken: Path) -> None:
        assert run(broken, "check", ".", "--import", "myapp", "--sarif", "s.sarif").code == 3
        found = json.loads((broken / "s.sarif").read_text())
        assert (found["version"], found["$schema"]) == ("2.1.0", "https://json.schemastore.org/sarif-2.1.0.json")
        (only,) = found["runs"]
        driver = only["tool"]["driver"]
        assert driver["name"] == "pickleseal check"
        rules = {rule["id"] for rule in driver["rules"]}
        assert only["invocations"] == [{"executionSuccessful": False}]
        drift, unreadable = only["results"]
        for result in only["results"]:
            assert result["ruleId"] in rules
            assert result["level"] in ("error", "warning", "note")
            assert result["message"]["text"]
            assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        place = drift["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "myapp/models.py"
        source = (broken / "myapp" / "models.py").read_text().splitlines()
        assert source[place["region"]["startLine"] - 1] in ("@dataclass", "class Task:")
        related = drift["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert related == "./a%20b.pseal"
        assert unreadable["ruleId"] == "not-an-artifact"

    def test_junit(self, broken: Path) -> None:
        run(broken, "check", ".", "--import", "myapp", "--junit", "j.xml")
        suites = ElementTree.parse(broken / "j.xml").getroot()  # noqa: S314  # our own
        assert suites.attrib == {"tests": "3", "failures": "1", "errors": "1"}
        cases = {case.get("name"): [part.tag for part in case] for case in suites.iter("testcase")}
        assert cases == {"./a b.pseal": ["failure"], "./good.pseal": [], "./html.pseal": ["error"]}
        (failure,) = suites.iter("failure")
        assert "schema-drift: 'name' was removed or renamed" in (failure.text or "")

    def test_a_report_that_can_not_be_written(self, broken: Path) -> None:
        ran = run(broken, "check", ".", "--import", "myapp", "--sarif", "nowhere/s.sarif")
        assert ran.code == 2
        assert "nowhere/s.sarif: No such file" in ran.err

    @pytest.mark.parametrize(("columns", "color"), [("80", ""), ("200", ""), ("80", "1")])
    def test_golden(self, tmp_path: Path, columns: str, color: str) -> None:
        deploy(tmp_path, TASK + "\n\n" + COLOR + "\n\n@dataclass\nclass Gone:\n    x: int\n")
        write(tmp_path, "[m.Task('a'), m.Color.RED, m.Gone(1)]")
        write(tmp_path, "m.Task('b')", "b.pseal")
        (tmp_path / "c.pseal").write_bytes(b"<html>")
        deploy(tmp_path, TASK.replace("name", "title") + "\n\n" + COLOR.replace("RED = 1", "RED = 3"))
        more = {"FORCE_COLOR": color} if color else {}
        ran = run(tmp_path, "check", ".", "--import", "myapp", COLUMNS=columns, **more)
        assert ran.code == 3
        golden(f"check-{columns}{'-color' * bool(color)}.txt", ran.out)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_agrees_with_the_reader_on_every_vector() -> None:
    """`check` finds exactly what step 14 or 15 of the reader refuses, with the same code."""
    evaluated = 0
    for entry in (entry for entries in manifest().values() for entry in entries):
        told = policy_of(entry)
        trust = [*told["trust"], *([told["expect"]] if isinstance(told["expect"], type) else [])]
        policy = replace(told["policy"], trust=trust)
        data = read(entry)
        try:
            header = pickleseal.peek(data, policy=policy)
        except ReadError:
            continue
        problems = Evaluator(policy, Code([]), trusts_all=False).problems(header)
        codes = {problem.code for problem in problems if problem.level == BREAKS}
        evaluated += 1
        try:
            pickleseal.unpack(data, trust=told["trust"], policy=told["policy"])
        except ReadError as exc:
            if exc.step in (14, 15):
                assert exc.code in codes, entry["file"]
                continue
        assert codes == set(), entry["file"]
    assert evaluated > 200


EXAMPLES = ROOT / "examples" / "ci"


class TestExamples:
    """The files of examples/ci, to be copied."""

    @pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
    def test_against_another_revision(self, tmp_path: Path) -> None:
        if shutil.which("git") is None:
            assert not os.environ.get("CI")
            pytest.skip("git is not installed")

        def git(*arguments: str) -> None:
            who = ["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"]
            subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

        git("init", "-q", "-b", "main")
        deploy(tmp_path, TASK)
        samples = (
            "import sys, pickleseal, myapp.models as m\npickleseal.dump(m.Task('a'), sys.argv[1] + '/task.pseal')\n"
        )
        (tmp_path / "myapp" / "samples.py").write_text(samples, "utf-8")
        git("add", "-A")
        git("commit", "-q", "-m", "as it was")

        def against() -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, "PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"}
            command = ["sh", str(EXAMPLES / "against.sh"), "main", "myapp.samples", "myapp", "--no-color"]
            return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

        assert against().returncode == 0
        deploy(tmp_path, TASK.replace("name", "title"))
        ran = against()
        assert (ran.returncode, ran.stderr) == (1, "")
        assert "'name' was removed or renamed" in ran.stdout
        worktrees = subprocess.run(
            ["git", "worktree", "list"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert len(worktrees.stdout.splitlines()) == 1

    def test_commands_of_hook_and_workflow(self, tmp_path: Path) -> None:
        yaml = need("yaml")
        hook = yaml.safe_load((EXAMPLES / "pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"][0]
        workflow = yaml.safe_load((EXAMPLES / "workflow.yml").read_text("utf-8"))
        steps = [step.get("run", "") for step in workflow["jobs"]["check"]["steps"]]
        commands = [command for command in (hook["entry"], *steps) if "pickleseal check" in command]
        assert len(commands) == 2
        assert [step for step in steps if step.startswith("tools/against.sh")]
        deploy(tmp_path, TASK)
        (tmp_path / "tests" / "artifacts").mkdir(parents=True)
        write(tmp_path, "m.Task('a')", "tests/artifacts/a.pseal")
        for command in commands:
            program, *arguments = command.split()
            assert [program, *arguments[:2]] == ["python", "-m", "pickleseal"]
            assert run(tmp_path, *arguments[2:]).code == 0
        assert (tmp_path / "stored.sarif").exists()


def test_the_benchmark_runs() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "cli.py"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| check |" in done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="a pseudo-terminal")
def test_on_a_terminal(tmp_path: Path) -> None:
    import pty

    pickleseal.dump(1, tmp_path / "a.pseal")
    said = bytearray()

    def read(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        said.extend(data)
        return data

    code = pty.spawn([sys.executable, "-m", "pickleseal", "check", str(tmp_path)], read)
    assert os.waitstatus_to_exitcode(code) == 0
    assert b"\x1b[32m1 of 1 artifact would load\x1b[0m" in said
