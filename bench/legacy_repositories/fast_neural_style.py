"""hzy46/fast-neural-style-tensorflow eeaa47d359e5c589a4cc6ccbf8c0450ccc657d2d

Style transfer, train.py with its own nets and conf.

VGG-16's checkpoint is random weights that the driver saves first.
"""

import os

import driver_stages as stages
import tensorflow as tf
import yaml
from nets import nets_factory

stages.images("train2014", count=2, height=230, width=240)
stages.images("img", count=1, height=230, width=240, names=["noise.jpg"])
with tf.Graph().as_default(), tf.Session() as session:
    nets_factory.get_network_fn("vgg_16", num_classes=1)(tf.zeros([1, 224, 224, 3]), spatial_squeeze=False)
    session.run(tf.global_variables_initializer())
    variables = [v for v in tf.global_variables() if "/fc" not in v.name]
    tf.train.Saver(variables).save(session, "./vgg_16.ckpt")
conf = yaml.safe_load(open(os.path.join("conf", "mosaic.yml")))
conf.update(style_image="img/noise.jpg", image_size=224, batch_size=1, epoch=50, loss_model_file="vgg_16.ckpt")
stages.text("noise.yml", [yaml.safe_dump(conf)])
stages.script("train.py", "-c", "noise.yml", runs=2)
