"""What a policy says about the distributions of an artifact, and how their versions differ from what is installed.

A rule is a word, which compares the recorded version with the installed one, or a PEP 440 specifier that the recorded
version has to meet. `packaging` is imported only where there is a specifier. Spec section 18 has the rules.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..errors import (
    Hint,
    MissingExtraError,
    PackageDifference,
    PackageVersionError,
    PackageWarning,
    frames_up,
    printable,
)
from .distributions import distribution_like, distribution_meant, installed_instead, normal

ALL = "*"
WORDS = ("ignore", "warn", "refuse", "exact", "minor", "major")
# Their minor releases change what is stored.
_COMPARED_BY_MINOR = frozenset({"lightgbm", "pandas", "scikit-learn", "scipy", "statsmodels", "torch", "xgboost"})
_MOST_COMPARED = 1000  # recorded distributions: a header may name any number


class StateChange(NamedTuple):
    """A release from which on objects of some classes have another state."""

    since: str
    names: frozenset[str]
    """The globals of these classes."""
    older: str = ""
    """What happens to an older object in this release or a later one; empty: it loads right."""
    newer: str = ""
    """What happens to a newer object in a release before this one; empty: it loads right."""


_UNREADABLE, _UNUSABLE, _WRONG = "can't be loaded", "loads, and can't be used", "loads, and predicts something else"
_GRADIENT = "sklearn.ensemble._gb"
_LOGISTIC = frozenset({f"sklearn.linear_model._logistic:LogisticRegression{more}" for more in ("", "CV")})
_RIDGE = frozenset({f"sklearn.linear_model._ridge:RidgeClassifier{more}" for more in ("", "CV")})
_HISTOGRAM = "sklearn.ensemble._hist_gradient_boosting.gradient_boosting"
# Only what was seen between real releases, and only where loading seems to work, or always fails.
STATE_CHANGES: Mapping[str, tuple[StateChange, ...]] = MappingProxyType(
    {
        "polars": (
            StateChange("1.20", frozenset({"polars.dataframe.frame:DataFrame"}), _UNREADABLE, "loads as garbage"),
        ),
        "scikit-learn": (
            StateChange("1.3", frozenset({"sklearn.tree._tree:Tree"}), _UNREADABLE, _UNREADABLE),
            StateChange(
                "1.3",
                frozenset({f"{_HISTOGRAM}:HistGradientBoosting{kind}" for kind in ("Classifier", "Regressor")}),
                _UNUSABLE,
                _UNUSABLE,
            ),
            StateChange("1.3", frozenset({"sklearn.preprocessing._encoders:OrdinalEncoder"}), _UNUSABLE),
            StateChange(
                "1.4",
                frozenset({f"sklearn.tree._classes:{kind}TreeClassifier" for kind in ("Decision", "Extra")}),
                "loads, and can't be used or predicts something else",
            ),
            StateChange(
                "1.4",
                frozenset({f"{_GRADIENT}:GradientBoosting{kind}" for kind in ("Classifier", "Regressor")}),
                _UNREADABLE,
                _UNUSABLE,
            ),
            StateChange(
                "1.5",
                frozenset(
                    {f"sklearn.cross_decomposition._pls:{name}" for name in ("CCA", "PLSCanonical", "PLSRegression")}
                ),
                _WRONG,
                _WRONG,
            ),
            StateChange(
                "1.5",
                frozenset({"sklearn.feature_extraction.text:TfidfTransformer"}),
                "loads, and transforms to something else",
                _UNUSABLE,
            ),
            StateChange("1.5", _LOGISTIC, newer="loads, and gives other probabilities"),
            StateChange("1.6", frozenset({"sklearn.ensemble._weight_boosting:AdaBoostClassifier"}), _WRONG),
            StateChange("1.6", frozenset({"sklearn.neighbors._nearest_centroid:NearestCentroid"}), _UNUSABLE),
            StateChange("1.6", _RIDGE, newer=_UNUSABLE),
            StateChange("1.8", _RIDGE, _UNUSABLE),
            StateChange(
                "1.8",
                frozenset(
                    {
                        "sklearn.impute._base:SimpleImputer",
                        "sklearn.preprocessing._data:MaxAbsScaler",
                        "sklearn.preprocessing._polynomial:SplineTransformer",
                    }
                ),
                _UNUSABLE,
            ),
        ),
        "scipy": (
            StateChange("1.12", frozenset({"scipy.sparse._dok:dok_array", "scipy.sparse._dok:dok_matrix"}), _UNUSABLE),
            StateChange("1.13", frozenset({"scipy.sparse._coo:coo_array"}), _UNUSABLE, _UNUSABLE),
            StateChange("1.13", frozenset({"scipy.sparse._coo:coo_matrix"}), newer=_UNUSABLE),
        ),
    }
)


# --- the rules of a policy --------------------------------------------------------------------------------------------


def check_rules(rules: Mapping[str, str]) -> dict[str, str]:
    """Check a policy's rules for packages: a word or a PEP 440 specifier for each distribution, `*` for all others.

    Warns with `PackageWarning` if a name is nearly that of an installed distribution, and not installed itself.

    Raises:
        TypeError, ValueError: a rule is neither, or a name is that of a module and of no distribution.
        MissingExtraError: a rule is a specifier, and `packaging` is not installed.
    """
    if not isinstance(rules, Mapping):
        raise TypeError(f"packages: expected a mapping from distributions to rules, found {type(rules).__name__}")
    for name, rule in rules.items():
        if not isinstance(name, str) or not isinstance(rule, str):
            raise TypeError(f"packages: expected strings, found {name!r}: {rule!r}")
        if rule not in WORDS:
            check_specifier("packages", rule, f"one of {', '.join(WORDS)}, or a PEP 440 specifier")
        if name != ALL:
            _check_name(name)
    return {normal(name): rule for name, rule in rules.items()}


def _check_name(name: str) -> None:
    if name == "python":
        raise ValueError("packages: expected a distribution, found 'python', which has a field of its own")
    meant = distribution_meant(name)
    if meant is not None:
        raise ValueError(f"packages: expected a distribution, found the module {name!r}; did you mean {meant!r}?")
    like = distribution_like(name)
    if like is not None:
        import warnings

        text = f"packages: no distribution {printable(name, 120)} is installed; did you mean {like}?"
        warnings.warn(text, PackageWarning, stacklevel=frames_up())


def required_by(rules: Mapping[str, str]) -> dict[str, str]:
    """Return the specifiers of rules that name a distribution: an artifact has to record it."""
    return {name: rule for name, rule in rules.items() if rule not in WORDS and name != ALL}


def check_specifier(what: str, rule: str, expected: str = "a PEP 440 specifier") -> None:
    """Check that a text is a PEP 440 specifier.

    Raises:
        ValueError: it is none.
        MissingExtraError: `packaging` is not installed.
    """
    try:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ImportError as exc:
        raise MissingExtraError(
            "a version specifier needs packaging", hint="pip install 'pickleseal[packaging]'"
        ) from exc
    try:
        SpecifierSet(rule)
    except InvalidSpecifier:
        raise ValueError(f"{what}: expected {expected}, found {rule!r}") from None


def meets(version: str, specifier: str) -> bool:
    """Return whether a version meets a specifier that was checked. What is no PEP 440 version meets none."""
    from packaging.specifiers import SpecifierSet

    try:
        return bool(SpecifierSet(specifier).contains(version, prereleases=True))
    except ValueError:  # packaging's InvalidVersion
        return False


# --- artifacts --------------------------------------------------------------------------------------------------------


def differences(written: Mapping[str, str]) -> tuple[PackageDifference, ...]:
    """Return the recorded distributions that are installed in another version, or not at all."""
    found = []
    for name, version in list(written.items())[:_MOST_COMPARED]:
        instead, now = installed_instead(name)
        if now != version:
            found.append(PackageDifference(name, version, now, instead))
    return tuple(found)


def package_findings(
    written: Mapping[str, str], rules: Mapping[str, str], names: Collection[str] = ()
) -> Iterator[tuple[PackageVersionError | PackageWarning, str]]:
    """Compare recorded versions with a policy's rules and with what is installed. `names` are the header's globals.

    Yields:
        What refuses the artifact, or what to warn of, and the name of the distribution.
    """
    for name, version in written.items():
        rule = rules.get(normal(name), rules.get(ALL))
        finding = _refused_by_range(name, version, rule) if _is_range(rule) else _compared(name, version, rule, names)
        if finding is not None:
            yield finding, name
    recorded = set(map(normal, written))
    for name, rule in required_by(rules).items():
        if name not in recorded:
            yield _not_recorded(name, rule), name


def _is_range(rule: str | None) -> bool:
    return rule is not None and rule not in WORDS


def _refused_by_range(name: str, version: str, rule: str | None) -> PackageVersionError | None:
    if rule is None or meets(version, rule):
        return None
    reason = f"written with a version of {printable(name, 120)} that the policy refuses; {_installed_text(name)}"
    hint = "write it again with a version that the policy accepts, or change the rule of the policy"
    return PackageVersionError(reason, rule, version, hint, f"packages.{name}")


def _not_recorded(name: str, rule: str) -> PackageVersionError:
    reason = f"the header records no version of {name}; {_installed_text(name)}"
    word = 'a word such as "minor" instead of the range accepts artifacts that do not record it'
    hint = Hint(
        f'the writer records it with PackOptions(packages=["{name}"]); {word}',
        f"the program that writes it can record {name}; {word}",
    )
    return PackageVersionError(reason, rule, "none", hint, f"packages.{name}")


def _compared(
    name: str, version: str, rule: str | None, names: Collection[str]
) -> PackageVersionError | PackageWarning | None:
    """Apply a word, or the default, to a recorded distribution. The default warns, and refuses a change of state."""
    if rule == "ignore":
        return None
    instead, now = installed_instead(name)
    difference = PackageDifference(name, version, now, instead)
    change = None if now is None or rule is not None else _state_change(name, version, now, names)
    if change is not None:
        since, effect = change
        reason = f"{name} stores another state of some classes since {since}; what was written {effect}"
        return _refusal(difference, reason, f"write it again with {instead} {now}")
    if now == version or (now is not None and _part(name, version, rule) == _part(name, now, rule)):
        return None
    if rule in (None, "warn"):
        return PackageWarning(str(difference))
    part = {"exact": "", "minor": "minor ", "major": "major "}.get(rule or "", "")
    reason = f"written with another {part}version of {printable(name, 120)} than is installed"
    return _refusal(difference, reason, f"install {printable(name)} {printable(version)}, or write the artifact again")


def _refusal(difference: PackageDifference, reason: str, text: str) -> PackageVersionError:
    name = difference.name
    hint = Hint(
        f'{text}; Policy(packages={{"{name}": "warn"}}) reads it all the same',
        f'{text}; "{name}" = "warn" under [packages] in a --policy file reads it all the same',
    )
    found = difference.installed or "none"
    return PackageVersionError(reason, difference.written, found, hint, f"packages.{name}")


def _installed_text(name: str) -> str:
    instead, now = installed_instead(name)
    if now is None:
        return "it is not installed"
    return f"{now} is installed" if instead == name else f"{instead} {now} is installed"


def _state_change(name: str, written: str, installed: str, names: Collection[str]) -> tuple[str, str] | None:
    """Return the release that changed the state of one of these classes, and what happens to its objects."""
    then, now = _release(written), _release(installed)
    for change in STATE_CHANGES.get(normal(name), ()):
        since = _release(change.since)
        if (then < since) != (now < since) and not change.names.isdisjoint(names):
            effect = change.older if then < since else change.newer
            if effect:
                return change.since, effect
    return None


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, without zeros at the end: 1 and 1.0 are one release."""
    match = re.match(r"\s*v?(?:\d{1,9}!)?((?:\d{1,9}\.)*\d{1,9})", version)
    numbers = list(map(int, match[1].split("."))) if match is not None else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _part(name: str, version: str, rule: str | None) -> tuple[str, ...]:
    """Return the part of a version that a rule compares."""
    match = re.match(r"\s*v?(?:\d+!)?0*(\d+)(?:\.0*(\d+))?", version)
    if match is None or rule == "exact":
        return (version,)
    major, minor = match[1], match[2] or "0"
    if rule == "major":
        return (major,)
    if rule == "minor" or major == "0" or normal(name) in _COMPARED_BY_MINOR:
        return major, minor
    return (major,)
