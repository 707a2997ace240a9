"""openai/pixel-cnn bbc15688dd37934a12c2759cf2b34975e15901d9

PixelCNN++, its model with data-dependent initialization and averages.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from pixel_cnn_pp import nn
from pixel_cnn_pp.model import model_spec

stages.reached("imported")
images = tf.constant(np.random.RandomState(0).uniform(-1, 1, (2, 8, 8, 3)).astype("float32"))
settings = {"nr_resnet": 1, "nr_filters": 4, "nr_logistic_mix": 2, "resnet_nonlinearity": "concat_elu"}
model = tf.make_template("model", model_spec)
first = model(images, None, init=True, dropout_p=0.5, **settings)
averages = tf.train.ExponentialMovingAverage(0.99)
parameters = tf.trainable_variables()
keep_averages = averages.apply(parameters)
loss = nn.discretized_mix_logistic_loss(images, model(images, None, ema=None, dropout_p=0.5, **settings))
sample = nn.sample_from_discretized_mix_logistic(model(images, None, ema=averages, dropout_p=0, **settings), 2)
train_op = tf.group(nn.adam_updates(parameters, loss, lr=0.001), keep_averages)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    session.run(first)
    stages.step(session, train_op)
    assert np.isfinite(session.run(sample)).all()
    stages.save_and_restore(session)
