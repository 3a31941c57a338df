"""What a policy asks of a header alone, in the order of the spec; and policies from TOML, with the lines of errors."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import operator
import os
import pickle
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from _helpers.support import cases, policy_of, read
from frames import Frame
from hypothesis import given, settings
from hypothesis import strategies as st

import pickleseal
from pickleseal import Key, KeyRing, Limits, PackOptions, Policy, Registry, pack, peek, unpack, verify
from pickleseal._policy import Decision, TrustedImports, compiled, evaluate, evaluate_header, request_of
from pickleseal.errors import (
    LimitExceededError,
    MissingExtraError,
    PolicyError,
    ReadError,
    SignatureError,
    TypeMismatchError,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", NOW.timestamp)


def artifact(created: datetime = NOW, build: dict[str, str] | None = None, **arguments: Any) -> bytes:
    return pack({"id": 7}, options=PackOptions(created=created, build=build or {}), **arguments)


def refusal(data: bytes, **fields: Any) -> ReadError:
    with pytest.raises(ReadError) as caught:
        unpack(data, policy=Policy(**fields))
    assert caught.value.step == 15
    assert caught.value.hint
    assert all(line.isprintable() for line in str(caught.value).split("\n"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


# --- properties -------------------------------------------------------------------------------------------------------

# In the order of spec section 11, step 15: a field that the artifact below meets, one that it breaks, the refusal.
RULES: list[tuple[str, Any, Any, tuple[str, str]]] = [
    ("protocols", (4, 5), (4,), ("policy", "pickle.protocol")),
    ("types", {"jobs.Task": "*", "a": "1"}, {"a": "*"}, ("type-mismatch", "type")),
    ("types", {"jobs.Task": "0"}, {"jobs.Task": ">0"}, ("policy", "version")),
    ("max_age", 3600, timedelta(seconds=1), ("policy", "created")),
    ("max_skew", 0, None, ("policy", "created")),
    ("build", {"app": "billing"}, {"app": "*", "commit": "*"}, ("policy", "build.commit")),
    ("meta", {"team": "*"}, {"team": "risk2"}, ("policy", "meta.team")),
    ("trust", [Fraction, "m:f"], ["m:f"], ("untrusted-global", "globals")),
]


@pytest.mark.usefixtures("clock")
def test_the_first_broken_rule_of_any_subset_is_named() -> None:
    """A reader performs these steps in this order; the first that fails determines the error class."""
    registry = Registry()
    writer = PackOptions(created=NOW - timedelta(minutes=1), build={"app": "billing"}, registry=registry)
    trusted = Fraction  # a value type: what is not trusted below is another class
    data = pack([trusted(1, 2), Plain()], type="jobs.Task", meta={"team": "risk"}, options=writer)
    for choice in itertools.product((None, True, False), repeat=len(RULES)):
        if choice[1] is not None and choice[2] is not None:
            continue  # one field
        fields: dict[str, Any] = {}
        broken = None
        for (name, good, bad, verdict), chosen in zip(RULES, choice, strict=True):
            if chosen is None or (name == "max_skew" and chosen is False):
                continue
            fields[name] = good if chosen else bad
            if name == "trust":
                continue
            broken = broken or (None if chosen else verdict)
        if "trust" not in fields or choice[-1] is False:
            broken = broken or RULES[-1][3]
        else:
            fields["trust"] = [Plain]
        try:
            unpack(data, policy=Policy(**fields))
        except ReadError as error:
            assert (error.code, error.where) == broken, fields
        else:
            assert broken is None, fields


class Plain:
    """A class that no reader trusts by itself."""


class Moved:
    """One that a test registers."""


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


def findings(fields: dict[str, Any], policy: Policy) -> list[Any]:
    """Return what step 15 finds in a header by itself, by the clock `NOW`."""
    request = request_of(policy=policy)._replace(now=NOW.timestamp())
    return [finding.error for finding in evaluate_header({"pickle": {"protocol": 5}, **fields}, request)]


SPACES = st.sampled_from(["", " ", "  "])
CLAUSES = st.lists(
    st.tuples(st.sampled_from(sorted(COMPARE)), st.integers(0, 6), SPACES, SPACES), min_size=1, max_size=4
)


@given(CLAUSES, st.integers(0, 6))
def test_versions_are_compared_as_integers_and_all_clauses_hold(
    clauses: list[tuple[str, int, str, str]], version: int
) -> None:
    rule = ",".join(f"{before}{sign}{after}{number}" for sign, number, before, after in clauses)
    found = findings({"type": "jobs.Task", "version": version}, Policy(types={"jobs.Task": rule}))
    for error in found:
        assert (type(error), error.where, error.expected, error.found) == (PolicyError, "version", rule, version)
    assert (not found) == all(COMPARE[sign](version, number) for sign, number, _, _ in clauses)


@given(st.text(" <>=!,0123456789*xv.", max_size=8))
def test_any_other_rule_for_versions_is_a_value_error(rule: str) -> None:
    try:
        Policy(types={"a": rule})
    except ValueError as error:
        assert "types: 'a': expected \"*\"" in str(error)
    else:
        assert rule == "*" or all(part.strip(" <>=!").isdigit() for part in rule.split(","))


@given(st.timedeltas(), st.timedeltas(timedelta(0)), st.timedeltas(timedelta(0)))
@settings(max_examples=50)
def test_age_and_skew_are_exact(age: timedelta, max_age: timedelta, max_skew: timedelta) -> None:
    try:
        created = NOW - age
    except OverflowError:
        return
    text = created.replace(tzinfo=None).isoformat(timespec="microseconds").zfill(26) + "Z"
    found = findings({"created": text}, Policy(max_age=max_age, max_skew=max_skew))
    assert [error.reason for error in found] == ["too old"] * (age > max_age) + ["from the future"] * (-age > max_skew)


# --- cases ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("limit", [3600, 3600.0, timedelta(hours=1)])
def test_the_last_moment_is_accepted(limit: Any) -> None:
    hour, tick = timedelta(hours=1), timedelta(microseconds=1)
    policy = Policy(max_age=limit, max_skew=limit)
    for shift in (-hour, timedelta(0), hour):
        unpack(artifact(NOW + shift), policy=policy)
    old = refusal(artifact(NOW - hour - tick), max_age=limit)
    assert (type(old), old.reason, old.where) == (PolicyError, "too old", "created")
    ahead = refusal(artifact(NOW + hour + tick), max_skew=limit)
    assert (ahead.reason, ahead.where) == ("from the future", "created")
    unpack(artifact(NOW + 9 * hour), policy=Policy(max_age=limit))
    unpack(artifact(NOW - 9 * hour), policy=Policy(max_skew=limit))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("created", [datetime(1, 1, 1, tzinfo=timezone.utc), datetime.max.replace(tzinfo=timezone.utc)])
def test_times_at_the_ends_of_the_calendar(created: datetime) -> None:
    assert refusal(artifact(created), max_age=1, max_skew=1).code == "policy"


def test_a_type_is_listed_by_its_name_of_today() -> None:
    registry = Registry()
    registry.register(Moved, "jobs.Task", version=2, formerly=["old.mod:Task", "jobs.Job"])
    old = pack(7, type="jobs.Job")
    assert unpack(old, policy=Policy(types={"jobs.Task": "0"}, registry=registry)) == 7
    assert unpack(old, policy=Policy(types={"jobs.Job": "0"}, registry=registry)) == 7
    assert unpack(pack(7, type="m:A"), policy=Policy(types={"n:B": "*"}, renames={"m:A": "n:B"})) == 7
    assert refusal(old, types={"jobs.Task": "*"}).code == "type-mismatch"
    assert refusal(pack(7, type="jobs.Task"), types={"jobs.Job": "*"}, registry=registry).code == "type-mismatch"


def test_the_refusal_of_a_type_says_how_to_accept_it() -> None:
    error = refusal(artifact(), types={"b": "*", "a": "*"})
    assert type(error) is TypeMismatchError
    assert (error.expected, error.found, error.where) == ("a, b", "builtins:dict", "type")
    assert 'Policy(types={"builtins:dict": "*"' in str(error.hint)


def test_labels_are_exact_and_a_star_is_any_value() -> None:
    data = artifact(build={"app": "billing"}, meta={"team": "", "star": "*"})
    unpack(data, policy=Policy(build={"app": "billing", "python": "*"}, meta={"team": "", "star": "*"}))
    missing = refusal(data, build={"commit": "1f"})
    assert (missing.where, missing.expected, missing.found) == ("build.commit", "1f", None)
    other = refusal(data, meta={"team": "risk"})
    assert (other.where, other.expected, other.found) == ("meta.team", "risk", "")
    assert refusal(pack(1), meta={"team": "*"}).where == "meta.team"


def test_the_policys_trust_adds_to_that_of_the_call() -> None:
    data = pack([Plain(), Plain()])
    name = f"{Plain.__module__}:Plain"
    for trust in ([Plain], [name], iter([Plain]), {Plain}):
        assert len(unpack(data, policy=Policy(trust=trust))) == 2
    assert len(unpack(data, trust=[Plain], policy=Policy(trust=["m:other"]))) == 2
    assert len(unpack(data, trust=["m:other"], policy=Policy(trust=[Plain]))) == 2
    with pytest.raises(ReadError) as caught:
        unpack(data, trust=["m:f"], policy=Policy(trust=["m:g"]))
    assert caught.value.code == "untrusted-global"


def test_limits_of_single_sections() -> None:
    payload = len(pickle.dumps(bytes(1000), 5))
    data = pack(bytes(1000))
    unpack(data, policy=Policy(limits=Limits(max_section=payload)))
    for read_one in (unpack, pickleseal.peek, pickleseal.verify):
        with pytest.raises(LimitExceededError) as caught:
            read_one(data, policy=Policy(limits=Limits(max_section=payload - 1)))  # type: ignore[operator]
        assert (caught.value.step, caught.value.where, caught.value.found) == (12, "sections[0].len", payload)


@pytest.mark.parametrize("entry", [p for p in cases("invalid") if "codecs" in p.values[0].get("policy", {})])
def test_what_a_policy_refuses_is_accepted_without_its_rules(entry: dict[str, Any]) -> None:
    wanted = policy_of(entry)["policy"]
    data = read(entry)
    assert unpack(data, policy=dataclasses.replace(wanted, codecs=("zstd",), types={}, meta={})) is not None
    with pytest.raises(ReadError):
        pickleseal.Reader(wanted).check(data)


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"trust": "m:f"}, TypeError, "trust: expected a list"),
        ({"trust": True}, TypeError, "trust: expected a list"),
        ({"trust": Plain}, TypeError, "trust: expected a list"),
        ({"trust": ["os.system"]}, TypeError, "did you mean 'os:system'?"),
        ({"trust": [eval]}, ValueError, "trust: builtins:eval"),
        ({"types": ["a"]}, TypeError, "types: expected a mapping"),
        ({"types": {"a": 3}}, TypeError, "types: expected strings"),
        ({"types": {"a": "~3"}}, ValueError, "types: 'a': expected"),
        ({"types": {"a": ""}}, ValueError, "types: 'a': expected"),
        ({"types": {"a": "*,3"}}, ValueError, "types: 'a': expected"),
        ({"types": {"a": "٣"}}, ValueError, "types: 'a': expected"),
        ({"max_age": "30D"}, ValueError, "found '30D'; did you mean '30d'?"),
        ({"max_age": b"30d"}, TypeError, "max_age: expected a timedelta"),
        ({"max_age": True}, TypeError, "max_age: expected a timedelta"),
        ({"max_age": -1}, ValueError, "max_age: expected no negative"),
        ({"max_skew": float("nan")}, ValueError, "max_skew: expected fewer"),
        ({"max_skew": float("inf")}, ValueError, "max_skew: expected fewer"),
        ({"max_skew": 10**40}, ValueError, "max_skew: expected fewer"),
        ({"build": "app"}, TypeError, "build: expected a mapping"),
        ({"meta": {"a": None}}, TypeError, "meta: expected strings"),
        ({"codecs": "zstd"}, TypeError, "codecs: expected a tuple"),
        ({"codecs": ("lz4",)}, ValueError, "codecs: expected names"),
    ],
)
def test_fields_are_checked_when_the_policy_is_made(fields: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        Policy(**fields)
    assert text in str(caught.value)


def test_a_policy_is_a_value() -> None:
    fields: dict[str, Any] = {"types": {"a": "*"}, "trust": [Fraction], "max_age": 60, "codecs": []}
    one, two = Policy(**fields), Policy(**fields)
    assert one == two
    assert hash(one) == hash(two)
    assert one == copy.copy(one) == dataclasses.replace(one)
    assert one != dataclasses.replace(one, trust=())
    assert (one.trust, one.max_age, one.codecs) == ((Fraction,), timedelta(minutes=1), ())
    fields["types"]["b"] = "*"
    assert one.types == {"a": "*"}
    for name in ("types", "renames", "packages", "build", "meta"):
        with pytest.raises(TypeError):
            getattr(one, name)["b"] = "*"
        assert getattr(dataclasses.replace(one, level="strict"), name) == getattr(one, name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.max_age = 1  # type: ignore[misc]


# --- TOML -------------------------------------------------------------------------------------------------------------

if sys.version_info < (3, 11):
    try:
        import tomli  # noqa: F401
    except ImportError:
        HAS_TOML = False
    else:
        HAS_TOML = True
else:
    HAS_TOML = True
needs_toml = pytest.mark.skipif(not HAS_TOML, reason="no TOML library")

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="\x7f"), min_size=1, max_size=8)
VERSIONS = st.sampled_from(["*", "3", ">=2", ">=2,<5", "!=4"])
SIZES = st.tuples(
    st.integers(0, 900),
    st.sampled_from([("", 1), ("B", 1), ("kB", 1000), ("MB", 10**6), ("KiB", 1024), ("MiB", 2**20)]),
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "protocols": st.lists(st.integers(2, 5), min_size=1),
    "drift": st.one_of(
        st.sampled_from(["resolve", "strict", "ignore"]),
        st.dictionaries(st.sampled_from(["*", "numpy"]), st.sampled_from(["resolve", "strict", "ignore"])),
    ),
    "newer": st.sampled_from(["refuse", "drop", "keep"]),
    "renames": st.dictionaries(st.sampled_from(["a", "b.c"]), st.sampled_from(["x", "y.z"])),
    "packages": st.dictionaries(
        st.sampled_from(["*", "numpy"]),
        st.sampled_from(["ignore", "warn", "refuse", "exact", "minor", "major", ">=1.26,<3"]),
    ),
    "python": st.sampled_from([">=3.10", ">=3.11,<3.14", "==3.12.*"]),
    "trust": st.lists(st.sampled_from(["m:f", "a.b:C.D"])),
    "types": st.dictionaries(NAMES, VERSIONS),
    "max_age": st.integers(0, 10**6),
    "max_skew": st.integers(0, 10**6),
    "build": st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=9)),
    "meta": st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]), max_size=9)),
    "codecs": st.sampled_from([[], ["zstd"]]),
    "limits": st.fixed_dictionaries(
        {},
        optional={name: st.integers(0, 100) for name in ("max_sections", "max_depth", "max_seconds")}
        | dict.fromkeys(("max_frame", "max_decoded", "max_section", "max_header", "max_memory"), SIZES),
    ),
    "level": st.sampled_from(["guarded", "strict", "unchecked"]),
    "isolated": st.booleans(),
}


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" if not c.isalnum() or not c.isascii() else c for c in text) + '"'


def written(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):  # a size
        return str(value[0]) if not value[1][0] else f'"{value[0]}{value[1][0]}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@needs_toml
@given(st.fixed_dictionaries({}, optional=FIELDS), st.booleans())
@settings(max_examples=60)
def test_a_file_gives_the_policy_of_the_same_fields(folder: Path, fields: dict[str, Any], inline: bool) -> None:
    lines, tables = [], []
    for name, value in fields.items():
        if isinstance(value, dict) and not inline:
            tables += [f"[{name}]", *(f"{quoted(key)} = {written(item)}" for key, item in value.items())]
        else:
            lines.append(f"{name} = {written(value)}")
    path = folder / "policy.toml"
    path.write_text("\n".join([*lines, *tables]) + "\n", "utf-8")
    wanted = dict(fields)
    for name in ("protocols", "codecs", "trust"):
        if name in wanted:
            wanted[name] = tuple(wanted[name])
    if "limits" in wanted:
        sizes = wanted["limits"].items()
        sizes = {name: size if isinstance(size, int) else size[0] * size[1][1] for name, size in sizes}
        try:
            wanted["limits"] = Limits(**sizes)
        except ValueError:
            with pytest.raises(ValueError, match=r"policy.toml:\d+: limits.max_"):
                Policy.from_toml(path)
            return
    assert Policy.from_toml(path) == Policy(**wanted)


def test_the_file_takes_every_field_but_the_registry() -> None:
    from pickleseal._policy_file import _CONVERTERS, _LIMITS

    fields = {field.name for field in dataclasses.fields(Policy) if field.init}
    assert {*_CONVERTERS, "limits", "registry"} == fields
    assert set(_LIMITS) == {field.name for field in dataclasses.fields(Limits)}
    assert set(FIELDS) == fields - {"registry", "keys", "signed_by"}  # the next test


@needs_toml
def test_a_file_says_where_the_keys_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = KeyRing([Key.generate("jobs")], "queue")
    ring.to_file(folder / "keys", overwrite=True)
    monkeypatch.setenv("JOBS_KEYS", ring.keys[0].to_text())
    data = pack([1], options=PackOptions(keys=ring))
    for place in (f"file = {quoted(str(folder / 'keys'))}", "env = 'JOBS_KEYS'"):
        path = folder / "signed.toml"
        path.write_text(f"level = 'signed'\nsigned_by = ['jobs']\n[keys]\n{place}\npurpose = 'queue'\n")
        policy = Policy.from_toml(path)
        assert policy.level == "signed"
        assert verify(data, policy=policy).verified == (("hmac-sha256", "jobs"),)
        path.write_text(f"[keys]\n{place}\npurpose = 'other'\n")
        with pytest.raises(SignatureError):
            verify(data, policy=Policy.from_toml(path))


WRONG: list[tuple[str, str]] = [  # a key and value, and what is said of it
    ("max_agee = 3", "max_agee: unknown key; expected one of "),
    ("max_agee = 3", "; did you mean 'max_age'?"),
    ("max_frame = 3", "; did you mean 'limits.max_frame'?"),
    ("keys = {env = 'A', purpose = 'a b'}", "keys: purpose: expected 0 to 255 of letters"),
    ("registry = 1", "registry: set it in Python"),
    ('max_age = "30 days"', 'max_age: expected a duration such as "30d"'),
    ('max_age = "30D"', "found '30D'; did you mean '30d'?"),
    ("max_age = {a = 1}", "max_age: expected a duration"),
    ("max_age = 1.5", "max_age: expected a duration"),
    (
        "max_age = true",
        'max_age: expected a duration such as "30d", "12h", "15m", "90s", or an integer of seconds, found true',
    ),
    ("max_age = -1", "max_age: expected no negative time"),
    ("max_age = 99999999999999999999", "max_age: expected fewer"),
    ('max_skew = "-5s"', "max_skew: expected a duration"),
    ("trust = 'm:f'", "trust: expected a list of names and rules, found 'm:f'"),
    ("trust = ['m.f']", "trust: expected 'module:qualname', found 'm.f'; did you mean 'm:f'?"),
    ("trust = ['os:system']", "trust: os:system runs what its arguments say"),
    ("trust = [1]", "found 1"),
    ("trust = [\n  'm:f',\n  'm.f',\n]", "trust: expected 'module:qualname'"),
    ("protocols = [1]", "protocols: expected a list of numbers from 2 to 5, found (1,)"),
    ("protocols = 5", "protocols: expected a list of integers, found 5"),
    ("protocols = [true]", "protocols: expected an integer, found true"),
    ("drift = 'strikt'", "drift: expected one of resolve, strict, ignore, found 'strikt'; did you mean 'strict'?"),
    ("drift = 1", "drift: expected a string or a table, found 1"),
    ("drift = {numpy = 'ignored'}", "drift: expected one of resolve, strict, ignore, found 'ignored'; did you mean"),
    ("drift = {numpy = 1}", "drift: numpy: expected a string, found 1"),
    (
        "level = 'strikt'",
        "level: expected one of guarded, strict, signed, unchecked, found 'strikt'; did you",
    ),
    ("level = 'never-left-my-hands'", "found 'never-left-my-hands'; it is called 'unchecked' now"),
    ("level = 'signed'", "level: signed needs keys="),
    ("isolated = 1", "isolated: expected true or false, found 1"),
    ("keys = 'x'", "keys: expected a table, found 'x'"),
    ("keys = {}", "keys: expected file or env, and optionally purpose, found nothing"),
    ("keys = {file = 'a', env = 'b'}", "keys: expected file or env"),
    ("keys = {file = '/no/such/file'}", "keys: file: "),
    ("keys = {env = 'NO_SUCH_VARIABLE'}", "NO_SUCH_VARIABLE"),
    ("signed_by = ['a']", "signed_by: "),
    ("limits.max_seconds = '1 week'", "limits.max_seconds: expected a duration"),
    ("codecs = ['lz4']", "codecs: expected names among zstd, found 'lz4'"),
    ("types = {a = '*', b = '~1'}", "types: 'b': expected \"*\""),
    ("types = {a = 3}", "types: a: expected a string, found 3"),
    ("types = 3", "types: expected a table, found 3"),
    ("types.jobs.Task = '*'", 'types: jobs: expected a string, found a table; did you mean "jobs.Task", in quotes?'),
    ("types.'jobs.Task' = '~1'", "types: 'jobs.Task': expected"),
    ("renames = {'a:b' = 'c'}", "renames: expected module to module"),
    ("packages.numpy = 'never'", "packages: expected one of ignore, warn, refuse, exact, minor, major, or a PEP 440"),
    ("packages.sklearn = 'minor'", "packages: expected a distribution, found the module 'sklearn'; did you mean 's"),
    ("packages.python = '>=3'", "packages: expected a distribution, found 'python', which has a field of its own"),
    ("python = '3.11 or later'", "python: expected a PEP 440 specifier, found '3.11 or later'"),
    ("python = 3.11", "python: expected a string, found 3.11"),
    ('meta."\\u001b[31m" = 1', "meta: \\x1b[31m: expected a string, found 1"),
    ("limits = 3", "limits: expected a table, found 3"),
    ("limits.max_frame = '10 megabytes'", 'limits.max_frame: expected a size such as "10MB"'),
    ("limits.max_frame = '10mb'", "found '10mb'; did you mean '10MB'?"),
    ("limits.max_frame = -1", "limits.max_frame: expected 0 to"),
    ("limits.max_header = '9GiB'", "limits.max_header: expected 0 to 1048576"),
    ("limits.max_sections = '3'", "limits.max_sections: expected an integer, found '3'"),
    ("limits.max_fram = 3", "limits.max_fram: unknown key; expected one of max_frame, max_header"),
    ("limits.max_fram = 3", "; did you mean 'max_frame'?"),
    ("max_age = ", "not valid TOML"),
    ("max_age = 3 4", "not valid TOML"),
]
BEFORE = (
    '# a comment\n\nmax_skew = "5m" # """\nmeta = {a = "x", "b.c" = \'[limits]\'}\nbuild.app = """\nmax_age = 3\n"""\n'
)


@needs_toml
@pytest.mark.parametrize(
    "text", ["90d", "12h", "15 m", "0s", "10MB", "64KiB", "3kB", "7 B", "30D", "1.5d", "d", "-1s", ""]
)
def test_python_takes_the_units_that_toml_takes(tmp_path: Path, text: str) -> None:
    def in_toml(line: str) -> Policy | str:
        path = tmp_path / "policy.toml"
        path.write_text(line)
        try:
            return Policy.from_toml(path)
        except ValueError as exc:
            return str(exc).rpartition(": expected")[2].partition(", or")[0]

    def in_python(make: Callable[[], Policy]) -> Policy | str:
        try:
            return make()
        except ValueError as exc:
            return str(exc).rpartition(": expected")[2].partition(", or")[0]

    assert in_python(lambda: Policy(max_age=text)) == in_toml(f"max_age = {text!r}")
    assert in_python(lambda: Policy(max_skew=text)) == in_toml(f"max_skew = {text!r}")
    for name in ("max_frame", "max_decoded", "max_section", "max_memory", "max_seconds"):
        limit: dict[str, Any] = {name: text}
        assert in_python(lambda limit=limit: Policy(limits=Limits(**limit))) == in_toml(f"limits.{name} = {text!r}")


def test_units_have_their_values() -> None:
    assert Policy(max_age="90d").max_age == timedelta(days=90)
    assert Limits(max_frame="10MB") == Limits(max_frame=10_000_000)
    assert Limits(max_memory="64 KiB", max_seconds="15m") == Limits(max_memory=65536, max_seconds=900)
    for how in ({"max_sections": "3"}, {"max_depth": "3B"}, {"max_frame": 1.5}):
        with pytest.raises(TypeError, match="expected an int"):
            Limits(**how)  # type: ignore[arg-type]


@needs_toml
@pytest.mark.parametrize(("line", "text"), WRONG, ids=str)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_wrong_key_or_value_is_named_with_its_line(tmp_path: Path, line: str, text: str, newline: str) -> None:
    if "packages" in line or "python" in line:
        pytest.importorskip("packaging")
    path = tmp_path / "policy.toml"
    key = line.split(" ")[0].split(".")[0]
    before = "".join(
        part for part in BEFORE.splitlines(keepends=True) if not part.startswith(key) or key in ("max_age", "build")
    )
    content = before + "\n" + line + "\n"
    path.write_bytes(content.replace("\n", newline).encode())
    with pytest.raises(ValueError) as caught:
        Policy.from_toml(path)
    assert str(caught.value).startswith(f"{path}:{before.count(chr(10)) + 2}: ")
    assert text in str(caught.value)
    assert str(caught.value).isprintable()


@needs_toml
@pytest.mark.parametrize(
    ("content", "line", "text"),
    [
        ("[limits]\nmax_frame = 1\n\n# more\nmax_header = 'x'\n", 5, "limits.max_header: expected a size"),
        ("[types]\na = '*'\n[meta]\na = 3\nb = 'x'\n", 4, "meta: a: expected a string"),
        ("[types]\n'a b' = '*'\n'c d' = '^1'\n", 3, "types: 'c d': expected"),
        ("max_age = 3\n[[limits]]\nmax_frame = 1\n", 2, "limits: expected a table"),
        ("[limit]\nmax_frame = 1\n", 1, "limit: unknown key; expected one of"),
        ("[limits]\nmax_frame = 1\n\n\n[codec]\n", 5, "did you mean 'codecs'?"),
        ("[keys]\n\nenv = 'NO_SUCH_VARIABLE'\n", 3, "keys: env: environment variable NO_SUCH_VARIABLE is not set"),
        (f"[keys]\npurpose = 'a'\nfile = {os.devnull!r}\n", 3, "keys: file: "),
        ("max_age = 3\n\nmax_age = 4\n", 3, "not valid TOML"),
        ('max_age = 3\ndrift = """\nstrict', 3, "not valid TOML"),
        ("trust = ['a:b'\x0c]\n", 1, "not valid TOML"),
        ('meta = {a = "\u2028\x85"}\ndrift = 1', 2, "drift: expected a string"),
        ("[drift]\n'*' = 'strict'\npandas = 'ignor'\n", 3, "did you mean 'ignore'?"),
    ],
)
def test_lines_in_tables_and_of_broken_syntax(tmp_path: Path, content: str, line: int, text: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(content, "utf-8", newline="")
    with pytest.raises(ValueError) as caught:
        Policy.from_toml(str(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert text in str(caught.value)


@needs_toml
def test_a_right_value_is_not_suggested_again(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("level = 'signed'\n")
    with pytest.raises(ValueError, match="level: signed needs keys=") as caught:
        Policy.from_toml(path)
    assert "did you mean" not in str(caught.value)


@needs_toml
def test_toml_that_nests_too_deep_is_not_valid(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("x = " + "[" * 100_000)
    with pytest.raises(ValueError, match=r"policy\.toml:1: not valid TOML"):
        Policy.from_toml(path)


@needs_toml
def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"\xef\xbb\xbfdrift = 'strict'\n")
    assert Policy.from_toml(path).drift == "strict"


@needs_toml
def test_fields_that_do_not_go_together_are_named_with_the_line_of_the_first(tmp_path: Path) -> None:
    from pickleseal._policy_file import read_policy

    def make(**fields: Any) -> Policy:
        if len(fields) > 1:
            raise ValueError("max_age: expected max_skew to be smaller, found 9")
        return Policy(**fields)

    path = tmp_path / "policy.toml"
    path.write_text("max_skew = 9\n\nmax_age = 3\n")
    with pytest.raises(ValueError, match=r"policy.toml:3: max_age: expected max_skew to be smaller, found 9"):
        read_policy(path, make)
    path.write_text("max_skew = 9\n\nmeta.a = 'b'\n")
    with pytest.raises(ValueError, match=r"policy.toml:1: max_age: expected"):  # which is not there
        read_policy(path, make)


@needs_toml
def test_a_byte_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_bytes(b"max_age = 3\n# \xff\n")
    with pytest.raises(ValueError, match=r"policy.toml:2: expected UTF-8, found the byte 0xff"):
        Policy.from_toml(path)
    with pytest.raises(FileNotFoundError):
        Policy.from_toml(tmp_path / "missing.toml")
    path.write_bytes(b"")
    assert Policy.from_toml(path) == Policy()


def test_without_a_toml_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tomllib", None)
    monkeypatch.setitem(sys.modules, "tomli", None)
    with pytest.raises(MissingExtraError, match=r"pickleseal\[toml\]"):
        Policy.from_toml(tmp_path / "policy.toml")


def test_policies_and_readers_go_to_other_processes() -> None:
    policy = Policy(
        level="strict", types={"builtins:list": "*"}, max_age=60, trust=[Fraction], limits=Limits(max_depth=7)
    )
    again = pickle.loads(pickle.dumps(policy))
    assert again == policy
    assert compiled(again).level == compiled(policy).level
    reader = pickle.loads(pickle.dumps(pickleseal.Reader(policy, expect=list)))
    assert reader.read(pack([1])).object == [1]
    assert copy.deepcopy(policy) == policy
    with pytest.raises(TypeError, match="Registry"):
        pickle.dumps(Policy(registry=Registry()))
    with pytest.raises(TypeError, match="KeyRing"):
        pickle.dumps(Policy(keys=KeyRing([Key.generate("a")])))


# --- evaluate ---------------------------------------------------------------------------------------------------------


def test_nothing_is_imported_for_an_artifact_that_is_refused_before(tmp_path: Path) -> None:
    (tmp_path / "not_yet_imported.py").write_text("class Thing: pass\n", "utf-8")
    fields = {"type": "a:B", "version": 0, "pickle": {"protocol": 5}, "globals": ["not_yet_imported:Thing"]}
    request = request_of(str, ["not_yet_imported:Thing"], Policy(types={"a:C": "*"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        found = iter(evaluate(fields, request, TrustedImports(), decision := Decision()))
        reasons = [next(found).error.reason for _ in range(2)]  # type: ignore[union-attr]  # they are refusals
        assert reasons == ["not the expected type", "a type that the policy does not list"]
        assert "not_yet_imported" not in sys.modules
        assert list(found) == []
        assert decision.resolved["not_yet_imported", "Thing"] is sys.modules.pop("not_yet_imported").Thing


def test_packages_count_for_a_header_without_globals() -> None:
    fields = {"type": "builtins:dict", "version": 0, "pickle": {"protocol": 5}, "globals": [], "packages": {"x": "1"}}
    request = request_of(policy=Policy(packages={"x": "refuse"}))
    found = list(evaluate(fields, request, TrustedImports(), Decision()))
    assert [(finding.error.code, finding.subject) for finding in found] == [("package-version", "packages.x")]  # type: ignore[union-attr]


# --- verify with a policy ---------------------------------------------------------------------------------------------


class Verified:
    def __init__(self) -> None:
        self.a = 1


def test_verify_with_a_policy_checks_what_needs_no_import() -> None:
    data = pack(Verified(), meta={"a": "b"})
    name = f"{__name__}:Verified"
    for policy, code in (
        (Policy(types={"x": "*"}), "type-mismatch"),
        (Policy(types={name: ">=1"}), "policy"),
        (Policy(protocols=(4,)), "policy"),
        (Policy(max_age=0), "policy"),
        (Policy(build={"app": "*"}), "policy"),
        (Policy(meta={"a": "c"}), "policy"),
        (Policy(trust=["x:y"]), "untrusted-global"),
    ):
        with pytest.raises(ReadError) as caught:
            verify(data, policy=policy)
        assert (caught.value.code, caught.value.step) == (code, 15)
    assert verify(data, policy=Policy(types={name: "0"}, max_age="1h", meta={"a": "*"}, trust=[name])).meta == {
        "a": "b"
    }
    assert verify(data).type == name


def test_verify_with_a_policy_compares_packages() -> None:
    data = Frame(packages={"numpy": "0.1"}).data
    assert verify(data, policy=Policy()).packages == {"numpy": "0.1"}
    for rule in ("refuse", ">=1"):
        if rule != "refuse":
            pytest.importorskip("packaging")
        with pytest.raises(ReadError) as caught:
            verify(data, policy=Policy(packages={"numpy": rule}))
        assert caught.value.code == "package-version"


def test_a_refusal_by_the_policy_comes_before_damage_of_the_sections() -> None:
    data = bytearray(pack("x" * 100))
    data[-1] ^= 1
    for policy, step in ((None, 16), (Policy(), 16), (Policy(types={"x": "*"}), 15)):
        with pytest.raises(ReadError) as caught:
            verify(data, policy=policy)
        assert caught.value.step == step


def test_what_verify_left_out_is_in_its_result() -> None:
    name = f"{__name__}:Verified"
    schemas = ("class-missing", "schema-version", "schema-drift")
    for source, trust, left_out in (
        (pack({"a": 1}), "x:y", ()),
        (pack(Verified()), name, schemas),
        (Frame(globals=["not.there:Cls"]).data, "not.there:Cls", schemas),
        (pack(Fraction(1, 2)), "x:y", ("class-missing",)),
    ):
        assert verify(source).left_out is None
        assert peek(source).left_out is None
        assert verify(source, policy=Policy()).left_out == (("untrusted-global", *left_out) if left_out else ())
        assert verify(source, policy=Policy(trust=[trust])).left_out == left_out
        assert verify(source, policy=Policy(level="unchecked")).left_out == left_out
    assert verify(pack(Verified()), policy=Policy(drift="ignore", trust=[name])).left_out == ("class-missing",)
    assert "not.there" not in sys.modules


def test_lists_are_kept_as_tuples() -> None:
    ring = KeyRing([Key.hmac(name, name.encode() * 32) for name in ("a", "b")])
    given = Policy(protocols=[4, 5], codecs=[], signed_by=["a", "b"], keys=ring)
    assert (given.protocols, given.codecs, given.signed_by) == ((4, 5), (), ("a", "b"))
    assert hash(given) == hash(Policy(protocols=(4, 5), codecs=(), signed_by=("a", "b"), keys=ring))
    with pytest.raises(TypeError, match="signed_by: expected a list of key ids, found str"):
        Policy(signed_by="a", keys=ring)


@needs_toml
def test_the_line_of_a_wrong_value_takes_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each statement is parsed once more: a thousand of them take a thousand short parses, whatever stands in them."""
    import pickleseal._policy_file as policy_file

    real, parsed = policy_file._parser(), []
    monkeypatch.setattr(policy_file, "_parser", lambda: lambda text: parsed.append(len(text)) or real(text))
    many = "".join(f'k{number} = "v"\n' for number in range(1000))
    text = f'[meta]\nlong = """\n{"x[" * 9}"\n"" # no comment\n"""\n{many}[build]\nlist = 1\n'
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"policy\.toml:1007: build"):
        Policy.from_toml(path)
    assert sum(parsed) < 3 * len(text)


@needs_toml
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# [x]\n\ntypes = [\n ']', # ]\n]\n", 3),
        ("a = 1\n[types]\n'x' = 'y'\n[meta]\nq = '1'\n", 1),
        ("[meta]\nx = '''\n[build]\n''''\n\"a b\" = 1 # ]\n", 5),
        ('[meta]\nx = """\\\n\\""" [ \n"""""\ny = {z = "]"}\n', 5),
        ("[limits]\nmax_frame = 5\nmax_depth = 'x'\n", 3),
        ("limits.max_frame = 5\nlimits.max_depth = 'x'\n", 2),
        ("[[meta]]\nx = 1\n", 1),
        ("[meta.y]\nx = 1\n", 1),
    ],
)
def test_the_line_of_a_wrong_value(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"policy\.toml:{line}: "):
        Policy.from_toml(path)


def test_spaces_in_a_rule_for_types_take_linear_time() -> None:
    """With a pattern that skips them twice, this takes hours."""
    assert Policy(types={"a": f"{' ' * 500_000}>={' ' * 500_000}2 , <4 "}).types
    with pytest.raises(ValueError, match="expected"):
        Policy(types={"a": " " * 500_000 + "x"})
