"""cybertronai/gradient-checkpointing 43444e0523495c9f305f2c32d81eeea2328a1b18

Gradients with less memory, by rewriting graphs.

Takes a step with memory_saving_gradients in the place of tf.gradients, and compares the gradients.
"""

import driver_stages as stages
import memory_saving_gradients
import numpy as np
import tensorflow as tf

stages.reached("imported")
layer = tf.constant(np.random.RandomState(0).rand(256, 8).astype("float32"))
for index in range(6):
    layer = tf.layers.dense(layer, 8, tf.nn.tanh, name=f"layer{index}")
    tf.add_to_collection("checkpoints", layer) if index % 2 else None
loss = tf.reduce_mean(layer**2)
variables = tf.trainable_variables()
plain = tf.gradients(loss, variables)
saving = [memory_saving_gradients.gradients(loss, variables, checkpoints=how) for how in ("collection", "memory")]
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for gradients in saving:
        for ours, theirs in zip(*session.run([gradients, plain])):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
stages.train(train_op=tf.train.AdamOptimizer().apply_gradients(zip(saving[0], variables)))
