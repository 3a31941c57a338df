"""What a policy may ask of a header alone: form of the rules, and their judgement at step 15 (spec section 11).

`policy` holds the rules. Nothing here imports, reads or runs what an artifact names.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .errors import PolicyError, TypeMismatchError
from .format.codec import CODECS

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "check_codecs",
    "check_duration",
    "check_labels",
    "check_types",
    "is_mixed",
    "judge_age",
    "judge_codecs",
    "judge_labels",
    "judge_protocol",
    "judge_type",
    "refuse_batch",
]

ANY = "*"
_CLAUSE = re.compile(r"\s*(==|!=|>=|<=|>|<|)\s*([0-9]{1,16})\s*", re.ASCII)
_HOLDS: dict[str, Callable[[int, int], bool]] = {
    "": int.__eq__,
    "==": int.__eq__,
    "!=": int.__ne__,
    ">=": int.__ge__,
    "<=": int.__le__,
    ">": int.__gt__,
    "<": int.__lt__,
}


def check_types(types: object) -> dict[str, str]:
    """Check which types, and which versions of each, a policy accepts.

    Raises:
        TypeError, ValueError: no mapping from names to rules for versions.
    """
    copied = _strings("types", types)
    for name, rule in copied.items():
        try:
            _clauses(rule)
        except ValueError as exc:
            raise ValueError(f"types: {name!r}: {exc}") from None
    return copied


def check_labels(name: str, labels: object) -> dict[str, str]:
    """Check the labels that a policy asks for. Raises TypeError where they are no mapping of strings."""
    return _strings(name, labels)


def check_duration(name: str, value: object) -> "timedelta | None":
    """Return a time span as a timedelta, or None where there is none.

    Raises:
        TypeError, ValueError: neither a timedelta nor a number of seconds, or negative, or without end.
    """
    if value is None:
        return None
    from datetime import timedelta

    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise ValueError(f"{name}: expected fewer than 8.6e13 seconds, found {value!r}") from None
    if not isinstance(value, timedelta):
        raise TypeError(f"{name}: expected a timedelta or a number of seconds, found {value!r}")
    if value < timedelta(0):
        raise ValueError(f"{name}: expected no negative time, found {value!r}")
    return value


def check_codecs(codecs: object) -> tuple[str, ...]:
    """Check which codecs a policy accepts. Raises TypeError or ValueError where they are no tuple of known ones."""
    if not isinstance(codecs, tuple | list):
        raise TypeError(f"codecs: expected a tuple of {', '.join(CODECS)}, found {codecs!r}")
    for codec in codecs:
        if codec not in CODECS:
            raise ValueError(f"codecs: expected names among {', '.join(CODECS)}, found {codec!r}")
    return tuple(codecs)


def _strings(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a mapping of strings, found {type(value).__name__}")
    copied = dict(value)
    for key, item in copied.items():
        if not isinstance(key, str) or not isinstance(item, str):
            raise TypeError(f"{name}: expected strings, found {key!r}: {item!r}")
    return copied


@functools.lru_cache(1024)
def _clauses(rule: str) -> tuple[tuple[str, int], ...]:
    """Parse a rule for versions: `*`, or integers with or without an operator, joined by commas."""
    if rule == ANY:
        return ()
    found = []
    for text in rule.split(","):
        match = _CLAUSE.fullmatch(text)
        if match is None:
            raise ValueError(f'expected "*", "3", ">=2", ">=2,<5" or "!=4", found {rule!r}')
        found.append((match[1], int(match[2])))
    return tuple(found)


def judge_protocol(protocol: int, accepted: tuple[int, ...]) -> None:
    """Refuse a pickle protocol that is not accepted (spec 11, step 15). Raises PolicyError."""
    if protocol not in accepted:
        hint = f"Policy(protocols={tuple(sorted({*accepted, protocol}))}) accepts it"
        raise PolicyError("pickle protocol is not accepted", accepted, protocol, hint, "pickle.protocol")


def is_mixed(fields: Mapping[str, Any]) -> bool:
    """Tell whether this is the header of a batch whose records have no type in common (spec 6)."""
    return "records" in fields and fields["type"] == "builtins:object"


def refuse_batch(fields: Mapping[str, Any], expect: object) -> None:
    """Refuse a batch of records where one object of some type is expected (spec 9.2).

    Raises:
        TypeMismatchError: it is a batch, and `expect` is not None.
    """
    if expect is not None and "records" in fields:
        found = f"a batch of {fields['records']} records"
        raise TypeMismatchError("one object was expected", None, found, "a stream: iter_load() reads it", "records")


def judge_type(fields: Mapping[str, Any], types: Mapping[str, str], name_today: Callable[[str], str]) -> None:
    """Refuse a type that is not listed, or a version of it that its rule excludes (spec 11, step 15).

    Raises:
        TypeMismatchError: the type is not listed, neither as it is recorded nor as it is called today.
        PolicyError: the version is excluded.
    """
    found, version = fields["type"], fields["version"]
    rule = types.get(found)
    if rule is None:
        rule = types.get(name_today(found))
    if rule is None:
        hint = f'if it should be: Policy(types={{"{found}": "*", ...}})'
        if is_mixed(fields):
            hint += ", which admits every batch of records of several types: their types are not in its header"
        raise TypeMismatchError("a type that the policy does not list", ", ".join(sorted(types)), found, hint, "type")
    for operator, number in _clauses(rule):
        if not _HOLDS[operator](version, number):
            hint = f'Policy(types={{"{found}": ...}}) says which versions are accepted'
            raise PolicyError("a version that the policy does not accept", rule, version, hint, "version")


def judge_age(created: str, max_age: "timedelta | None", max_skew: "timedelta | None") -> None:
    """Refuse what is older, or further in the future, than the policy allows, by this machine's clock (spec 11).

    Raises:
        PolicyError: it is.
    """
    import time
    from datetime import datetime, timezone

    now = datetime.fromtimestamp(time.time(), timezone.utc)
    age = now - datetime.fromisoformat(created[:-1]).replace(tzinfo=timezone.utc)
    if max_age is not None and age > max_age:
        hint = "write it again, or raise Policy(max_age=...)"
        raise PolicyError("too old", f"at most {max_age} old", f"{age} ({created})", hint, "created")
    if max_skew is not None and -age > max_skew:
        hint = "compare the clocks of writer and reader, or raise Policy(max_skew=...)"
        raise PolicyError("from the future", f"at most {max_skew} ahead", f"{-age} ({created})", hint, "created")


def judge_labels(name: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse a header whose `build` or `meta` lacks a label that the policy asks for (spec 11, step 15).

    Raises:
        PolicyError: a label is missing or has another value. `where` names it.
    """
    for key, value in wanted.items():
        if key not in found:
            hint = f"the writer has to set it: {'Writer(build=...)' if name == 'build' else 'pack(..., meta=...)'}"
            expected = "any value" if value == ANY else value
            raise PolicyError("a label that the policy asks for is missing", expected, None, hint, f"{name}.{key}")
        if value != ANY and found[key] != value:
            hint = f"Policy({name}={{...}}) says what is accepted"
            raise PolicyError("a label has another value", value, found[key], hint, f"{name}.{key}")


def judge_codecs(sections: list[dict[str, Any]], codecs: tuple[str, ...]) -> None:
    """Refuse a compressed section where the policy does not accept its codec (spec 11, step 15).

    Raises:
        PolicyError: it does not. `where` names the section.
    """
    for index, entry in enumerate(sections):
        if "codec" in entry and entry["codec"] not in codecs:
            expected, hint = ", ".join(codecs) or "none", "Policy(codecs=...) says which are accepted"
            where = f"sections[{index}].codec"
            raise PolicyError("a codec that the policy does not accept", expected, entry["codec"], hint, where)
