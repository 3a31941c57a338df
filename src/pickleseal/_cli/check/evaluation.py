"""All problems that would keep an artifact from loading, from its header alone: the whole of step 15 (spec section 11).

`evaluate_header` and `evaluate_classes` of `_policy` find them; this module says how names are looked up, and what to
do about each finding. It unpickles nothing, and imports only what `Code` permits.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..._format.canonical import encode
from ..._format.header import Header, fields_of
from ..._policy import Decision, Policy, Request, evaluate_classes, evaluate_header, request_of
from ..._reading import check_codecs
from ..._schema.drift import REFUSED, RESOLVE, WARNED, Change
from ..._schema.registry import RegistryIndex, index_of
from ..._trust.allow_list import (
    AllowList,
    Resolved,
    build_trust,
    check_decided,
    is_dangerous,
    is_listed,
    resolve_all,
    resolve_globals,
)
from ..._trust.safe_functions import SAFE_FUNCTIONS
from ...errors import (
    ClassMissingError,
    ReadError,
    SchemaDriftError,
    SchemaVersionError,
    SchemaWarning,
    UnsupportedCodecError,
    UntrustedGlobalError,
    printable,
)
from ..output import help_in_words
from .code import Code, source_of
from .fixes import Fix, fixes_for_drift, fixes_for_moved, fixes_for_versions, fixes_for_warned

BREAKS, WARNS = "breaks", "warns"
_MOST = 4096  # answers that are kept


class Problem(NamedTuple):
    """What keeps artifacts from loading, or makes them load with a warning."""

    level: str
    code: str  # of the error, as everywhere
    subject: str  # the class as the header calls it, the global, the distribution, or a member of the header
    version: int | None  # of the class, as recorded
    changes: tuple[str, ...]  # one clause each
    fixes: tuple[Fix, ...]
    source: str | None = None  # of the class today, as `path:line`


class CodeImports:
    """How the names in a header become objects here: by importing what `Code` permits, each name by itself.

    If `trusts_all` is true, every class and function that is there counts as trusted, if a reader could trust it.
    """

    one_by_one = True

    def __init__(self, code: Code, trusts_all: bool) -> None:
        self._code = code
        self._trusts_all = trusts_all

    def check(self, names: list[str], places: Mapping[str, str | type], request: Request) -> None:
        if request.compiled.level.is_checked and not self._trusts_all:
            check_decided(names, request.trusted, places)

    def resolve(self, names: list[str], places: Mapping[str, str | type], request: Request) -> Resolved:
        trusted, is_checked = request.trusted, request.compiled.level.is_checked
        for name in names:
            place = places.get(name, name)
            is_own = type(place) is not str or place in SAFE_FUNCTIONS or is_listed(place)
            is_needed = self._trusts_all or not is_checked or (type(place) is str and trusted.is_open(place))
            if type(place) is str and not is_own and is_needed:
                problem = self._code.problem_of(place)
                if problem is not None:
                    raise ClassMissingError(problem, None, place, None, "globals")
                if is_checked and self._trusts_all:
                    trusted = trusted | _trust(place)
        resolve = resolve_globals if is_checked else resolve_all
        return resolve(names, trusted, places)


def _trust(place: str) -> AllowList:
    """Return the trust in a name.

    Raises:
        UntrustedGlobalError: no reader can trust it.
    """
    try:
        return build_trust([place])
    except (TypeError, ValueError):
        hint = 'below level "signed" no reader provides it, even if it is trusted; find out why it was written'
        raise UntrustedGlobalError("it can run any code", None, (place,), hint, "globals") from None


class Evaluator:
    """Finds the problems of headers under a policy, with the code as it is.

    Findings about classes, globals and packages follow from those members of the header, so they are kept: a stream
    of a million records has a few different headers.
    """

    def __init__(self, policy: Policy, code: Code, trusts_all: bool) -> None:
        self._request = request_of(policy=policy)
        self._registry = policy.registry
        self._code = code
        self._imports = CodeImports(code, trusts_all)
        self._kept: dict[bytes, tuple[Problem, ...]] = {}

    @property
    def _index(self) -> RegistryIndex:
        """Return what is registered now, as an import during the comparison may register more."""
        return index_of(self._registry)

    def problems(self, header: Header) -> tuple[Problem, ...]:
        """Return all problems of an artifact; none if it would load."""
        fields = fields_of(header)
        own = [_problem(error, subject) for error, subject, _ in evaluate_header(fields, self._request)]
        try:
            check_codecs(header)
        except UnsupportedCodecError as exc:
            own.append(_problem(exc, exc.where or exc.code))
        key = encode({name: fields.get(name) for name in ("globals", "packages", "types")})
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= _MOST:
                self._kept.clear()
            found = self._kept[key] = tuple(self._of_classes(fields))
        return (*own, *found) if own else found

    def _of_classes(self, fields: Mapping[str, Any]) -> list[Problem]:
        types, problems = fields.get("types", {}), list[Problem]()
        recorded = {was["global"]: (name, was["version"]) for name, was in types.items()}
        changed: dict[str, tuple[type, list[Change]]] = {}
        for finding in evaluate_classes(fields, self._request, self._imports, Decision()):
            error, subject, cls = finding
            if cls is None and subject in fields["globals"]:
                problems.append(self._not_found(error, subject, *recorded.get(subject, (subject, None)), types))
            elif cls is None:
                problems.append(_problem(error, subject))
            elif isinstance(error, SchemaVersionError):
                problems.append(self._version(error, subject, types.get(subject), cls))
            elif isinstance(error, SchemaDriftError):
                changed.setdefault(subject, (cls, []))[1].extend(error.changes)
            elif isinstance(error, SchemaWarning) and error.change is not None:
                changed.setdefault(subject, (cls, []))[1].append(error.change)
        for name, (cls, changes) in changed.items():
            problems += self._drift(name, types.get(name), cls, changes)
        return problems

    def _not_found(self, error: Any, name: str, subject: str, version: int | None, types: Mapping[str, Any]) -> Problem:
        text = error.reason
        if isinstance(error, UntrustedGlobalError):
            text = "it can run any code" if is_dangerous(name) else "it is not trusted"
            fixes = _fixes(error)
        elif isinstance(error, ClassMissingError) and isinstance(error.found, str):
            fixes = self._fixes_for_missing(error.found)
            if self._code.is_unknown(error.found):
                text = "--import does not name its module, so it was not imported"
        else:
            text, fixes = f"{name}: {error.reason}", _fixes(error)
        unknown = ":" not in subject and not self._index.by_name(subject)
        if unknown and subject in types:
            fixes = (Fix("", f"import the module that registers {printable(subject)}"), *fixes)
        return Problem(BREAKS, error.code, subject, version, (text,), fixes)

    def _fixes_for_missing(self, name: str) -> tuple[Fix, ...]:
        module, _, qualname = name.partition(":")
        if self._code.is_unknown(name):
            return (Fix("", f"--import {printable(module.partition('.')[0])}"),)
        same = self._code.classes_called(qualname)
        today = same[0] if len(same) == 1 else None
        return fixes_for_moved(name, today, None if today is None else self._index.by_class(today))

    def _drift(self, name: str, was: Any, cls: type, changes: list[Change]) -> list[Problem]:
        entry, version = self._index.by_class(cls), was["version"] if was else None
        is_strict = self._request.compiled.drift.of(cls) == "strict"
        refused = [change for change in changes if is_strict or change.level == REFUSED]
        warned = [change for change in changes if not is_strict and change.level == WARNED]
        problems = []
        if refused:
            fixes = fixes_for_drift(cls, entry, was or {}, refused)
            if is_strict and all(change.level != REFUSED for change in refused):
                fixes = (Fix("", RESOLVE.commands[0]),)
            texts = tuple(change.text for change in refused)
            problems.append(Problem(BREAKS, "schema-drift", name, version, texts, fixes, source_of(cls)))
        if warned:
            fixes = fixes_for_warned(cls, entry, warned)
            texts = tuple(change.text for change in warned)
            problems.append(Problem(WARNS, "schema-drift", name, version, texts, fixes, source_of(cls)))
        return problems

    def _version(self, error: SchemaVersionError, name: str, was: Any, cls: type) -> Problem:
        entry, recorded = self._index.by_class(cls), was["version"] if was else 0
        text = f"it was at version {recorded} and is at version {entry.version if entry else 0}: {error.reason}"
        fixes: tuple[Fix, ...] = _fixes(error)
        chain = self._index.steps
        if entry is not None and recorded < entry.version and chain(entry.name, recorded, entry.version) is None:
            fixes = fixes_for_versions(cls, entry, recorded, was)
        return Problem(BREAKS, error.code, name, recorded, (text,), fixes, source_of(cls))


def _fixes(error: ReadError) -> tuple[Fix, ...]:
    """Return the help of a refusal as a fix, in words of the command line."""
    hint = help_in_words(error.hint, ("--import", "--policy", "--trust"))
    return (Fix("", printable(hint, 1000)),) if hint else ()


def _problem(error: ReadError | Warning, subject: str) -> Problem:
    """Return a finding as a problem, without what differs between artifacts, so that equal ones can be counted."""
    if not isinstance(error, ReadError):
        return Problem(WARNS, "package-version", subject, None, (str(error),), ())
    text = error.reason
    sides = []
    if error.expected is not None:
        sides.append(f"expected {printable(error.expected)}")
    if error.found is not None and not isinstance(error.found, tuple) and subject != "created":
        sides.append(f"found {printable(error.found)}")
    if sides:
        text = f"{text}: {', '.join(sides)}"
    return Problem(BREAKS, error.code, subject, None, (text,), _fixes(error))
