"""dennybritz/cnn-text-classification-tf 18762b459e21d9c70e5c242f8d43fc4e6db37a0d

Classification of text, train.py and eval.py.

Trains an epoch on a few lines and evaluates its checkpoint.
"""

import glob

import driver_stages as stages
import tensorflow as tf

stages.text("lines/good.txt", [f"a good film , the best of {n}" for n in range(20)])
stages.text("lines/bad.txt", [f"a bad film , the worst of {n}" for n in range(20)])
files = ("--positive_data_file=lines/good.txt", "--negative_data_file=lines/bad.txt")
stages.script(
    "train.py", *files, "--embedding_dim=4", "--num_filters=2", "--num_epochs=1", "--batch_size=8",
    "--evaluate_every=2", "--checkpoint_every=2",
)  # fmt: skip
stages.checkpoint_is_whole("runs/*/checkpoints/*")
tf.reset_default_graph()
stages.script("eval.py", "--eval_train", *files, f"--checkpoint_dir={glob.glob('runs/*/checkpoints')[0]}/")
stages.reached("restored")
