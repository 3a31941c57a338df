"""Invalid vectors for a policy's rules about the header (steps 12 and 15): types, versions, labels, codecs."""

from __future__ import annotations

from typing import Any

from frames import PAYLOAD, Frame
from invalid_frame import Vector
from valid import VALID

__all__ = ["POLICY"]

POLICY: dict[str, Vector] = {}


def _add(name: str, about: str, error: str, step: int, data: bytes, policy: dict[str, Any]) -> None:
    assert name not in POLICY
    POLICY[name] = about, error, step, data, policy


# --- step 12: the caller's limit for single sections ------------------------------------------------------------------
_add(
    "limit-section",
    "a section above the caller's limit for a single section",
    "limit-exceeded",
    12,
    Frame().data,
    {"limits": {"max_section": len(PAYLOAD) - 1}},
)
_add(
    "limit-section-decoded",
    "a section that decodes to more than the caller's limit for a single section",
    "limit-exceeded",
    12,
    VALID["zstd-buffer"][1].data,
    {"limits": {"max_section": 99}},
)

# --- step 15 ----------------------------------------------------------------------------------------------------------
_task = Frame(type="jobs.Task", version=3)
_add("policy-types", "a type that is not listed", "type-mismatch", 15, _task.data, {"types": {"jobs.Report": "*"}})
_add(
    "policy-types-case",
    "a listed type in other letters",
    "type-mismatch",
    15,
    _task.data,
    {"types": {"jobs.task": "*", "jobs": "*"}},
)
for _name, _rule in (
    ("exact", "2"),
    ("equal", "==4"),
    ("not", "!=3"),
    ("least", ">=4"),
    ("most", "<=2"),
    ("above", ">3"),
    ("below", "<3"),
    ("range", ">=2,<3"),
    ("range-spaces", " > 3 , < 9 "),
    ("hole", ">=2,!=3,<5"),
):
    _policy = {"types": {"jobs.Task": _rule, "jobs.Report": "*"}}
    _add(
        f"policy-version-{_name}",
        f"version 3, but the caller asks for {_rule.strip()}",
        "policy",
        15,
        _task.data,
        _policy,
    )
for _name, _about, _build, _rule in (
    ("above", "written by Python 3.12.1, but the caller asks for an older one", {"python": "3.12.1"}, ">=3.9,<3.12"),
    ("below", "written by Python 3.12.1, but the caller asks for a newer one", {"python": "3.12.1"}, ">=3.12.2"),
    ("none", "no version of Python, but the caller gives a specifier", {"app": "billing"}, ">=3"),
    ("no-version", "a text that is no version, but the caller gives a specifier", {"python": "newest"}, ">=3"),
):
    _add(f"policy-python-{_name}", _about, "policy", 15, Frame(build=_build).data, {"python": _rule})
for _member in ("build", "meta"):
    _labelled = Frame(**{_member: {"app": "billing", "empty": ""}})
    for _name, _about, _labels in (
        ("missing", "a label that the caller asks for is missing", {"team": "risk"}),
        ("missing-any", "a label that may have any value is missing", {"app": "*", "team": "*"}),
        ("differs", "a label has another value", {"app": "Billing"}),
        ("empty", "a label is empty, but the caller asks for a value", {"empty": "x"}),
        ("prefix", "a label's value only begins with what the caller asks for", {"app": "bill"}),
    ):
        _add(f"policy-{_member}-{_name}", f"{_member}: {_about}", "policy", 15, _labelled.data, {_member: _labels})
_add("policy-meta-none", "no meta, but the caller asks for a label", "policy", 15, Frame().data, {"meta": {"app": "*"}})
_add(
    "policy-codecs",
    "a compressed payload, but the caller accepts no codec",
    "policy",
    15,
    VALID["zstd-payload"][1].data,
    {"codecs": []},
)
_add(
    "policy-codecs-buffer",
    "a compressed buffer, but the caller accepts no codec",
    "policy",
    15,
    VALID["zstd-buffer"][1].data,
    {"codecs": []},
)
_add(
    "policy-order-types",
    "a type that is not listed, a missing label and a compressed payload: the type comes first",
    "type-mismatch",
    15,
    VALID["zstd-payload"][1].data,
    {"types": {"jobs.Task": "*"}, "meta": {"app": "*"}, "codecs": []},
)
_add(
    "policy-order-globals",
    "a missing label and a global that is not trusted: the label comes first",
    "policy",
    15,
    VALID["canary"][1].data,
    {"trust": [], "build": {"app": "*"}},
)
