"""What a reader accepts: one immutable value, written once and passed around. Reading is `reader`'s business."""

import functools
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ._format.codec import CODECS
from ._format.limits import Limits
from ._keys import KeyRing, check_keys
from ._schema.distributions import check_rules
from ._schema.registry import Registry, default_registry, index_of
from ._trust.allow_list import Trusted, build_trust, is_dangerous
from ._trust.levels import LEVELS, Isolation, Level
from .errors import ClassMissingError, PolicyError, ReadError, SchemaDriftError, TypeMismatchError

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = [
    "DEFAULT_POLICY",
    "Policy",
    "advice",
    "as_listed",
    "check_codecs",
    "check_duration",
    "check_is_policy",
    "check_labels",
    "check_types",
    "is_mixed",
    "judge_age",
    "judge_codecs",
    "judge_labels",
    "judge_protocol",
    "judge_type",
    "origin",
    "refuse_batch",
]

# What a policy may ask of a header alone: form of the rules, and their judgement at step 15 (spec section 11).
#
# `policy` holds the rules. Nothing here imports, reads or runs what an artifact names.


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


DRIFT_MODES = ("resolve", "strict", "ignore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a reader accepts. One immutable value, written once and passed around.

    Args:
        limits: how large an artifact may be.
        protocols: pickle protocols that are accepted. 2 and 3 occur in adopted legacy pickles only.
        drift: what happens where a class changed since the artifact was written. `resolve`: what can be told by field
            names is resolved, all else refused. `strict`: every change is refused. `ignore`: nothing is compared and
            nothing is migrated, as bare pickle does.
        renames: where classes are today that nobody registered: `{"old.module": "new.module"}` for a module and those
            below it, `{"old.module:Cls": "new.module:Cls2"}` for one class. Trust is judged by the new name, and an old
            one in `trust=` is taken as well.
        packages: rules for distributions whose versions are recorded: `ignore`, `warn`, `refuse`, or a PEP 440
            specifier that the recorded version has to meet; `"*"` is for all others, and `warn` where it is not given.
            `warn` and `refuse` act where the major version differs (the minor one, for 0.x).
        registry: registered names, versions and migrations. Its classes are trusted.
        level: what a payload may do. `guarded`: what its allow-list of classes and functions admits; none of them is
            changed or called in a way that no honest pickle knows. `strict`, for sources that are not yours: it runs on
            inert objects first, under caps for hashing and nesting. `signed`: everything that the holder of a key
            signed, so `keys` are needed. `never-left-my-hands`: everything, for bytes that nobody else could have
            written to. The last two import every module that the header names and run what it says.
        isolated: whether a payload runs on inert objects in a child process first, with `limits.max_seconds` of
            processor time and `limits.max_memory`. With any level. Needs a POSIX system.
        keys: at least one of them must have signed the artifact, for the ring's purpose; one without a seal is refused.
            None: nothing is verified, and a seal is only checked to be well-formed.
        signed_by: ids among `keys` of which all must have signed.
        trust: classes, functions, or exact `"module:qualname"` strings that payloads may import and call, beside those
            that a call's own `trust=` names.
        types: the types of artifacts that are accepted, by the header's `type` or what it is called today, each with
            its schema versions: `"*"` for all, `"3"`, `"!=4"`, `">=2"`, or several that all hold, `">=2,<5"` (also
            `==`, `<=`, `>`). Empty: all types.
        max_age: how long ago `created` may be, as a timedelta or in seconds; None: not checked. By this machine's
            clock. `created` is what the writer said: this is about what is stale, not protection.
        max_skew: how far in the future `created` may be, likewise. None: what is dated ahead is accepted,
            `max_age` or not.
        build, meta: labels that must be there, each with its exact value, or `"*"` for any value.
        codecs: how sections may be compressed; empty: not at all.

    Spec section 11, step 15, says in which order they are judged. A policy runs no code of an artifact.

    Raises:
        TypeError, ValueError: a field is not what it should be.
        MissingExtraError: a specifier, and `packaging` is not installed.

    >>> Policy(limits=Limits(max_frame=1_000_000)).protocols
    (4, 5)
    """

    limits: Limits = field(default_factory=Limits)
    protocols: tuple[int, ...] = (4, 5)
    drift: str = "resolve"
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)
    registry: Registry = default_registry
    level: str = "guarded"
    isolated: bool = False
    keys: KeyRing | None = None
    signed_by: tuple[str, ...] = ()
    trust: Iterable[type | Callable[..., Any] | str] = ()
    types: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_age: "timedelta | float | None" = None
    max_skew: "timedelta | float | None" = None
    build: Mapping[str, str] = field(default_factory=dict, hash=False)
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)
    codecs: tuple[str, ...] = CODECS
    _trusted: Trusted = field(init=False, repr=False, compare=False)
    _level: Level = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.limits, Limits):
            raise TypeError(f"limits: expected Limits, found {type(self.limits).__name__}")
        if not isinstance(self.protocols, tuple) or not {2, 3, 4, 5}.issuperset(self.protocols) or not self.protocols:
            raise ValueError(f"protocols: expected a tuple of numbers from 2 to 5, found {self.protocols!r}")
        if self.drift not in DRIFT_MODES:
            raise ValueError(f"drift: expected one of {', '.join(DRIFT_MODES)}, found {self.drift!r}")
        if not isinstance(self.registry, Registry):
            raise TypeError(f"registry: expected a Registry, found {type(self.registry).__name__}")
        object.__setattr__(self, "renames", MappingProxyType(_check_renames(self.renames)))
        object.__setattr__(self, "packages", MappingProxyType(check_rules(self.packages)))
        object.__setattr__(self, "_level", _level_of(self.level, self.isolated, self.limits))
        check_keys(self.keys, self.signed_by)
        if self.level == "signed" and self.keys is None:
            raise ValueError("level: signed needs keys=KeyRing(...), by which the seal is verified")
        object.__setattr__(self, "trust", as_listed(self.trust))
        object.__setattr__(self, "_trusted", build_trust(self.trust))
        object.__setattr__(self, "types", MappingProxyType(check_types(self.types)))
        object.__setattr__(self, "max_age", check_duration("max_age", self.max_age))
        object.__setattr__(self, "max_skew", check_duration("max_skew", self.max_skew))
        object.__setattr__(self, "build", MappingProxyType(check_labels("build", self.build)))
        object.__setattr__(self, "meta", MappingProxyType(check_labels("meta", self.meta)))
        object.__setattr__(self, "codecs", check_codecs(self.codecs))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> "Policy":
        """Read a policy from a TOML file: its fields by name. Runs no code of an artifact.

        `limits`, `types`, `packages`, `renames`, `build`, `meta` and `keys` are tables, `trust`, `codecs` and
        `signed_by` lists of strings, `protocols` a list of integers. `keys` has `file` (as for `KeyRing.from_file`; a
        relative path starts at the current directory) or `env`, and `purpose` where there is one. A duration is
        `"30d"`, `"12h"`, `"15m"`, `"90s"` or an integer of seconds, a size `"10MB"` (of 1000), `"64KiB"` (of 1024) or
        an integer of bytes. `registry` is set in Python: `dataclasses.replace(policy, registry=...)`.

        Raises:
            ValueError: no TOML, an unknown key, or a wrong value: `policy.toml:12: max_age: expected ..., found ...`.
            OSError: from the operating system.
            MissingExtraError: Python 3.10 without tomli, or a specifier in `packages` without packaging.

        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "policy.toml")
        >>> with open(path, "w") as file:
        ...     _ = file.write('max_age = "30d"')
        >>> Policy.from_toml(path).max_age
        datetime.timedelta(days=30)
        """
        from ._policy_file import read_policy

        return read_policy(path, cls)

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for name, own in type(self).__dataclass_fields__.items() if own.init]
        given = {name: getattr(self, name) for name in names}
        return _policy_of, ({name: dict(v) if isinstance(v, Mapping) else v for name, v in given.items()},)

    def _admit(self, fields: Mapping[str, Any]) -> None:
        """Judge what the policy asks of the header alone, besides protocol and trust (spec 11, step 15)."""
        if self.types:
            judge_type(fields, self.types, self._name_today)
        if self.max_age is not None or self.max_skew is not None:
            judge_age(fields["created"], self.max_age, self.max_skew)  # type: ignore[arg-type]  # by __post_init__
        if self.build:
            judge_labels("build", fields["build"], self.build)
        if self.meta:
            judge_labels("meta", fields.get("meta", {}), self.meta)
        if self.codecs != CODECS:
            judge_codecs(fields["sections"], self.codecs)

    def _renamed(self, name: str) -> str:
        """Return the name that `renames` gives to a global, or the same where it says nothing."""
        if name in self.renames:
            return self.renames[name]
        module, _, qualname = name.partition(":")
        above = module
        while above:
            if above in self.renames:
                return f"{self.renames[above]}{module[len(above) :]}:{qualname}"
            above = above.rpartition(".")[0]
        return name

    def _places(self, names: list[str], types: Mapping[str, Any]) -> dict[str, str | type]:
        """Return where globals are today, for those that are registered or renamed: a class, or another name."""
        found: dict[str, str | type] = {}
        index = index_of(self.registry)
        if index.names:
            for name, was in types.items():
                entry = index.by_name(name)
                if entry is not None:
                    found[was["global"]] = entry.current()
        elif not self.renames:
            return found
        for name in names:
            if name in found:
                continue
            new = self._renamed(name)
            entry = index.by_name(name) or index.by_name(new)
            if entry is not None:
                found[name] = entry.current()
            elif new != name:
                found[name] = new
        return found

    def _name_today(self, name: str) -> str:
        """Return what a recorded type is called today: its registered name, or its global where it has none."""
        index = index_of(self.registry)
        entry = index.by_name(name) or index.by_name(self._renamed(name))
        return entry.name if entry is not None else self._renamed(name)


def _policy_of(fields: Mapping[str, Any]) -> Policy:
    """Make a policy anew in another process."""
    return Policy(**fields)


def _level_of(name: object, isolated: object, limits: Limits) -> Level:
    if not isinstance(name, str) or name not in LEVELS:
        raise ValueError(f"level: expected one of {', '.join(LEVELS)}, found {name!r}")
    if not isinstance(isolated, bool):
        raise TypeError(f"isolated: expected a bool, found {isolated!r}")
    isolation = Isolation(limits.max_seconds, limits.max_memory) if isolated else None
    return Level(name, name in ("guarded", "strict"), limits.max_depth, limits.max_memory, isolation)


def check_is_policy(policy: object) -> Policy:
    """Return the policy that a caller gave, or the default one.

    Raises:
        TypeError: it is something else.
    """
    if policy is None:
        return DEFAULT_POLICY
    if isinstance(policy, Policy):
        return policy
    raise TypeError(f"policy: expected a Policy, found {policy!r}")


def as_listed(trust: Any) -> Any:
    """Return `trust` as a tuple, as an iterator gives its items once; what is no list is left for `build_trust`."""
    return tuple(trust) if isinstance(trust, Iterable) and not isinstance(trust, str | bytes | type) else trust


def origin(fields: Mapping[str, Any]) -> str:
    """Say when and by which application an artifact was written, as its header has it."""
    build = fields["build"]
    made = " ".join(build[key] for key in ("app", "commit") if key in build)
    return f"created {fields['created']}" + (f" by {made}" if made else "")


def advice(error: ReadError, fields: Mapping[str, Any], policy: Policy) -> str | None:
    """Return the hint of a refusal that is about classes, with what the header and the registry know about them."""
    hints = []
    # Registered names have no colon; `type` alone may be any label.
    index = index_of(policy.registry)
    unknown = [name for name in fields.get("types", ()) if ":" not in name and not index.by_name(name)]
    if unknown and not isinstance(error, TypeMismatchError):
        names = ", ".join(unknown)
        hints.append(f"import the module that registers {names}, or give its registry in Policy(registry=...)")
    if isinstance(error, ClassMissingError) and error.hint is None:
        hints.append(_ways_out(str(error.found), policy.registry))
    if error.hint is not None:
        hints.append(error.hint)
    if isinstance(error, SchemaDriftError):
        hints.append(f"if newer code wrote it ({origin(fields)}): deploy that")
    return "; else ".join(hints) if unknown else "; ".join(hints)


def _ways_out(name: str, registry: Registry) -> str:
    """Say what to do about a class that is not where it was."""
    module = name.partition(":")[0]
    text = f'if it moved: register it with formerly=["{name}"], or Policy(renames={{"{module}": "its.module.today"}})'
    same = index_of(registry).with_class_name(name.rpartition(":")[2].rpartition(".")[2])
    if same:
        text += "; registered under that name: " + ", ".join(same)
    return f"{text}; else install or import what defines it"


def _check_renames(renames: object) -> dict[str, str]:
    if not isinstance(renames, Mapping):
        raise TypeError(f"renames: expected a mapping of names, found {type(renames).__name__}")
    copied = dict(renames)
    for old, new in copied.items():
        if not isinstance(old, str) or not isinstance(new, str) or not old or not new:
            raise TypeError(f"renames: expected strings, found {old!r}: {new!r}")
        if (":" in old) != (":" in new) or max(old.count(":"), new.count(":")) > 1:
            raise ValueError(
                f"renames: expected module to module, or module:qualname to the same, found {old!r}: {new!r}"
            )
        if is_dangerous(new if ":" in new else f"{new}:x"):
            raise ValueError(f"renames: {new} runs what its arguments say, so a payload must never get hold of it")
    return copied


DEFAULT_POLICY = Policy()
