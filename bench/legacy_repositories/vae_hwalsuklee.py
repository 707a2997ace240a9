"""hwalsuklee/tensorflow-mnist-VAE e7903ac398aa5fc3eec8470177abf6ef78d9cac1

Variational autoencoder, its model.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
import vae

stages.reached("imported")
images = tf.constant(np.random.RandomState(0).rand(4, 784).astype("float32"))
_, _, loss, _, _ = vae.autoencoder(images, images, 784, 2, 8, 0.9)
vae.decoder(tf.zeros([1, 2]), 784, 8) if hasattr(vae, "decoder") else None
stages.train(loss, optimizer=tf.train.AdamOptimizer(1e-3))
