"""What `packages` says, and what a policy does about it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import shapes

import pickleseal
from pickleseal import Policy
from pickleseal._schema import distributions as packages
from pickleseal._schema.distributions import package_of, packages_of, packages_of_bases
from pickleseal.errors import MissingExtraError, PackageVersionError, PackageWarning


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
    Policy(packages={"a": "refuse"})
