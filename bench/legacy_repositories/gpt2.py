"""openai/gpt-2 9b63575ef42771a015060c964af2c3da4cf7c8ab

Language model, its network with a step, and sampling.
"""

import sys

import driver_stages as stages
import numpy as np
import tensorflow as tf

sys.path.insert(0, "src")
import model  # noqa: E402
import sample  # noqa: E402

stages.reached("imported")
settings = model.default_hparams()
settings.override_from_dict({"n_vocab": 20, "n_ctx": 8, "n_embd": 8, "n_head": 2, "n_layer": 2})
words = tf.constant(np.random.RandomState(0).randint(0, 20, (2, 6)))
logits = model.model(hparams=settings, X=words)["logits"]
losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=words[:, 1:], logits=logits[:, :-1])
written = sample.sample_sequence(hparams=settings, length=4, start_token=1, batch_size=1, temperature=1, top_k=3)
train_op = tf.train.AdamOptimizer(0.001).minimize(tf.reduce_mean(losses))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    stages.step(session, train_op)
    assert session.run(written).shape == (1, 5)
    stages.save_and_restore(session)
