"""tf.contrib.tpu without a TPU: code for one, such as BERT's, trains on a CPU."""

import importlib.util

import numpy as np
import pytest

import slimft.compat
from slimft.compat import tf

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("tensorflow_estimator", "tf_keras"))), reason="needs slimft[estimator]"
)


def model(features, labels, mode, params):
    tpu = tf.contrib.tpu
    logits = tf.layers.dense(features, 2)
    loss = tf.losses.sparse_softmax_cross_entropy(labels, logits)
    train_op = tf.train.GradientDescentOptimizer(0.5).minimize(loss, tf.train.get_global_step())

    def metrics(labels, logits):
        return {"accuracy": tf.metrics.accuracy(labels, tf.argmax(logits, 1))}

    return tpu.TPUEstimatorSpec(mode, loss=loss, train_op=train_op, eval_metrics=(metrics, [labels, logits]))


def batches(params):
    features = np.float32([[1, 0], [0, 1]] * 8)
    data = tf.data.Dataset.from_tensor_slices((features, np.int64([0, 1] * 8)))
    return data.repeat().batch(params["batch_size"], drop_remainder=True)


def test_a_tpu_estimator_trains_and_evaluates_on_a_cpu(tmp_path):
    tpu = tf.contrib.tpu
    config = tpu.RunConfig(
        model_dir=str(tmp_path), tpu_config=tpu.TPUConfig(iterations_per_loop=5, num_shards=8,
                                                          per_host_input_for_training=tpu.InputPipelineConfig.PER_HOST_V2)
    )  # fmt: skip
    estimator = tpu.TPUEstimator(model, config=config, use_tpu=False, train_batch_size=4, eval_batch_size=4)
    estimator.train(batches, max_steps=20)
    assert estimator.evaluate(batches, steps=4)["accuracy"] == 1.0


def test_it_is_found_by_its_old_paths():
    slimft.compat.install()
    try:
        names = {}
        exec("from tensorflow.contrib.tpu.python.tpu import tpu_config, tpu_estimator, tpu_optimizer", names)
        assert names["tpu_config"].RunConfig is tf.contrib.tpu.RunConfig
        assert names["tpu_estimator"].TPUEstimator is tf.contrib.tpu.TPUEstimator
        assert names["tpu_optimizer"].CrossShardOptimizer is tf.tpu.CrossShardOptimizer
        with pytest.raises(AttributeError, match="tf.contrib.tpu.no_such_name"):
            tf.contrib.tpu.no_such_name  # noqa: B018
    finally:
        slimft.compat.uninstall()
