"""Exporting as in 2017: export the inference graph, freeze it, classify an image with it, by unedited scripts."""

import os
import pathlib

import numpy as np
import pytest

import slimft

# bin/run_legacy, as a child of its own.
RUN = "import sys; from slimft.cli import run_legacy; sys.exit(run_legacy.main(['run_legacy', *sys.argv[1:]]))"
# In the style of research/slim's export_inference_graph.py.
EXPORT = """
from __future__ import absolute_import

import os
import tensorflow as tf
from tensorflow.python.platform import gfile
from nets import nets_factory

tf.app.flags.DEFINE_string('model_name', 'inception_v3', 'Which network.')
tf.app.flags.DEFINE_integer('batch_size', None, 'None leaves it open.')
tf.app.flags.DEFINE_string('output_file', '', 'Where to write.')
tf.app.flags.DEFINE_bool('write_text_graphdef', False, 'As text.')
FLAGS = tf.app.flags.FLAGS


def main(_):
  tf.logging.set_verbosity(tf.logging.INFO)
  with tf.Graph().as_default() as graph:
    network_fn = nets_factory.get_network_fn(FLAGS.model_name, num_classes=10, is_training=False)
    size = network_fn.default_image_size
    network_fn(tf.placeholder(name='input', dtype=tf.float32, shape=[FLAGS.batch_size, size, size, 3]))
    graph_def = graph.as_graph_def()
    if FLAGS.write_text_graphdef:
      tf.train.write_graph(
          graph_def, os.path.dirname(FLAGS.output_file), os.path.basename(FLAGS.output_file), as_text=True)
    else:
      with gfile.GFile(FLAGS.output_file, 'wb') as f:
        f.write(graph_def.SerializeToString())


if __name__ == '__main__':
  tf.app.run()
"""
# In the style of label_image.py.
LABEL = """
import sys
import numpy as np
import tensorflow as tf

graph = tf.Graph()
graph_def = tf.GraphDef()
with tf.gfile.FastGFile(sys.argv[1], 'rb') as f:
  graph_def.ParseFromString(f.read())
with graph.as_default():
  tf.import_graph_def(graph_def)
reader = tf.read_file(sys.argv[2], 'file_reader')
image = tf.cast(tf.image.decode_png(reader, channels=3), tf.float32)
resized = tf.image.resize_bilinear(tf.expand_dims(image, 0), [32, 32])
normalized = tf.divide(tf.subtract(resized, [128]), [128])
with tf.Session() as sess:
  image = sess.run(normalized)
out = graph.get_operation_by_name('import/' + sys.argv[3]).outputs[0]
with tf.Session(graph=graph) as sess:
  results = np.squeeze(sess.run(out, {graph.get_operation_by_name('import/input').outputs[0]: image}))
np.savez(sys.argv[4], image=image, results=results)
for i in results.argsort()[-5:][::-1]:
  print(i, results[i])
"""
# TensorFlow 2 as it is, without slimft.
PLAIN = """
import sys
import numpy as np
import tensorflow as tf
v1 = tf.compat.v1
graph_def = v1.GraphDef.FromString(open(sys.argv[1], 'rb').read())
saved = np.load(sys.argv[2])
with tf.Graph().as_default(), v1.Session() as session:
  v1.import_graph_def(graph_def, name='')
  found = session.run(sys.argv[3] + ':0', {'input:0': saved['image']})
print(np.abs(np.squeeze(found) - saved['results']).max())
"""
NODE = "CifarNet/Predictions/Reshape_1"


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run_warm_python):
    """A folder with the two scripts, a checkpoint, an image and the graph, in bytes and as text."""
    folder = tmp_path_factory.mktemp("exporting")
    draws, arrays = np.random.default_rng(0), {"global_step": np.array(0, np.int64)}
    shapes = {
        "conv1": [5, 5, 3, 64],
        "conv2": [5, 5, 64, 64],
        "fc3": [4096, 384],
        "fc4": [384, 192],
        "logits": [192, 10],
    }
    for name, shape in shapes.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        arrays[f"CifarNet/{name}/weights"] = draws.standard_normal(shape, np.float32) * scale
        arrays[f"CifarNet/{name}/biases"] = draws.standard_normal(shape[-1:], np.float32) * np.float32(0.1)
    slimft.write_checkpoint(str(folder / "model.ckpt"), arrays)
    from PIL import Image

    Image.fromarray(draws.integers(0, 255, (20, 30, 3), np.uint8)).save(folder / "image.png")
    (folder / "export.py").write_text(EXPORT)
    (folder / "label.py").write_text(LABEL)
    flags = ["--alsologtostderr", "--model_name=cifarnet"]
    run_warm_python(RUN, str(folder / "export.py"), *flags, f"--output_file={folder}/graph.pb")
    run_warm_python(
        RUN, str(folder / "export.py"), *flags, f"--output_file={folder}/graph.pbtxt", "--write_text_graphdef",
        "--batch_size=1",
    )  # fmt: skip
    return folder


@pytest.mark.parametrize("graph", ["graph.pb", "graph.pbtxt"])
def test_export_freeze_and_label(exported, run_warm_python, graph):
    frozen, saved = exported / f"{graph}.frozen.pb", exported / f"{graph}.npz"
    run_warm_python(
        RUN, "-m", "tensorflow.python.tools.freeze_graph", f"--input_graph={exported / graph}",
        f"--input_checkpoint={exported}/model.ckpt", f"--input_binary={'false' if 'txt' in graph else 'true'}",
        f"--output_graph={frozen}", f"--output_node_names={NODE}", "--variable_names_blacklist=CifarNet/none",
    )  # fmt: skip
    run_warm_python(RUN, str(exported / "label.py"), str(frozen), str(exported / "image.png"), NODE, str(saved))
    results = np.load(saved)["results"]
    assert results.shape == (10,) and abs(results.sum() - 1) < 1e-5 and results.max() > 0.11
    assert float(run_warm_python(PLAIN, str(frozen), str(saved), NODE)) <= 1e-6
    text = frozen.read_bytes()
    assert b"MaxPool" in text and b"grad_a" not in text and text.count(b"explicit_paddings") == 2  # Of Conv2D.


SOURCES = pathlib.Path(os.environ.get("SLIMFT_RESEARCH_SLIM", "/nowhere"))


@pytest.mark.slow
@pytest.mark.skipif(
    not (SOURCES / "export_inference_graph.py").is_file(), reason="SLIMFT_RESEARCH_SLIM names no research/slim"
)
def test_research_slims_own(shared, tmp_path, run_warm_python):
    """Its export_inference_graph.py and datasets/, with the official MobileNet V1."""
    (tmp_path / "datasets").symlink_to(SOURCES / "datasets")
    (tmp_path / "export_inference_graph.py").write_bytes((SOURCES / "export_inference_graph.py").read_bytes())
    (tmp_path / "labels.txt").write_text("".join(f"{index}:{index}\n" for index in range(1001)))
    graph, frozen, node = tmp_path / "graph.pb", tmp_path / "frozen.pb", "MobilenetV1/Predictions/Reshape_1"
    run_warm_python(
        RUN, str(tmp_path / "export_inference_graph.py"), "--model_name=mobilenet_v1", f"--output_file={graph}",
        f"--dataset_dir={tmp_path}",
    )  # fmt: skip
    run_warm_python(
        RUN, "-m", "tensorflow.python.tools.freeze_graph", f"--input_graph={graph}", "--input_binary=true",
        f"--input_checkpoint={shared}/checkpoints/mobilenet_v1_1.0_224.ckpt", f"--output_graph={frozen}",
        f"--output_node_names={node}",
    )  # fmt: skip
    script = tmp_path / "label.py"
    script.write_text(LABEL.replace("[32, 32]", "[224, 224]"))
    from PIL import Image

    Image.new("RGB", (250, 200), (200, 30, 40)).save(tmp_path / "image.png")
    run_warm_python(RUN, str(script), str(frozen), str(tmp_path / "image.png"), node, str(tmp_path / "out.npz"))
    assert np.load(tmp_path / "out.npz")["results"].shape == (1001,)
    assert float(run_warm_python(PLAIN, str(frozen), str(tmp_path / "out.npz"), node)) <= 1e-6
