"""ChenglongChen/tensorflow-DeepFM a43dd5ff1f61a275c8a6e0fd659e200af64093cc

Recommendation, DeepFM with four optimizers, as scikit-learn's estimator.
"""

import sys
import types

import driver_stages as stages
import numpy as np
import tensorflow as tf

sys.modules["yellowfin"] = types.ModuleType("yellowfin")
sys.modules["yellowfin"].YFOptimizer = tf.train.MomentumOptimizer  # A repository of its own.
from DeepFM import DeepFM  # noqa: E402

stages.reached("imported")
random = np.random.RandomState(0)
indices, values = random.randint(0, 12, (20, 3)).tolist(), np.ones([20, 3]).tolist()
labels = random.randint(0, 2, 20).tolist()
for optimizer in ("adam", "adagrad", "gd", "momentum"):
    stages.begin(optimizer)
    sizes = {"embedding_size": 4, "deep_layers": [8, 4], "batch_size": 8, "epoch": 2}
    model = DeepFM(12, 3, optimizer_type=optimizer, batch_norm=1, verbose=1, **sizes)
    stages.reached("graph")
    with model.graph.as_default():
        before = model.sess.run(tf.trainable_variables())
        model.fit(indices, values, labels, indices, values, labels, early_stopping=True, refit=True)
        assert any(np.any(old != new) for old, new in zip(before, model.sess.run(tf.trainable_variables())))
        assert 0 <= model.evaluate(indices, values, labels) <= 1
        stages.reached("step")
        stages.save_and_restore(model.sess)
