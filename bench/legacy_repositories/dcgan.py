"""carpedm20/DCGAN-tensorflow 62c9a2a7f74505cad30858bf40307c93e5bd9293

GAN of images, main.py on MNIST's files. This commit cannot read other images: it hands floats to Pillow.
"""

import driver_stages as stages

stages.mnist("data/mnist", train=60000, test=10000, suffix="")
stages.script(
    "main.py", "--dataset=mnist", "--data_dir=./data", "--input_height=28", "--output_height=28", "--batch_size=4",
    "--epoch=1", "--train", "--out_name=run", runs=6,
)  # fmt: skip
