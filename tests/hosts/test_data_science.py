"""Objects of pandas and scikit-learn come back equal at every level, and from a mapped file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from _helpers.levels import POLICIES, levels, round_trip
from _helpers.support import DATA, need

import pickleseal
from pickleseal import Policy

np = need("numpy")
ROWS = 1 << 14  # enough for a column to get a section of its own


@levels
def test_pandas_where_it_is_trusted(level: str) -> None:
    pd = need("pandas")
    frame = pd.DataFrame(
        {
            "int": [1, 2, 3],
            "float": [1.5, None, 2.5],
            "text": ["a", "b", None],
            "when": pd.date_range("2026-01-01", periods=3, tz="UTC"),
            "category": pd.Categorical(["x", "y", "x"]),
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "delta": pd.to_timedelta([1, 2, 3], unit="D"),
        }
    )
    multi = frame.set_index(["int", "flag"])
    wide = pd.DataFrame({("a", 1): [1, 2], ("b", 2): [3, 4]})
    for obj in (frame, multi, wide, frame[["int", "float"]].T, frame.iloc[:0], frame[["int", "float"]], pd.DataFrame()):
        pd.testing.assert_frame_equal(round_trip(obj, level), obj)
    for name in frame:
        pd.testing.assert_series_equal(round_trip(frame[name], level), frame[name])
    indexes = [frame.index, multi.index, wide.columns, pd.Index(["a", "b"]), pd.DatetimeIndex(frame["when"]),
               pd.period_range("2026-01", periods=3, freq="M"), pd.interval_range(0, 3),
               pd.CategoricalIndex(["a", "b"]),
               pd.RangeIndex(0, 10, 2), pd.TimedeltaIndex(frame["delta"])]  # fmt: skip
    for index in indexes:
        pd.testing.assert_index_equal(round_trip(index, level), index)
    for value in (
        pd.Timestamp("2026-01-02", tz="Europe/Zurich"),
        pd.Timedelta("1D"),
        pd.Period("2026-01"),
        pd.Interval(0, 1),
    ):
        assert round_trip(value, level) == value
    assert round_trip(pd.NaT, level) is pd.NaT


@pytest.mark.parametrize("level", [name for name in POLICIES if name.startswith(("guarded", "strict", "isolated"))])
def test_missing_values_of_pandas_in_columns_of_objects(level: str) -> None:
    pd = need("pandas")
    frame = pd.DataFrame({"a": [1, pd.NA]}, dtype=object)
    pd.testing.assert_frame_equal(round_trip(frame, level), frame)


@levels
def test_scikit_learn_where_it_is_trusted(level: str) -> None:
    np = need("numpy")
    need("sklearn")
    from sklearn.cluster import KMeans
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(40, 4)), rng.integers(0, 2, 40)
    models = [
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=1)),
        Ridge(),
        GradientBoostingClassifier(n_estimators=3, random_state=1),
        KNeighborsClassifier(3),
        KMeans(2, n_init=1, random_state=1),
    ]
    for model in models:
        model.fit(x, y)
        assert (round_trip(model, level).predict(x) == model.predict(x)).all()
    encoder = OneHotEncoder().fit([["a"], ["b"]])
    assert (round_trip(encoder, level).transform([["b"]]).toarray() == encoder.transform([["b"]]).toarray()).all()


@pytest.mark.parametrize("mode", ["r", "c"])
def test_data_frames_and_models(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "it.pseal"
    pandas = need("pandas")
    linear = need("sklearn.linear_model")
    policy = Policy(level="unchecked")
    frame = pandas.DataFrame({"a": np.arange(ROWS), "b": np.arange(ROWS) / 2})
    pickleseal.dump(frame, path, durable=False)
    mapped = pickleseal.load(path, mmap=mode, policy=policy)
    pandas.testing.assert_frame_equal(mapped, frame)
    assert mapped.groupby(mapped.a % 2).b.sum().sum() == frame.b.sum()
    if mode == "c":
        mapped.loc[0, "a"] = 5
        assert mapped.a.iloc[0] == 5
    else:
        with pytest.raises(ValueError, match="read-only"):
            mapped.loc[0, "a"] = 5
    assert mapped.assign(c=1).c.sum() == ROWS
    model = linear.LinearRegression().fit(np.eye(2100), np.arange(2100.0))
    pickleseal.dump(model, path, durable=False)
    mapped = pickleseal.load(path, mmap=mode, policy=policy)
    assert np.allclose(mapped.predict(np.eye(2100)[:5]), model.predict(np.eye(2100)[:5]))


# --- classes of libraries over versions -------------------------------------------------------------------------------


def objects() -> dict[str, Any]:
    """Return objects of several libraries, by name."""
    pd, sparse, stats = need("pandas"), need("scipy.sparse"), need("scipy.stats")
    need("sklearn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1] * 3)
    return {
        "frame": pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.Categorical(["x", "y"])}),
        "index": pd.MultiIndex.from_product([[1, 2], ["a", "b"]]),
        "offset": pd.offsets.MonthEnd(2),
        "matrix": sparse.eye(3, format="csr"),
        "array": sparse.csr_array(np.eye(3)),
        "frozen distribution": stats.gamma(2.0),
        "estimate of a density": stats.gaussian_kde(np.arange(9.0)),
        "model": LogisticRegression().fit(x, y),
        "tree": DecisionTreeClassifier().fit(x, y),
    }


@pytest.mark.parametrize("drift", ["resolve", "strict"])
def test_plain_classes_of_libraries_have_no_schema_and_raise_and_warn_nothing(drift: str) -> None:
    for name, obj in objects().items():
        data = pickleseal.pack(obj)
        kinds = {entry.kind for entry in (pickleseal.peek(data).types or {}).values()}
        assert not kinds & {"plain", "slots"}, name
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            pickleseal.unpack(data, policy=Policy(level="unchecked", drift=drift))  # type: ignore[arg-type]


OLD = sorted((DATA / "old_libraries").glob("*.pseal"))
VALUES = {"int64-array": [1, None, 3], "float64-array": [1.5, None, 2.0], "boolean-series": [True, None, False]}


def test_there_is_an_old_artifact_for_each_value() -> None:
    assert {path.stem.partition("-1.5.3-")[2] for path in OLD} == VALUES.keys()


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.stem)
def test_old_artifacts_whose_header_records_classes_of_libraries_load(path: Path) -> None:
    pd = need("pandas")
    assert pickleseal.peek(path).types
    for drift, warned in [("resolve", True), ("ignore", False), ({"*": "strict", "pandas": "ignore"}, False)]:
        policy = Policy(level="unchecked", drift=drift, packages={"*": "ignore"})  # type: ignore[arg-type]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = pickleseal.load(path, policy=policy)
        assert [None if pd.isna(item) else item for item in value] == VALUES[path.stem.partition("-1.5.3-")[2]]
        assert any(warning.category is pickleseal.errors.SchemaWarning for warning in caught) is warned
