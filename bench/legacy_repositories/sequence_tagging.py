"""guillaumegenthial/sequence_tagging 5cb9890e7c52e35a1239378da43a8de7be508003

Named entities with LSTM and CRF, build_data.py, train.py and evaluate.py.

On its own data/test.txt with made-up word vectors, sizes and epochs made small by its configuration.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from model import config

words = sorted({line.split()[0].lower() for line in open("data/test.txt") if line.strip()})
stages.text("vectors.txt", [f"{word} " + " ".join(map(str, np.full(300, 0.1))) for word in words])
for name, value in {
    "filename_glove": "vectors.txt", "nepochs": 1, "hidden_size_char": 4, "hidden_size_lstm": 4, "dim_char": 3,
}.items():  # fmt: skip
    setattr(config.Config, name, value)
stages.script("build_data.py", trains=False)
stages.script("train.py")
tf.reset_default_graph()

from model import data_utils, ner_model  # noqa: E402

settings = config.Config()
model = ner_model.NERModel(settings)
model.build()
model.restore_session(settings.dir_model)
model.evaluate(data_utils.CoNLLDataset(settings.filename_test, settings.processing_word, settings.processing_tag))
print(model.predict(["I", "love", "Paris"]))
stages.reached("restored")
