"""Writes models with TensorFlow 2 and Keras for foreign.py, in a process of its own: foreign_models.py FOLDER."""

import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def main(folder):
    folder = pathlib.Path(folder)
    module = tf.Module()
    module.w = tf.Variable(np.float32([[1, 2]]), name="w")
    module.call = tf.function(lambda x: x @ module.w, input_signature=[tf.TensorSpec([1, 1], tf.float32)])
    tf.saved_model.save(module, str(folder / "saved_model"), signatures=module.call)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.call.get_concrete_function()], module)
    (folder / "model.tflite").write_bytes(converter.convert())
    graph = tf.compat.v1.Graph()
    with graph.as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.get_variable("w", initializer=np.float32([1, 2]), use_resource=False)
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "saver" / "model.ckpt"), global_step=5)
        tf.io.write_graph(graph, str(folder), "graph.pbtxt")
        tf.io.write_graph(graph, str(folder), "graph.pb", as_text=False)
    writer = tf.summary.create_file_writer(str(folder / "events"))
    with writer.as_default():
        tf.summary.scalar("loss", 1.0, step=1)
    writer.close()
    with tf.io.TFRecordWriter(str(folder / "data.tfrecord")) as records:
        records.write(b"a record")
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2, name="out")])
    model.save(folder / "model.keras")
    (folder / "model.json").write_text(model.to_json())


if __name__ == "__main__":
    main(sys.argv[1])
