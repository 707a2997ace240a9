"""davidsandberg/facenet 096ed770f163957c1e56efa7feeb194773920f6e

Faces, Inception-ResNet V1 with facenet.train and center loss.
"""

import sys

import driver_stages as stages
import numpy as np
import tensorflow as tf

sys.path.insert(0, "src")
import facenet  # noqa: E402
from models import inception_resnet_v1  # noqa: E402

stages.reached("imported")
images = tf.constant(np.random.RandomState(0).rand(2, 160, 160, 3).astype("float32"))
labels = tf.constant([0, 1])
embeddings, _ = inception_resnet_v1.inference(
    images, 0.8, phase_train=True, bottleneck_layer_size=8, weight_decay=5e-4
)
logits = tf.contrib.slim.fully_connected(embeddings, 3, activation_fn=None, scope="Logits")
center, _ = facenet.center_loss(embeddings, labels, 0.9, 3)
tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, center * 0.01)
entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
tf.add_to_collection("losses", entropy)
loss = tf.add_n([entropy] + tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES), name="total_loss")
step = tf.Variable(0, trainable=False)
train_op = facenet.train(loss, step, "ADAGRAD", 0.05, 0.99, tf.global_variables(), False)
stages.train(train_op=train_op)
