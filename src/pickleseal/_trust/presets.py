"""The presets: for each library, the names that its pickles need, with what payloads may do with each.

A row has the modules that have the names (all of them, where releases differ), the verbs, and the names. The verbs are:

- `value`: it stands in the object, as a class, a function or a constant. All other verbs include this one.
- `make`: NEWOBJ makes objects of the class, and they get one state.
- `call`: REDUCE calls it with any arguments. For a function this means that somebody looked at it: its results are new
  objects, no class or function or text, and cannot be called. Level `guarded` makes no dry run for such a function.
- `state`: what a call of the function returns gets a state; only beside `call`.
- `items`: objects of the class get items, by `append`, `extend`, `add` or `__setitem__`.
- `method`: the name is `C.m`, a class method or static method of C, which payloads call by `getattr(C, "m")`.

A row comes into a table together with the object that needs it (`tests/unit/trust/test_presets.py`). This module
imports none of the libraries.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .allow_list import CALL, VALUE, VERBS, Entry

_METHOD = "method"
Row = tuple[str, str, str]


class Table(NamedTuple):
    """The rows of one preset, and the presets whose rows it has as well."""

    rows: tuple[Row, ...]
    includes: tuple[str, ...] = ()


PRESETS: dict[str, Table] = {
    "numpy.random": Table(
        (
            ("numpy.random._pickle", "call state", "__bit_generator_ctor __generator_ctor __randomstate_ctor"),
            ("numpy.random._mt19937", "value", "MT19937"),
            ("numpy.random._pcg64", "value", "PCG64 PCG64DXSM"),
            ("numpy.random._philox", "value", "Philox"),
            ("numpy.random._sfc64", "value", "SFC64"),
            ("numpy.random.bit_generator", "value", "SeedSequence"),
            ("numpy.random.bit_generator", "call state", "__pyx_unpickle_SeedSequence"),
        )
    ),
    "pyarrow": Table(
        (
            ("pyarrow.lib", "call", "_restore_array py_buffer type_for_alias"),
        )
    ),
    "pandas": Table(
        (
            ("pandas pandas.core.frame", "make", "DataFrame"),
            ("pandas pandas.core.series", "make", "Series"),
            ("pandas pandas.core.groupby.grouper", "make", "Grouper"),
            ("pandas pandas._libs.missing", "value", "NA"),
            # Blocks of columns
            ("pandas.core.internals.managers", "call", "BlockManager"),
            ("pandas.core.internals.managers", "make", "SingleBlockManager"),
            ("pandas._libs.internals", "call", "_unpickle_block"),
            # Indexes
            ("pandas.core.indexes.base", "call", "_new_Index"),
            ("pandas.core.indexes.datetimes", "call", "_new_DatetimeIndex"),
            ("pandas.core.indexes.interval", "call", "_new_IntervalIndex"),
            ("pandas.core.indexes.timedeltas", "call", "_new_TimedeltaIndex"),
            ("pandas pandas.core.indexes.base", "value", "Index"),
            ("pandas pandas.core.indexes.category", "value", "CategoricalIndex"),
            ("pandas pandas.core.indexes.datetimes", "value", "DatetimeIndex"),
            ("pandas pandas.core.indexes.interval", "value", "IntervalIndex"),
            ("pandas pandas.core.indexes.multi", "value", "MultiIndex"),
            ("pandas pandas.core.indexes.period", "value", "PeriodIndex"),
            ("pandas pandas.core.indexes.range", "value", "RangeIndex"),
            ("pandas pandas.core.indexes.timedeltas", "value", "TimedeltaIndex"),
            # Arrays and their types
            ("pandas._libs.arrays", "call state", "__pyx_unpickle_NDArrayBacked"),
            ("pandas._libs.sparse", "call", "IntIndex BlockIndex"),
            ("pandas pandas.core.arrays.categorical", "value", "Categorical"),
            ("pandas.arrays pandas.core.arrays.boolean", "make", "BooleanArray"),
            ("pandas.arrays pandas.core.arrays.datetimes", "value", "DatetimeArray"),
            ("pandas.arrays pandas.core.arrays.floating", "make", "FloatingArray"),
            ("pandas.arrays pandas.core.arrays.integer", "make", "IntegerArray"),
            ("pandas.arrays pandas.core.arrays.interval", "make", "IntervalArray"),
            ("pandas.arrays pandas.core.arrays.period", "value", "PeriodArray"),
            ("pandas.arrays pandas.core.arrays.sparse.array", "make", "SparseArray"),
            ("pandas.arrays pandas.core.arrays.string_", "value", "StringArray"),
            ("pandas.arrays pandas.core.arrays.timedeltas", "value", "TimedeltaArray"),
            ("pandas.arrays pandas.core.arrays.arrow.array", "make", "ArrowExtensionArray"),
            ("pandas.arrays pandas.core.arrays.string_arrow", "make", "ArrowStringArray"),
            ("pandas.core.arrays.string_arrow", "make", "ArrowStringArrayNumpySemantics"),
            ("pandas pandas.core.arrays.boolean", "make", "BooleanDtype"),
            ("pandas pandas.core.arrays.floating", "make", "Float32Dtype Float64Dtype"),
            ("pandas pandas.core.arrays.integer", "make", "Int8Dtype Int16Dtype Int32Dtype Int64Dtype"),
            ("pandas pandas.core.arrays.integer", "make", "UInt8Dtype UInt16Dtype UInt32Dtype UInt64Dtype"),
            ("pandas pandas.core.arrays.string_", "call", "StringDtype"),
            ("pandas pandas.core.dtypes.dtypes", "make", "ArrowDtype CategoricalDtype DatetimeTZDtype SparseDtype"),
            ("pandas pandas.core.dtypes.dtypes", "make call", "IntervalDtype PeriodDtype"),
            # Scalars
            ("pandas pandas._libs.interval", "call", "Interval"),
            ("pandas pandas._libs.tslibs.period", "call", "Period"),
            ("pandas._libs.tslibs.nattype", "call", "_nat_unpickle"),
            ("pandas._libs.tslibs.timedeltas", "call", "_timedelta_unpickle"),
            ("pandas._libs.tslibs.timestamps", "call", "_unpickle_timestamp"),
            ("pandas pandas._libs.tslibs.offsets", "call", "DateOffset"),
            ("pandas._libs.tslibs.offsets", "call", "Day Hour Minute Second Milli Micro Nano Week WeekOfMonth"),
            ("pandas._libs.tslibs.offsets", "call", "LastWeekOfMonth MonthBegin MonthEnd SemiMonthBegin SemiMonthEnd"),
            ("pandas._libs.tslibs.offsets", "call", "QuarterBegin QuarterEnd YearBegin YearEnd Easter FY5253"),
            ("pandas._libs.tslibs.offsets", "call", "FY5253Quarter BQuarterBegin BQuarterEnd BYearBegin BYearEnd"),
            ("pandas._libs.tslibs.offsets", "call", "BusinessDay BusinessHour BusinessMonthBegin BusinessMonthEnd"),
            ("pandas._libs.tslibs.offsets", "call", "CustomBusinessDay CustomBusinessHour CustomBusinessMonthBegin"),
            ("pandas._libs.tslibs.offsets", "call", "CustomBusinessMonthEnd"),
            ("dateutil.relativedelta", "make", "relativedelta"),
        ),
        includes=("pyarrow",),
    ),
    "scikit-learn": Table(
        (
            ("sklearn.linear_model._logistic", "make", "LogisticRegression"),
            ("sklearn.ensemble._forest", "make", "RandomForestClassifier RandomForestRegressor"),
            ("sklearn.ensemble._gb", "make", "GradientBoostingClassifier GradientBoostingRegressor"),
            ("sklearn.tree._classes", "make", "DecisionTreeClassifier DecisionTreeRegressor"),
            ("sklearn.tree._tree", "call state", "Tree"),
            ("sklearn.pipeline", "make", "Pipeline"),
            ("sklearn.preprocessing._data", "make", "StandardScaler"),
            ("sklearn.dummy", "make", "DummyClassifier DummyRegressor"),
            ("sklearn._loss._loss", "call", "CyHalfBinomialLoss"),
            ("sklearn._loss.link", "make", "Interval LogitLink"),
            ("sklearn._loss.loss", "make", "HalfBinomialLoss"),
        ),
        includes=("numpy.random",),
    ),
}  # fmt: skip


def entries_of(name: str) -> dict[str, Entry]:
    """Return the entries of a preset, by global."""
    found: dict[str, Entry] = {}
    for included in PRESETS[name].includes:
        found |= entries_of(included)
    methods: dict[str, tuple[str, ...]] = {}
    for modules, verbs, names in PRESETS[name].rows:
        for module in modules.split():
            for qualname in names.split():
                if verbs == _METHOD:
                    owner, _, method = f"{module}:{qualname}".rpartition(".")
                    methods[owner] = (*methods.get(owner, ()), method)
                else:
                    found[f"{module}:{qualname}"] = Entry(None, _verbs(verbs.split()), (), f"preset({name!r})")
    for owner, own in methods.items():
        found[owner] = found.get(owner, Entry(None, frozenset((VALUE,)), (), f"preset({name!r})"))._replace(methods=own)
    return found


def _verbs(verbs: Iterable[str]) -> frozenset[str]:
    found = frozenset((VALUE, *verbs))
    if not found <= VERBS or ("state" in found and CALL not in found):
        raise ValueError(f"no verbs of a preset: {' '.join(verbs)}")
    return found


# The entries of each preset, by global.
ENTRIES: dict[str, dict[str, Entry]] = {name: entries_of(name) for name in PRESETS}
