"""google/youtube-8m e6f6bf682d20bb21904ea9c081c15e070809d914

Classification of videos, train.py and eval.py of two of its models on made-up features.
"""

import sys

import driver_stages as stages
import numpy as np
import tensorflow as tf

random = np.random.RandomState(0)


def floats(count):
    return tf.train.Feature(float_list=tf.train.FloatList(value=random.rand(count)))


with tf.io.TFRecordWriter("train0.tfrecord") as writer:
    for index in range(8):
        features = {
            "id": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"id%d" % index])),
            "labels": tf.train.Feature(int64_list=tf.train.Int64List(value=[index % 5, 7])),
            "mean_rgb": floats(1024),
            "mean_audio": floats(128),
        }
        writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
shared = (
    "--train_dir=trained",
    "--batch_size=4",
    "--feature_names=mean_rgb,mean_audio",
    "--feature_sizes=1024,128",
)
stages.script(
    "train.py", *shared, "--train_data_pattern=train*.tfrecord", "--model=MoeModel", "--num_epochs=2",
    "--num_readers=1", "--start_new_model",
)  # fmt: skip
stages.checkpoint_is_whole("trained/model.ckpt*")
tf.reset_default_graph()
for name in ("video_level_models", "frame_level_models"):
    sys.modules.pop(name)  # So that they define their flags again.
stages.script("eval.py", *shared, "--eval_data_pattern=train*.tfrecord", "--num_readers=1", "--run_once")
stages.reached("restored")
