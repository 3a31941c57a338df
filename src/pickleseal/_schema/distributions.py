"""Pins: which distributions a payload's globals reach, in which version, then and now (spec 6, packages).

A distribution is looked up by the name of the top-level module, or by a name from a short table. The environment is
not scanned for the owner of a module: that takes longer than most artifacts do. What is found is kept.
"""

import functools
import re
from collections.abc import Iterable, Mapping

from .._format.header import is_name
from ..errors import MissingExtraError, PackageVersionError, PackageWarning, printable
from .names import global_name, is_standard

__all__ = ["check_packages", "check_rules", "packages_of", "pins_of_bases"]

ACTIONS = ("ignore", "warn", "refuse")
# Distributions that are not called as their module is.
_DISTRIBUTIONS = {
    "PIL": "pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "mpl_toolkits": "matplotlib",
    "msgpack": "msgpack",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "PyYAML",
}
# Our rebuild functions load under every numpy (spec 8.1), and our own version stands in `build`.
_OWN = frozenset({"__main__", "pickleseal"})

_versions: dict[str, str | None] = {}
_MOST = 4096


def packages_of(names: Iterable[str]) -> dict[str, str]:
    """Return the distributions, with versions, in which the modules of some globals lie.

    Distributions that are not installed, or are called otherwise than their module, are left out.
    """
    found = {}
    for name in names:
        pin = _pin_of(name)
        if pin is not None:
            found[pin[0]] = pin[1]
    return found


def pins_of_bases(cls: type) -> dict[str, str]:
    """Return the distributions, with versions, in which the bases of a class lie."""
    return packages_of(map(global_name, type.__getattribute__(cls, "__mro__")[1:-1]))


@functools.lru_cache(4096)
def _pin_of(name: str) -> tuple[str, str] | None:
    top = name.partition(":")[0].partition(".")[0]
    if top in _OWN or is_standard(top):
        return None
    distribution = _DISTRIBUTIONS.get(top, top)
    version = installed_version(distribution)
    return None if version is None else (distribution, version)


def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None. Looked up once."""
    try:
        return _versions[distribution]
    except KeyError:
        pass
    from importlib.metadata import PackageNotFoundError, version

    try:
        found: str | None = version(distribution)
        if not isinstance(found, str) or not is_name(found) or len(found.encode()) > 255:
            found = None  # metadata without a version that the header could hold
    except (PackageNotFoundError, ValueError, OSError):
        found = None
    if len(_versions) >= _MOST:  # headers of strangers may name anything
        _versions.clear()
    _versions[distribution] = found
    return found


def check_rules(rules: Mapping[str, str]) -> dict[str, str]:
    """Check a policy's rules for packages: an action, or a PEP 440 specifier, by distribution; `*` is all others.

    Raises:
        TypeError, ValueError: a rule is not one of these.
        MissingExtraError: a specifier, and `packaging` is not installed.
    """
    if not isinstance(rules, Mapping):
        raise TypeError(f"packages: expected a mapping from distributions to rules, found {type(rules).__name__}")
    copied = {_normal(name) if isinstance(name, str) else name: rule for name, rule in rules.items()}
    for name, rule in copied.items():
        if not isinstance(name, str) or not isinstance(rule, str):
            raise TypeError(f"packages: expected strings, found {name!r}: {rule!r}")
        if rule not in ACTIONS:
            _specifier(rule)
    return copied


def check_packages(written: Mapping[str, str], rules: Mapping[str, str]) -> list[Warning]:
    """Compare recorded versions with a policy's rules and with what is installed.

    `warn` and `refuse` act where the major version differs (for 0.x the minor one), or where the distribution is not
    installed any more. A specifier is a demand on the recorded version.

    Returns:
        What is to be warned of.

    Raises:
        PackageVersionError: a rule refuses.
    """
    notes: list[Warning] = []
    for name, version in written.items():
        rule = rules.get(_normal(name), rules.get("*", "warn"))
        if rule == "ignore":
            continue
        if rule not in ACTIONS:
            if not _meets(version, rule):
                hint = "write it again with an accepted version"
                raise PackageVersionError(
                    "written with a version that the policy refuses", rule, version, hint, f"packages.{name}"
                )
            continue
        now = installed_version(name)
        if now == version or (now is not None and _series(now) == _series(version)):
            continue
        if rule == "refuse":
            hint = f"install {name} in that version, or write the artifact again"
            raise PackageVersionError(
                "written with another version than is installed", version, now or "none", hint, f"packages.{name}"
            )
        then = f"{printable(name, 120)} {printable(version, 120)}"
        text = f"written with {then}, and {'it is not installed' if now is None else f'{now} is installed'}"
        notes.append(PackageWarning(text))
    return notes


def _meets(version: str, rule: str) -> bool:
    try:
        return bool(_specifier(rule).contains(version, prereleases=True))
    except ValueError:  # packaging's InvalidVersion
        return False


def _normal(name: str) -> str:
    """Return the normal form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _series(version: str) -> tuple[str, ...]:
    """Return the part of a version within which changes should be compatible: the major number, or `0.minor`."""
    match = re.match(r"\s*v?(?:\d+!)?0*(\d+)(?:\.0*(\d+))?", version)
    if match is None:
        return (version,)
    return ("0", match[2] or "0") if match[1] == "0" else (match[1],)


def _specifier(rule: str):  # type: ignore[no-untyped-def]
    try:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet
    except ImportError as exc:
        raise MissingExtraError(
            "a version specifier needs packaging", hint="pip install 'pickleseal[packaging]'"
        ) from exc
    try:
        return SpecifierSet(rule)
    except InvalidSpecifier:
        raise ValueError(
            f"packages: expected one of {', '.join(ACTIONS)}, or a PEP 440 specifier, found {rule!r}"
        ) from None
