"""carpedm20/DCGAN-tensorflow 62c9a2a7f74505cad30858bf40307c93e5bd9293

GAN of images, main.py.

Trains an epoch on eight images of noise and writes its checkpoint.
"""

import driver_stages as stages

stages.images("data/noise", count=8, height=32, width=32)
stages.script(
    "main.py", "--dataset=noise", "--data_dir=./data", "--input_height=32", "--output_height=32", "--batch_size=4",
    "--epoch=1", "--train", "--crop", "--ckpt_freq=1", "--sample_freq=1", "--out_name=run",
)  # fmt: skip
stages.checkpoint_is_whole("out/run/checkpoint/*")
stages.reached("restored")
