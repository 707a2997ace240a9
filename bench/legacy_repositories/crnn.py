"""MaybeShewill-CV/CRNN_Tensorflow 44072509021f7f1ef48e35cc50d6bf50cb5793d8

Text in images, its CRNN with CTC.
"""

import importlib
import sys

import driver_stages as stages
import tensorflow as tf
from config import global_config

# The commit has renamed the module that crnn_net imports.
sys.modules["crnn_model.cnn_basenet"] = importlib.import_module("crnn_model.cnn_basenet_bak")
sys.modules["crnn_model"].cnn_basenet = sys.modules["crnn_model.cnn_basenet"]
from crnn_model import crnn_net  # noqa: E402

stages.reached("imported")
settings = global_config.cfg
settings.TRAIN.BATCH_SIZE = 2
images = tf.random_normal([2, *settings.ARCH.INPUT_SIZE[::-1], 3])
labels = tf.SparseTensor([[0, 0], [0, 1], [1, 0]], [1, 2, 3], [2, 2])
net = crnn_net.ShadowNet(phase="train", hidden_nums=settings.ARCH.HIDDEN_UNITS, layers_nums=2, num_classes=10)
logits, loss = net.compute_loss(images, labels, name="shadow_net", reuse=False)
tested = crnn_net.ShadowNet(phase="test", hidden_nums=settings.ARCH.HIDDEN_UNITS, layers_nums=2, num_classes=10)
written, _ = tf.nn.ctc_beam_search_decoder(
    tested.inference(images, name="shadow_net", reuse=True), [settings.ARCH.SEQ_LENGTH] * 2, merge_repeated=False
)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = tf.train.MomentumOptimizer(0.01, 0.9).minimize(loss)
stages.train(train_op=[train_op, written])
