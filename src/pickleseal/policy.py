"""What a reader accepts: one immutable value, written once and passed around. Reading is `reader`'s business."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .errors import ClassMissingError, ReadError, SchemaDriftError, TypeMismatchError
from .format.codec import CODECS
from .format.limits import Limits
from .keys import KeyRing
from .payload.levels import LEVELS, Isolation, Level
from .payload.trust import Trusted, build_trust, is_dangerous
from .rules import (
    check_codecs,
    check_duration,
    check_labels,
    check_types,
    judge_age,
    judge_codecs,
    judge_labels,
    judge_type,
)
from .schema.packages import check_rules
from .schema.registry import Registry, default_registry
from .signing import check_keys

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["DEFAULT_POLICY", "Policy", "advice", "as_listed", "check_is_policy", "origin"]

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
        from .policy_file import read_policy

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
        if self.registry._names:
            for name, was in types.items():
                entry = self.registry._by_name(name)
                if entry is not None:
                    found[was["global"]] = entry.current()
        elif not self.renames:
            return found
        for name in names:
            if name in found:
                continue
            new = self._renamed(name)
            entry = self.registry._by_name(name) or self.registry._by_name(new)
            if entry is not None:
                found[name] = entry.current()
            elif new != name:
                found[name] = new
        return found

    def _name_today(self, name: str) -> str:
        """Return what a recorded type is called today: its registered name, or its global where it has none."""
        entry = self.registry._by_name(name) or self.registry._by_name(self._renamed(name))
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
    unknown = [name for name in fields.get("types", ()) if ":" not in name and not policy.registry._by_name(name)]
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
    same = registry._called(name.rpartition(":")[2].rpartition(".")[2])
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
