"""kratzert/finetune_alexnet_with_tensorflow 669f32226a2f1d0669a81824df99758f0edad557

Classification, AlexNet with weights from a file and tf.contrib.data's pipeline.

Flags: --allow_pickle
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from alexnet import AlexNet
from datagenerator import ImageDataGenerator
from tensorflow.contrib.data import Iterator

stages.reached("imported")
paths = stages.images("pictures", count=4, height=240, width=250)
stages.text("train.txt", [f"{path} {number % 2}" for number, path in enumerate(paths)])
sizes = {"fc6": (6 * 6 * 256, 4096)}
np.save("bvlc_alexnet.npy", {"conv1": [np.full((11, 11, 3, 96), 0.01, "float32"), np.zeros(96, "float32")]})
data = ImageDataGenerator("train.txt", mode="training", batch_size=2, num_classes=2, shuffle=True)
iterator = Iterator.from_structure(data.data.output_types, data.data.output_shapes)
images, labels = iterator.get_next()
start = iterator.make_initializer(data.data)
net = AlexNet(images, 0.5, 2, ["fc8", "fc7"])
loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=net.fc8, labels=labels))
variables = [v for v in tf.trainable_variables() if v.name.split("/")[0] in ("fc8", "fc7")]
gradients = list(zip(tf.gradients(loss, variables), variables))
train_op = tf.train.GradientDescentOptimizer(0.01).apply_gradients(grads_and_vars=gradients)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    net.load_initial_weights(session)
    session.run(start)
    stages.step(session, train_op)
    stages.save_and_restore(session)
