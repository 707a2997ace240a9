"""affinelayer/pix2pix-tensorflow 0f2174424356162920fc25067e63db2bcf19f4e7

Image to image, pix2pix.py to train, go on, test and export.
"""

import driver_stages as stages
import tensorflow as tf

stages.images("pairs", count=2, height=256, width=512)
flags = ("--input_dir=pairs", "--ngf=4", "--ndf=4")
for more in ((), ("--checkpoint=trained",)):
    stages.script("pix2pix.py", "--mode=train", "--output_dir=trained", "--max_steps=2", "--save_freq=2",
                  "--summary_freq=1", "--display_freq=2", *flags, *more)  # fmt: skip
    tf.reset_default_graph()
stages.checkpoint_is_whole("trained/model*")
stages.script("pix2pix.py", "--mode=test", "--output_dir=tested", "--checkpoint=trained", *flags)
tf.reset_default_graph()
stages.script("pix2pix.py", "--mode=export", "--output_dir=exported", "--checkpoint=trained", *flags)
stages.reached("restored")
