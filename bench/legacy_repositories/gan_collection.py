"""hwalsuklee/tensorflow-generative-model-collections 3abde8a9bcfe31815da50347d14641ec95096f62

GANs and VAEs, main.py for four of them.
"""

import driver_stages as stages

stages.mnist("data/mnist", train=60000, test=10000)
for kind in ("GAN", "infoGAN", "WGAN_GP", "CVAE"):
    stages.begin(kind)
    stages.script("main.py", "--gan_type", kind, "--dataset", "mnist", "--epoch", "1", "--batch_size", "4", runs=3)
