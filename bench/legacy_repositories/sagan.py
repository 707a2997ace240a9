"""taki0112/Self-Attention-GAN-Tensorflow 6c073a4c8bf9898ab3ed9b470451f5630cd05373

GAN of images, main.py of SAGAN with spectral norm on images of noise, trained, then tested from its checkpoint.
"""

import driver_stages as stages
import tensorflow as tf

stages.images("dataset/noise", 4, 64, 64)
flags = ("--dataset=noise", "--img_size=64", "--batch_size=2", "--sample_num=4", "--test_num=1")
stages.script("main.py", *flags, "--epoch=1", "--iteration=2", "--print_freq=1", "--save_freq=1")
stages.checkpoint_is_whole("checkpoint/*/*model*")
tf.reset_default_graph()
stages.script("main.py", *flags, "--phase=test")
stages.reached("restored")
