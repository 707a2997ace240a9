"""MorvanZhou/Tensorflow-Tutorial 42dc32de532d146725aeef965d87871142a542d6

Tutorials, ten of its scripts.
"""

import os

import driver_stages as stages
import matplotlib.pyplot as plt

plt.pause = lambda *_: None
os.chdir("tutorial-contents")
stages.mnist("mnist", train=6000, test=3000)
for path in (
    "301_simple_regression.py", "302_simple_classification.py", "304_optimizer.py",
    "305_tensorboard.py", "402_RNN_classification.py", "403_RNN_regression.py", "404_AutoEncoder.py",
    "406_GAN.py", "501_dropout.py", "502_batch_normalization.py",
):  # fmt: skip
    stages.begin(path)
    stages.script(path, runs=3)
