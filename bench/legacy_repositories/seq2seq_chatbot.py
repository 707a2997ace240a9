"""lc222/seq2seq_chatbot 7a419e4e9587d9a87b4acb0e141789b329146fe1

Chatbot, its model with attention and sampled softmax, and beam search.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from seq2seq_model import Seq2SeqModel

stages.reached("imported")
settings = (30, 30, (4, 5), 6, 1, 1, 0.1)
words = np.random.RandomState(0).randint(1, 30, (5, 1))
net = Seq2SeqModel(*settings, num_samples=5)
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    stages.reached("graph")
    before = session.run(tf.trainable_variables())
    net.step(session, list(words[:4]), list(words), list(words), [np.ones(1)] * 5, 1)
    assert any((old != new).any() for old, new in zip(before, session.run(tf.trainable_variables())))
    stages.reached("step")
    net.saver.save(session, "driver_model")
tf.reset_default_graph()
net = Seq2SeqModel(*settings, num_samples=5, forward_only=True, beam_search=True, beam_size=2)
with tf.Session() as session:
    net.saver.restore(session, "driver_model") if len(tf.global_variables()) else None
    net.step(session, list(words[:4]), list(words), list(words), [np.ones(1)] * 5, 1)
stages.reached("restored")
