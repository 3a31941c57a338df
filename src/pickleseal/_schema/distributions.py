"""Which distributions the globals of a payload come from, and in which versions (spec 6, `packages`).

A distribution is looked up by the name of the top-level module, or by a name from a short table. The environment is
not searched for the owner of a module: that takes longer than most artifacts do. No module is imported.
"""

import functools
import re
from collections.abc import Iterable, Mapping

from .._format.header import is_name
from ..errors import MissingExtraError, PackageVersionError, PackageWarning, printable
from .names import global_name, is_standard

ACTIONS = ("ignore", "warn", "refuse")
# Distributions with another name than their module.
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
# Modules without a distribution to record. Our own version is in `build`.
_NOT_RECORDED = frozenset({"__main__", "__mp_main__", "pickleseal"})


def packages_of(names: Iterable[str]) -> dict[str, str]:
    """Return the distributions of globals, with their versions.

    A distribution that is not installed is left out, and so is one that has another name than its module.
    """
    return dict(found for found in map(package_of, names) if found is not None)


def packages_of_bases(cls: type) -> dict[str, str]:
    """Return the distributions of the bases of a class, with their versions."""
    return packages_of(map(global_name, type.__getattribute__(cls, "__mro__")[1:-1]))


# The two caches of this module are process-wide. They are never out of date, unless a package is installed or removed
# under a running process; that is not seen.


@functools.lru_cache(4096)
def package_of(name: str) -> tuple[str, str] | None:
    """Return the distribution of a global, with its version, or None."""
    top = name.partition(":")[0].partition(".")[0]
    if top in _NOT_RECORDED or is_standard(top):
        return None
    distribution = _DISTRIBUTIONS.get(top, top)
    version = installed_version(distribution)
    return None if version is None else (distribution, version)


def distribution_of(cls: type) -> str:
    """Return the distribution of a class, in the normal form of its name, whether it is installed or not."""
    return distribution_called(str(type.__getattribute__(cls, "__module__")).partition(".")[0])


def distribution_called(name: str) -> str:
    """Return a distribution, in the normal form of its name, by this name or by that of its top-level module."""
    return _normal(_DISTRIBUTIONS.get(name, name))


@functools.lru_cache(4096)  # bounded, because headers may name anything
def installed_version(distribution: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        found: object = version(distribution)
    except (PackageNotFoundError, ValueError, OSError):
        return None
    # Metadata may have no version, or one that a header can't hold.
    return found if isinstance(found, str) and is_name(found) and len(found.encode()) <= 255 else None


def check_rules(rules: Mapping[str, str]) -> dict[str, str]:
    """Check a policy's rules for packages: an action or a PEP 440 specifier for each distribution, `*` for all others.

    Raises:
        TypeError, ValueError: a rule is neither.
        MissingExtraError: a rule is a specifier, and `packaging` is not installed.
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
    """Compare recorded versions with a policy's rules, and with what is installed.

    `warn` and `refuse` act if the major version differs (for 0.x, the minor version), or if the distribution is not
    installed any more. With a specifier, the recorded version has to match.

    Returns:
        The warnings to give.

    Raises:
        PackageVersionError: a rule refuses the artifact.
    """
    notes: list[Warning] = []
    for name, version in written.items():
        rule = rules.get(_normal(name), rules.get("*", "warn"))
        if rule == "ignore":
            continue
        if rule not in ACTIONS:
            if not _meets(version, rule):
                reason, hint = "written with a version that the policy refuses", "write it again with another version"
                raise PackageVersionError(reason, rule, version, hint, f"packages.{name}")
            continue
        now = installed_version(name)
        if now == version or (now is not None and _series(now) == _series(version)):
            continue
        if rule == "refuse":
            reason = "written with another version than is installed"
            hint = f"install {name} in that version, or write the artifact again"
            raise PackageVersionError(reason, version, now or "none", hint, f"packages.{name}")
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
    """Return the part of a version within which changes should be compatible: the major number, or 0 and the minor."""
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
