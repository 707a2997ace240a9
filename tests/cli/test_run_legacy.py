"""bin/run_legacy: unedited scripts of TF-Slim's days run, as Python would run them."""

import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from slimft.cli import run_legacy
from slimft.compat import slim, tf

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Trains the logits of Inception V1 on TFRecords, then evaluates: research/slim's ways in miniature, 2017's imports.
TRAIN_AND_EVALUATE = """
from __future__ import absolute_import
from __future__ import division
from __future__ import print_function

import os

import tensorflow as tf
from tensorflow.python.ops import control_flow_ops
from tensorflow.contrib import quantize as contrib_quantize

from nets import nets_factory
from preprocessing import preprocessing_factory

slim = tf.contrib.slim

tf.app.flags.DEFINE_string('data', None, 'TFRecord file.')
tf.app.flags.DEFINE_string('checkpoint_path', None, 'Where to start from.')
tf.app.flags.DEFINE_string('checkpoint_exclude_scopes', None, 'What not to restore.')
tf.app.flags.DEFINE_string('train_dir', None, 'Where to save.')
FLAGS = tf.app.flags.FLAGS


def load(is_training):
  decoder = slim.tfexample_decoder.TFExampleDecoder(
      {'image/encoded': tf.FixedLenFeature((), tf.string, default_value=''),
       'image/format': tf.FixedLenFeature((), tf.string, default_value='png'),
       'image/class/label': tf.FixedLenFeature([], tf.int64)},
      {'image': slim.tfexample_decoder.Image(),
       'label': slim.tfexample_decoder.Tensor('image/class/label')})
  dataset = slim.dataset.Dataset(
      data_sources=FLAGS.data, reader=tf.TFRecordReader, decoder=decoder, num_samples=8,
      items_to_descriptions={}, num_classes=3)
  provider = slim.dataset_data_provider.DatasetDataProvider(
      dataset, shuffle=is_training, common_queue_capacity=16, common_queue_min=8)
  image, label = provider.get(['image', 'label'])
  image = preprocessing_factory.get_preprocessing('inception_v1', is_training=is_training)(image, 32, 32)
  return tf.train.batch([image, label], batch_size=4)


def train():
  with tf.Graph().as_default():
    global_step = slim.create_global_step()
    images, labels = load(True)
    network_fn = nets_factory.get_network_fn('inception_v1', 3, weight_decay=0.00004, is_training=True)
    logits, _ = network_fn(images)
    slim.losses.softmax_cross_entropy(logits, slim.one_hot_encoding(labels, 3))
    total_loss = slim.losses.get_total_loss()
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    optimizer = tf.train.RMSPropOptimizer(0.01, epsilon=1.0)
    gradients = optimizer.compute_gradients(total_loss, tf.trainable_variables('InceptionV1/Logits'))
    update_ops.append(optimizer.apply_gradients(gradients, global_step=global_step))
    train_tensor = control_flow_ops.with_dependencies([tf.group(*update_ops)], total_loss, name='train_op')
    variables = [v for v in slim.get_model_variables()
                 if not v.op.name.startswith(FLAGS.checkpoint_exclude_scopes)]
    slim.learning.train(
        train_tensor, FLAGS.train_dir, number_of_steps=2,
        init_fn=slim.assign_from_checkpoint_fn(FLAGS.checkpoint_path, variables))


def evaluate():
  with tf.Graph().as_default():
    slim.get_or_create_global_step()
    images, labels = load(False)
    logits, _ = nets_factory.get_network_fn('inception_v1', 3)(images)
    names_to_values, names_to_updates = slim.metrics.aggregate_metric_map({
        'Accuracy': slim.metrics.streaming_accuracy(tf.argmax(logits, 1), labels)})
    accuracy = slim.evaluation.evaluate_once(
        '', tf.train.latest_checkpoint(FLAGS.train_dir), os.path.join(FLAGS.train_dir, 'eval'), num_evals=2,
        eval_op=list(names_to_updates.values()), final_op=names_to_values['Accuracy'],
        variables_to_restore=slim.get_variables_to_restore())
    print('accuracy', accuracy)


def main(_):
  train()
  evaluate()


if __name__ == '__main__':
  tf.app.run()
"""


@pytest.fixture
def run(warm_python):
    """Runs the command in a process of its own; returns what `subprocess.run` does."""

    def run(*arguments, cwd=None):
        command = [warm_python, str(ROOT / "bin" / "run_legacy"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd)

    return run


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


@pytest.fixture
def records(tmp_path):
    """A TFRecord file of eight images of three classes, as research/slim writes them."""
    path = str(tmp_path / "images.tfrecord")
    with tf.python_io.TFRecordWriter(path) as writer, tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.placeholder(tf.uint8, [32, 32, 3])
        png = tf.image.encode_png(pixels)
        for number in range(8):
            image = session.run(png, {pixels: np.full([32, 32, 3], number * 30, np.uint8)})
            example = tf.train.Example()
            example.features.feature["image/encoded"].bytes_list.value.append(image)
            example.features.feature["image/format"].bytes_list.value.append(b"png")
            example.features.feature["image/class/label"].int64_list.value.append(number % 3)
            writer.write(example.SerializeToString())
    return path


@pytest.fixture
def checkpoint(tmp_path):
    """Inception V1 of tf-slim with random weights and 1001 classes, saved by tf.train.Saver."""
    from tf_slim.nets import inception

    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(inception.inception_v3_arg_scope()):
            inception.inception_v1(tf.zeros([1, 224, 224, 3]), 1001)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(slim.get_model_variables()).save(session, str(tmp_path / "inception_v1.ckpt"))


def test_a_script_of_2017_trains_and_evaluates(run, tmp_path, records, checkpoint):
    script = write(tmp_path / "train.py", TRAIN_AND_EVALUATE)
    run_dir = tmp_path / "run"
    done = run(
        script,
        f"--data={records}",
        f"--checkpoint_path={checkpoint}",
        "--checkpoint_exclude_scopes=InceptionV1/Logits",
        "--train_dir",
        run_dir,
    )
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.split("accuracy ")[1])
    assert accuracy in {number / 8 for number in range(9)}
    before, after = tf.train.load_checkpoint(checkpoint), tf.train.load_checkpoint(str(run_dir))
    assert after.get_tensor("global_step") == 2
    logits = "InceptionV1/Logits/Conv2d_0c_1x1"
    for name in before.get_variable_to_shape_map():
        if name.startswith(logits):
            assert after.get_tensor(name).shape[-1] == 3
        elif "moving_" not in name:  # The update ops ran, as in 2017.
            np.testing.assert_array_equal(before.get_tensor(name), after.get_tensor(name))
    # A bias starts at 0; it is what was trained.
    assert np.abs(after.get_tensor(f"{logits}/biases")).max() > 0


def test_the_script_is_run_as_python_runs_it(run, tmp_path):
    (tmp_path / "nets").mkdir()
    write(tmp_path / "nets" / "__init__.py", "whose = 'its own'")
    write(tmp_path / "helper.py", "value = 7")
    script = write(
        tmp_path / "script.py",
        """
        import sys
        import helper, nets
        print(__name__, sys.argv[1:], sys.argv[0] == __file__, sys.path[0], helper.value, nets.whose)
        sys.exit(5)
        """,
    )
    done = run("script.py", "--help", "x", "--", "-v", cwd=tmp_path)
    assert done.returncode == 5
    expected = f"__main__ ['--help', 'x', '--', '-v'] True {script.parent.resolve()} 7 its own"
    assert done.stdout.splitlines()[-1] == expected


def test_the_scripts_error_is_shown_as_ever(run, tmp_path):
    script = write(tmp_path / "script.py", "def f():\n    raise KeyError('its own')\n\nprint('before')\nf()\n")
    done = run(script)
    assert done.returncode == 1
    assert done.stdout == "before\n"
    traceback = done.stderr[done.stderr.index("Traceback") :].splitlines()
    assert traceback[1] == f'  File "{script}", line 5, in <module>'
    assert traceback[-1] == "KeyError: 'its own'"
    assert "runpy" not in done.stderr


@pytest.fixture
def as_script(monkeypatch):
    """Runs the command in this process; what it changes is put back."""
    import slimft.compat
    from slimft.legacy import ages

    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield lambda *arguments: run_legacy.main(["run_legacy", *map(str, arguments)])
    ages.uninstall()
    slimft.compat.uninstall()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os\nprint 'loss', 1\n", ("line 2", "Python 2", "--python2")),
        ("try:\n  pass\nexcept ValueError, e:\n  pass\n", ("line 3", "Python 2", "--python2")),
    ],
)
def test_python_2(as_script, tmp_path, capsys, text, words):
    script = write(tmp_path / "old.py", text)
    assert as_script(script) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    for word in ("run_legacy: ", str(script), *words):
        assert word in line


def test_other_syntax_errors_are_the_scripts(as_script, tmp_path, capsys):
    assert as_script(write(tmp_path / "script.py", "x = = 1\n")) == 1
    assert "SyntaxError: invalid syntax" in capsys.readouterr().err


def test_usage(as_script, tmp_path, capsys):
    for arguments, words in (
        ([], ("name a script", "--help")),
        ([tmp_path / "none.py"], ("none.py is not there",)),
        ([tmp_path], ("folder",)),
        (["--train_dir=x", "script.py"], ("--train_dir=x", "after SCRIPT")),
        (["--without", "script.py"], ("--without needs a value",)),
        (["--without=nunpy", __file__], ("--without=nunpy", "numpy, python")),
        (["--tf_version=old", "script.py"], ("--tf_version needs a value", "VERSION")),
        (["-m", "no_such_module_of_2016"], ("-m no_such_module_of_2016", "no such module")),
    ):
        assert as_script(*arguments) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        for word in ("run_legacy: ", *words):
            assert word in line
    assert as_script("--help") == 0
    help_text = capsys.readouterr().out
    assert help_text.startswith("usage: run_legacy [--python2] [--without=PART,...]")
    assert all(flag in help_text for flag in ("--allow_pickle", "--tf_version", "-m MODULE"))


def test_what_libraries_no_longer_have(run, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "names.py").write_text("import numpy as np\nfound = np.float, list(xrange(2))\n")
    (package / "__main__.py").write_text(
        "import sys\nimport cPickle\nimport tensorflow as tf\nfrom package.names import found\n"
        "print(found, sys.argv[1:], tf.__version__, xrange(1))\n"
    )
    done = run("--tf_version=1.15.0", "-m", "package", "--own=flag", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(<class 'float'>, [0, 1]) ['--own=flag'] 1.15.0 range(0, 1)\n"
    for word in ("np.float (names.py, line 2)", "xrange (__main__.py)", "import cPickle (__main__.py, line 2)"):
        assert done.stderr.count(word) == 1


def test_dicts_of_python_2_are_named(as_script, tmp_path, capsys):
    (tmp_path / "old.py").write_text("for pair in {1: 2}.iteritems():\n    pass\n")
    assert as_script(tmp_path / "old.py") == 1
    error = capsys.readouterr().err
    assert "AttributeError" in error and "run_legacy: dicts have no iteritems in Python 3" in error
