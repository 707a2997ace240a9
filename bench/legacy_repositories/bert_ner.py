"""macanv/BERT-BiLSTM-CRF-NER ccf3f093f0ac803e435cb8e8598fdddc2ba1105d

Named entities, BERT with CRF, its create_model and optimizer.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from bert_base.bert import modeling, optimization
from bert_base.train import models

stages.reached("imported")
settings = modeling.BertConfig(
    vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
    max_position_embeddings=16,
)  # fmt: skip
words = tf.constant(np.random.RandomState(0).randint(1, 20, (2, 6)).astype("int32"))
ones = tf.ones_like(words)
labels = tf.constant([[1, 2, 3, 1, 2, 3], [1, 1, 2, 0, 0, 0]])
loss, logits, transitions, predictions = models.create_model(settings, True, words, ones, ones, labels, 4, False)
train_op = optimization.create_optimizer(loss, 0.01, 10, 2, False)
stages.train(train_op=[train_op, predictions], steps=2)
