"""What a reader accepts, and the one place where that is decided.

`Policy` is what a user writes: immutable, made once, passed around. `Request` is one call's question: its policy with
its own `expect` and `trust`. `evaluate` answers it for one header: step 15 of the reader algorithm (spec section 11),
for the reader, which raises the first refusal, and for the commands that list all of them. A new field of a policy
needs a field, its check and a rule here, and its row in `_policy_file`.

Nothing here reads a section or runs a payload. What is imported is up to the `Imports` that the caller gives.
"""

import functools
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from ._expect import Expectation, expectation
from ._format.codec import CODECS
from ._format.header import Header, fields_of
from ._format.limits import Limits
from ._format.timestamps import duration_text, parse_timestamp
from ._format.units import seconds_of
from ._keys import KeyRing, check_keys, keys_for, verifier
from ._schema.drift_rules import DriftRules
from ._schema.names import imported_class, usual_name
from ._schema.package_rules import check_rules, check_specifier, meets, package_findings, required_by
from ._schema.registry import Registry, RegistryIndex, default_registry, index_of
from ._trust.allow_list import (
    AllowList,
    Resolved,
    build_trust,
    check_decided,
    check_trusted,
    is_dangerous,
    is_listed,
    is_trusted,
    resolve_all,
    resolve_globals,
    untrusted_names,
)
from ._trust.allow_list import Rule as TrustRule
from ._trust.annotated import rules_of
from ._trust.levels import LEVELS, Isolation, Level, LevelName
from .errors import (
    ClassMissingError,
    Hint,
    PolicyError,
    ReadError,
    SchemaDriftError,
    SchemaVersionError,
    TypeMismatchError,
    UntrustedGlobalError,
    join_hints,
)

if TYPE_CHECKING:
    from datetime import timedelta

    from ._schema.plans import Plan

Trust = Iterable[type | Callable[..., Any] | str | TrustRule]
Fields = Mapping[str, Any]  # of a validated header
ANY = "*"
DriftMode = Literal["resolve", "strict", "ignore"]
NewerMode = Literal["refuse", "drop", "keep"]


# --- what a user writes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a reader accepts. One immutable value, written once and passed around.

    Args:
        limits: how large an artifact may be.
        protocols: pickle protocols that are accepted. 2 and 3 occur in adopted legacy pickles only.
        drift: what happens if a class changed since the artifact was written. `resolve`: what field names make clear
            is resolved, and everything else is refused. `strict`: every change is refused. `ignore`: nothing is
            compared and nothing is migrated, as with bare pickle. Or one of the three for each distribution, or
            top-level module, and under `"*"` for all others: `{"*": "strict", "pandas": "ignore"}`. The default for
            `"*"` is `resolve`.
        newer: what happens to fields that newer code added to a class, where every field that the class has here is
            among the recorded ones, and the version is the same. `refuse`: the artifact is refused. `drop`: objects are
            loaded without them. `keep`: they become attributes of the objects; the artifact is refused where these have
            no place for them. The last two warn once for each class. A member of an enum that is not known here is
            refused when it occurs. There is no effect where `drift` is `strict` or `ignore`.
        renames: where classes are today that are not registered: `{"old.module": "new.module"}` for a module and the
            modules below it, `{"old.module:Cls": "new.module:Cls2"}` for one class. The new name has to be trusted;
            `trust=` may also list the old one.
        packages: rules for distributions, by name; `"*"` is the rule for all others. A PEP 440 specifier
            (`">=1.26,<3"`) has to be met by the recorded version; an artifact that does not record a distribution with
            such a rule is refused. A word compares the recorded version with the installed one, and does nothing where
            none is recorded. `exact`, `minor`, `major`: refuse if that part of the version differs. `warn`, `refuse`:
            act if the major version differs (for 0.x, and for scikit-learn, scipy, statsmodels, pandas, torch, xgboost
            and lightgbm, if the minor version differs). `ignore`: do not compare. The default is `warn`, and to refuse
            between versions that are known to store another state.
        python: a PEP 440 specifier for the version of Python that wrote the artifact (`">=3.11,<3.14"`), as
            `build["python"]` has it. None: not checked.
        registry: registered names, versions and migrations. Its classes are trusted.
        level: what a payload may do. `guarded`: what its allow-list of classes and functions permits. It changes none
            of them, and calls none in a way that no honest pickle does. `strict`, for sources that are not yours: the
            payload first runs on inert objects, with limits for hashing and nesting. `signed`: everything that the
            holder of a key signed, so `keys` are needed. `unchecked`: everything, for bytes that nobody else
            could have written to. The last two import every module that the header names, and run what it says.
        isolated: whether a payload first runs on inert objects in a child process, with `limits.max_seconds` of
            processor time and `limits.max_memory`. Works with every level. Needs a POSIX system.
        keys: at least one of them must have signed the artifact, for the ring's purpose; an artifact without a seal is
            refused. None: no signature is verified, and a seal is only checked to be well-formed.
        signed_by: ids among `keys`, all of which must have signed.
        trust: classes, functions, exact `"module:qualname"` strings that payloads may import and use, and rules of
            `pickleseal.trust`, in addition to those that a call's own `trust=` names.
        types: the types of artifacts that are accepted, by the header's `type` or its name today, each with its schema
            versions: `"*"` for all, `"3"`, `"!=4"`, `">=2"`, or several that must all hold, `">=2,<5"` (also `==`,
            `<=`, `>`). Empty: all types.
        max_age: how long ago `created` may be, by this machine's clock: a timedelta, a number of seconds, or a text
            such as `"30d"`, `"12h"`, `"15m"`, `"90s"`. None: not checked. `created` is what the writer said: this finds
            stale artifacts and is no protection.
        max_skew: how far in the future `created` may be, likewise. None: an artifact from the future is accepted,
            with or without `max_age`.
        build, meta: labels that must be there, each with its exact value, or `"*"` for any value.
        codecs: how sections may be compressed. Empty: not at all.

    Spec section 11, step 15, gives the order in which they are checked. A policy runs no code of an artifact.

    Raises:
        TypeError, ValueError: a field is not what it should be, or `packages` names a module (`sklearn`) where it needs
            a distribution (`scikit-learn`).
        MissingExtraError: there is a specifier, and `packaging` is not installed.

    >>> Policy(limits=Limits(max_frame=1_000_000)).protocols
    (4, 5)
    """

    limits: Limits = field(default_factory=Limits)
    protocols: Sequence[int] = (4, 5)
    drift: DriftMode | Mapping[str, DriftMode] = field(default="resolve", hash=False)
    newer: NewerMode = "refuse"
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)
    packages: Mapping[str, str] = field(default_factory=dict, hash=False)
    python: str | None = None
    registry: Registry = default_registry
    level: LevelName = "guarded"
    isolated: bool = False
    keys: KeyRing | None = None
    signed_by: Sequence[str] = ()
    trust: Trust = ()
    types: Mapping[str, str] = field(default_factory=dict, hash=False)
    max_age: "timedelta | float | str | None" = None
    max_skew: "timedelta | float | str | None" = None
    build: Mapping[str, str] = field(default_factory=dict, hash=False)
    meta: Mapping[str, str] = field(default_factory=dict, hash=False)
    codecs: Sequence[str] = CODECS
    _compiled: "CompiledPolicy" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_kind("limits", self.limits, Limits)
        drift = DriftRules(self.drift, self.newer)
        _check_kind("registry", self.registry, Registry)
        renames, packages = _check_renames(self.renames), check_rules(self.packages)
        _check_python(self.python)
        level = _level_of(self.level, self.isolated, self.limits)
        signed_by = check_keys(self.keys, self.signed_by)
        if self.level == "signed" and self.keys is None:
            raise ValueError("level: signed needs keys=KeyRing(...), by which the seal is verified")
        trust = as_tuple(self.trust)
        trusted = build_trust(trust)
        checked = {
            "protocols": _check_protocols(self.protocols),
            "signed_by": signed_by,
            "drift": self.drift if isinstance(self.drift, str) else MappingProxyType(dict(self.drift)),
            "renames": MappingProxyType(renames),
            "packages": MappingProxyType(packages),
            "trust": trust,
            "types": MappingProxyType(_check_types(self.types)),
            "max_age": _check_duration("max_age", self.max_age),
            "max_skew": _check_duration("max_skew", self.max_skew),
            "build": MappingProxyType(_check_strings("build", self.build)),
            "meta": MappingProxyType(_check_strings("meta", self.meta)),
            "codecs": _check_codecs(self.codecs),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_compiled", CompiledPolicy(self, level, trusted, drift))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> "Policy":
        """Read a policy from a TOML file: its fields by name. Runs no code of an artifact.

        `limits`, `types`, `packages`, `renames`, `build`, `meta` and `keys` are tables, and `drift` may be one.
        `codecs` and `signed_by` are lists of strings, `protocols` is a list of integers. `trust` is a list of exact
        names and of tables with one rule each: `["shop:Order", {classes_in = "shop.models"}, {preset = "pandas"},
        {subclasses_of = "shop:Base"}]`. `keys` has `file` (as for `KeyRing.from_file`; a relative path starts at the
        current directory) or `env`, and may have `purpose`. A duration is `"30d"`, `"12h"`, `"15m"`, `"90s"` or an
        integer of seconds. A size is `"10MB"` (of 1000), `"64KiB"` (of 1024) or an integer of bytes. `registry` is set
        in Python: `dataclasses.replace(policy, registry=...)`.

        Raises:
            ValueError: not valid TOML, an unknown key, or a wrong value: `policy.toml:12: max_age: expected ..., found
                ...`.
            OSError: from the operating system.
            MissingExtraError: Python 3.10 without tomli, or a specifier in `packages` or `python` without packaging.

        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "policy.toml")
        >>> with open(path, "w") as file:
        ...     _ = file.write('max_age = "30d"')
        >>> Policy.from_toml(path).max_age
        datetime.timedelta(days=30)
        """
        from ._policy_file import read_policy

        return read_policy(path, cls)

    def missing(self, names: "Header | Iterable[str]") -> dict[str, str]:
        """Return which names this policy refuses, in the order given, each with why. Imports nothing.

        Packages, schemas and the other rules are not looked at; `check_writes` of a `Serializer` does that as well. At
        the levels `signed` and `unchecked`, no name is refused.

        Args:
            names: globals as `"module:qualname"`, or a header, whose `globals` are taken. A header also says which of
                its classes are registered.

        Raises:
            TypeError: it is neither, or one of the names is no text.

        >>> Policy(trust=["argparse:Namespace"]).missing(["argparse:Namespace", "shop:Order", "os:system"])
        {'shop:Order': 'it is not trusted', 'os:system': 'it runs what its arguments say, and is never trusted'}
        """
        types: Fields = _NO_TYPES
        if isinstance(names, Header):
            types, names = fields_of(names).get("types", _NO_TYPES), names.globals
        elif isinstance(names, str | bytes) or not isinstance(names, Iterable):
            raise TypeError(f"names: expected a header or a list of 'module:qualname', found {names!r}")
        listed = list(names)
        for name in listed:
            if not isinstance(name, str):
                raise TypeError(f"names: expected texts, 'module:qualname', found {name!r}")
        if not self._compiled.level.is_checked:
            return {}
        places = self._compiled.places(listed, types)
        return untrusted_names(listed, self._compiled.trusted, places)

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for name, own in type(self).__dataclass_fields__.items() if own.init]
        given = {name: getattr(self, name) for name in names}
        fields: dict[str, Any] = {name: dict(v) if isinstance(v, Mapping) else v for name, v in given.items()}
        return functools.partial(Policy, **fields), ()  # names no function of this module, which may move


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


def policy_with(
    policy: Policy | None, keys: KeyRing | None, level: LevelName | None, context: str | None = None
) -> Policy:
    """Return the policy of a call that gives keys, a level or a context beside its policy, or without one.

    Raises:
        TypeError: the policy has keys already, or there is a level beside any policy.
        ValueError: the level is unknown; there is a context, and no keys.
    """
    policy = check_is_policy(policy) if policy is not None else None
    if policy is not None and level is not None:
        raise TypeError("level: expected none beside a policy; give it there: Policy(keys=..., level=...)")
    if policy is not None and policy.keys is not None and keys is not None:
        raise TypeError(
            "keys: expected none beside a policy that has keys; give them there: Policy(keys=..., level=...)"
        )
    if context is not None and keys is None and policy is not None and policy.keys is not None:
        return _in_context(policy, policy.keys, context)
    keys = keys_for(keys, context)
    if policy is not None:
        return policy if keys is None else replace(policy, keys=keys)
    if level is None:
        return DEFAULT_POLICY if keys is None else Policy(keys=keys)
    return Policy(keys=keys, level=level)


def _in_context(policy: Policy, keys: KeyRing, context: str) -> Policy:
    """Return a copy of a policy whose keys verify in a context. Nothing else of it is checked or made anew."""
    copied, bound = object.__new__(Policy), keys.in_context(context)
    for name in type(policy).__dataclass_fields__:
        object.__setattr__(copied, name, getattr(policy, name))
    object.__setattr__(copied, "keys", bound)
    object.__setattr__(copied, "_compiled", policy._compiled.with_keys(bound, tuple(policy.signed_by)))
    return copied


def as_tuple(trust: Any) -> Any:
    """Return `trust` as a tuple, as an iterator gives its items once. `build_trust` refuses what is no list."""
    return tuple(trust) if isinstance(trust, Iterable) and not isinstance(trust, str | bytes | type) else trust


# --- checks of the fields ---------------------------------------------------------------------------------------------

_CLAUSE = re.compile(r"(==|!=|>=|<=|>|<|)\s*([0-9]{1,16})", re.ASCII)
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "": int.__eq__,
    "==": int.__eq__,
    "!=": int.__ne__,
    ">=": int.__ge__,
    "<=": int.__le__,
    ">": int.__gt__,
    "<": int.__lt__,
}


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        article = "a " if kind is Registry else ""
        raise TypeError(f"{name}: expected {article}{kind.__name__}, found {type(value).__name__}")


def _check_protocols(protocols: object) -> tuple[int, ...]:
    if not isinstance(protocols, tuple | list) or not {2, 3, 4, 5}.issuperset(protocols) or not protocols:
        raise ValueError(f"protocols: expected a list of numbers from 2 to 5, found {protocols!r}")
    return tuple(protocols)


def _level_of(name: object, isolated: object, limits: Limits) -> Level:
    if not isinstance(name, str) or name not in LEVELS:
        hint = "; it is called 'unchecked' now" if name == "never-left-my-hands" else ""
        raise ValueError(f"level: expected one of {', '.join(LEVELS)}, found {name!r}{hint}")
    if not isinstance(isolated, bool):
        raise TypeError(f"isolated: expected a bool, found {isolated!r}")
    isolation = Isolation(limits.max_seconds, limits.max_memory) if isolated else None
    return Level(name, name in ("guarded", "strict"), limits.max_depth, limits.max_memory, isolation)


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
            raise ValueError(f"renames: {new} runs what its arguments say, so no payload may get it")
    return copied


def _check_python(rule: object) -> None:
    if rule is None:
        return
    if not isinstance(rule, str):
        raise TypeError(f"python: expected a PEP 440 specifier, found {rule!r}")
    check_specifier("python", rule)


def _check_types(types: object) -> dict[str, str]:
    copied = _check_strings("types", types)
    for name, rule in copied.items():
        try:
            version_clauses(rule)
        except ValueError as exc:
            raise ValueError(f"types: {name!r}: {exc}") from None
    return copied


@functools.lru_cache(1024)  # by the text of a rule, which always means the same
def version_clauses(rule: str) -> tuple[tuple[str, int], ...]:
    """Parse a rule for versions: `*`, or integers with or without an operator, joined by commas."""
    if rule == ANY:
        return ()
    found = []
    for text in rule.split(","):
        match = _CLAUSE.fullmatch(text.strip())  # spaces that the pattern skips twice would take quadratic time
        if match is None:
            raise ValueError(f'expected "*", "3", ">=2", ">=2,<5" or "!=4", found {rule!r}')
        found.append((match[1], int(match[2])))
    return tuple(found)


def _check_duration(name: str, value: object) -> "timedelta | None":
    if value is None:
        return None
    from datetime import timedelta

    if isinstance(value, str):
        try:
            value = seconds_of(value, "a number")
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            value = timedelta(seconds=value)
        except (OverflowError, ValueError):
            raise ValueError(f"{name}: expected fewer than 8.6e13 seconds, found {value!r}") from None
    if not isinstance(value, timedelta):
        raise TypeError(
            f"{name}: expected a timedelta, a number of seconds or a duration such as '30d', found {value!r}"
        )
    if value < timedelta(0):
        raise ValueError(f"{name}: expected no negative time, found {value!r}")
    return value


def _check_strings(name: str, value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a mapping of strings, found {type(value).__name__}")
    copied = dict(value)
    for key, item in copied.items():
        if not isinstance(key, str) or not isinstance(item, str):
            raise TypeError(f"{name}: expected strings, found {key!r}: {item!r}")
    return copied


def _check_codecs(codecs: object) -> tuple[str, ...]:
    if not isinstance(codecs, tuple | list):
        raise TypeError(f"codecs: expected a tuple of {', '.join(CODECS)}, found {codecs!r}")
    for codec in codecs:
        if codec not in CODECS:
            raise ValueError(f"codecs: expected names among {', '.join(CODECS)}, found {codec!r}")
    return tuple(codecs)


# --- what reading needs of a policy -----------------------------------------------------------------------------------


class CompiledPolicy:
    """What reading needs of a policy, computed once when the policy is made.

    Attributes:
        level: its level, with the limits that belong to it.
        drift: what its `drift` says of each class.
        trusted: what its `trust` lets payloads import.
        verify: verifies signatures with its keys (step 9); None: it has no keys.
        rules: the rules of step 15 that it has, in the order of the spec.
        is_recording_required: whether `packages` has ranges, so that an artifact has to record these distributions.
        is_plain: whether limits and keys are the default ones, so that the short way of `decode_plain` is open.
    """

    __slots__ = (
        "_registry",
        "_renames",
        "drift",
        "is_plain",
        "is_recording_required",
        "level",
        "rules",
        "trusted",
        "verify",
    )

    def __init__(self, policy: Policy, level: Level, trusted: AllowList, drift: DriftRules) -> None:
        self._registry = policy.registry
        self.drift = drift
        self._renames = policy.renames
        self.level = level
        self.trusted = trusted
        self.verify = None if policy.keys is None else verifier(policy.keys, tuple(policy.signed_by))
        self.rules = tuple(rule for applies, rule in _RULES if applies(policy))
        self.is_recording_required = bool(required_by(policy.packages))
        self.is_plain = policy.keys is None and policy.limits == Limits()

    def with_keys(self, keys: KeyRing, signed_by: tuple[str, ...]) -> "CompiledPolicy":
        """Return a copy that verifies by other keys."""
        copied: CompiledPolicy = object.__new__(CompiledPolicy)
        for name in self.__slots__:
            setattr(copied, name, getattr(self, name))
        copied.verify = verifier(keys, signed_by)
        return copied

    def renamed(self, name: str) -> str:
        """Return the name that `renames` gives to a global, or the same name if it gives none."""
        new = self._renamed(name)
        if new == name and (usual := usual_name(name)) != name:
            new = self._renamed(usual)
            return name if new == usual else new
        return new

    def _renamed(self, name: str) -> str:
        renames = self._renames
        if name in renames:
            return renames[name]
        module, _, qualname = name.partition(":")
        above = module
        while above:
            if above in renames:
                return f"{renames[above]}{module[len(above) :]}:{qualname}"
            above = above.rpartition(".")[0]
        return name

    def places(self, names: Iterable[str], types: Fields) -> dict[str, str | type]:
        """Return where globals are today, for those that are registered or renamed: a class, or another name."""
        found: dict[str, str | type] = {}
        index = index_of(self._registry)
        if index.names:
            for name, was in types.items():
                entry = index.by_name(name)
                if entry is not None:
                    found[was["global"]] = entry.current()
        elif not self._renames:
            return found
        for name in names:
            if name in found:
                continue
            new = self.renamed(name)
            entry = index.by_name(name) or index.by_name(new)
            if entry is not None:
                found[name] = entry.current()
            elif new != name:
                found[name] = new
        return found

    def name_today(self, name: str) -> str:
        """Return what a recorded type is called today: its registered name, or its global if it has none."""
        index = index_of(self._registry)
        entry = index.by_name(name) or index.by_name(self.renamed(name))
        return entry.name if entry is not None else usual_name(self.renamed(name))


compiled: Callable[[Policy], CompiledPolicy] = attrgetter("_compiled")


class Request(NamedTuple):
    """What one call asks of the artifacts that it reads. It goes through all layers in place of its parts.

    Attributes:
        policy, compiled: the policy, and what reading needs of it.
        expect: what the caller expects, or None.
        trusted: what a payload may import: by the policy's `trust`, the call's own, and `expect`.
        takes_batches: whether an artifact may be a batch of records although `expect` is one record's type (spec 9.2).
        now: the time in seconds since 1970 that ages are compared with; None: this machine's clock, at that moment.
    """

    policy: Policy
    compiled: CompiledPolicy
    expect: Expectation | None
    trusted: AllowList
    takes_batches: bool = False
    now: float | None = None

    def trusted_class(self, name: str) -> type | None:
        """Return the class that a recorded global is today, if it is trusted and imported already. Imports nothing."""
        place = self.compiled.places([name], _NO_TYPES).get(name, name)
        if isinstance(place, type):
            return place
        trusted = self.trusted
        if self.compiled.level.is_checked and not is_trusted(place, trusted) and name not in trusted.entries:
            return None
        entry = trusted.entries.get(place)
        found = imported_class(place) if entry is None or entry.value is None else entry.value
        return found if isinstance(found, type) else None


def request_of(
    expect: object = None,
    trust: Trust = (),
    policy: Policy | None = None,
    keys: KeyRing | None = None,
    level: LevelName | None = None,
    context: str | None = None,
    *,
    takes_batches: bool = False,
) -> Request:
    """Make the request of a call from its arguments.

    Raises:
        TypeError, ValueError: an argument is not what it should be, or two contradict each other.
    """
    if keys is not None or level is not None or context is not None:
        policy = policy_with(policy, keys, level, context)
    if policy is None:
        if expect is None and trust == () and not takes_batches:
            return DEFAULT_REQUEST
        policy = DEFAULT_POLICY
    elif type(policy) is not Policy:
        policy = check_is_policy(policy)
    of_policy: CompiledPolicy = policy._compiled
    trusted = of_policy.trusted
    expected = None if expect is None else expectation(expect)
    if expected is not None or trust != ():
        added = build_trust(trust, () if expected is None else expected.trusts)
        if expected is not None:
            added.rules += rules_of(expected.trusts)
        trusted = trusted | added if trusted else added
    return Request(policy, of_policy, expected, trusted, takes_batches)


# --- rules about the header alone -------------------------------------------------------------------------------------

Rule = Callable[[Fields, Request], Iterator[ReadError]]


def _is_mixed(fields: Fields) -> bool:
    """Return whether this is the header of a batch whose records have no type in common (spec 6)."""
    return "records" in fields and fields["type"] == "builtins:object"


def _listed_type(fields: Fields, request: Request) -> Iterator[ReadError]:
    """The type is listed, as it is recorded or as it is called today, and its version is accepted."""
    types, found, version = request.policy.types, fields["type"], fields["version"]
    rule = types.get(found)
    if rule is None:
        rule = types.get(request.compiled.name_today(found))
    if rule is None:
        more = ""
        if _is_mixed(fields):
            more = ", and with it every batch of records of several types, whose types are not in the header"
        hint = Hint(
            f'Policy(types={{"{found}": "*", ...}}) accepts it{more}',
            f'"{found}" = "*" under [types] in the --policy file accepts it{more}',
        )
        yield TypeMismatchError("a type that the policy does not list", ", ".join(sorted(types)), found, hint, "type")
        return
    if not all(_COMPARE[operator](version, number) for operator, number in version_clauses(rule)):
        hint = Hint(
            f'Policy(types={{"{found}": ...}}) says which versions are accepted',
            f'"{found}" under [types] in the --policy file says which versions are accepted',
        )
        yield PolicyError("a version that the policy does not accept", rule, version, hint, "version")


def _age(fields: Fields, request: Request) -> Iterator[ReadError]:
    """The artifact is not older, and not further in the future, than the policy allows."""
    import time
    from datetime import datetime, timezone

    created: str = fields["created"]
    max_age: Any = request.policy.max_age
    max_skew: Any = request.policy.max_skew
    now = datetime.fromtimestamp(time.time() if request.now is None else request.now, timezone.utc)
    age = now - parse_timestamp(created)
    if max_age is not None and age > max_age:
        hint = Hint(
            "write it again, or raise Policy(max_age=...)", "write it again, or raise max_age in the --policy file"
        )
        expected, found = f"at most {duration_text(max_age)} old", f"{duration_text(age)} ({created})"
        yield PolicyError("too old", expected, found, hint, "created")
    if max_skew is not None and -age > max_skew:
        hint = Hint(
            "compare the clocks of writer and reader, or raise Policy(max_skew=...)",
            "compare the clocks of writer and reader, or raise max_skew in the --policy file",
        )
        expected, found = f"at most {duration_text(max_skew)} ahead", f"{duration_text(age)} ({created})"
        yield PolicyError("from the future", expected, found, hint, "created")


def _python(fields: Fields, request: Request) -> Iterator[ReadError]:
    """The artifact was written by a version of Python that the policy accepts."""
    rule: Any = request.policy.python
    found, here = fields["build"].get("python"), sys.version.partition(" ")[0]
    if found is None:
        hint = Hint("Policy(python=None) does not check it", "a --policy file without python does not check it")
        reason = "the version of Python that wrote it is not recorded"
        yield PolicyError(f"{reason}; this is Python {here}", rule, "none", hint, "build.python")
    elif not meets(found.rstrip("+"), rule):  # a build from a repository has a + after its version
        hint = Hint("Policy(python=...) says what is accepted", "python in the --policy file says what is accepted")
        reason = "written by a version of Python that the policy does not accept"
        yield PolicyError(f"{reason}; this is Python {here}", rule, found, hint, "build.python")


def _labels(name: str, to_set: str) -> Rule:
    """Return the rule that `build` or `meta` has every label that the policy asks for."""

    def rule(fields: Fields, request: Request) -> Iterator[ReadError]:
        found, wanted = fields.get(name, _NO_TYPES), getattr(request.policy, name)
        for key, value in wanted.items():
            where = f"{name}.{key}"
            if key not in found:
                expected = "any value" if value == ANY else value
                hint = Hint(f"the writer sets it with {to_set}", f"the program that writes it sets {name}")
                yield PolicyError("a label that the policy asks for is missing", expected, None, hint, where)
            elif value != ANY and found[key] != value:
                said = Hint(
                    f"Policy({name}={{...}}) says what is accepted",
                    f"[{name}] in the --policy file says what is accepted",
                )
                yield PolicyError("a label has another value", value, found[key], said, where)

    return rule


def _accepted_codecs(fields: Fields, request: Request) -> Iterator[ReadError]:
    """Every compressed section has a codec that the policy accepts."""
    codecs = request.policy.codecs
    for index, entry in enumerate(fields["sections"]):
        if "codec" in entry and entry["codec"] not in codecs:
            expected = ", ".join(codecs) or "none"
            hint = Hint(
                "Policy(codecs=...) says which are accepted", "codecs in the --policy file says which are accepted"
            )
            where = f"sections[{index}].codec"
            yield PolicyError("a codec that the policy does not accept", expected, entry["codec"], hint, where)


# In the order of step 15; protocol and expected type come before them. A policy has a rule if the condition holds.
_RULES: tuple[tuple[Callable[[Policy], bool], Rule], ...] = (
    (lambda policy: bool(policy.types), _listed_type),
    (lambda policy: policy.max_age is not None or policy.max_skew is not None, _age),
    (lambda policy: policy.python is not None, _python),
    (lambda policy: bool(policy.build), _labels("build", "PackOptions(build=...)")),
    (lambda policy: bool(policy.meta), _labels("meta", "pack(..., meta=...)")),
    (lambda policy: policy.codecs != CODECS, _accepted_codecs),
)
_NO_TYPES: dict[str, Any] = {}


# --- step 15 ----------------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """One thing that step 15 finds: a refusal, or something to warn of."""

    error: ReadError | Warning
    subject: str
    """What it is about: a global, the recorded name of a class, or a member of the header."""
    cls: type | None = None
    """The class that a recorded class is today, for findings about its schema."""


_NO_NAMES = Resolved()
_NO_PLANS: "Mapping[int, Plan]" = MappingProxyType({})


class Decision:
    """What step 15 hands on to step 20. The defaults are those of a header without globals."""

    resolved: Resolved = _NO_NAMES
    """What each global is here."""
    rebuilt: Mapping[tuple[str, str], type] = _NO_NAMES
    """Recorded classes that the payload does not import, because a function finds them, by their global."""
    plans: "Mapping[int, Plan]" = _NO_PLANS
    """How objects of classes are restored that changed, or that are validated, by the id of the class."""
    warnings: Sequence[Warning] = ()
    """What to warn of once the object is there."""


class Imports(Protocol):
    """How the names in a header become objects."""

    one_by_one: bool
    """Whether names and classes are looked at one by one, so that all findings are listed and not only the first."""

    def check(self, names: list[str], places: Mapping[str, str | type], request: Request) -> None:
        """Refuse names that are not trusted, where packages are compared before anything is imported.

        Raises:
            UntrustedGlobalError: a name is refused.
        """

    def resolve(self, names: list[str], places: Mapping[str, str | type], request: Request) -> Resolved | None:
        """Return what the names are here, or None if nothing is imported. `places` says where some of them are today.

        Raises:
            UntrustedGlobalError, ClassMissingError, PolicyError: a name is refused, or nothing has it.
        """


class TrustedImports:
    """For readers. Imports the names that are trusted; at the levels without an allow-list, all names."""

    one_by_one = False

    def check(self, names: list[str], places: Mapping[str, str | type], request: Request) -> None:
        if request.compiled.level.is_checked:
            check_trusted(names, request.trusted, places)

    def resolve(self, names: list[str], places: Mapping[str, str | type], request: Request) -> Resolved:
        resolve = resolve_globals if request.compiled.level.is_checked else resolve_all
        return resolve(names, request.trusted, places)


class NoImports:
    """For `verify`. Imports nothing. Names are compared with the list of trusted names, if there is one.

    `left_out` says which findings this can't give.
    """

    one_by_one = False

    def check(self, names: list[str], places: Mapping[str, str | type], request: Request) -> None:
        if request.trusted and request.compiled.level.is_checked:
            check_decided(names, request.trusted, places)

    def resolve(self, names: list[str], places: Mapping[str, str | type], request: Request) -> None:
        self.check(names, places, request)

    def left_out(self, fields: Fields, request: Request) -> tuple[str, ...]:
        """Return the codes of step 15 that a reader may find in this header and that need imports, or a list."""
        errors: list[type[ReadError]] = []
        if fields["globals"]:
            trusted = request.trusted
            if request.compiled.level.is_checked and (not trusted or any(map(trusted.is_open, fields["globals"]))):
                errors.append(UntrustedGlobalError)
            errors.append(ClassMissingError)
        # A class without an entry in `types` may be registered here, or be refused by drift="strict".
        has_classes = "types" in fields or not all(map(is_listed, fields["globals"]))
        if has_classes and not request.compiled.drift.ignores_all:
            errors += [SchemaVersionError, SchemaDriftError]
        return tuple(error.code for error in errors)


def evaluate(fields: Fields, request: Request, imports: Imports, decision: Decision) -> Iterable[Finding]:
    """Step 15 of the reader algorithm: return what it finds, in the order of the spec, and fill in the decision.

    Names are resolved while the findings are iterated over: whoever stops at the first refusal has imported nothing
    for a later one.
    """
    found: Iterable[Finding] = evaluate_header(fields, request)
    has_classes = fields["globals"] or "types" in fields
    if has_classes or "packages" in fields or request.compiled.is_recording_required:
        of_classes = evaluate_classes(fields, request, imports, decision)
        found = chain(found, of_classes) if found else of_classes
    if request.expect is not None and not request.takes_batches and "records" in fields:
        count = f"a batch of {fields['records']} records"
        hint = Hint("iter_load() reads streams", "--as stream reads streams")
        error = TypeMismatchError("not a single object", None, count, hint, "records")
        found = chain(found, [Finding(error, "records")])
    return found


def evaluate_header(fields: Fields, request: Request) -> Sequence[Finding]:
    """Return the findings of step 15 that are about the header alone."""
    policy, protocol = request.policy, fields["pickle"]["protocol"]
    errors: list[ReadError] = []
    if protocol not in policy.protocols:
        accepted = sorted({*policy.protocols, protocol})
        hint = Hint(
            f"Policy(protocols={tuple(accepted)}) accepts it", f"protocols = {accepted} in a --policy file accepts it"
        )
        where = "pickle.protocol"
        errors.append(PolicyError("pickle protocol is not accepted", policy.protocols, protocol, hint, where))
    expect = request.expect
    if expect is not None and not expect.is_named(fields["type"], policy.registry):
        name_today = request.compiled.name_today
        unexpected = expect.mismatch(fields, policy.registry, name_today, request.trusted_class)
        if unexpected is not None:
            errors.append(unexpected)
    for rule in request.compiled.rules:
        errors += rule(fields, request)
    return [Finding(error, error.where or error.code) for error in errors] if errors else ()


def evaluate_classes(fields: Fields, request: Request, imports: Imports, decision: Decision) -> Iterator[Finding]:
    """Give the findings of step 15 that depend on the code that is here: names, packages, schemas."""
    names, types, policy = fields["globals"], fields.get("types", _NO_TYPES), request.policy
    is_renamed = policy.renames or index_of(policy.registry).names
    places = request.compiled.places(names, types) if is_renamed else {}
    resolved: Resolved | None = Resolved()
    groups: list[list[str]] = [[name] for name in names] if imports.one_by_one else [names]
    if "packages" in fields or request.compiled.is_recording_required:
        trusted = []
        for group in groups:
            try:
                imports.check(group, places, request)
            except UntrustedGlobalError as exc:
                yield Finding(exc, group[0] if imports.one_by_one else "globals")
            else:
                trusted.append(group)
        groups = trusted
        yield from _packages(fields.get("packages", _NO_TYPES), names, policy, decision)
    for group in groups:
        try:
            found = imports.resolve(group, places, request)
        except (UntrustedGlobalError, ClassMissingError, PolicyError) as exc:
            yield Finding(exc, group[0] if imports.one_by_one else "globals")
        else:
            resolved = None if found is None or resolved is None else resolved.merged(found) if resolved else found
    if resolved is None:
        return
    decision.resolved = resolved
    decision.rebuilt = _rebuilt_classes(types, names, places, request)
    classes = {**resolved, **decision.rebuilt} if decision.rebuilt else resolved
    drift = request.compiled.drift
    index = index_of(policy.registry)  # as it is now: modules that were imported may have registered classes
    if not classes or index.is_unchanged(types, classes, drift):
        return
    before = len(decision.warnings)
    yield from _schemas(types, index, drift, imports.one_by_one, decision)
    is_unchanged = not decision.plans and len(decision.warnings) == before
    if is_unchanged and not imports.one_by_one and len(repr(types)) <= _SMALL:
        index.note_unchanged(types, classes, drift)


def _rebuilt_classes(
    types: Fields, names: list[str], places: Mapping[str, str | type], request: Request
) -> dict[tuple[str, str], type]:
    """Return the recorded classes that are not among the globals, if they are imported already (spec 6.3)."""
    found: dict[tuple[str, str], type] = {}
    declared = frozenset(names) if types else frozenset()
    for was in types.values():
        name = was["global"]
        if name in declared:
            continue
        place = places.get(name) or request.compiled.renamed(name)
        cls = place if isinstance(place, type) else imported_class(place)
        if cls is not None:
            module, _, qualname = name.partition(":")
            found[module, qualname] = cls
    return found


_SMALL = 8192  # characters of schemas that may be kept


def _packages(packages: Mapping[str, str], names: list[str], policy: Policy, decision: Decision) -> Iterator[Finding]:
    """Compare the recorded versions of distributions with the policy's rules and with what is installed."""
    warnings: list[Warning] = []
    for found, name in package_findings(packages, policy.packages, names):
        if isinstance(found, Warning):
            warnings.append(found)
        yield Finding(found, f"packages.{name}")
    if warnings:
        decision.warnings = [*decision.warnings, *warnings]


def _schemas(
    types: Fields, index: RegistryIndex, drift: DriftRules, one_by_one: bool, decision: Decision
) -> Iterator[Finding]:
    """Compare the recorded classes with those that are here: all at once, and before that one by one if asked to."""
    from ._schema.plans import make_plans

    found_here = {**decision.resolved, **decision.rebuilt}
    classes = {f"{module}:{qualname}": value for (module, qualname), value in found_here.items()}
    warnings: list[Warning] = []
    is_refused = False
    if one_by_one:
        recorded = {was["global"] for was in types.values()}
        each = [(name, {name: was}, was["global"]) for name, was in types.items()]
        each += [(name, {}, name) for name in classes if name not in recorded]
        for name, was, place in each:
            cls = classes.get(place)
            found: list[Warning] = []
            if place not in classes or not (was or isinstance(cls, type)):
                continue
            today = cls if isinstance(cls, type) else None
            try:
                make_plans(was, {place: cls}, index, drift, found)
            except (SchemaDriftError, SchemaVersionError) as exc:
                is_refused = True
                yield Finding(exc, name, today)
            for warning in found:
                yield Finding(warning, name, today)
    try:
        decision.plans = make_plans(types, classes, index, drift, warnings)
        decision.warnings = [*decision.warnings, *warnings]
    except (SchemaDriftError, SchemaVersionError) as exc:
        if not is_refused:  # when each by itself is accepted: two recorded classes are one today
            yield Finding(exc, "types")


# --- what a refusal says about classes --------------------------------------------------------------------------------


def origin(fields: Fields) -> str:
    """Say when and by which application an artifact was written, as its header has it."""
    build = fields["build"]
    made = " ".join(build[key] for key in ("app", "commit") if key in build)
    return f"created {fields['created']}" + (f" by {made}" if made else "")


def advice(error: ReadError, fields: Fields, registry: Registry) -> str | None:
    """Return the hint of a refusal that is about classes, with what the header and the registry know about them."""
    hints = list[str]()
    # Registered names have no colon; `type` alone may be any label.
    index = index_of(registry)
    unknown = [name for name in fields.get("types", ()) if ":" not in name and not index.by_name(name)]
    if unknown and not isinstance(error, TypeMismatchError):
        names = ", ".join(unknown)
        hints.append(
            Hint(
                f"import the module that registers {names}, or give its registry in Policy(registry=...)",
                f"--import MODULE imports the module that registers {names}",
                f"import the module that registers {names}",
            )
        )
    if isinstance(error, ClassMissingError) and error.hint is None:
        hints.append(_hint_for_missing(str(error.found), registry))
    if error.hint is not None:
        hints.append(error.hint)
    if isinstance(error, UntrustedGlobalError):
        hints += preset_hints(error)
    if isinstance(error, SchemaDriftError):
        hints.append(f"if newer code wrote it ({origin(fields)}), deploy that code")
    return join_hints("; else " if unknown else "; ", hints)


def preset_hints(error: UntrustedGlobalError) -> list[Hint]:
    """Return a hint for each preset that has some of the names that are not trusted."""
    if any(map(is_dangerous, error.missing)):
        return []
    from ._trust.learning import presets_for

    return [
        Hint(
            f'pickleseal.trust.preset("{name}") in trust=[...] allows {_count(covered, error.missing)}',
            f'{{preset = "{name}"}} in trust = [...] of the --policy file allows {_count(covered, error.missing)}',
        )
        for name, covered in presets_for(error.missing).items()
    ]


def _count(covered: Collection[str], missing: Collection[str]) -> str:
    return f"{len(covered)} of them" if len(covered) < len(missing) else "it" if len(missing) == 1 else "all of them"


def _hint_for_missing(name: str, registry: Registry) -> str:
    module = name.partition(":")[0]
    moved = f'if it moved, register it with formerly=["{name}"], or give '
    texts = [
        f'{moved}Policy(renames={{"{module}": "its.module.today"}})',
        f'{moved}"{module}" = "its.module.today" under [renames] in a --policy file',
    ]
    more = ""
    same = index_of(registry).with_class_name(name.rpartition(":")[2].rpartition(".")[2])
    if same:
        more = f"; a class of that name is registered as {', '.join(same)}"
    return Hint(*(f"{text}{more}; else install or import the module that defines it" for text in texts))


DEFAULT_POLICY = Policy()
DEFAULT_REQUEST = Request(DEFAULT_POLICY, compiled(DEFAULT_POLICY), None, AllowList())
