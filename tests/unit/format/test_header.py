"""The header: which values each member may have, which member a refusal names, and the view that callers get."""

import pickle
from typing import Any

import pytest
from frames import DROP, Frame

import pickleseal
from pickleseal import Limits, Policy, errors
from pickleseal._format.header import ClassSchema, Section, check_labels, is_global, is_key, is_name
from pickleseal._format.limits import MAX_INTEGER, MAX_RECORDS

ENTRY = {"fields": [["a", "int"]], "global": "m:C", "kind": "plain", "state": "default", "version": 3}
HEX = "0123456789abcdef"


def peek(minor: int = 0, **fields: Any) -> pickleseal.Header:
    frame = Frame(**fields)
    frame.minor = minor
    if minor:
        frame.fields["format"] = f"pickleseal/1.{minor}"
    return pickleseal.peek(frame.data)


def peek_section(**members: Any) -> pickleseal.Header:
    frame = Frame()
    frame.section_fields = [members]
    return pickleseal.peek(frame.data)


def types(**changed: Any) -> dict[str, Any]:
    entry = {key: value for key, value in {**ENTRY, **changed}.items() if value is not DROP}
    return {"types": {"C": entry}}


class TestWords:
    def test_keys(self) -> None:
        assert all(map(is_key, ("a", "Z", "a9_.:-", "a" * 256)))
        assert not any(map(is_key, ("", "9", "_a", "a b", "é", "a\n", "a" * 257)))

    def test_names(self) -> None:
        assert all(map(is_name, ("a", " ", "é" * 511, "x" * 1023, "\u00a0")))
        assert not any(map(is_name, ("", "x" * 1024, "é" * 512, "a\x00", "a\x1f", "\x7f", "\x80", "\x9f", "\ud800")))

    def test_globals(self) -> None:
        assert is_global("m:C")
        assert is_global("a.b:C.D")
        assert not any(map(is_global, ("m", ":C", "m:", "m:C:D", "m:\x00", ":", "")))

    def test_labels(self) -> None:
        assert check_labels({}) is None
        assert check_labels({"a": ""}) is None
        for wrong in (None, [], {"a": 1}, {"9": "x"}, {1: "x"}, {"a": "b", "": "c"}):
            assert "an object of strings" in str(check_labels(wrong))


RIGHT = [
    {"build": {}},
    {"meta": {"a": ""}},
    {"created": "0001-01-01T00:00:00.000000Z"},
    {"created": "9999-12-31T23:59:59.999999Z"},
    {"globals": ["A:b", "a:b", "a:c", "b:a"]},
    {"packages": {}},
    {"packages": {"x": "1", "y": "1" * 255, "z": "é" * 127}},
    {"pickle": {"protocol": 2}},
    {"records": 1},
    {"records": MAX_RECORDS},
    {"type": "x" * 1023},
    {"version": MAX_INTEGER},
    {"ext": {"a.b": {"c": [{"d": None}]}}},
    types(),
    types(version=0),
    types(fields=[]),
    types(fields=[["a", ""], ["b", "x" * 2000]], defaults=[["b", ""]]),
    *(types(kind=kind) for kind in ("attrs", "dataclass", "enum", "msgspec", "namedtuple", "pydantic", "slots")),
    *(types(shape=shape) for shape in ("arguments", "dict", "list", "mixed", "slots", "value")),
    {"type": "C", "version": 3, **types(state="custom")},
]
WRONG: list[tuple[dict[str, Any], str]] = [
    *(({name: DROP}, name) for name in ("build", "created", "globals", "pickle", "sections", "type", "version")),
    ({"format": DROP}, "format"),
    ({"format": "pickleseal/1.1"}, "format"),
    ({"unknown": 1}, "unknown"),
    ({"a b": 1}, "a b"),
    ({"build": []}, "build"),
    ({"build": {"a": None}}, "build"),
    ({"meta": {"a": 1}}, "meta"),
    ({"created": 1}, "created"),
    ({"created": "2026-01-02T03:04:05Z"}, "created"),
    ({"created": "2026-02-30T03:04:05.678901Z"}, "created"),
    ({"globals": {}}, "globals"),
    ({"globals": ["a:b", 1]}, "globals[1]"),
    ({"globals": ["a:b", "a"]}, "globals[1]"),
    ({"globals": ["a:b", "a:b"]}, "globals[1]"),
    ({"globals": ["a:b", "a:a"]}, "globals[1]"),
    ({"packages": []}, "packages"),
    ({"packages": {"": "1"}}, "packages"),
    ({"packages": {"x": 1}}, "packages.x"),
    ({"packages": {"x": ""}}, "packages.x"),
    ({"packages": {"x": "é" * 128}}, "packages.x"),
    ({"pickle": []}, "pickle"),
    ({"pickle": {}}, "pickle.protocol"),
    ({"pickle": {"protocol": 1}}, "pickle.protocol"),
    ({"pickle": {"protocol": 6}}, "pickle.protocol"),
    ({"pickle": {"protocol": True}}, "pickle.protocol"),
    ({"pickle": {"protocol": 5, "more": 1}}, "pickle.more"),
    ({"records": 0}, "records"),
    ({"records": MAX_RECORDS + 1}, "records"),
    ({"type": 1}, "type"),
    ({"type": ""}, "type"),
    ({"version": -1}, "version"),
    ({"version": "0"}, "version"),
    ({"ext": []}, "ext"),
    ({"ext": {"ab": 1}}, "ext.ab"),
    ({"ext": {"a.b": {"c d": 1}}}, "ext.a.b.c d"),
    ({"ext": {"a.b": [1, {"c d": 1}]}}, "ext.a.b[1].c d"),
    ({"crit": [], "ext": {"a.b": 1}}, "crit"),
    ({"crit": {}, "ext": {"a.b": 1}}, "crit"),
    ({"crit": ["a.b"]}, "crit[0]"),
    ({"crit": [1], "ext": {"a.b": 1}}, "crit[0]"),
    ({"crit": ["a.b", "a.b"], "ext": {"a.b": 1}}, "crit[1]"),
    ({"crit": ["a.c", "a.b"], "ext": {"a.b": 1, "a.c": 1}}, "crit[1]"),
    ({"sections": []}, "sections"),
    ({"sections": {}}, "sections"),
    ({"sections": [1]}, "sections[0]"),
    ({"sections": [{"xxh3": HEX}]}, "sections[0]"),
    ({"sections": [{"len": 1}]}, "sections[0]"),
    ({"sections": [{"len": -1, "xxh3": HEX}]}, "sections[0].len"),
    ({"sections": [{"len": 1, "xxh3": HEX.upper()}]}, "sections[0].xxh3"),
    ({"sections": [{"len": 1, "xxh3": HEX[:-1]}]}, "sections[0].xxh3"),
    ({"sections": [{"len": 1, "xxh3": 5}]}, "sections[0].xxh3"),
    ({"sections": [{"len": 1, "xxh3": HEX, "sha256": HEX}]}, "sections[0].sha256"),
    ({"sections": [{"len": 1, "xxh3": HEX, "codec": "zstd"}]}, "sections[0]"),
    ({"sections": [{"len": 1, "xxh3": HEX, "raw_len": 1}]}, "sections[0]"),
    ({"sections": [{"len": 1, "xxh3": HEX, "raw_len": -1, "codec": "zstd"}]}, "sections[0].raw_len"),
    ({"sections": [{"len": 1, "xxh3": HEX, "raw_len": 1, "codec": "Zstd"}]}, "sections[0].codec"),
    ({"sections": [{"len": 1, "xxh3": HEX, "raw_len": 1, "codec": "z" * 33}]}, "sections[0].codec"),
    ({"sections": [{"len": 1, "xxh3": HEX, "readonly": True}]}, "sections[0].readonly"),
    ({"sections": [{"len": 1, "xxh3": HEX}, {"len": 1, "xxh3": HEX, "readonly": False}]}, "sections[1].readonly"),
    ({"sections": [{"len": 1, "xxh3": HEX, "more": 1}]}, "sections[0].more"),
    ({"types": []}, "types"),
    ({"types": {"C": []}}, "types.C"),
    ({"types": {"": ENTRY}}, "types."),
    *((types(**{name: DROP}), "types.C") for name in ENTRY),
    (types(more=1), "types.C.more"),
    (types(**{"global": "m"}), "types.C.global"),
    (types(**{"global": 1}), "types.C.global"),
    (types(kind="exception"), "types.C.kind"),
    (types(kind=1), "types.C.kind"),
    (types(state="other"), "types.C.state"),
    (types(version=-1), "types.C.version"),
    (types(shape="tuple"), "types.C.shape"),
    (types(shape=None), "types.C.shape"),
    (types(fields={}), "types.C.fields"),
    (types(fields=[["a", "int"], ["b"]]), "types.C.fields[1]"),
    (types(fields=[["a", "int"], ["b", 1]]), "types.C.fields[1]"),
    (types(fields=[["a", "int"], [1, "int"]]), "types.C.fields[1]"),
    (types(fields=[["a", "int"], "ab"]), "types.C.fields[1]"),
    (types(fields=[["a", "int"], ["", "int"]]), "types.C.fields[1]"),
    (types(fields=[["a", "int"], ["a", "int"]]), "types.C.fields[1]"),
    (types(defaults=[]), "types.C.defaults"),
    (types(defaults=[["b", "1"]]), "types.C.defaults"),
    (types(defaults=[["a"]]), "types.C.defaults[0]"),
    ({"type": "C", "version": 2, **types()}, "version"),
]


class TestMembers:
    @pytest.mark.parametrize("fields", RIGHT)
    def test_a_right_value_is_accepted(self, fields: dict[str, Any]) -> None:
        found = peek(**fields).as_dict()
        assert {name: found[name] for name in fields} == fields

    @pytest.mark.parametrize(("fields", "where"), WRONG)
    def test_a_wrong_value_is_refused_with_its_place(self, fields: dict[str, Any], where: str) -> None:
        with pytest.raises(errors.HeaderSchemaError) as caught:
            peek(**fields)
        assert caught.value.where == where
        assert caught.value.step == 11

    def test_a_short_value_is_shown_as_found(self) -> None:
        for found, said in ((7, 7), ("x", "x"), (True, True), (None, "nothing"), ([], "list"), ({}, "dict")):
            with pytest.raises(errors.HeaderSchemaError) as caught:
                peek(created=found)
            assert caught.value.found == said

    @pytest.mark.parametrize("crit", [["a.b"], ["A.b", "a.b"]])
    def test_a_critical_extension_is_not_understood(self, crit: list[str]) -> None:
        with pytest.raises(errors.UnsupportedCriticalError) as caught:
            peek(crit=crit, ext={"A.b": 1, "a.b": 2})
        assert caught.value.found == ", ".join(crit)

    def test_the_members_of_a_section(self) -> None:
        sha = "0" * 64
        header = peek_section(codec="zstd", raw_len=0, sha256=sha)
        (section,) = header.sections
        assert (section.codec, section.raw_len, section.sha256, section.readonly) == ("zstd", 0, sha, False)
        peek_section(codec="z" + "9-" * 15 + "a", raw_len=5)  # the longest name of a codec


class TestNewerMinor:
    """Members that a newer minor version adds are passed over, if their names are keys (spec 13)."""

    @pytest.mark.parametrize(
        "fields",
        [
            {"new": {"a": [{"b": 1}]}},
            {"pickle": {"protocol": 5, "new": 1}},
            {"sections": [{"len": 52, "xxh3": HEX, "new": {"a": 1}}]},
            types(new=[1]),
        ],
    )
    def test_an_unknown_member_is_passed_over(self, fields: dict[str, Any]) -> None:
        frame = Frame(**fields, format="pickleseal/1.2")
        frame.minor = 2
        if "sections" in fields:
            del frame.fields["sections"]
            frame.section_fields = [{"new": {"a": 1}}]
        found = pickleseal.peek(frame.data)
        assert all(name in found.as_dict() for name in fields)
        assert found.sections == tuple(Section(len=s.len, xxh3=s.xxh3) for s in found.sections)

    def test_the_header_of_a_newer_minor_is_refused_in_an_older_frame(self) -> None:
        frame = Frame(format="pickleseal/1.1")
        frame.minor = 1
        pickleseal.peek(frame.data)
        frame.minor = 0
        with pytest.raises(errors.HeaderSchemaError) as caught:
            pickleseal.peek(frame.data)
        assert caught.value.where == "format"

    @pytest.mark.parametrize(
        ("fields", "where"),
        [
            ({"new": {"a b": 1}}, "new.a b"),
            ({"new": [{"a b": 1}]}, "new[0].a b"),
            ({"pickle": {"protocol": 5, "a b": 1}}, "pickle.a b"),
            (types(**{"a b": 1}), "types.C.a b"),
            (types(new={"a b": 1}), "types.C.new.a b"),
        ],
    )
    def test_a_name_that_is_not_a_key_is_refused(self, fields: dict[str, Any], where: str) -> None:
        with pytest.raises(errors.HeaderSchemaError) as caught:
            peek(2, **fields)
        assert caught.value.where == where


class TestMinor1:
    """What format 1.1 adds to the entries of `types` (spec 6.2 and 13)."""

    PAIRS = (("x", "required"), ("y", "optional"))

    def test_a_class_has_attributes_and_a_base(self) -> None:
        new = {"attributes": [list(pair) for pair in self.PAIRS], "base": "builtins:dict"}
        (schema,) = peek(1, **types(**new)).types.values()
        assert (schema.attributes, schema.base) == (self.PAIRS, "builtins:dict")
        (schema,) = peek(1, **types(attributes=[])).types.values()
        assert (schema.attributes, schema.base) == ((), None)
        (schema,) = peek(1, **types()).types.values()
        assert (schema.attributes, schema.base) == (None, None)

    @pytest.mark.parametrize("member", [{"attributes": []}, {"base": "builtins:dict"}])
    def test_both_are_unknown_in_an_older_frame(self, member: dict[str, Any]) -> None:
        peek(1, **types(**member))
        with pytest.raises(errors.HeaderSchemaError) as caught:
            peek(0, **types(**member))
        assert (caught.value.where, caught.value.reason) == (f"types.C.{next(iter(member))}", "unknown member")

    @pytest.mark.parametrize("fields", [{"new": 1}, {"pickle": {"protocol": 5, "new": 1}}, types(new=1)])
    def test_another_unknown_member_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(errors.HeaderSchemaError, match="unknown member"):
            peek(1, **fields)

    def test_a_cached_header_is_not_taken_for_one_of_another_minor(self) -> None:
        """`format` has to be that of the preamble (spec 6), also where the text of the header is known already."""
        frame = Frame(format="pickleseal/1.1")
        for _ in range(2):
            frame.minor = 1
            assert pickleseal.unpack(frame.data) is not None
            frame.minor = 0
            for read in (pickleseal.unpack, pickleseal.peek, pickleseal.verify):
                with pytest.raises(errors.HeaderSchemaError) as caught:
                    read(frame.data)
                assert caught.value.where == "format"


class TestLimitsOfSections:
    def frame(self) -> Frame:
        frame = Frame(b"N.", b"x" * 100)
        frame.section_fields = [{}, {"codec": "zstd", "raw_len": 300}]
        return frame

    @pytest.mark.parametrize(
        ("most", "where", "found"), [(299, "sections[1].raw_len", 300), (99, "sections[1].len", 100)]
    )
    def test_a_section_beyond_the_limit_is_refused_with_its_place(self, most: int, where: str, found: int) -> None:
        with pytest.raises(errors.LimitExceededError) as caught:
            pickleseal.peek(self.frame().data, policy=Policy(limits=Limits(max_section=most)))
        assert (caught.value.where, caught.value.found, caught.value.step) == (where, found, 12)
        assert caught.value.expected == f"at most {most} bytes"

    def test_a_section_of_the_limit_is_accepted(self) -> None:
        pickleseal.peek(
            self.frame().data, policy=Policy(limits=Limits(max_section=300, max_decoded=300, max_sections=2))
        )

    def test_an_empty_section_is_within_any_limit(self) -> None:
        with pytest.raises(errors.LimitExceededError) as caught:
            pickleseal.peek(Frame(b"", b"x").data, policy=Policy(limits=Limits(max_section=0)))
        assert caught.value.where == "sections[1].len"

    @pytest.mark.parametrize(("limits", "found"), [(Limits(max_decoded=299), 300), (Limits(max_sections=1), 2)])
    def test_all_sections_together_are_bounded(self, limits: Limits, found: int) -> None:
        with pytest.raises(errors.LimitExceededError) as caught:
            pickleseal.peek(self.frame().data, policy=Policy(limits=limits))
        assert (caught.value.found, caught.value.step) == (found, 12)


class TestView:
    def header(self) -> pickleseal.Header:
        entry = {**ENTRY, "fields": [["a", "int"], ["b", "str"]], "defaults": [["b", "'x'"]], "shape": "dict"}
        return peek(
            type="C",
            version=3,
            types={"C": entry, "D": ENTRY},
            meta={"k": "v"},
            packages={"p": "1"},
            ext={"a.b": [{"c": 1}]},
            records=4,
            globals=["m:C"],
        )

    def test_its_attributes(self) -> None:
        header = self.header()
        assert (header.type, header.version, header.records, header.protocol) == ("C", 3, 4, 5)
        assert (header.globals, header.signatures, header.verified) == (("m:C",), (), ())
        assert (dict(header.meta), dict(header.packages)) == ({"k": "v"}, {"p": "1"})
        assert dict(header.build) == {"python": "3.12.1"}
        assert header.ext == {"a.b": [{"c": 1}]}
        assert header.frame_len == header.preamble.frame_len
        assert header.created == "2026-01-02T03:04:05.678901Z"
        assert "type='C' version=3" in repr(header)

    def test_a_copy_can_be_changed(self) -> None:
        header = self.header()
        for copied in (header.as_dict(), header.as_dict()):
            assert copied["globals"] == ["m:C"]
            copied["globals"].append("changed")
            copied["ext"]["a.b"][0]["c"] = 2
            copied["meta"]["k"] = "changed"
        header.ext["a.b"].append("changed")
        assert header.ext == {"a.b": [{"c": 1}]}

    def test_what_is_absent(self) -> None:
        header = peek()
        assert (header.records, dict(header.meta), dict(header.packages)) == (None, {}, {})
        assert (dict(header.types), dict(header.ext)) == ({}, {})

    def test_its_classes(self) -> None:
        fields = (("a", "int"), ("b", "str"))
        assert dict(self.header().types) == {
            "C": ClassSchema(fields, "m:C", "plain", "default", 3, (("b", "'x'"),), "dict"),
            "D": ClassSchema(fields[:1], "m:C", "plain", "default", 3),
        }

    def test_it_is_equal_to_one_with_the_same_fields_and_preamble(self) -> None:
        header = self.header()
        assert header == self.header()
        assert hash(header) == hash(self.header())
        assert hash(header) != hash(peek())
        assert header != peek()
        other = Frame(**header.as_dict())
        assert pickleseal.peek(other.data) == header
        other.preamble = {"stream_id": 1}
        assert pickleseal.peek(other.data) != header
        assert header.__eq__(1) is NotImplemented
        assert pickle.loads(pickle.dumps(header)) == header
