"""What `tf.contrib.distributions` was: tf.distributions', and more with ``pip install 'slimft[distributions]'``.

Normal, Categorical, Bernoulli, Beta, Dirichlet, Gamma, ... are those of tf.compat.v1.distributions, as in
TensorFlow 1.15. The others are tensorflow-probability's; see `probability`. Source of names: TensorFlow 1.15's
tensorflow/contrib/distributions/__init__.py.
"""

from __future__ import annotations

import importlib
import sys

from tensorflow.python.ops.distributions import (
    bernoulli,
    beta,
    categorical,
    dirichlet,
    dirichlet_multinomial,
    exponential,
    gamma,
    laplace,
    multinomial,
    normal,
    student_t,
    uniform,
)
from tensorflow.python.ops.distributions.beta import BetaWithSoftplusConcentration
from tensorflow.python.ops.distributions.distribution import (
    FULLY_REPARAMETERIZED,
    NOT_REPARAMETERIZED,
    Distribution,
    ReparameterizationType,
)
from tensorflow.python.ops.distributions.exponential import ExponentialWithSoftplusRate
from tensorflow.python.ops.distributions.gamma import GammaWithSoftplusConcentrationRate
from tensorflow.python.ops.distributions.kullback_leibler import RegisterKL, _registered_kl
from tensorflow.python.ops.distributions.kullback_leibler import kl_divergence as _kl_divergence
from tensorflow.python.ops.distributions.laplace import LaplaceWithSoftplusScale
from tensorflow.python.ops.distributions.normal import NormalWithSoftplusScale
from tensorflow.python.ops.distributions.student_t import StudentTWithAbsDfSoftplusScale
from tensorflow.python.ops.distributions.util import (
    fill_triangular,
    fill_triangular_inverse,
    matrix_diag_transform,
    reduce_weighted_logsumexp,
    softplus_inverse,
    tridiag,
)

Bernoulli, Beta, Categorical = bernoulli.Bernoulli, beta.Beta, categorical.Categorical
Dirichlet, DirichletMultinomial = dirichlet.Dirichlet, dirichlet_multinomial.DirichletMultinomial
Exponential, Gamma, Laplace = exponential.Exponential, gamma.Gamma, laplace.Laplace
Multinomial, Normal = multinomial.Multinomial, normal.Normal
StudentT, Uniform = student_t.StudentT, uniform.Uniform
ds = distributions = sys.modules[__name__]

_OF_PROBABILITY = frozenset((
    "Autoregressive", "BatchReshape", "Binomial", "Cauchy", "Chi2", "Deterministic", "ExpRelaxedOneHotCategorical",
    "Geometric", "HalfNormal", "Independent", "InverseGamma", "Kumaraswamy", "Logistic", "Mixture",
    "MixtureSameFamily", "MultivariateNormalDiag", "MultivariateNormalDiagWithSoftplusScale",
    "MultivariateNormalFullCovariance", "MultivariateNormalTriL", "NegativeBinomial", "OneHotCategorical",
    "Poisson",
    "QuantizedDistribution", "RelaxedBernoulli", "RelaxedOneHotCategorical", "SinhArcsinh",
    "TransformedDistribution", "VectorDeterministic", "bijectors", "percentile",
))  # fmt: skip
__all__ = [
    "Bernoulli", "Beta", "BetaWithSoftplusConcentration", "Categorical", "Dirichlet", "DirichletMultinomial",
    "Distribution", "Exponential", "ExponentialWithSoftplusRate", "FULLY_REPARAMETERIZED", "Gamma",
    "GammaWithSoftplusConcentrationRate", "Laplace", "LaplaceWithSoftplusScale", "Multinomial",
    "NOT_REPARAMETERIZED", "Normal", "NormalWithSoftplusScale", "RegisterKL", "ReparameterizationType", "StudentT",
    "StudentTWithAbsDfSoftplusScale", "Uniform", "fill_triangular", "fill_triangular_inverse", "kl_divergence",
    "matrix_diag_transform", "reduce_weighted_logsumexp", "softplus_inverse", "tridiag",
]  # fmt: skip


def __getattr__(name):
    if name not in _OF_PROBABILITY:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"{__name__}.probability"), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"tf.contrib.distributions.{name} is in the package tensorflow-probability ({error}): "
            "pip install 'slimft[distributions]'"
        ) from None


def kl_divergence(distribution_a, distribution_b, allow_nan_stats=True, name=None):
    """The Kullback-Leibler divergence of two distributions, where it is known.

    Raises:
        NotImplementedError: it is not known.
    """
    both = distribution_a, distribution_b
    if _registered_kl(*map(type, both)) is not None:
        return _kl_divergence(*both, allow_nan_stats=allow_nan_stats, name=name)
    if all(isinstance(one, Distribution) for one in both):
        raise NotImplementedError(
            f"No KL divergence is known between {type(both[0]).__name__} and {type(both[1]).__name__}"
        )
    return importlib.import_module(f"{__name__}.probability").kl_divergence(*both, allow_nan_stats, name)
