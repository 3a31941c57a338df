"""`pickleseal trust`: what artifacts ask their readers to trust, from headers alone; `Policy.missing`."""

import ast
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from _helpers.cli_support import Said, cli
from _helpers.support import VECTORS, need
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import Key, KeyRing, PackOptions, Policy, Registry, append, dump, load, peek
from pickleseal._cli.trust import quoted
from pickleseal._trust.allow_list import Entry
from pickleseal.convert import adopt
from pickleseal.errors import UntrustedGlobalError
from pickleseal.trust import preset, trust_of

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(__file__)), "data", "modules"))
import shapes


def listed(said: Said) -> list[Any]:
    """Return the trust list that was printed, read as TOML; and as Python, where it has no rule."""
    if sys.version_info < (3, 11):
        tomllib = need("tomli")
    else:
        import tomllib
    names: list[Any] = tomllib.loads(said.out)["trust"]
    if all(isinstance(name, str) for name in names):
        (statement,) = ast.parse(said.out).body
        assert isinstance(statement, ast.Assign)
        assert ast.literal_eval(statement.value) == names
    return names


def write_bare(path: Path, pickled: bytes) -> None:
    path.write_bytes(adopt(pickled).data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dump({"job": shapes.Job(1, "a")}, tmp_path / "a.pseal")
    (tmp_path / "below").mkdir()
    for shape in (shapes.Job(2, "b"), 3):
        append(tmp_path / "below" / "s.pseal", shape)
    write_bare(tmp_path / "c.pseal", b"\x80\x04\x8c\x0eno_such_module\x8c\x06Widget\x93.")
    return tmp_path


def test_the_list_is_what_loads_them(folder: Path) -> None:
    said = cli("trust", folder)
    assert said.code == 0
    names = listed(said)
    assert names == ["no_such_module:Widget", "shapes:Job"]
    (folder / "policy.toml").write_text(said.out, "utf-8")
    policy = Policy.from_toml(folder / "policy.toml")
    assert load(folder / "a.pseal", policy=policy) == {"job": shapes.Job(1, "a")}
    assert list(pickleseal.iter_load(folder / "below" / "s.pseal", policy=policy)) == [shapes.Job(2, "b"), 3]
    assert "no_such_module" not in sys.modules


def test_only_what_a_policy_lacks_is_printed(folder: Path) -> None:
    policy = folder / "policy.toml"
    policy.write_text('trust = ["shapes:Job"]', "utf-8")
    assert listed(cli("trust", folder, "--policy", policy)) == ["no_such_module:Widget"]
    policy.write_text('trust = ["shapes:Job", "no_such_module:Widget"]', "utf-8")
    said = cli("trust", folder, "--policy", policy)
    assert (said.code, said.out) == (0, "# 4 artifacts to load: nothing to trust.\n")


def test_dangerous_names_are_marked_and_commented_out(folder: Path) -> None:
    write_bare(folder / "d.pseal", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.")
    said = cli("trust", folder)
    assert said.code == 1
    assert "os:system" not in listed(said)
    assert '    # DANGEROUS: "os:system", it runs what its arguments say; only level = "signed" loads it:' in said.out
    assert "os:system" not in cli("trust", folder, "-q").out
    by_name = {one["name"]: one for one in cli("trust", folder, "--json").json["results"]}
    assert (by_name["os:system"]["trust"], by_name["os:system"]["artifacts"]) == (False, 1)
    assert by_name["os:system"]["example"] == str(folder / "d.pseal")
    assert (by_name["shapes:Job"]["trust"], by_name["shapes:Job"]["artifacts"]) == (True, 2)


def test_a_preset_takes_the_place_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry(None, frozenset(("value", "make")))
    tables = {"large": dict.fromkeys(["shapes:Job", "shapes:Holder", "a:A"], entry), "small": {"shapes:Holder": entry}}
    monkeypatch.setattr("pickleseal._trust.learning.ENTRIES", tables)
    dump([shapes.Job(1, "a"), shapes.Holder(), shapes.Outer.Inner()], tmp_path / "a.pseal")
    assert listed(cli("trust", tmp_path)) == [{"preset": "large"}, "shapes:Outer.Inner"]
    said = cli("trust", tmp_path, "--format", "python")
    assert "from pickleseal.trust import preset" in said.out
    assert '    preset("large"),  # for 2 names' in said.out
    by_name = {one["name"]: one["preset"] for one in cli("trust", tmp_path, "--json").json["results"]}
    assert by_name == {"shapes:Job": "large", "shapes:Holder": "large", "shapes:Outer.Inner": None}


def test_the_list_with_a_preset_is_python_and_toml(tmp_path: Path) -> None:
    numpy = need("numpy")
    dump([numpy.random.default_rng(1), shapes.Job(1, "a")], tmp_path / "a.pseal")
    space: dict[str, Any] = {}
    exec(cli("trust", tmp_path, "--format", "python").out, space)
    assert space["trust"][0] == preset("numpy.random")
    assert "shapes:Job" in space["trust"]
    (tmp_path / "policy.toml").write_text(cli("trust", tmp_path).out, "utf-8")
    for how in ({"trust": space["trust"]}, {"policy": Policy.from_toml(tmp_path / "policy.toml")}):
        assert load(tmp_path / "a.pseal", **how)[1] == shapes.Job(1, "a")


def test_a_rule_is_proposed_for_several_classes_of_a_package(tmp_path: Path) -> None:
    dump([shapes.Job(1, "a"), shapes.Holder()], tmp_path / "a.pseal")
    assert '{classes_in = "shapes"}' in cli("trust", tmp_path).out
    assert 'classes_in("shapes")' in cli("trust", tmp_path, "--format", "python").out
    dump([shapes.Job(1, "a")], tmp_path / "a.pseal")
    assert "classes_in" not in cli("trust", tmp_path).out


def test_a_rule_of_the_policy_that_needs_an_import_is_named(folder: Path) -> None:
    policy = folder / "policy.toml"
    policy.write_text('trust = ["shapes:Job", {classes_in = "no_such_module"}]', "utf-8")
    said = cli("trust", folder, "--policy", policy)
    assert listed(said) == ["no_such_module:Widget"]
    assert "import no_such_module first" in said.out


def test_whatever_is_in_the_files_the_output_is_toml_or_python() -> None:
    said = cli("trust", VECTORS)
    assert said.code == 3
    assert any(isinstance(name, str) for name in listed(said))
    assert isinstance(ast.parse(cli("trust", VECTORS, "--format", "python").out), ast.Module)


def test_trust_of_names_what_a_reader_has_to_trust(folder: Path) -> None:
    write_bare(folder / "d.pseal", b"\x80\x04\x8c\x02os\x8c\x06system\x93.")
    assert trust_of(peek(folder / "a.pseal")) == ("shapes:Job",)
    assert trust_of(peek(folder / "d.pseal")) == ()
    assert load(folder / "a.pseal", trust=trust_of(peek(folder / "a.pseal"))) == {"job": shapes.Job(1, "a")}
    with pytest.raises(UntrustedGlobalError):
        load(folder / "d.pseal", trust=trust_of(peek(folder / "d.pseal")))


def test_registered_classes_are_commented_out(tmp_path: Path) -> None:
    registry = Registry()
    registry.register(shapes.Job, "shapes.Job")
    dump(shapes.Job(1, "a"), tmp_path / "a.pseal", options=PackOptions(registry=registry))
    said = cli("trust", tmp_path)
    assert listed(said) == []
    assert '# "shapes:Job", registered as shapes.Job' in said.out
    assert Policy(registry=registry).missing(peek(tmp_path / "a.pseal")) == {}


def test_what_cannot_be_read_is_a_comment_and_the_list_is_incomplete(folder: Path) -> None:
    (folder / "bad.pseal").write_bytes(b"junk\ntrust = [")
    said = cli("trust", folder, folder / "gone.pseal")
    assert said.code == 3
    assert listed(said) == ["no_such_module:Widget", "shapes:Job"]
    assert "# incomplete" in said.out
    assert not cli("trust", folder / "bad.pseal", "--json").json["complete"]


def test_standard_input_and_urls(folder: Path) -> None:
    assert listed(cli("trust", "-", stdin=(folder / "a.pseal").read_bytes())) == ["shapes:Job"]
    need("fsspec")
    assert listed(cli("trust", (folder / "a.pseal").as_uri())) == ["shapes:Job"]


def test_with_keys_nothing_of_an_unsigned_header_is_printed(folder: Path) -> None:
    ring = KeyRing([Key.generate("k")])
    ring.to_file(folder / "keys")
    dump(shapes.Outer.Inner(), folder / "signed.pseal", keys=ring, context="here")
    said = cli("trust", folder, "--key", folder / "keys", "--context", "here")
    assert said.code == 1
    assert listed(said) == ["shapes:Outer.Inner"]


@given(st.text())
def test_a_name_is_quoted_for_both_languages(name: str) -> None:
    text = quoted(name)
    assert text.isprintable()
    assert ast.literal_eval(text) == name
    if sys.version_info >= (3, 11) and name.isprintable():
        import tomllib

        assert tomllib.loads(f"x = {text}") == {"x": name}


class TestMissing:
    def test_names_in_order_with_why(self) -> None:
        policy = Policy(trust=["shop:Order"], renames={"old": "new"})
        names = ["z:Z", "builtins:dict", "os:system", "shop:Order", "old:Job", "builtins:getattr", "old:os.system"]
        found = policy.missing(names)
        assert list(found) == ["z:Z", "os:system", "old:Job", "old:os.system"]
        assert found["z:Z"] == "it is not trusted"
        assert found["old:Job"] == "it is new:Job today, which is not trusted"
        assert "runs what its arguments say" in found["os:system"]
        assert policy.missing(name for name in names) == found
        assert policy.missing([]) == {}

    def test_it_is_what_reading_refuses(self, folder: Path) -> None:
        for path in (folder / "a.pseal", folder / "c.pseal"):
            with pytest.raises(UntrustedGlobalError) as caught:
                load(path)
            assert tuple(Policy().missing(peek(path))) == caught.value.missing
        assert "no_such_module" not in sys.modules

    def test_where_nothing_is_refused_by_name(self) -> None:
        ring = KeyRing([Key.generate("k")])
        for policy in (Policy(level="unchecked"), Policy(level="signed", keys=ring)):
            assert policy.missing(["os:system"]) == {}

    @pytest.mark.parametrize("names", ["os:system", b"x", 7, None, [b"os:system"], [7]])
    def test_misuse(self, names: Any) -> None:
        with pytest.raises(TypeError, match="names: expected"):
            Policy().missing(names)
