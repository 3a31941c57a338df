"""Which classes are a library's: their layout follows from its version, which `packages` records (spec 6.2).

Such a class gets no entry in `types`. An application is no library, also where it is installed as a distribution: its
classes are recorded and compared. This module looks at names and at installed metadata, and imports nothing.
"""

from collections.abc import Container, Iterable

from .distributions import distribution_called, distribution_of, installed_instead

# Distributions that others build on, and that keep what they pickle readable themselves, or say that they do not. An
# application does not belong here, and neither does a distribution whose classes exist to be filled with the fields of
# an application. Names are in their normal form.
LIBRARIES = frozenset(
    {
        *("arviz", "astropy", "beautifulsoup4", "biopython", "bokeh", "catboost", "category-encoders", "cvxpy"),
        *("dask", "datasets", "distributed", "django", "duckdb", "faiss-cpu", "feature-engine", "formulaic"),
        *("gensim", "geopandas", "gpytorch", "gymnasium", "h5py", "hdbscan", "holidays", "imbalanced-learn"),
        *("jax", "joblib", "keras", "lifelines", "lightgbm", "lightning", "lmfit", "lxml", "matplotlib", "mlxtend"),
        *("mne", "mpmath", "narwhals", "networkx", "nibabel", "nltk", "numba", "numpy", "opencv-python", "openpyxl"),
        *("optuna", "pandas", "patsy", "pendulum", "pillow", "pint", "plotly", "polars", "prophet", "pyarrow"),
        *("pymatgen", "pymc", "pyod", "pyparsing", "pyproj", "python-box", "python-dateutil"),
        *("pytorch-lightning", "pytz", "pyyaml", "rdflib", "rdkit", "regex", "requests", "river", "scikit-image"),
        *("scikit-learn", "scikit-optimize", "scikit-surprise", "scipy", "seaborn", "sentence-transformers"),
        *("shap", "shapely", "skorch", "sktime", "sortedcontainers", "spacy", "sparse", "sqlalchemy", "statsmodels"),
        *("sympy", "tensorflow", "thinc", "tokenizers", "torch", "torchaudio", "torchvision", "transformers"),
        *("tslearn", "umap-learn", "uncertainties", "werkzeug", "xarray", "xgboost", "yarl", "zarr"),
    }
)


def check_libraries(libraries: object) -> frozenset[str]:
    """Return the distributions that a caller counts among the libraries, in the normal form of their names.

    Raises:
        TypeError: it is no list of names.
    """
    if isinstance(libraries, str | bytes) or not isinstance(libraries, Iterable):
        raise TypeError(f"libraries: expected a list of distributions, found {libraries!r}")
    names = list(libraries)
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"libraries: expected names of distributions, found {name!r}")
    return frozenset(map(distribution_called, names))


def is_of_library(cls: type, libraries: Container[str] = LIBRARIES) -> bool:
    """Return whether the distribution of a class is installed, and one of these."""
    distribution = distribution_of(cls)
    return distribution in libraries and installed_instead(distribution)[1] is not None


def is_from_outside(base: type, cls: type) -> bool:
    """Return whether a base of a class is a library's, and the class is not of the same distribution."""
    return is_of_library(base) and distribution_of(base) != distribution_of(cls)
