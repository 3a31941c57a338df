"""What `packages` says, and what a policy does about it."""

from __future__ import annotations

import io
import json
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import shapes
from _helpers.support import need
from frames import TRIP, Frame, framed, named
from hypothesis import given
from hypothesis import strategies as st

import pickleseal
from pickleseal import Policy
from pickleseal._schema import distributions as packages
from pickleseal._schema import package_rules
from pickleseal._schema.distributions import distribution_of, package_of, packages_of, packages_of_bases
from pickleseal._schema.drift_rules import DriftRules
from pickleseal._schema.package_rules import STATE_CHANGES, StateChange, differences, package_findings
from pickleseal.errors import (
    MissingExtraError,
    PackageDifference,
    PackageVersionError,
    PackageWarning,
    ReadError,
    one_line,
)


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Replace the versions that are installed."""
    made: dict[str, str | None] = {"shapes": "1.2.3"}
    monkeypatch.setattr(packages, "installed_version", made.get)
    monkeypatch.setattr(packages, "package_of", package_of.__wrapped__)
    return made


def sealed() -> bytes:
    return pickleseal.pack(shapes.Job(1, "a"))


def test_the_distributions_of_the_globals_are_recorded(versions: dict[str, str | None]) -> None:
    assert dict(pickleseal.peek(sealed()).packages) == {"shapes": "1.2.3"}
    assert dict(pickleseal.peek(pickleseal.pack({"a": 1})).packages) == {}


def test_distributions_of_bases_and_with_other_names_are_recorded() -> None:
    attrs = pytest.importorskip("attrs")
    from importlib.metadata import version

    assert packages_of(["attr:NOTHING"]) == {"attrs": version("attrs")}
    pydantic = pytest.importorskip("pydantic")
    model = type("Model", (pydantic.BaseModel,), {"__module__": "shapes"})
    assert packages_of_bases(model) == {"pydantic": version("pydantic")}
    assert attrs is not None


def test_the_environment_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def scan(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a scan")

    monkeypatch.setattr(importlib.metadata, "packages_distributions", scan, raising=False)
    monkeypatch.setattr(importlib.metadata, "distributions", scan)
    package_of.cache_clear()
    packages.installed_version.cache_clear()
    assert packages_of(["no_such_distribution_anywhere:X", "hypothesis:given"]).keys() == {"hypothesis"}


def test_values_and_arrays_record_no_distribution() -> None:
    np = pytest.importorskip("numpy")
    assert dict(pickleseal.peek(pickleseal.pack([np.arange(3), np.float32(1)])).packages) == {}


@pytest.mark.parametrize(
    ("then", "now", "same"),
    [
        ("1.2.3", "1.9", True),
        ("1.2.3", "2.0", False),
        ("0.4.1", "0.4.9", True),
        ("0.4.1", "0.5", False),
        ("0.4.1", "1.0", False),
        ("2!1.0", "1.0", True),
        ("v1.0", "1.1", True),
        ("2rc1", "2.0+cpu", True),
        ("2-1", "2.5", True),
        ("0.04", "0.4", True),
        ("1.0", None, False),
    ],
)
def test_major_versions_are_compared_and_minor_versions_below_one(
    versions: dict[str, str | None], then: str, now: str | None, same: bool
) -> None:
    versions["shapes"] = then
    data = sealed()
    versions["shapes"] = now
    trust = [shapes.Job]
    refuse = Policy(packages={"*": "refuse"})
    if same:
        assert pickleseal.unpack(data, trust=trust) == pickleseal.unpack(data, trust=trust, policy=refuse)
        return
    with pytest.warns(PackageWarning, match=r"shapes") as caught:
        pickleseal.unpack(data, trust=trust)
    assert caught[0].filename == __file__
    with pytest.raises(PackageVersionError) as refused:
        pickleseal.unpack(data, trust=trust, policy=refuse)
    assert (refused.value.step, refused.value.where) == (15, "packages.shapes")
    assert pickleseal.unpack(data, trust=trust, policy=Policy(packages={"shapes": "ignore"})) == shapes.Job(1, "a")
    with pytest.raises(PackageVersionError):
        pickleseal.unpack(data, trust=trust, policy=Policy(packages={"*": "ignore", "shapes": "refuse"}))


def test_a_specifier_is_compared_with_the_recorded_version(versions: dict[str, str | None]) -> None:
    pytest.importorskip("packaging")
    data = sealed()
    assert pickleseal.unpack(data, trust=[shapes.Job], policy=Policy(packages={"shapes": ">=1.2,<2"})).id == 1
    with pytest.raises(PackageVersionError) as caught:
        pickleseal.unpack(data, trust=[shapes.Job], policy=Policy(packages={"*": ">=1.3"}))
    assert (caught.value.expected, caught.value.found) == (">=1.3", "1.2.3")


def test_a_recorded_version_that_is_no_version_is_refused_by_a_specifier(versions: dict[str, str | None]) -> None:
    pytest.importorskip("packaging")
    versions["shapes"] = "not a version"
    data = sealed()
    with pytest.raises(PackageVersionError):
        pickleseal.unpack(data, trust=[shapes.Job], policy=Policy(packages={"*": ">=1.3"}))


def test_rules_of_the_wrong_form_are_refused() -> None:
    pytest.importorskip("packaging")
    with pytest.raises(ValueError, match="PEP 440"):
        Policy(packages={"a": "newer"})
    for wrong in ({"a": 1}, [1], {1: "warn"}):
        with pytest.raises(TypeError, match="packages"):
            Policy(packages=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="python"):
        Policy(python=3.11)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"python: expected a PEP 440 specifier, found '3\.11 or later'"):
        Policy(python="3.11 or later")


def test_names_of_distributions_have_one_form(versions: dict[str, str | None]) -> None:
    versions["shapes"] = "1.0"
    data = sealed()
    versions["shapes"] = "2.0"
    with pytest.raises(PackageVersionError):
        pickleseal.unpack(data, trust=[shapes.Job], policy=Policy(packages={"SHAPES": "refuse"}))
    assert Policy(packages={"Scikit_Learn": "ignore"}).packages == {"scikit-learn": "ignore"}


def test_a_specifier_without_packaging_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.specifiers", None)
    with pytest.raises(MissingExtraError, match=r"pickleseal\[packaging\]"):
        Policy(packages={"a": ">=1"})
    with pytest.raises(MissingExtraError, match=r"pickleseal\[packaging\]"):
        Policy(python=">=3.11")
    Policy(packages={"a": "refuse"})


# --- which distributions are found ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "distribution"),
    [
        ("cv2:KeyPoint", "opencv-python"),
        ("cv2:KeyPoint", "opencv-python-headless"),
        ("cv2.ml:SVM", "opencv-contrib-python"),
        ("Bio.Seq:Seq", "biopython"),
        ("faiss.swigfaiss:Index", "faiss-cpu"),
        ("faiss:Index", "faiss-gpu"),
        ("box.box:Box", "python-box"),
        ("surprise.dataset:Dataset", "scikit-surprise"),
        ("pymatgen.core.structure:Structure", "pymatgen"),
        ("pymatgen.core.structure:Structure", "pymatgen-core"),
        ("imblearn.pipeline:Pipeline", "imbalanced-learn"),
        ("sklearn.svm._classes:SVC", "scikit-learn"),
        ("google.protobuf.message:Message", "protobuf"),
        ("google.cloud.storage.blob:Blob", "google-cloud-storage"),
        ("google.cloud.pubsub_v1.types:Message", "google-cloud-pubsub"),
        ("google.oauth2.credentials:Credentials", "google-auth"),
        ("azure.storage.blob._models:BlobProperties", "azure-storage-blob"),
        ("zope.interface.declarations:Provides", "zope-interface"),
    ],
)
def test_the_installed_distribution_of_a_module_is_recorded(
    versions: dict[str, str | None], name: str, distribution: str
) -> None:
    versions[distribution] = "4.5"
    assert packages_of([name]) == {distribution: "4.5"}


def test_parts_of_a_namespace_have_rules_of_their_own(versions: dict[str, str | None]) -> None:
    versions |= {"azure-core": "1", "azure-identity": "1", "protobuf": "5"}
    rules = DriftRules({"azure-core": "ignore", "azure": "strict", "protobuf": "ignore", "*": "resolve"})
    modes = {
        "azure.core.credentials:Token": "ignore",
        "azure.identity._cached:Token": "strict",  # by its top-level module
        "azure.unknown:X": "strict",
        "google.protobuf.message:Message": "ignore",
        "google.auth.credentials:Credentials": "resolve",
    }
    for name, mode in modes.items():
        module = name.partition(":")[0]
        assert rules.of_name(name) == rules.of(type("X", (), {"__module__": module})) == mode
    names = {module: distribution_of(type("X", (), {"__module__": module})) for module in ("azure.core.x", "azure.x")}
    assert names == {"azure.core.x": "azure-core", "azure.x": "azure"}


def test_all_installed_distributions_of_a_module_are_recorded(versions: dict[str, str | None]) -> None:
    versions |= {"pymatgen": "2026.10", "pymatgen-core": "2026.9"}
    assert packages_of(["pymatgen.core:Element"]) == {"pymatgen": "2026.10", "pymatgen-core": "2026.9"}


def test_a_part_of_an_ordinary_package_is_no_distribution(versions: dict[str, str | None]) -> None:
    versions["shapes-tools"] = "1"
    del versions["shapes"]
    assert packages_of(["shapes.tools:X"]) == {}


def test_one_distribution_replaces_another_that_brings_the_same_module(versions: dict[str, str | None]) -> None:
    versions |= {"opencv-python-headless": "4.10.0"}
    same = list(package_findings({"opencv-python": "4.5.0"}, {"*": "refuse"}))
    assert same == []
    ((refusal, name),) = package_findings({"opencv-python": "4.5.0"}, {"*": "minor"})
    assert (name, str(refusal.found) if isinstance(refusal, PackageVersionError) else "") == ("opencv-python", "4.10.0")
    assert [str(one) for one in differences({"opencv-python": "4.5.0"})] == [
        "written with opencv-python 4.5.0; opencv-python-headless 4.10.0 is installed"
    ]


def test_options_record_further_distributions(versions: dict[str, str | None], tmp_path: Path) -> None:
    versions |= {"numpy": "2.1", "Shapes": "1.2.3"}
    options = pickleseal.PackOptions(packages=["numpy", "Shapes"])
    assert options.packages == ("numpy", "Shapes")
    assert dict(pickleseal.peek(pickleseal.pack({"a": 1}, options=options)).packages) == {
        "numpy": "2.1",
        "Shapes": "1.2.3",
    }
    both = pickleseal.pack(shapes.Job(1, "a"), options=options)
    assert dict(pickleseal.peek(both).packages) == {"shapes": "1.2.3", "numpy": "2.1"}, "one spelling is enough"
    stream = tmp_path / "x.pseal"
    with pickleseal.StreamWriter(stream, options=options) as writer:
        writer.append({"a": 1})
        writer.append({"a": 2})
    assert dict(pickleseal.peek(io.BytesIO(stream.read_bytes())).packages) == {"numpy": "2.1", "Shapes": "1.2.3"}
    assert pickle.loads(pickle.dumps(options)).packages == ("numpy", "Shapes")


def test_an_adopted_pickle_gets_no_versions_of_today(versions: dict[str, str | None]) -> None:
    versions["numpy"] = "2.1"
    options = pickleseal.PackOptions(packages=["numpy"])
    adopted = pickleseal.convert.adopt(pickle.dumps({"a": 1}), options=options)
    assert dict(pickleseal.peek(adopted.data).packages) == {}


@pytest.mark.parametrize(
    ("packages", "error", "text"),
    [
        ("numpy", TypeError, "expected a list of names of distributions, found 'numpy'"),
        ([1], TypeError, "expected a list of names"),
        (["no-such-distribution"], ValueError, "expected distributions that are installed, found 'no-such-dist"),
        (["yaml"], ValueError, "found 'yaml'; did you mean PyYAML?"),
    ],
)
def test_options_record_only_what_is_installed(packages: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        pickleseal.PackOptions(packages=packages)


# --- names in a policy ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "meant"),
    [("sklearn", "scikit-learn"), ("PIL", "pillow"), ("cv2", "opencv-python"), ("google.protobuf", "protobuf")],
)
@pytest.mark.parametrize("rule", ["refuse", "ignore", "minor"])
def test_the_name_of_a_module_is_no_distribution(name: str, meant: str, rule: str) -> None:
    with pytest.raises(ValueError, match=f"found the module '{name}'; did you mean '{meant}'"):
        Policy(packages={name: rule})


def test_of_several_distributions_of_a_module_the_installed_one_is_meant(versions: dict[str, str | None]) -> None:
    versions["faiss-gpu"] = "1.7"
    with pytest.raises(ValueError, match="did you mean 'faiss-gpu'"):
        Policy(packages={"faiss": "refuse"})


def test_a_module_of_any_installed_distribution_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gadget_lib.py").write_text("")
    made = tmp_path / "acme_gadgets-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-gadgets\nVersion: 1.0\n")
    (made / "top_level.txt").write_text("gadget_lib\n")
    (made / "RECORD").write_text("gadget_lib.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    packages.installed_version.cache_clear()
    try:
        with pytest.raises(ValueError, match="found the module 'gadget_lib'; did you mean 'acme-gadgets'"):
            Policy(packages={"gadget_lib": "refuse"})
        assert "gadget_lib" not in sys.modules
        assert Policy(packages={"acme_gadgets": "refuse"}).packages == {"acme-gadgets": "refuse"}
    finally:
        packages.installed_version.cache_clear()


def test_a_distribution_may_be_installed_elsewhere() -> None:
    """What is not installed here may be the name of a distribution where artifacts are written."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("quantum-flux-toolkit", "boto", "zope.foo"):
            Policy(packages={name: "refuse"})
    with pytest.warns(PackageWarning, match="no distribution hypothesys is installed; did you mean hypothesis") as seen:
        Policy(packages={"hypothesys": "refuse"})
    assert seen[0].filename == __file__


# --- rules ------------------------------------------------------------------------------------------------------------

PARTS = {"exact": 3, "minor": 2, "major": 1}
NUMBERS = st.integers(0, 12)


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS, NUMBERS), st.sampled_from(sorted(PARTS)))
def test_a_word_refuses_where_its_part_of_the_version_differs(
    then: tuple[int, ...], now: tuple[int, ...], word: str
) -> None:
    with mock.patch.object(packages, "installed_version", {"shapes": ".".join(map(str, now))}.get):
        found = list(package_findings({"shapes": ".".join(map(str, then))}, {"shapes": word}))
    assert bool(found) == (then[: PARTS[word]] != now[: PARTS[word]])
    assert all(isinstance(refusal, PackageVersionError) for refusal, _ in found)


@pytest.mark.parametrize("word", ["exact", "minor", "major", "refuse"])
def test_words_refuse_what_is_not_installed_and_ignore_what_is_not_recorded(
    versions: dict[str, str | None], word: str
) -> None:
    data = sealed()
    versions["shapes"] = None
    with pytest.raises(PackageVersionError, match="found none") as caught:
        pickleseal.unpack(data, trust=[shapes.Job], policy=Policy(packages={"shapes": word}))
    assert "note: written with shapes 1.2.3; it is not installed" in str(caught.value)
    others = Policy(packages={"numpy": word, "*": word})
    assert pickleseal.unpack(pickleseal.pack({"a": 1}), policy=others) == {"a": 1}


@pytest.mark.parametrize("name", ["scikit-learn", "scipy", "statsmodels", "pandas", "torch", "xgboost", "lightgbm"])
def test_some_distributions_are_compared_by_their_minor_version(versions: dict[str, str | None], name: str) -> None:
    versions[name] = "1.9.1"
    for rules, kind in (({"*": "refuse"}, PackageVersionError), ({"*": "warn"}, PackageWarning), ({}, PackageWarning)):
        ((found, _),) = package_findings({name.replace("-", "_"): "1.4.0"}, rules)
        assert isinstance(found, kind)
        assert list(package_findings({name: "1.9.0"}, rules)) == []


def test_a_range_needs_a_record() -> None:
    need("packaging")
    policy = Policy(packages={"numpy": ">=1.26,<3"})
    for data in (pickleseal.pack({"a": 1}), sealed()):
        for read in (pickleseal.unpack, pickleseal.verify):
            with pytest.raises(PackageVersionError) as caught:
                read(data, policy=replace(policy, trust=[shapes.Job]))
            error = caught.value
            assert (error.where, error.expected, error.found) == ("packages.numpy", ">=1.26,<3", "none")
            assert 'PackOptions(packages=["numpy"])' in str(error)
    with pytest.raises(PackageVersionError):
        list(pickleseal.iter_load(io.BytesIO(pickleseal.pack({"a": 1})), policy=policy))
    assert pickleseal.unpack(pickleseal.pack({"a": 1}), policy=Policy(packages={"*": ">=1.26"})) == {"a": 1}


def test_a_refusal_names_what_is_installed(versions: dict[str, str | None]) -> None:
    need("packaging")
    data = sealed()
    texts = []
    for packages_, now in (({"shapes": ">=2"}, "1.2.3"), ({"shapes": ">=2"}, None), ({"other": ">=2"}, "1.2.3")):
        versions |= {"shapes": now, "other": "7.0"}
        with pytest.raises(PackageVersionError) as caught:
            pickleseal.unpack(data, trust=[shapes.Job], policy=Policy(packages=packages_))
        texts.append(str(caught.value).partition(" (")[0])
    assert texts == [
        "package-version: written with a version of shapes that the policy refuses; 1.2.3 is installed",
        "package-version: written with a version of shapes that the policy refuses; it is not installed",
        "package-version: the header records no version of other; 7.0 is installed",
    ]


def test_between_versions_of_another_state_the_default_is_to_refuse(
    versions: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change = StateChange("2.1", frozenset({"shapes:Job"}), "has other corners", "has no corners")
    monkeypatch.setattr(package_rules, "STATE_CHANGES", {"shapes": (change,)})
    for then, now, refused in (
        ("2.0.9", "2.1", True),
        ("2.1", "2.0.9", True),
        ("1.0", "3", True),
        ("2.1.0", "2.9", False),
        ("2.0", "2.0.7", False),
        ("2.1rc1", "2.1", False),
        ("odd", "2.1", True),
        ("odd", "2.0", False),
    ):
        versions["shapes"] = then
        data = sealed()
        versions["shapes"] = now
        if not refused:
            assert read_anyway(data, Policy()) == shapes.Job(1, "a")
            continue
        with pytest.raises(
            PackageVersionError, match=r"shapes stores another state of some classes since 2\.1; what was written has"
        ) as caught:
            pickleseal.unpack(data, trust=[shapes.Job])
        assert 'Policy(packages={"shapes": "warn"}) reads it all the same' in str(caught.value)
        for rule in ("warn", "ignore"):
            for name in ("shapes", "*"):
                assert read_anyway(data, Policy(packages={name: rule})) == shapes.Job(1, "a")


def read_anyway(data: bytes, policy: Policy) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PackageWarning)
        return pickleseal.unpack(data, trust=[shapes.Job], policy=policy)


def test_the_table_names_releases_in_order() -> None:
    assert STATE_CHANGES
    for name, changes in STATE_CHANGES.items():
        assert name == packages.normal(name)
        releases = [tuple(map(int, change.since.split("."))) for change in changes]
        assert releases == sorted(releases)
        assert all(change.names and (change.older or change.newer) for change in changes)


@pytest.mark.parametrize(
    ("distribution", "name", "then", "now", "refused"),
    [
        ("polars", "polars.dataframe.frame:DataFrame", "0.20.31", "2.1.0", True),
        ("polars", "polars.dataframe.frame:DataFrame", "2.1.0", "0.20.31", True),
        ("polars", "polars.dataframe.frame:DataFrame", "1.19.0", "1.20.0", True),
        ("polars", "polars.dataframe.frame:DataFrame", "0.20.31", "1.19.0", False),
        ("polars", "polars.series.series:Series", "0.20.31", "2.1.0", False),
        ("scikit-learn", "sklearn.tree._tree:Tree", "1.2.2", "1.3.2", True),
        ("scikit-learn", "sklearn.tree._classes:DecisionTreeClassifier", "1.3.2", "1.9.1", True),
        ("scikit-learn", "sklearn.tree._classes:DecisionTreeClassifier", "1.4.2", "1.9.1", False),
        ("scikit-learn", "sklearn.tree._classes:DecisionTreeClassifier", "1.4.2", "1.3.2", False),
        ("scikit-learn", "sklearn.tree._tree:Tree", "1.3.2", "1.2.2", True),
        ("scikit-learn", "sklearn.ensemble._gb:GradientBoostingClassifier", "1.4.2", "1.3.2", True),
        ("scikit-learn", "sklearn.impute._base:SimpleImputer", "1.7.2", "1.8.0", True),
        ("scikit-learn", "sklearn.impute._base:SimpleImputer", "1.8.0", "1.7.2", False),
        ("scikit-learn", "sklearn.linear_model._base:LinearRegression", "1.2.2", "1.9.1", False),
        ("scikit-learn", "sklearn.feature_extraction.text:TfidfTransformer", "1.4.2", "1.5.2", True),
        ("scikit-learn", "sklearn.feature_extraction.text:TfidfTransformer", "1.5.2", "1.4.2", True),
        ("scikit-learn", "sklearn.feature_extraction.text:TfidfTransformer", "1.5.2", "1.9.1", False),
        ("scikit-learn", "sklearn.cross_decomposition._pls:CCA", "1.4.2", "1.8.0", True),
        ("scikit-learn", "sklearn.cross_decomposition._pls:PLSSVD", "1.4.2", "1.8.0", False),
        ("scikit-learn", "sklearn.linear_model._logistic:LogisticRegression", "1.4.2", "1.9.1", False),
        ("scikit-learn", "sklearn.linear_model._logistic:LogisticRegression", "1.7.2", "1.4.2", True),
        ("scikit-learn", "sklearn.linear_model._logistic:LogisticRegression", "1.7.2", "1.5.2", False),
        ("scikit-learn", "sklearn.ensemble._weight_boosting:AdaBoostClassifier", "1.5.2", "1.6.1", True),
        ("scikit-learn", "sklearn.ensemble._weight_boosting:AdaBoostRegressor", "1.5.2", "1.6.1", False),
        ("scikit-learn", "sklearn.linear_model._ridge:RidgeClassifier", "1.6.1", "1.5.2", True),
        ("scikit-learn", "sklearn.linear_model._ridge:RidgeClassifier", "1.6.1", "1.7.2", False),
        ("scikit-learn", "sklearn.linear_model._ridge:RidgeClassifier", "1.7.2", "1.8.0", True),
        ("scikit-learn", "sklearn.linear_model._ridge:RidgeClassifier", "1.8.0", "1.7.2", False),
        ("scikit-learn", "sklearn.preprocessing._data:MaxAbsScaler", "1.7.2", "1.8.0", True),
        ("scipy", "scipy.sparse._dok:dok_array", "1.11.4", "1.15.3", True),
        ("scipy", "scipy.sparse._coo:coo_matrix", "1.11.4", "1.15.3", False),
        ("scipy", "scipy.sparse._coo:coo_matrix", "1.15.3", "1.11.4", True),
        ("scipy", "scipy.sparse._coo:coo_array", "1.12.0", "1.13.1", True),
        ("scipy", "scipy.sparse._coo:coo_array", "1.13.1", "1.15.3", False),
        ("scipy", "scipy.sparse._dok:dok_matrix", "1.11.4", "1.12.0", True),
        ("scipy", "scipy.sparse._dok:dok_matrix", "1.12.0", "1.11.4", False),
        ("scipy", "scipy.sparse._csr:csr_matrix", "1.7.3", "1.18.1", False),
    ],
)
def test_only_what_comes_back_wrong_is_refused(
    versions: dict[str, str | None], distribution: str, name: str, then: str, now: str, refused: bool
) -> None:
    versions[distribution] = now
    found = [finding for finding, _ in package_findings({distribution: then}, {}, [name])]
    assert any(isinstance(finding, PackageVersionError) for finding in found) == refused
    accepted = [finding for finding, _ in package_findings({distribution: then}, {"*": "warn"}, [name])]
    assert not any(isinstance(finding, PackageVersionError) for finding in accepted)


# --- Python -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "rule", "accepted"),
    [
        ("3.12.1", ">=3.11,<3.14", True),
        ("3.10.13", ">=3.11,<3.14", False),
        ("3.14.0", ">=3.11,<3.14", False),
        ("3.14.0rc1", ">=3.11,<3.14", False),
        ("3.13.0a2+", ">=3.11,<3.14", True),
        ("3.12.1", "==3.12.*", True),
        ("3.12.1", "!=3.12.1", False),
        ("3.12.1", "~=3.12", True),
        ("PyPy", ">=3", False),
        (None, ">=3", False),
    ],
)
def test_python_has_a_rule_of_its_own(written: str | None, rule: str, accepted: bool) -> None:
    need("packaging")
    data = Frame(build={"app": "x"} if written is None else {"python": written}).data
    policy = Policy(python=rule)
    assert pickleseal.unpack(data, policy=Policy(python=None)) == {"id": 7, "state": "done"}
    if accepted:
        assert pickleseal.unpack(data, policy=policy) == {"id": 7, "state": "done"}
        return
    for read in (pickleseal.unpack, pickleseal.verify):
        with pytest.raises(pickleseal.errors.PolicyError) as caught:
            read(data, policy=policy)
        error = caught.value
        assert (error.where, error.expected, error.found) == ("build.python", rule, written or "none")
        assert f"this is Python {sys.version.partition(' ')[0]}" in error.reason


# --- what refusals and failures say -----------------------------------------------------------------------------------

NOTE = "written with shapes 1.2.3; 1.2.4 is installed"


def fails(*args: object) -> object:
    raise ValueError("no such thing")


class Failing:
    def __reduce__(self) -> tuple[Any, ...]:
        return fails, ()


def stored(versions: dict[str, str | None], obj: Any = None, **more: Any) -> bytes:
    """Pack with another version of shapes than is installed afterwards."""
    versions["shapes"] = "1.2.3"
    options = pickleseal.PackOptions(packages=["shapes"], **more)
    data = pickleseal.pack(shapes.Job(1, "a") if obj is None else obj, options=options)
    versions["shapes"] = "1.2.4"
    return data


def refusal(call: Callable[[], Any]) -> ReadError:
    with pytest.raises(ReadError) as caught:
        call()
    return caught.value


def test_every_refusal_from_step_15_on_names_the_versions(versions: dict[str, str | None]) -> None:
    data, trust = stored(versions), [shapes.Job]
    failing = stored(versions, Failing())
    damaged = bytearray(data)
    damaged[-64] ^= 1
    bad = Frame(framed(b"N") + b".", packages={"shapes": "1.2.3"}).data
    unwanted = Frame(framed(b"]"), packages={"shapes": "1.2.3"}).data
    calls: dict[str, Callable[[], Any]] = {
        "type-mismatch 15": lambda: pickleseal.unpack(data, expect=dict, trust=trust),
        "untrusted-global 15": lambda: pickleseal.unpack(data),
        "policy 15": lambda: pickleseal.unpack(data, trust=trust, policy=Policy(meta={"a": "*"})),
        "class-missing 15": lambda: pickleseal.unpack(
            Frame(globals=["no_such:X"], packages={"shapes": "1.2.3"}).data, trust=["no_such:X"]
        ),
        "package-version 15": lambda: pickleseal.unpack(data, trust=trust, policy=Policy(packages={"*": "exact"})),
        "section-checksum 16": lambda: pickleseal.verify(bytes(damaged)),
        "truncated 16": lambda: pickleseal.unpack(data[:-1], trust=trust),
        "trailing-bytes 17": lambda: pickleseal.unpack(data + b"x", trust=trust),
        "pickle-envelope 19": lambda: pickleseal.unpack(bad),
        "unpickle-failed 20": lambda: pickleseal.unpack(failing, trust=[fails]),
        "undeclared-global 20": lambda: pickleseal.unpack(Frame(TRIP, globals=[], packages={"shapes": "1.2.3"}).data),
        "type-mismatch 20": lambda: pickleseal.unpack(unwanted, expect=dict),
        "forbidden-operation 20": lambda: pickleseal.Reader(Policy(level="strict"), trust=["canary:trip"]).accepts(
            Frame(framed(named("canary", "trip") + b"}b"), globals=["canary:trip"], packages={"shapes": "1.2.3"}).data
        ),
    }
    for verdict, call in calls.items():
        error = refusal(call)
        assert f"{error.code} {error.step}" == verdict
        assert error.packages == (PackageDifference("shapes", "1.2.3", "1.2.4", "shapes"),), verdict
        assert f"\nnote: {NOTE}" in str(error), verdict
        assert NOTE in one_line(error), verdict
        assert pickle.loads(pickle.dumps(error)).packages == error.packages


def test_other_ways_to_read_say_it_too(versions: dict[str, str | None], tmp_path: Path) -> None:
    data = stored(versions, Failing())
    path = tmp_path / "x.pseal"
    path.write_bytes(data)
    incremental = pickleseal.IncrementalReader(trust=[fails])
    incremental.feed(data)
    reader = pickleseal.Reader(trust=[fails], quarantine=tmp_path / "kept")
    events: list[pickleseal.Event] = []
    for call in (
        lambda: pickleseal.load(path, trust=[fails]),
        lambda: pickleseal.Mapped(path, trust=[fails]),
        lambda: list(pickleseal.iter_load(path, trust=[fails])),
        incremental.finish,
        lambda: replace(reader, on_event=events.append).read(path),
        lambda: pickleseal.Serializer(trust=[fails]).loads(data),
    ):
        assert NOTE in str(refusal(call))
    assert events[0].error is not None
    assert events[0].error.packages[0].written == "1.2.3"
    (reason,) = (tmp_path / "kept").glob("*.json")
    kept = json.loads(reason.read_text())
    assert kept["packages"] == [{"name": "shapes", "written": "1.2.3", "installed": "1.2.4", "instead": "shapes"}]


def test_a_damaged_buffer_that_was_fed_or_mapped_says_it(versions: dict[str, str | None], tmp_path: Path) -> None:
    data = bytearray(stored(versions, pickle.PickleBuffer(bytes(100_000))))
    path = tmp_path / "x.pseal"
    path.write_bytes(data)
    with pickleseal.Mapped(path, verify="header") as mapped:
        with path.open("r+b") as file:
            file.seek(-200, io.SEEK_END)
            file.write(b"\x01")
        assert NOTE in str(refusal(mapped.verify))
    data[-200] ^= 1
    assert NOTE in str(refusal(lambda: pickleseal.IncrementalReader().feed(data)))


def test_nothing_is_said_where_nothing_differs_or_before_the_header_counts(versions: dict[str, str | None]) -> None:
    data = sealed()
    error = refusal(lambda: pickleseal.unpack(data))
    assert error.packages == ()
    assert "note:" not in str(error)
    damaged = bytearray(stored(versions))
    damaged[70] ^= 1
    assert refusal(lambda: pickleseal.unpack(bytes(damaged))).packages == ()


def test_of_many_distributions_the_first_are_named() -> None:
    recorded = {f"not-installed-{number:04}\x1b"[:18]: "1" for number in range(2000)}
    error = refusal(lambda: pickleseal.unpack(Frame(packages=recorded).data, expect="other"))
    lines = str(error).split("\n")
    assert sum(line.startswith("note: written with ") for line in lines) == 5
    assert "note: 995 more distributions have another version" in lines


def test_versions_are_compared_before_anything_is_imported(versions: dict[str, str | None]) -> None:
    name = "no_such_module:X"
    data = Frame(globals=[name], packages={"shapes": "0.1"}).data
    policy = Policy(packages={"shapes": "refuse"})
    assert refusal(lambda: pickleseal.unpack(data, trust=[name], policy=policy)).code == "package-version"
    assert refusal(lambda: pickleseal.unpack(data, policy=policy)).code == "untrusted-global"
    for level in ("guarded", "strict", "unchecked"):
        error = refusal(
            lambda level=level: pickleseal.unpack(data, trust=[name], policy=replace(policy, level=level))  # type: ignore[misc]
        )
        assert error.code == "package-version"


def test_many_distributions_are_one_warning() -> None:
    distributions = {f"no-such-{number}": "1.0" for number in range(3000)}
    data = Frame(framed(b"]"), packages=distributions, type="builtins:list").data
    with pytest.warns(PackageWarning) as caught:
        assert pickleseal.unpack(data) == []
    assert len(caught) == 1
    assert "no-such-0 1.0; it is not installed; also written with no-such-1 1.0" in str(caught[0].message)
    assert str(caught[0].message).endswith("; and 2,995 more")
