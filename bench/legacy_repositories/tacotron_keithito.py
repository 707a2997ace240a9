"""keithito/tacotron d26c763342518d4e432e9c4036a1aff3b4fdaa1e

Speech from text, its model with a step, and synthesis.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from hparams import hparams
from models import create_model

stages.reached("imported")
hparams.parse(
    "num_mels=4,num_freq=9,outputs_per_step=2,embed_depth=8,prenet_depths=[8,8],encoder_depth=8,postnet_depth=8,"
    "attention_depth=8,decoder_depth=8,max_iters=3,initial_learning_rate=0.01"
)
random = np.random.RandomState(0)
inputs, lengths = tf.constant(random.randint(1, 20, (2, 6)).astype("int32")), tf.constant([6, 5])
mel, linear = (tf.constant(random.rand(2, 4, size).astype("float32")) for size in (4, 9))
step = tf.Variable(0, name="global_step", trainable=False)
with tf.variable_scope("model"):
    model = create_model("tacotron", hparams)
    model.initialize(inputs, lengths, mel, linear)
    model.add_loss()
    model.add_optimizer(step)
with tf.variable_scope("model", reuse=True):
    speaker = create_model("tacotron", hparams)
    speaker.initialize(inputs, lengths)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    stages.step(session, model.optimize)
    assert np.isfinite(session.run(speaker.linear_outputs)).all()
    stages.save_and_restore(session)
