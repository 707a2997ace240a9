"""tf.contrib.distributions' classes on tensorflow-probability's, with TensorFlow 1.15's arguments and properties.

Where a distribution is made of others, these may be of tf.distributions.
"""

from __future__ import annotations

import types

import tensorflow_probability as tfp
from tensorflow.python.ops.distributions.distribution import Distribution

from slimft.compat.v1 import tf

_tfd, _tfb = tfp.distributions, tfp.bijectors


def _modern(value):
    """tensorflow-probability's distribution for one of tf.distributions; anything else as it is."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(_modern, value))
    if not isinstance(value, Distribution):
        return value
    kind = getattr(_tfd, type(value).__name__, None)
    if kind is None:
        raise TypeError(f"{type(value).__name__} cannot be a part of another distribution")
    return kind(**{name: given for name, given in value.parameters.items() if given is not None})


def kl_divergence(distribution_a, distribution_b, allow_nan_stats=True, name=None):
    """See `slimft.compat.contrib.distributions.kl_divergence`."""
    return _tfd.kl_divergence(_modern(distribution_a), _modern(distribution_b), allow_nan_stats, name)


def _with_both_parameters(name):
    """A class whose `probs` and `logits` are both there, whichever of them was given, as they were in 1.15."""
    base = getattr(_tfd, name)
    body = {
        "probs": property(lambda self: self.probs_parameter()),
        "logits": property(lambda self: self.logits_parameter()),
        "__doc__": f"tensorflow-probability's {name}; probs and logits are both there.",
    }
    return type(name, (base,), body)


Binomial, Geometric = _with_both_parameters("Binomial"), _with_both_parameters("Geometric")
NegativeBinomial, OneHotCategorical = map(_with_both_parameters, ("NegativeBinomial", "OneHotCategorical"))
RelaxedBernoulli = _with_both_parameters("RelaxedBernoulli")
Autoregressive, BatchReshape, Cauchy, Chi2 = _tfd.Autoregressive, _tfd.BatchReshape, _tfd.Cauchy, _tfd.Chi2
Deterministic, VectorDeterministic, HalfNormal = _tfd.Deterministic, _tfd.VectorDeterministic, _tfd.HalfNormal
Kumaraswamy, Logistic, Poisson, SinhArcsinh = _tfd.Kumaraswamy, _tfd.Logistic, _tfd.Poisson, _tfd.SinhArcsinh
MultivariateNormalTriL = _tfd.MultivariateNormalTriL
MultivariateNormalFullCovariance = _tfd.MultivariateNormalFullCovariance
percentile = tfp.stats.percentile


class ExpRelaxedOneHotCategorical(_with_both_parameters("ExpRelaxedOneHotCategorical")):
    """The logarithm of `RelaxedOneHotCategorical`."""

    def __init__(
        self, temperature, logits=None, probs=None, dtype=None, validate_args=False, allow_nan_stats=True,
        name="ExpRelaxedOneHotCategorical",
    ):  # fmt: skip
        super().__init__(_as(temperature, dtype), _as(logits, dtype), _as(probs, dtype), validate_args,
                         allow_nan_stats, name)  # fmt: skip


class RelaxedOneHotCategorical(_tfd.RelaxedOneHotCategorical):
    """Points of a simplex near its corners: Concrete, Gumbel-softmax (arXiv:1611.00712, 1611.01144)."""

    def __init__(
        self, temperature, logits=None, probs=None, dtype=None, validate_args=False, allow_nan_stats=True,
        name="RelaxedOneHotCategorical",
    ):  # fmt: skip
        super().__init__(_as(temperature, dtype), _as(logits, dtype), _as(probs, dtype), validate_args,
                         allow_nan_stats, name)  # fmt: skip


def _as(value, dtype):
    return value if value is None or dtype is None else tf.convert_to_tensor(value, dtype)


class InverseGamma(_tfd.InverseGamma):
    """`rate` is what tensorflow-probability calls scale."""

    def __init__(
        self, concentration, rate=None, validate_args=False, allow_nan_stats=True, name="InverseGamma", scale=None
    ):
        super().__init__(concentration, rate if scale is None else scale, validate_args, allow_nan_stats, name)

    rate = property(lambda self: self.scale)


class MultivariateNormalDiag(_tfd.MultivariateNormalDiag):
    """Independent normal distributions of the components of a vector.

    Args:
        loc: ``[..., k]``: the means.
        scale_diag: ``[..., k]``: the standard deviations; 1 if there is neither.
        scale_identity_multiplier: a number for each vector that is added to these.
        validate_args: whether arguments are checked in a session.
        allow_nan_stats: whether what is undefined is NaN.
        name: of the ops.
    """

    def __init__(
        self, loc=None, scale_diag=None, scale_identity_multiplier=None, validate_args=False, allow_nan_stats=True,
        name="MultivariateNormalDiag",
    ):  # fmt: skip
        if scale_identity_multiplier is not None:
            like = loc if scale_diag is None else scale_diag
            if like is None:
                raise ValueError("MultivariateNormalDiag: scale_identity_multiplier needs loc or scale_diag")
            added = tf.ones_like(like) * tf.convert_to_tensor(scale_identity_multiplier)[..., None]
            scale_diag = added if scale_diag is None else scale_diag + added
        super().__init__(loc, scale_diag, validate_args, allow_nan_stats, name=name)


class MultivariateNormalDiagWithSoftplusScale(MultivariateNormalDiag):
    """As `MultivariateNormalDiag`, of the softplus of `scale_diag`."""

    def __init__(
        self, loc, scale_diag, validate_args=False, allow_nan_stats=True,
        name="MultivariateNormalDiagWithSoftplusScale",
    ):  # fmt: skip
        super().__init__(loc, tf.nn.softplus(scale_diag), None, validate_args, allow_nan_stats, name)


class Mixture(_tfd.Mixture):
    """A mixture of distributions in a list, of which `cat`, a Categorical, chooses one."""

    def __init__(
        self, cat, components, validate_args=False, allow_nan_stats=True, use_static_graph=False, name="Mixture"
    ):
        super().__init__(_modern(cat), _modern(list(components)), validate_args, allow_nan_stats, name)


class MixtureSameFamily(_tfd.MixtureSameFamily):
    """A mixture of the distributions of a batch, of which `mixture_distribution`, a Categorical, chooses one."""

    def __init__(
        self, mixture_distribution, components_distribution, validate_args=False, allow_nan_stats=True,
        name="MixtureSameFamily",
    ):  # fmt: skip
        super().__init__(
            _modern(mixture_distribution), _modern(components_distribution), validate_args=validate_args,
            allow_nan_stats=allow_nan_stats, name=name,
        )  # fmt: skip


class Independent(_tfd.Independent):
    """A distribution whose last batch dimensions are one event; by default all but the first."""

    def __init__(self, distribution, reinterpreted_batch_ndims=None, validate_args=False, name=None):
        super().__init__(_modern(distribution), reinterpreted_batch_ndims, validate_args, name=name)


class QuantizedDistribution(_tfd.QuantizedDistribution):
    """A distribution rounded up to integers."""

    def __init__(self, distribution, low=None, high=None, validate_args=False, name="QuantizedDistribution"):
        super().__init__(_modern(distribution), low, high, validate_args, name)


class TransformedDistribution(_tfd.TransformedDistribution):
    """What a bijector makes of a distribution.

    Args:
        distribution: of what is transformed.
        bijector: by default none.
        batch_shape: of independent ones; scalars only.
        event_shape: of vectors of independent ones; scalars only.
        validate_args: whether arguments are checked in a session.
        name: of the ops.
    """

    def __init__(
        self, distribution, bijector=None, batch_shape=None, event_shape=None, validate_args=False, name=None
    ):
        distribution = _modern(distribution)
        if batch_shape is not None:
            distribution = _tfd.BatchBroadcast(distribution, batch_shape)
        if event_shape is not None:
            distribution = _tfd.Sample(distribution, event_shape)
        super().__init__(distribution, bijector or _tfb.Identity(), validate_args=validate_args, name=name)


def _affine_scalar(shift=None, scale=None, validate_args=False, name="affine_scalar"):
    """``scale x + shift``."""
    parts = [] if shift is None else [_tfb.Shift(shift, validate_args=validate_args)]
    parts += [] if scale is None else [_tfb.Scale(scale, validate_args=validate_args)]
    return _tfb.Chain(parts, validate_args, name=name)


def _affine(
    shift=None, scale_identity_multiplier=None, scale_diag=None, scale_tril=None, scale_perturb_factor=None,
    scale_perturb_diag=None, validate_args=False, name="affine",
):  # fmt: skip
    """``scale x + shift`` of vectors; the scales given are added up."""
    if scale_perturb_factor is not None or scale_perturb_diag is not None:
        raise NotImplementedError("tf.contrib.distributions.bijectors.Affine: scale_perturb_factor is not here")
    parts = [] if shift is None else [_tfb.Shift(shift, validate_args=validate_args)]
    linear = None
    if scale_tril is not None:
        matrix = tf.convert_to_tensor(scale_tril)
        added = [] if scale_diag is None else [tf.convert_to_tensor(scale_diag)]
        added += [] if scale_identity_multiplier is None else [scale_identity_multiplier]
        linear = _tfb.ScaleMatvecTriL(tf.linalg.set_diag(matrix, sum(added, tf.linalg.diag_part(matrix))))
    elif scale_diag is not None:
        linear = _tfb.ScaleMatvecDiag(tf.convert_to_tensor(scale_diag) + (scale_identity_multiplier or 0.0))
    elif scale_identity_multiplier is not None:
        linear = _tfb.Scale(scale_identity_multiplier)
    return _tfb.Chain([*parts, *([] if linear is None else [linear])], validate_args, name=name)


def _gumbel(loc=0.0, scale=1.0, validate_args=False, name="gumbel"):
    """The distribution function of Gumbel's distribution."""
    return _tfb.GumbelCDF(loc, scale, validate_args, name)


class _Bijectors(types.ModuleType):
    """tensorflow-probability's bijectors, and those that have other names now."""

    Affine, AffineScalar, Gumbel = map(staticmethod, (_affine, _affine_scalar, _gumbel))
    ScaleTriL = _tfb.FillScaleTriL
    Kumaraswamy = staticmethod(lambda *args, **named: _tfb.Invert(_tfb.KumaraswamyCDF(*args, **named)))
    Ordered = staticmethod(lambda *args, **named: _tfb.Invert(_tfb.Ascending(*args, **named)))

    def __getattr__(self, name):
        return getattr(_tfb, name)


bijectors = _Bijectors("tensorflow.contrib.distributions.bijectors")
