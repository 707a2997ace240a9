"""sugyan/tf-dcgan 10ad3a2a2a9d4429f319621570c76495ab94c887

GAN of images, its model with tf.layers.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from dcgan import DCGAN

stages.reached("imported")
gan = DCGAN(batch_size=2, s_size=4, z_dim=5, g_depths=[8, 6, 5, 4], d_depths=[4, 5, 6, 8])
images = tf.constant(np.random.RandomState(0).rand(2, 64, 64, 3).astype("float32"))
losses = gan.loss(images)
stages.train(train_op=gan.train(losses, learning_rate=0.01))
