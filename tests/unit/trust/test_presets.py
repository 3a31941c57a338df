"""Presets load what their libraries pickle, at both levels, and take no dry run for it at `guarded`."""

import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import pickleseal
from pickleseal import Policy
from pickleseal._trust import dryrun
from pickleseal._trust.presets import ENTRIES
from pickleseal.trust import preset


def scipy_objects() -> list[Any]:
    np = pytest.importorskip("numpy")
    sparse = pytest.importorskip("scipy.sparse")
    interpolate, spatial, stats = (pytest.importorskip(f"scipy.{part}") for part in ("interpolate", "spatial", "stats"))
    x = np.arange(8.0)
    found = [getattr(sparse, f"{kind}_matrix")(np.eye(3)) for kind in ("bsr", "coo", "csc", "csr", "dia", "lil")]
    found += [interpolate.CubicSpline(x, x), interpolate.make_interp_spline(x, x), spatial.cKDTree(np.eye(3))]
    return [*found, stats.gaussian_kde(x), np.random.default_rng(1)]


def models() -> list[Any]:
    np = pytest.importorskip("numpy")
    pytest.importorskip("sklearn")
    from sklearn.cluster import KMeans
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
    from sklearn.linear_model import Lasso, LogisticRegression, SGDClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.svm import SVC

    inside = np.random.default_rng(1).random((40, 3))
    classes = (inside[:, 0] > 0.5).astype(int)
    columns = ColumnTransformer([("a", StandardScaler(), [0]), ("b", OneHotEncoder(), [1])])
    made = [
        *(make_pipeline(StandardScaler(), LogisticRegression()), RandomForestClassifier(3), SGDClassifier(), SVC()),
        *(KNeighborsClassifier(algorithm="kd_tree"), GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2)),
        *(HistGradientBoostingRegressor(max_iter=2), Lasso(), KMeans(2, n_init=1), columns),
    ]
    return [model.fit(inside, classes) for model in made]


def frames() -> list[Any]:
    pd = pytest.importorskip("pandas")
    days = pd.date_range("2026-01-01", periods=3, tz="UTC")
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None], "c": days, "d": pd.Categorical(["u", "v", "u"])})
    found = [frame, frame.groupby("d", observed=True).sum(numeric_only=True), frame.set_index(["a", "b"]), days]
    found += [pd.Series([1, None], dtype=kind) for kind in ("Int64", "Float64", "boolean")]
    found += [pd.interval_range(0, 3), pd.period_range("2026", periods=3), pd.offsets.BDay(2), pd.Timedelta("1D")]
    return [*found, pd.NA, pd.NaT, pd.Timestamp("2026-01-01", tz="UTC"), pd.Series(pd.arrays.SparseArray([0, 1]))]


def graphs() -> list[Any]:
    nx = pytest.importorskip("networkx")
    made = [nx.path_graph(3), nx.DiGraph([(1, 2)]), nx.MultiGraph([(1, 2)]), nx.MultiDiGraph([(1, 2)])]
    for graph in made:
        _ = graph.nodes, graph.edges, graph.degree, graph.adj
    return made


def polars_frames() -> list[Any]:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [1.5, 2.5]})
    return [frame, frame["a"], frame.schema, [pl.Int64(), pl.List(pl.String()), pl.Datetime("us", "UTC")]]


def boosters() -> list[Any]:
    np = pytest.importorskip("numpy")
    lightgbm = pytest.importorskip("lightgbm")
    inside = np.random.default_rng(1).random((40, 3))
    return [lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(inside, inside[:, 0])]


def of_django() -> list[Any]:
    pytest.importorskip("django")
    from http.cookies import SimpleCookie

    from django.utils.datastructures import MultiValueDict

    cookies = SimpleCookie()
    cookies["a"] = "b"
    return [MultiValueDict({"a": [1, 2]}), cookies]


CASES = {
    "django": of_django,
    "scipy": scipy_objects,
    "scikit-learn": models,
    "pandas": frames,
    "networkx": graphs,
    "polars": polars_frames,
    "lightgbm": boosters,
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("level", ["guarded", "strict"])
def test_a_preset_loads_what_its_library_pickles(name: str, level: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make: Callable[[], list[Any]] = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        objects = make()
        if level == "guarded":
            monkeypatch.setattr(dryrun, "check_operations", lambda *_: pytest.fail("a dry run"))
        policy = Policy(level=level, trust=[preset(name)])
        for obj in objects:
            again = pickleseal.unpack(pickleseal.pack(obj), policy=policy)
            assert type(again) is type(obj)
            assert len(pickle.dumps(again)) == pytest.approx(len(pickle.dumps(obj)), rel=0.2, abs=200)


@pytest.mark.parametrize("level", ["guarded", "strict"])
def test_distributions_have_methods_and_load(level: Any) -> None:
    stats = pytest.importorskip("scipy.stats")
    policy = Policy(level=level, trust=[preset("scipy")])
    for made in (stats.norm(1, 2), stats.poisson(3)):
        assert pickleseal.unpack(pickleseal.pack(made), policy=policy).mean() == made.mean()


def test_presets_that_share_names_agree() -> None:
    known: dict[str, Any] = {}
    for entries in ENTRIES.values():
        for name, entry in entries.items():
            assert known.setdefault(name, entry.verbs) == entry.verbs, name
