"""ibab/tensorflow-wavenet 3c973c038c8c2c20fef0039f111cb04139ff594b

Speech, its model with a step, and generation by queues.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from wavenet import WaveNetModel, optimizer_factory

stages.reached("imported")
sizes = {
    "batch_size": 1, "dilations": [1, 2, 4], "filter_width": 2, "residual_channels": 4, "dilation_channels": 4,
    "quantization_channels": 16, "skip_channels": 4, "use_biases": True,
}  # fmt: skip
net = WaveNetModel(**sizes)
audio = tf.placeholder(tf.float32, [1, None, 1])
loss = net.loss(audio, l2_regularization_strength=1e-4)
optimizer = optimizer_factory["adam"](learning_rate=1e-3, momentum=0.9)
train_op = optimizer.minimize(loss, var_list=tf.trainable_variables())
sample = tf.placeholder(tf.int32)
following = net.predict_proba_incremental(sample)
with tf.Session() as session:
    session.run([tf.global_variables_initializer(), net.init_ops])
    stages.step(session, train_op, {audio: np.sin(np.arange(50) / 4.0).reshape(1, 50, 1)})
    session.run([following, net.push_ops], {sample: 3})
    stages.save_and_restore(session)
