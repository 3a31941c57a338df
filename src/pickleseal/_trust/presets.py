"""The presets: for each library, the names that its pickles need, with what payloads may do with each.

A row has the modules that have the names (all of them, where releases differ), the verbs, and the names. The verbs are:

- `value`: it stands in the object, as a class, a function or a constant. All other verbs include this one.
- `make`: NEWOBJ makes objects of the class, and they get one state.
- `call`: REDUCE calls it with any arguments. For a function this means that somebody looked at it: its results are new
  objects, no class or function or text, and cannot be called, and it calls none of its arguments. Level `guarded`
  makes no dry run for such a function.
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
            ("pandas pandas.core.arrays.string_", "make call", "StringDtype"),
            ("pandas pandas.core.dtypes.dtypes", "make", "ArrowDtype CategoricalDtype DatetimeTZDtype SparseDtype"),
            ("pandas pandas.core.dtypes.dtypes", "make call", "IntervalDtype PeriodDtype"),
            # Scalars
            ("pandas pandas._libs.interval", "call", "Interval"),
            ("pandas pandas._libs.tslibs.period", "call", "Period"),
            ("pandas._libs.tslibs.nattype", "call", "_nat_unpickle __nat_unpickle"),
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
    "scipy": Table(
        (
            ("numpy", "make", "vectorize"),
            ("scipy._lib.array_api_compat.numpy._aliases", "value", "asarray"),
            ("scipy.interpolate._bsplines", "make", "BSpline"),
            ("scipy.interpolate._cubic", "make", "Akima1DInterpolator CubicSpline PchipInterpolator"),
            ("scipy.interpolate._fitpack2", "make", "InterpolatedUnivariateSpline LSQUnivariateSpline"),
            ("scipy.interpolate._fitpack2", "make", "UnivariateSpline"),
            ("scipy.interpolate._interpnd", "make", "LinearNDInterpolator"),
            ("scipy.interpolate._interpolate", "make", "BPoly PPoly"),
            ("scipy.interpolate._ndgriddata", "make", "NearestNDInterpolator"),
            ("scipy.interpolate._rbfinterp", "make", "RBFInterpolator"),
            ("scipy.interpolate._rgi", "make", "RegularGridInterpolator"),
            ("scipy.optimize._constraints", "make", "Bounds LinearConstraint"),
            ("scipy.optimize._optimize", "make items", "OptimizeResult"),
            ("scipy.sparse._bsr", "make", "bsr_array bsr_matrix"),
            ("scipy.sparse._coo", "make", "coo_array coo_matrix"),
            ("scipy.sparse._csc", "make", "csc_array csc_matrix"),
            ("scipy.sparse._csr", "make", "csr_array csr_matrix"),
            ("scipy.sparse._dia", "make", "dia_array dia_matrix"),
            ("scipy.sparse._lil", "make", "lil_array lil_matrix"),
            ("scipy.spatial._ckdtree", "make", "cKDTree"),
            ("scipy.spatial._kdtree", "make", "KDTree"),
            ("scipy.spatial._qhull", "make", "ConvexHull Delaunay"),
            ("scipy.spatial.transform._rotation", "make", "Rotation"),
            ("scipy.stats._covariance", "make", "CovViaPSD"),
            ("scipy.stats._distn_infrastructure", "make", "rv_continuous_frozen rv_discrete_frozen"),
            ("scipy.stats._kde", "make", "gaussian_kde"),
            ("scipy.stats._multivariate", "make", "_PSD multivariate_normal_frozen multivariate_normal_gen"),
            ("scipy.stats._stats_py", "make", "LinregressResult"),
            ("scipy.stats._continuous_distns", "make", "alpha_gen anglit_gen arcsine_gen argus_gen beta_gen"),
            ("scipy.stats._continuous_distns", "make", "betaprime_gen bradford_gen burr12_gen burr_gen cauchy_gen"),
            ("scipy.stats._continuous_distns", "make", "chi2_gen chi_gen cosine_gen crystalball_gen dgamma_gen"),
            ("scipy.stats._continuous_distns", "make", "dpareto_lognorm_gen dweibull_gen erlang_gen expon_gen"),
            ("scipy.stats._continuous_distns", "make", "exponnorm_gen exponpow_gen exponweib_gen f_gen"),
            ("scipy.stats._continuous_distns", "make", "fatiguelife_gen fisk_gen foldcauchy_gen foldnorm_gen"),
            ("scipy.stats._continuous_distns", "make", "gamma_gen gausshyper_gen genexpon_gen genextreme_gen"),
            ("scipy.stats._continuous_distns", "make", "gengamma_gen genhalflogistic_gen genhyperbolic_gen"),
            ("scipy.stats._continuous_distns", "make", "geninvgauss_gen genlogistic_gen gennorm_gen genpareto_gen"),
            ("scipy.stats._continuous_distns", "make", "gibrat_gen gompertz_gen gumbel_l_gen gumbel_r_gen"),
            ("scipy.stats._continuous_distns", "make", "halfcauchy_gen halfgennorm_gen halflogistic_gen"),
            ("scipy.stats._continuous_distns", "make", "halfnorm_gen hypsecant_gen invgamma_gen invgauss_gen"),
            ("scipy.stats._continuous_distns", "make", "invweibull_gen irwinhall_gen jf_skew_t_gen johnsonsb_gen"),
            ("scipy.stats._continuous_distns", "make", "johnsonsu_gen kappa3_gen kappa4_gen ksone_gen kstwo_gen"),
            ("scipy.stats._continuous_distns", "make", "kstwobign_gen landau_gen laplace_asymmetric_gen"),
            ("scipy.stats._continuous_distns", "make", "laplace_gen levy_gen levy_l_gen loggamma_gen logistic_gen"),
            ("scipy.stats._continuous_distns", "make", "loglaplace_gen lognorm_gen lomax_gen maxwell_gen"),
            ("scipy.stats._continuous_distns", "make", "mielke_gen moyal_gen nakagami_gen ncf_gen nct_gen ncx2_gen"),
            ("scipy.stats._continuous_distns", "make", "norm_gen norminvgauss_gen pareto_gen pearson3_gen"),
            ("scipy.stats._continuous_distns", "make", "powerlaw_gen powerlognorm_gen powernorm_gen rayleigh_gen"),
            ("scipy.stats._continuous_distns", "make", "rdist_gen recipinvgauss_gen reciprocal_gen"),
            ("scipy.stats._continuous_distns", "make", "rel_breitwigner_gen rice_gen semicircular_gen"),
            ("scipy.stats._continuous_distns", "make", "skewcauchy_gen skewnorm_gen studentized_range_gen t_gen"),
            ("scipy.stats._continuous_distns", "make", "trapezoid_gen triang_gen truncexpon_gen truncnorm_gen"),
            ("scipy.stats._continuous_distns", "make", "truncpareto_gen truncweibull_min_gen tukeylambda_gen"),
            ("scipy.stats._continuous_distns", "make", "uniform_gen vonmises_gen wald_gen weibull_max_gen"),
            ("scipy.stats._continuous_distns", "make", "weibull_min_gen wrapcauchy_gen"),
            ("scipy.stats._discrete_distns", "make", "_nchypergeom_gen bernoulli_gen betabinom_gen betanbinom_gen"),
            ("scipy.stats._discrete_distns", "make", "binom_gen boltzmann_gen dlaplace_gen geom_gen hypergeom_gen"),
            ("scipy.stats._discrete_distns", "make", "logser_gen nbinom_gen nchypergeom_fisher_gen"),
            ("scipy.stats._discrete_distns", "make", "nchypergeom_wallenius_gen nhypergeom_gen planck_gen"),
            ("scipy.stats._discrete_distns", "make", "poisson_binom_gen poisson_gen randint_gen skellam_gen"),
            ("scipy.stats._discrete_distns", "make", "yulesimon_gen zipf_gen zipfian_gen"),
        ),
        includes=("numpy.random",),
    ),
    "scikit-learn": Table(
        (
            ("sklearn._loss._loss", "call", "CyAbsoluteError CyExponentialLoss CyHalfBinomialLoss CyHalfGammaLoss"),
            ("sklearn._loss._loss", "call", "CyHalfPoissonLoss CyHalfSquaredError CyHalfTweedieLossIdentity"),
            ("sklearn._loss._loss", "call", "CyHuberLoss CyPinballLoss __pyx_unpickle_CyHalfMultinomialLoss"),
            ("sklearn._loss._loss", "value", "CyHalfMultinomialLoss"),
            ("sklearn._loss.link", "make", "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"),
            ("sklearn._loss.loss", "make", "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss"),
            ("sklearn._loss.loss", "make", "HalfMultinomialLoss HalfPoissonLoss HalfSquaredError"),
            ("sklearn._loss.loss", "make", "HalfTweedieLossIdentity HuberLoss PinballLoss"),
            ("sklearn.calibration", "make", "CalibratedClassifierCV _CalibratedClassifier _SigmoidCalibration"),
            ("sklearn.cluster._affinity_propagation", "make", "AffinityPropagation"),
            ("sklearn.cluster._agglomerative", "make", "AgglomerativeClustering FeatureAgglomeration"),
            ("sklearn.cluster._bicluster", "make", "SpectralBiclustering SpectralCoclustering"),
            ("sklearn.cluster._birch", "make", "Birch _CFNode _CFSubcluster"),
            ("sklearn.cluster._bisect_k_means", "make", "BisectingKMeans _BisectingTree"),
            ("sklearn.cluster._dbscan", "make", "DBSCAN"),
            ("sklearn.cluster._hdbscan.hdbscan", "make", "HDBSCAN"),
            ("sklearn.cluster._kmeans", "make", "KMeans MiniBatchKMeans"),
            ("sklearn.cluster._kmeans", "value", "_kmeans_single_elkan _kmeans_single_lloyd"),
            ("sklearn.cluster._mean_shift", "make", "MeanShift"),
            ("sklearn.cluster._optics", "make", "OPTICS"),
            ("sklearn.cluster._spectral", "make", "SpectralClustering"),
            ("sklearn.compose._column_transformer", "make", "ColumnTransformer make_column_selector"),
            ("sklearn.compose._target", "make", "TransformedTargetRegressor"),
            ("sklearn.covariance._elliptic_envelope", "make", "EllipticEnvelope"),
            ("sklearn.covariance._empirical_covariance", "make", "EmpiricalCovariance"),
            ("sklearn.covariance._graph_lasso", "make", "GraphicalLasso GraphicalLassoCV"),
            ("sklearn.covariance._robust_covariance", "make", "MinCovDet"),
            ("sklearn.covariance._shrunk_covariance", "make", "LedoitWolf OAS ShrunkCovariance"),
            ("sklearn.cross_decomposition._pls", "make", "CCA PLSCanonical PLSRegression PLSSVD"),
            ("sklearn.decomposition._dict_learning", "make", "DictionaryLearning MiniBatchDictionaryLearning"),
            ("sklearn.decomposition._factor_analysis", "make", "FactorAnalysis"),
            ("sklearn.decomposition._fastica", "make", "FastICA"),
            ("sklearn.decomposition._incremental_pca", "make", "IncrementalPCA"),
            ("sklearn.decomposition._kernel_pca", "make", "KernelPCA"),
            ("sklearn.decomposition._lda", "make", "LatentDirichletAllocation"),
            ("sklearn.decomposition._nmf", "make", "MiniBatchNMF NMF"),
            ("sklearn.decomposition._pca", "make", "PCA"),
            ("sklearn.decomposition._sparse_pca", "make", "MiniBatchSparsePCA SparsePCA"),
            ("sklearn.decomposition._truncated_svd", "make", "TruncatedSVD"),
            ("sklearn.discriminant_analysis", "make", "LinearDiscriminantAnalysis QuadraticDiscriminantAnalysis"),
            ("sklearn.dummy", "make", "DummyClassifier DummyRegressor"),
            ("sklearn.ensemble._bagging", "make", "BaggingClassifier BaggingRegressor"),
            ("sklearn.ensemble._forest", "make", "ExtraTreesClassifier ExtraTreesRegressor RandomForestClassifier"),
            ("sklearn.ensemble._forest", "make", "RandomForestRegressor RandomTreesEmbedding"),
            ("sklearn.ensemble._gb", "make", "GradientBoostingClassifier GradientBoostingRegressor"),
            ("sklearn.ensemble._hist_gradient_boosting.binning", "make", "_BinMapper"),
            ("sklearn.ensemble._hist_gradient_boosting.gradient_boosting", "make", "HistGradientBoostingClassifier"),
            ("sklearn.ensemble._hist_gradient_boosting.gradient_boosting", "make", "HistGradientBoostingRegressor"),
            ("sklearn.ensemble._hist_gradient_boosting.predictor", "make", "TreePredictor"),
            ("sklearn.ensemble._iforest", "make", "IsolationForest"),
            ("sklearn.ensemble._stacking", "make", "StackingClassifier StackingRegressor"),
            ("sklearn.ensemble._voting", "make", "VotingClassifier VotingRegressor"),
            ("sklearn.ensemble._weight_boosting", "make", "AdaBoostClassifier AdaBoostRegressor"),
            ("sklearn.feature_extraction._dict_vectorizer", "make", "DictVectorizer"),
            ("sklearn.feature_extraction._hash", "make", "FeatureHasher"),
            ("sklearn.feature_extraction.image", "make", "PatchExtractor"),
            ("sklearn.feature_extraction.text", "make", "CountVectorizer HashingVectorizer TfidfTransformer"),
            ("sklearn.feature_extraction.text", "make", "TfidfVectorizer"),
            ("sklearn.feature_selection._from_model", "make", "SelectFromModel"),
            ("sklearn.feature_selection._rfe", "make", "RFE RFECV"),
            ("sklearn.feature_selection._sequential", "make", "SequentialFeatureSelector"),
            ("sklearn.feature_selection._univariate_selection", "make", "GenericUnivariateSelect SelectFdr"),
            ("sklearn.feature_selection._univariate_selection", "make", "SelectFpr SelectFwe SelectKBest"),
            ("sklearn.feature_selection._univariate_selection", "make", "SelectPercentile"),
            ("sklearn.feature_selection._univariate_selection", "value", "chi2 f_classif f_regression"),
            ("sklearn.feature_selection._variance_threshold", "make", "VarianceThreshold"),
            ("sklearn.frozen._frozen", "make", "FrozenEstimator"),
            ("sklearn.gaussian_process._gpc", "make", "GaussianProcessClassifier"),
            ("sklearn.gaussian_process._gpc", "make", "_BinaryGaussianProcessClassifierLaplace"),
            ("sklearn.gaussian_process._gpr", "make", "GaussianProcessRegressor"),
            ("sklearn.gaussian_process.kernels", "make", "ConstantKernel DotProduct ExpSineSquared Matern Product"),
            ("sklearn.gaussian_process.kernels", "make", "RBF RationalQuadratic Sum WhiteKernel"),
            ("sklearn.impute._base", "make", "MissingIndicator SimpleImputer"),
            ("sklearn.impute._knn", "make", "KNNImputer"),
            ("sklearn.isotonic", "make", "IsotonicRegression"),
            ("sklearn.kernel_approximation", "make", "AdditiveChi2Sampler Nystroem PolynomialCountSketch"),
            ("sklearn.kernel_approximation", "make", "RBFSampler SkewedChi2Sampler"),
            ("sklearn.kernel_ridge", "make", "KernelRidge"),
            ("sklearn.linear_model._base", "make", "LinearRegression"),
            ("sklearn.linear_model._bayes", "make", "ARDRegression BayesianRidge"),
            ("sklearn.linear_model._coordinate_descent", "make", "ElasticNet ElasticNetCV Lasso LassoCV"),
            ("sklearn.linear_model._coordinate_descent", "make", "MultiTaskElasticNet MultiTaskElasticNetCV"),
            ("sklearn.linear_model._coordinate_descent", "make", "MultiTaskLasso MultiTaskLassoCV"),
            ("sklearn.linear_model._glm.glm", "make", "GammaRegressor PoissonRegressor TweedieRegressor"),
            ("sklearn.linear_model._huber", "make", "HuberRegressor"),
            ("sklearn.linear_model._least_angle", "make", "Lars LarsCV LassoLars LassoLarsCV LassoLarsIC"),
            ("sklearn.linear_model._logistic", "make", "LogisticRegression LogisticRegressionCV"),
            ("sklearn.linear_model._omp", "make", "OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV"),
            ("sklearn.linear_model._passive_aggressive", "make", "PassiveAggressiveClassifier"),
            ("sklearn.linear_model._passive_aggressive", "make", "PassiveAggressiveRegressor"),
            ("sklearn.linear_model._perceptron", "make", "Perceptron"),
            ("sklearn.linear_model._quantile", "make", "QuantileRegressor"),
            ("sklearn.linear_model._ransac", "make", "RANSACRegressor"),
            ("sklearn.linear_model._ridge", "make", "Ridge RidgeCV RidgeClassifier RidgeClassifierCV"),
            ("sklearn.linear_model._sgd_fast", "call", "EpsilonInsensitive Hinge Huber ModifiedHuber SquaredHinge"),
            ("sklearn.linear_model._sgd_fast", "call", "SquaredEpsilonInsensitive"),
            ("sklearn.linear_model._stochastic_gradient", "make", "SGDClassifier SGDOneClassSVM SGDRegressor"),
            ("sklearn.linear_model._theil_sen", "make", "TheilSenRegressor"),
            ("sklearn.manifold._classical_mds", "make", "ClassicalMDS"),
            ("sklearn.manifold._isomap", "make", "Isomap"),
            ("sklearn.manifold._locally_linear", "make", "LocallyLinearEmbedding"),
            ("sklearn.manifold._mds", "make", "MDS"),
            ("sklearn.manifold._spectral_embedding", "make", "SpectralEmbedding"),
            ("sklearn.manifold._t_sne", "make", "TSNE"),
            ("sklearn.metrics._classification", "value", "balanced_accuracy_score"),
            ("sklearn.metrics._dist_metrics", "value", "BrayCurtisDistance64 CanberraDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "ChebyshevDistance64 DiceDistance64 EuclideanDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "HammingDistance64 HaversineDistance64 JaccardDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "KulsinskiDistance64 MahalanobisDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "ManhattanDistance64 MatchingDistance64 MinkowskiDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "PyFuncDistance64 RogersTanimotoDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "RussellRaoDistance64 SEuclideanDistance64"),
            ("sklearn.metrics._dist_metrics", "value", "SokalMichenerDistance64 SokalSneathDistance64"),
            ("sklearn.metrics._dist_metrics", "call state", "newObj"),
            ("sklearn.metrics._scorer", "make", "_CurveScorer _PassthroughScorer _Scorer"),
            ("sklearn.mixture._bayesian_mixture", "make", "BayesianGaussianMixture"),
            ("sklearn.mixture._gaussian_mixture", "make", "GaussianMixture"),
            ("sklearn.model_selection._classification_threshold", "make", "FixedThresholdClassifier"),
            ("sklearn.model_selection._classification_threshold", "make", "TunedThresholdClassifierCV"),
            ("sklearn.model_selection._search", "make", "GridSearchCV"),
            ("sklearn.model_selection._split", "make", "GroupKFold KFold ShuffleSplit StratifiedKFold"),
            ("sklearn.model_selection._split", "make", "TimeSeriesSplit"),
            ("sklearn.multiclass", "make", "OneVsOneClassifier OneVsRestClassifier OutputCodeClassifier"),
            ("sklearn.multiclass", "make", "_ConstantPredictor"),
            ("sklearn.multioutput", "make", "ClassifierChain MultiOutputClassifier MultiOutputRegressor"),
            ("sklearn.multioutput", "make", "RegressorChain"),
            ("sklearn.naive_bayes", "make", "BernoulliNB CategoricalNB ComplementNB GaussianNB MultinomialNB"),
            ("sklearn.neighbors._ball_tree", "value", "BallTree"),
            ("sklearn.neighbors._ball_tree", "call state", "newObj"),
            ("sklearn.neighbors._classification", "make", "KNeighborsClassifier RadiusNeighborsClassifier"),
            ("sklearn.neighbors._graph", "make", "KNeighborsTransformer RadiusNeighborsTransformer"),
            ("sklearn.neighbors._kd_tree", "value", "KDTree"),
            ("sklearn.neighbors._kd_tree", "call state", "newObj"),
            ("sklearn.neighbors._kde", "make", "KernelDensity"),
            ("sklearn.neighbors._lof", "make", "LocalOutlierFactor"),
            ("sklearn.neighbors._nca", "make", "NeighborhoodComponentsAnalysis"),
            ("sklearn.neighbors._nearest_centroid", "make", "NearestCentroid"),
            ("sklearn.neighbors._regression", "make", "KNeighborsRegressor RadiusNeighborsRegressor"),
            ("sklearn.neighbors._unsupervised", "make", "NearestNeighbors"),
            ("sklearn.neural_network._multilayer_perceptron", "make", "MLPClassifier MLPRegressor"),
            ("sklearn.neural_network._rbm", "make", "BernoulliRBM"),
            ("sklearn.neural_network._stochastic_optimizers", "make", "AdamOptimizer"),
            ("sklearn.pipeline", "make", "Pipeline"),
            ("sklearn.preprocessing._data", "make", "Binarizer KernelCenterer MaxAbsScaler MinMaxScaler Normalizer"),
            ("sklearn.preprocessing._data", "make", "PowerTransformer QuantileTransformer RobustScaler"),
            ("sklearn.preprocessing._data", "make", "StandardScaler"),
            ("sklearn.preprocessing._discretization", "make", "KBinsDiscretizer"),
            ("sklearn.preprocessing._encoders", "make", "OneHotEncoder OrdinalEncoder"),
            ("sklearn.preprocessing._function_transformer", "make", "FunctionTransformer"),
            ("sklearn.preprocessing._label", "make", "LabelBinarizer LabelEncoder MultiLabelBinarizer"),
            ("sklearn.preprocessing._polynomial", "make", "PolynomialFeatures SplineTransformer"),
            ("sklearn.preprocessing._target_encoder", "make", "TargetEncoder"),
            ("sklearn.random_projection", "make", "GaussianRandomProjection SparseRandomProjection"),
            ("sklearn.semi_supervised._label_propagation", "make", "LabelPropagation LabelSpreading"),
            ("sklearn.semi_supervised._self_training", "make", "SelfTrainingClassifier"),
            ("sklearn.svm._classes", "make", "LinearSVC LinearSVR NuSVC NuSVR OneClassSVM SVC SVR"),
            ("sklearn.tree._classes", "make", "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier"),
            ("sklearn.tree._classes", "make", "ExtraTreeRegressor"),
            ("sklearn.tree._tree", "call state", "Tree"),
            ("sklearn.utils._bunch", "make items", "Bunch"),
            ("sklearn.utils._metadata_requests", "make", "MetadataRequest MethodMetadataRequest"),
            ("numpy", "value", "float32 float64 int32 int64"),  # the types that estimators are told to use
            ("numpy.ma.core", "call state", "_mareconstruct"),  # results of a search
            ("numpy.ma", "value", "MaskedArray"),
            ("numpy", "value", "ndarray"),
        ),
        includes=("scipy",),
    ),
    "lightgbm": Table(
        (
            ("lightgbm.basic", "make", "Booster"),
            ("lightgbm.sklearn", "make", "LGBMClassifier LGBMModel LGBMRanker LGBMRegressor"),
        ),
        includes=("scikit-learn",),
    ),
    "networkx": Table(
        (
            ("networkx.classes.coreviews", "make", "AdjacencyView AtlasView MultiAdjacencyView"),
            ("networkx.classes.digraph", "make", "DiGraph"),
            ("networkx.classes.graph", "make", "Graph"),
            ("networkx.classes.multidigraph", "make", "MultiDiGraph"),
            ("networkx.classes.multigraph", "make", "MultiGraph"),
            ("networkx.classes.reportviews", "make", "DegreeView DiDegreeView DiMultiDegreeView EdgeDataView"),
            ("networkx.classes.reportviews", "make", "EdgeView InDegreeView InEdgeDataView InEdgeView"),
            ("networkx.classes.reportviews", "make", "InMultiDegreeView InMultiEdgeDataView InMultiEdgeView"),
            ("networkx.classes.reportviews", "make", "MultiDegreeView MultiEdgeDataView MultiEdgeView NodeDataView"),
            ("networkx.classes.reportviews", "make", "NodeView OutDegreeView OutEdgeDataView OutEdgeView"),
            ("networkx.classes.reportviews", "make", "OutMultiDegreeView OutMultiEdgeDataView OutMultiEdgeView"),
        )
    ),
    # Query sets are left out: the state of a forged one is a query of its choice.
    "django": Table(
        (
            ("django.db.models.base", "call state", "model_unpickle"),
            ("django.db.models.base", "make", "ModelState"),
            ("django.http.request", "make items", "QueryDict"),
            ("django.http.response", "make", "HttpResponse JsonResponse ResponseHeaders"),
            ("django.utils.datastructures", "make items", "MultiValueDict"),
            ("django.utils.safestring", "make", "SafeString"),
            ("http.cookies", "make items", "Morsel SimpleCookie"),
        )
    ),
    # Expressions and lazy frames are left out: their states can hold functions, pickled.
    "polars": Table(
        (
            ("polars.dataframe.frame", "make", "DataFrame"),
            ("polars.series.series", "make", "Series"),
            ("polars.schema", "call items", "Schema"),
            ("polars.datatypes.classes", "make", "Array Boolean Binary Categorical Categories Date Datetime Decimal"),
            ("polars.datatypes.classes", "make", "Duration Enum Field Float32 Float64 Int8 Int16 Int32 Int64 List"),
            ("polars.datatypes.classes", "make", "Null String Struct Time UInt8 UInt16 UInt32 UInt64"),
        )
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
