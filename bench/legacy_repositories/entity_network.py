"""siddk/entity-network b18fbb7c749e98192a77132af9e537e399ac24c7

Questions on stories in Python 2, run.py for an epoch on its own bAbI.

Flags: --python2
"""

import os
import shutil
import sys
import types

import driver_stages as stages
import tensorflow as tf

# Two activations are all that it takes of TFLearn.
activations = types.ModuleType("tflearn.activations")
activations.sigmoid, activations.softmax = tf.nn.sigmoid, tf.nn.softmax
sys.modules["tflearn"] = types.ModuleType("tflearn")
sys.modules["tflearn.activations"] = activations
stages.reached("imported")
# What it has prepared is not whole, and its checkpoint is of another size: it begins anew.
for folder in ("tasks/en-valid-10k-pik", "checkpoints/qa_1"):
    shutil.rmtree(folder)
    os.mkdir(folder)
sizes = "--batch_size=32", "--embedding_size=8", "--memory_slots=2", "--validate_every=1"
stages.script("run.py", "--num_epochs=1", *sizes)
stages.checkpoint_is_whole("checkpoints/qa_1/model.ckpt-*")
stages.reached("restored")
