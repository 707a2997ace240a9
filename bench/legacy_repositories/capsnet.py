"""naturomics/CapsNet-Tensorflow 5b464caab361ec402c1b17acb9bc2680e5fbb7de

Capsules, its network with queues and Supervisor.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
import utils

digits = np.random.RandomState(0).rand(16, 28, 28, 1).astype("float32"), np.arange(16, dtype="int32") % 10
utils.load_mnist = lambda *_, **__: (*digits, 8, *digits, 8)

from capsNet import CapsNet  # noqa: E402
from config import cfg  # noqa: E402

stages.reached("imported")
cfg.batch_size = 2
net = CapsNet()
stages.reached("graph")
supervisor = tf.train.Supervisor(graph=net.graph, logdir="logdir", save_model_secs=0)
for _ in range(2):  # The second goes on from the first's checkpoint.
    with supervisor.managed_session() as session:
        begin = session.run(net.global_step)
        session.run([net.train_op, net.train_summary])
        supervisor.saver.save(session, "logdir/model", global_step=net.global_step)
    supervisor = tf.train.Supervisor(graph=net.graph, logdir="logdir", save_model_secs=0)
stages.reached("step")
assert begin == 1, "the second run does not go on where the first ended"
stages.checkpoint_is_whole("logdir/model*")
stages.reached("restored")
