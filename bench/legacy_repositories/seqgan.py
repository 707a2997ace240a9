"""LantaoYu/SeqGAN e2b52fb6309851b14765290e8a972ccac09f1bec

GAN of sequences, its generator, discriminator and rollout.

Flags: --python2
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from discriminator import Discriminator
from generator import Generator
from rollout import ROLLOUT

stages.reached("imported")
generator = Generator(20, 4, 6, 6, 8, 0)
discriminator = Discriminator(8, 2, 20, 6, [1, 2], [3, 4], 0.2)
rollout = ROLLOUT(generator, 0.8)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    words = np.random.RandomState(0).randint(0, 20, (4, 8))
    generator.pretrain_step(session, words)
    samples = generator.generate(session)
    feed = {discriminator.input_x: samples, discriminator.input_y: np.eye(2)[[0, 1, 0, 1]],
            discriminator.dropout_keep_prob: 0.75}  # fmt: skip
    session.run(discriminator.train_op, feed)
    rewards = rollout.get_reward(session, samples, 2, discriminator)
    stages.step(session, generator.g_updates, {generator.x: samples, generator.rewards: rewards})
    rollout.update_params()
    stages.save_and_restore(session)
