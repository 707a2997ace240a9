"""machrisaa/tensorflow-vgg dcc2449a07201fb4ac99a98dc7bb95915322306c

Classification, trainable VGG-19 from no weights, saved as .npy.
"""

import driver_stages as stages
import tensorflow as tf
import utils
import vgg19_trainable

stages.reached("imported")
image = utils.load_image("./test_data/tiger.jpeg").reshape(1, 224, 224, 3)
images = tf.placeholder(tf.float32, [1, 224, 224, 3])
mode = tf.placeholder(tf.bool)
net = vgg19_trainable.Vgg19()
net.build(images, mode)
loss = tf.reduce_sum((net.prob - tf.one_hot([292], 1000)) ** 2)
train_op = tf.train.GradientDescentOptimizer(1.0).minimize(loss)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    stages.step(session, train_op, {images: image, mode: True})
    utils.print_prob(session.run(net.prob, {images: image, mode: False})[0], "./synset.txt")
    variables = [v for v in tf.global_variables() if not v.op.name.startswith("fc6")]
    stages.save_and_restore(session, variables)
