"""Which distributions the globals of a payload come from, and which versions are installed (spec 6, `packages`).

A distribution is looked up by the name of the module, or by the names in a short table. The environment is not searched
for the owner of a module while an artifact is written: that takes longer than most artifacts do. No module is imported.
"""

import functools
import re
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .._format.header import is_name
from .names import global_name, is_standard

# The distributions of modules that have another name, or that several distributions bring.
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
DISTRIBUTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Bio": ("biopython",),
        "Crypto": ("pycryptodome",),
        "Cryptodome": ("pycryptodomex",),
        "Levenshtein": ("Levenshtein", "python-Levenshtein"),
        "OpenSSL": ("pyOpenSSL",),
        "PIL": ("pillow",),
        "_catboost": ("catboost",),
        "attr": ("attrs",),
        "bayes_opt": ("bayesian-optimization",),
        "box": ("python-box",),
        "bs4": ("beautifulsoup4",),
        "bson": ("pymongo",),
        "chess": ("chess", "python-chess"),
        "community": ("python-louvain",),
        "cupy": ("cupy", "cupy-cuda13x", "cupy-cuda12x", "cupy-cuda11x"),
        "cv2": _OPENCV,
        "dateutil": ("python-dateutil",),
        "djmoney": ("django-money",),
        "dns": ("dnspython",),
        "docx": ("python-docx",),
        "faiss": ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cu11"),
        "fitz": ("PyMuPDF",),
        "git": ("GitPython",),
        "google.api": ("googleapis-common-protos",),
        "google.oauth2": ("google-auth",),
        "google.protobuf": ("protobuf",),
        "google.rpc": ("googleapis-common-protos",),
        "google.type": ("googleapis-common-protos",),
        "haiku": ("dm-haiku",),
        "hydra": ("hydra-core",),
        "igraph": ("igraph", "python-igraph"),
        "imblearn": ("imbalanced-learn",),
        "jose": ("python-jose",),
        "jwt": ("PyJWT",),
        "moneyed": ("py-moneyed",),
        "mpl_toolkits": ("matplotlib",),
        "nacl": ("PyNaCl",),
        "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
        "osgeo": ("GDAL",),
        "ot": ("POT",),
        "polars": ("polars", "polars-lts-cpu", "polars-u64-idx"),
        "pptx": ("python-pptx",),
        "psycopg2": ("psycopg2", "psycopg2-binary"),
        "pymatgen": ("pymatgen", "pymatgen-core"),
        "pywt": ("PyWavelets",),
        "rdkit": ("rdkit", "rdkit-pypi"),
        "rest_framework": ("djangorestframework",),
        "ruamel": ("ruamel.yaml",),
        "serial": ("pyserial",),
        "skbio": ("scikit-bio",),
        "skfuzzy": ("scikit-fuzzy",),
        "skimage": ("scikit-image",),
        "sklearn": ("scikit-learn",),
        "skmultilearn": ("scikit-multilearn",),
        "skopt": ("scikit-optimize",),
        "sksurv": ("scikit-survival",),
        "slugify": ("python-slugify",),
        "stdnum": ("python-stdnum",),
        "surprise": ("scikit-surprise",),
        "taggit": ("django-taggit",),
        "talib": ("TA-Lib",),
        "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos"),
        "tlz": ("toolz",),
        "tree": ("dm-tree",),
        "umap": ("umap-learn",),
        "xgboost": ("xgboost", "xgboost-cpu"),
        "yaml": ("PyYAML",),
        "zmq": ("pyzmq",),
    }
)
# Modules without a distribution to record. Our own version is in `build`.
_NOT_RECORDED = frozenset({"__main__", "__mp_main__", "pickleseal"})
_LIKE = 0.9  # how similar two names are that are taken for one with a typing error


def normal(name: str) -> str:
    """Return the normal form of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


# Distributions that bring the same module: one of them replaces another.
_REPLACED_BY = {normal(name): names for names in DISTRIBUTIONS.values() if len(names) > 1 for name in names}


def packages_of(names: Iterable[str]) -> dict[str, str]:
    """Return the distributions of globals, with their versions.

    A distribution that is not installed is left out, and so is one whose name is neither the module's nor in the table.
    """
    return dict(found for name in names for found in package_of(name))


def packages_of_bases(cls: type) -> dict[str, str]:
    """Return the distributions of the bases of a class, with their versions."""
    return packages_of(map(global_name, type.__getattribute__(cls, "__mro__")[1:-1]))


# The caches of this module are process-wide. They are never out of date, unless a package is installed or removed under
# a running process; that is not seen.


@functools.lru_cache(4096)
def package_of(name: str) -> tuple[tuple[str, str], ...]:
    """Return the distribution of a global, with its version; several if several bring the module, none if none does."""
    module = name.partition(":")[0]
    top = module.partition(".")[0]
    if top in _NOT_RECORDED or is_standard(top):
        return ()
    prefixes = _prefixes(module)
    listed = next((DISTRIBUTIONS[prefix] for prefix in prefixes if prefix in DISTRIBUTIONS), None)
    if listed is not None:
        return _installed_among(listed)
    found = _installed_among([top])
    if not found and getattr(sys.modules.get(top), "__file__", None) is None:
        # Parts of a namespace are distributions themselves: google.cloud.pubsub_v1 is of google-cloud-pubsub.
        names = (re.sub(r"_v\d+\w*$", "", prefix).replace(".", "-") for prefix in prefixes)
        found = next(filter(None, (_installed_among([name]) for name in names)), ())
    return found


def _prefixes(module: str) -> list[str]:
    """Return the name of a module and of the packages that it is in, the longest first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _installed_among(distributions: Iterable[str]) -> tuple[tuple[str, str], ...]:
    versions = ((name, installed_version(name)) for name in distributions)
    return tuple((name, version) for name, version in versions if version is not None)


def installed_instead(distribution: str) -> tuple[str, str | None]:
    """Return a distribution and its installed version, or another that is installed and brings the same module.

    The version is None if there is neither.
    """
    version = installed_version(distribution)
    if version is not None:
        return distribution, version
    others = _installed_among(_REPLACED_BY.get(normal(distribution), ()))
    return others[0] if others else (distribution, None)


def distribution_of(cls: type) -> str:
    """Return the distribution of a class, in the normal form of its name, whether it is installed or not."""
    return distribution_of_module(str(type.__getattribute__(cls, "__module__")))


def distribution_of_module(module: str) -> str:
    """Return the distribution of a module, in the normal form of its name, whether it is installed or not."""
    listed = next((DISTRIBUTIONS[prefix] for prefix in _prefixes(module) if prefix in DISTRIBUTIONS), None)
    found = package_of(module) if listed is None else ()
    return normal(listed[0]) if listed else distribution_called(found[0][0] if found else module.partition(".")[0])


def distribution_called(name: str) -> str:
    """Return a distribution, in the normal form of its name, by this name or by that of its top-level module."""
    names = DISTRIBUTIONS.get(name) or _REPLACED_BY.get(normal(name)) or (name,)
    return normal(names[0])


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


# --- names that people write ------------------------------------------------------------------------------------------


def distribution_meant(name: str) -> str | None:
    """Return the distribution that is meant by the name of a module; None if the name can be a distribution's own.

    A name that is not installed can be one: it may be installed where an artifact was written.
    """
    if installed_version(name) is not None:
        return None
    names = DISTRIBUTIONS.get(name)
    if names is not None and name not in names:
        found = _installed_among(names)
        return found[0][0] if found else names[0]
    if not name.isidentifier() or is_standard(name) or not _is_module(name):
        return None
    from importlib.metadata import packages_distributions

    owners = packages_distributions().get(name)  # searches the environment; only a wrong name gets here
    return owners[0] if owners and normal(name) not in map(normal, owners) else None


def distribution_like(name: str) -> str | None:
    """Return an installed distribution whose name is nearly this one, which is not installed itself; else None."""
    if installed_version(name) is not None:
        return None
    import difflib

    names = installed_names()
    if normal(name) in names:  # its metadata has no version
        return None
    close = difflib.get_close_matches(normal(name), names, 1, _LIKE)
    return names[close[0]] if close else None


@functools.lru_cache(1)
def installed_names() -> dict[str, str]:
    """Return the names of the installed distributions by their normal form. Searches the environment once."""
    from importlib.metadata import distributions

    found: list[object] = [distribution.metadata["Name"] for distribution in distributions()]
    return {normal(name): name for name in found if isinstance(name, str)}


def _is_module(name: str) -> bool:
    """Return whether a top-level module can be imported. It is not."""
    from importlib.util import find_spec

    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def versions_to_record(names: object) -> dict[str, str]:
    """Check the distributions that `PackOptions(packages=...)` names, and return their versions.

    Raises:
        TypeError: it is no list of strings.
        ValueError: one of them is not installed.
    """
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"packages: expected a list of names of distributions, found {names!r}")
    found = {}
    for name in names:
        version = installed_version(name)
        if version is None:
            meant = distribution_meant(name) or distribution_like(name)
            more = f"; did you mean {meant}?" if meant else ""
            raise ValueError(f"packages: expected distributions that are installed, found {name!r}{more}")
        found[name] = version
    return found
