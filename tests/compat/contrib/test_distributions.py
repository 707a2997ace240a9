"""tf.contrib.distributions, on tf.distributions and tensorflow-probability; figures of TensorFlow 1.15.5."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import distributions as ds
from slimft.compat.legacy_names import resolve

has_probability = pytest.mark.skipif(
    not find_spec("tensorflow_probability"), reason="needs pip install 'slimft[distributions]'"
)


def values(*tensors):
    with tf.Session() as session:
        return [np.asarray(value, np.float64) for value in session.run(list(tensors))]


def test_those_of_tensorflow_itself():
    package = resolve("tensorflow.contrib.distributions")
    assert package.Normal is ds.Normal is tf.distributions.Normal
    assert package.python.ops.mvn_diag.Normal is ds.Normal
    with tf.Graph().as_default():
        categorical = ds.Categorical(logits=[0.1, 0.5, -1.0])
        softplus = ds.NormalWithSoftplusScale(0.0, 1.0).log_prob(0.3)
        divergence = ds.kl_divergence(ds.Normal(0.0, 1.0), ds.Normal(1.0, 2.0))
        probabilities, log_prob, kl = values(categorical.probs, softplus, divergence)
        triangle, inverse = values(ds.fill_triangular([1.0, 2.0, 3.0]), ds.softplus_inverse(1.0))
    np.testing.assert_allclose(probabilities, [0.35362, 0.52755, 0.1177], rtol=2e-3)
    assert log_prob == pytest.approx(-1.2184, abs=1e-3)
    assert kl == pytest.approx(0.4431, abs=1e-4)
    assert triangle.tolist() == [[3, 0], [2, 1]]
    assert inverse == pytest.approx(np.log(np.e - 1))
    with tf.Graph().as_default(), pytest.raises(NotImplementedError, match="No KL"):
        ds.kl_divergence(ds.Normal(0.0, 1.0), ds.Gamma(1.0, 2.0))
    with pytest.raises(AttributeError, match="tensorflow-probability"):
        print(package.VectorLaplaceDiag)


def test_others_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_probability", None)
    monkeypatch.delitem(sys.modules, f"{ds.__name__}.probability", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"slimft\[distributions\]"):
        print(ds.MultivariateNormalDiag)


@has_probability
def test_figures_are_those_of_1_15():
    with tf.Graph().as_default():
        one_hot = ds.OneHotCategorical(logits=[0.1, 0.5, -1.0])
        log_relaxed = ds.ExpRelaxedOneHotCategorical(tf.constant(0.5), logits=[0.1, 0.5, -1.0])
        mixture = ds.Mixture(ds.Categorical(probs=[0.3, 0.7]), [ds.Normal(-1.0, 1.0), ds.Normal(1.0, 0.5)])
        vectors = ds.MultivariateNormalDiag([[-1.0, 1.0], [0.0, 0.0]], [[1.0, 2.0], [1.0, 1.0]])
        same = ds.MixtureSameFamily(ds.Categorical(logits=[0.1, 0.2]), vectors)
        affine = ds.bijectors.Affine(shift=[1.0, 2.0], scale_diag=[2.0, 3.0])
        minus = ds.bijectors.AffineScalar(shift=-0.5)
        logistic = ds.TransformedDistribution(ds.Logistic(0.0, 3.0), minus)
        pair = ds.MultivariateNormalDiag([0.0, 1.0], [1.0, 2.0]), ds.MultivariateNormalDiag([1.0, 1.0], [1.0, 1.0])
        cases = [
            (ds.MultivariateNormalDiag([0.0, 1.0], scale_identity_multiplier=0.5).log_prob([0.5, 0.5]), -1.4516),
            (ds.MultivariateNormalDiag(tf.zeros([3, 2]), tf.ones([3, 2]), tf.constant([1.0, 2.0, 3.0])).log_prob(
                [0.5, 0.5]), [-3.2867, -4.0629, -4.6261]),
            (ds.MultivariateNormalDiagWithSoftplusScale([0.0, 1.0], [1.0, 2.0]).log_prob([0.5, 0.5]), -2.9652),
            (one_hot.log_prob([0.0, 1.0, 0.0]), -0.6384), (one_hot.probs, [0.354, 0.5281, 0.1178]),
            (ds.OneHotCategorical(probs=[0.2, 0.8]).logits, [-1.6094, -0.2231]),
            (log_relaxed.log_prob(np.log([0.2, 0.3, 0.5]).astype("f")), -4.716),
            (ds.RelaxedBernoulli(0.5, logits=[0.3, 1.0]).probs, [0.5744, 0.7311]),
            (mixture.log_prob(0.2), -1.5439), (mixture.stddev(), 1.1467), (same.log_prob([0.2, 0.1]), -2.3216),
            (ds.Independent(ds.Bernoulli(logits=tf.zeros([3, 2]))).log_prob([1.0, 0.0]), [-1.3863] * 3),
            (ds.TransformedDistribution(ds.Normal(0.0, 1.0), ds.bijectors.Exp()).log_prob([0.5, 2.0]),
             [-0.466, -1.8523]),
            (ds.TransformedDistribution(ds.Normal(0.0, 1.0), affine, event_shape=[2]).log_prob([0.5, 2.0]),
             -3.6609),
            (ds.QuantizedDistribution(logistic, 0.0, 255.0).log_prob(1.0), -2.5147),
            (ds.InverseGamma(3.0, rate=2.0).log_prob(0.3), -0.4645),
            (ds.kl_divergence(*pair), 1.3069), (pair[0].kl_divergence(pair[1]), 1.3069),
            (ds.bijectors.AffineScalar(1.0, 2.0).forward([0.3, 0.5]), [1.6, 2.0]),
            (ds.bijectors.Affine([1.0, 2.0], scale_tril=[[1.0, 0.0], [2.0, 3.0]]).forward([0.3, 0.5]),
             [1.3, 4.1]),
            (ds.bijectors.Affine(scale_identity_multiplier=2.0, scale_diag=[1.0, 2.0]).forward([0.3, 0.5]),
             [0.9, 2.0]),
            (ds.bijectors.Gumbel(0.1, 2.0).forward([0.3, 0.5]), [0.4046, 0.441]),
            (ds.bijectors.Kumaraswamy(2.0, 3.0).forward([0.3, 0.5]), [0.3348, 0.4542]),
            (ds.bijectors.Ordered().forward([0.3, 0.5]), [0.3, -1.6094]),
            (ds.percentile(tf.constant([1.0, 5.0, 2.0, 9.0]), 50.0, interpolation="lower"), 2),
        ]  # fmt: skip
        for (tensor, expected), value in zip(cases, values(*(tensor for tensor, _ in cases))):
            np.testing.assert_allclose(value, expected, atol=2e-4, err_msg=tensor.name)
        assert isinstance(pair[0], ds.MultivariateNormalDiag)
