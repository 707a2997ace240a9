"""slim's training, evaluation, data and checkpoints, end to end on today's TensorFlow."""

import os

import numpy as np
import pytest

import slimft
from slimft import SlimftError
from slimft.compat import slim, tf

ROWS = np.random.default_rng(2).standard_normal((8, 3)).astype("float32")
TARGETS = ROWS @ np.float32([[1], [-2], [0.5]])


@pytest.fixture(autouse=True)
def graph():
    """A graph of the test's own."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


def linear_loss():
    """The squared error of one layer without bias, from weights that are 0, against TARGETS."""
    outputs = slim.fully_connected(
        tf.constant(ROWS),
        1,
        activation_fn=None,
        biases_initializer=None,
        weights_initializer=tf.zeros_initializer(),
        scope="fc",
    )
    tf.losses.mean_squared_error(TARGETS, outputs)
    return tf.losses.get_total_loss()


def descend(steps, change=lambda gradient: gradient):
    """The weights after some steps of gradient descent at rate 0.1, in NumPy."""
    weights = np.zeros((3, 1), "float32")
    for _ in range(steps):
        weights -= 0.1 * change(2 / len(ROWS) * ROWS.T @ (ROWS @ weights - TARGETS))
    return weights


def test_learning_train_and_evaluate_once(tmp_path):
    train_op = slim.learning.create_train_op(linear_loss(), tf.train.GradientDescentOptimizer(0.1))
    slim.summaries.add_scalar_summaries([tf.losses.get_total_loss()])
    last = slim.learning.train(
        train_op,
        str(tmp_path),
        number_of_steps=3,
        log_every_n_steps=1,
        save_summaries_secs=1,
        trace_every_n_steps=2,
    )
    assert last == pytest.approx(((ROWS @ descend(2) - TARGETS) ** 2).mean(), rel=1e-4)
    checkpoint = tf.train.latest_checkpoint(str(tmp_path))
    reader = tf.train.NewCheckpointReader(checkpoint)
    assert reader.get_tensor("global_step") == 3
    np.testing.assert_allclose(reader.get_tensor("fc/weights"), descend(3), rtol=1e-5)

    with tf.Graph().as_default():
        outputs = slim.fully_connected(
            tf.constant(ROWS), 1, activation_fn=None, biases_initializer=None, scope="fc"
        )
        tf.train.get_or_create_global_step()
        value, update = slim.metrics.streaming_mean_squared_error(outputs, TARGETS)
        tf.summary.scalar("error", value)
        error = slim.evaluation.evaluate_once(
            "", checkpoint, str(tmp_path / "eval"), num_evals=2, eval_op=update, final_op=value
        )
        assert error == pytest.approx(((ROWS @ descend(3) - TARGETS) ** 2).mean(), rel=1e-4)
        assert os.listdir(tmp_path / "eval")
        found = list(slim.evaluation.checkpoints_iterator(str(tmp_path), timeout=0))
        assert found == [checkpoint]


@pytest.fixture
def warnings(caplog):
    """Takes what TensorFlow's logger was warned of since the last call."""
    caplog.set_level("WARNING", logger="tensorflow")

    def take():
        found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        caplog.clear()
        # TensorFlow's StepCounterHook reads the step while it is counted, and warns where it was the faster.
        found = [text for text in found if "It seems that global step" not in text]
        return [text for text in found if "step" in text or "nothing was evaluated" in text]

    return take


def trained_weights(folder):
    """A checkpoint of the layer `fc`, its weights all 1, and its global step."""
    with tf.Graph().as_default(), tf.Session() as session:
        slim.model_variable("fc/weights", [3, 1], initializer=tf.ones_initializer())
        step = tf.train.get_or_create_global_step()
        session.run(tf.global_variables_initializer())
        session.run(step.assign(1000))
        return tf.train.Saver().save(session, str(folder / "trained.ckpt"))


def evaluated():
    """What evaluates the layer `fc`: the sum of its outputs, and an update op."""
    outputs = slim.fully_connected(tf.constant(ROWS), 1, activation_fn=None, biases_initializer=None, scope="fc")
    return tf.reduce_sum(outputs), tf.reduce_sum(outputs)


@pytest.mark.parametrize("path", [None, ""])
def test_random_weights_are_not_evaluated(tmp_path, path):
    assert tf.train.latest_checkpoint(str(tmp_path)) is None
    value, update = evaluated()
    with pytest.raises(SlimftError, match=f"checkpoint_path is {path!r}: fc/weights would be evaluated with"):
        slim.evaluation.evaluate_once("", path, str(tmp_path), eval_op=update, final_op=value)
    for final_ops in (value, [value], {"value": value}, value.name, None):
        with pytest.raises(ValueError, match="fc/weights would be evaluated with random weights"):
            tf.contrib.training.evaluate_once(path, final_ops=final_ops)
    assert os.listdir(tmp_path) == []


def test_what_is_evaluated_without_a_checkpoint(tmp_path):
    """A graph without weights; weights from an init_fn, or fed to the initial op."""
    weights = np.float32([[1], [2], [3]])
    total = (ROWS @ weights).sum()
    count = tf.get_variable("count", initializer=5.0, trainable=False)
    assert slim.evaluation.evaluate_once("", None, str(tmp_path), final_op=count + 1) == 6
    value, _ = evaluated()
    fed = tf.placeholder(tf.float32, [3, 1])
    assign = slim.get_unique_variable("fc/weights").assign(fed)
    initial_op = tf.group(assign, count.initializer)
    found = slim.evaluation.evaluate_once(
        "", None, str(tmp_path), initial_op=initial_op, initial_op_feed_dict={fed: weights}, final_op=value
    )
    assert found == pytest.approx(total, rel=1e-5)
    scaffold = tf.train.Scaffold(init_fn=lambda _, session: session.run(assign, {fed: weights}))
    found = tf.contrib.training.evaluate_once(None, scaffold=scaffold, final_ops=value)
    assert found == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("as_mapping", [False, True])
def test_evaluation_restores_the_global_step_and_all_that_it_reads(tmp_path, as_mapping):
    """slimft.get_variables_to_restore leaves the step out; a weight that is left out is TensorFlow's error."""
    path = trained_weights(tmp_path)
    value, _ = evaluated()
    step = tf.train.get_or_create_global_step()

    def evaluate(variables, function=slim.evaluation.evaluate_once, place=path, **more):
        if as_mapping:
            variables = {variable.op.name: variable for variable in variables}
        return function(
            "", place, str(tmp_path), final_op=[value, tf.identity(step)], variables_to_restore=variables, **more
        )

    wanted = [pytest.approx(ROWS.sum(), rel=1e-5), 1000]
    assert evaluate(slimft.get_variables_to_restore()) == evaluate([*tf.global_variables()]) == wanted
    loop = {"function": slim.evaluation.evaluation_loop, "place": str(tmp_path), "max_number_of_evaluations": 1}
    assert evaluate(slimft.get_variables_to_restore(), **loop) == wanted
    with tf.Graph().as_default():
        value, _ = evaluated()
        slim.model_variable("other/weights", [2])
        step = tf.train.get_or_create_global_step()
        with pytest.raises(RuntimeError, match="not initialized: other/weights"):
            evaluate(slimft.get_variables_to_restore(exclude=["other"]))


def test_evaluating_repeatedly_without_a_checkpoint_is_said(tmp_path, warnings):
    value, update = evaluated()
    for function, arguments in (
        (slim.evaluation.evaluation_loop, ("", str(tmp_path), str(tmp_path))),
        (tf.contrib.training.evaluate_repeatedly, (str(tmp_path),)),
    ):
        assert function(*arguments, timeout=1) is None
        assert warnings() == [f"no checkpoint appeared in {tmp_path}: nothing was evaluated"]
    with pytest.raises(SlimftError, match="checkpoint_dir is None"):
        slim.evaluation.evaluation_loop("", None, str(tmp_path))


def steps_in(folder):
    return tf.train.NewCheckpointReader(tf.train.latest_checkpoint(str(folder))).get_tensor("global_step")


@pytest.mark.parametrize("module", [slim.learning, slim.training])
def test_a_finished_run_takes_no_further_step(tmp_path, warnings, module):
    def train(steps):
        with tf.Graph().as_default():
            train_op = slim.learning.create_train_op(linear_loss(), tf.train.GradientDescentOptimizer(0.1))
            if module is slim.learning:
                # Without slim's thread that saves from time to time: it may save an earlier step after the last.
                never = dict(save_summaries_secs=0, save_interval_secs=0)
                return module.train(train_op, str(tmp_path), number_of_steps=steps, **never)
            hooks = [tf.train.StopAtStepHook(last_step=steps)]
            return module.train(train_op, str(tmp_path), hooks=hooks, save_summaries_steps=100)

    assert train(3) is not None and steps_in(tmp_path) == 3 and not warnings()
    for steps in (3, 2):
        assert train(steps) is None and steps_in(tmp_path) == 3
        name = "number_of_steps" if module is slim.learning else "last_step"
        assert f"is at step 3, and {name}={steps}: it is finished, and no step is taken" in warnings()[0]
    assert train(5) is not None and steps_in(tmp_path) == 5 and not warnings()


@pytest.mark.parametrize("module", [slim.learning, slim.training])
def test_a_restored_step_beyond_the_end(tmp_path, warnings, module):
    """slim.get_variables_to_restore has the global step, of a pretrained network 1000 here."""
    path = trained_weights(tmp_path)

    def train(steps, folder):
        with tf.Graph().as_default():
            train_op = slim.learning.create_train_op(linear_loss(), tf.train.GradientDescentOptimizer(0.1))
            init_fn = slim.assign_from_checkpoint_fn(path, slim.get_variables_to_restore())
            logdir = str(tmp_path / folder)
            if module is slim.learning:
                return module.train(train_op, logdir, number_of_steps=steps, init_fn=init_fn, save_summaries_secs=0)
            scaffold = tf.train.Scaffold(init_fn=lambda _, session: init_fn(session))
            hooks = [tf.train.StopAtStepHook(last_step=steps)]
            return module.train(train_op, logdir, hooks=hooks, scaffold=scaffold, save_summaries_steps=100)

    for _ in range(2):  # The failed run leaves no checkpoint to go on from.
        with pytest.raises(SlimftError, match="the global step to 1000, and .* is 10: training would end at once"):
            train(10, "short")
    assert train(1002, "long") is not None and steps_in(tmp_path / "long") == 1002
    assert warnings()[0].startswith("init_fn sets the global step to 1000: 2 steps remain to")


def test_training_train_clips_gradients(tmp_path):
    def clipped(gradient):
        return gradient / max(1, np.linalg.norm(gradient))

    train_op = slim.training.create_train_op(
        linear_loss(),
        tf.train.GradientDescentOptimizer(0.1),
        transform_grads_fn=slim.training.clip_gradient_norms_fn(1.0),
        summarize_gradients=True,
    )
    hooks = [tf.train.StopAtStepHook(num_steps=4)]
    slim.training.train(train_op, str(tmp_path), hooks=hooks, save_summaries_steps=1)
    reader = tf.train.NewCheckpointReader(tf.train.latest_checkpoint(str(tmp_path)))
    np.testing.assert_allclose(reader.get_tensor("fc/weights"), descend(4, clipped), rtol=1e-4)


def test_gradient_multipliers_and_optimize_loss():
    multiplied = slim.learning.create_train_op(
        linear_loss(), tf.train.GradientDescentOptimizer(0.1), gradient_multipliers={"fc/weights": 0.5}
    )
    optimized = slim.optimize_loss(
        tf.losses.get_total_loss(),
        tf.train.get_global_step(),
        0.1,
        "SGD",
        clip_gradients=1e9,
        gradient_noise_scale=None,
        learning_rate_decay_fn=lambda rate, step: rate + 0.0,
    )
    weights = slim.get_unique_variable("fc/weights")
    for train_op, expected in ((multiplied, descend(1, lambda gradient: gradient / 2)), (optimized, descend(1))):
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(train_op)
            np.testing.assert_allclose(session.run(weights), expected, rtol=1e-5)


def write_records(path, count):
    """A TFRecord file of `count` PNG images of one color, i * 20, with the label i."""
    with tf.Session() as session, tf.io.TFRecordWriter(str(path)) as writer:
        for label in range(count):
            png = session.run(tf.io.encode_png(np.full((4, 5, 3), label * 20, np.uint8)))
            feature = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
                "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"png"])),
                "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())


def test_dataset_provider_batches_and_queues(tmp_path):
    write_records(tmp_path / "a.tfrecord", 4)
    decoder = slim.tfexample_decoder.TFExampleDecoder(
        {
            "image/encoded": tf.FixedLenFeature((), tf.string, ""),
            "image/format": tf.FixedLenFeature((), tf.string, "png"),
            "image/class/label": tf.FixedLenFeature([], tf.int64, -1),
        },
        {
            "image": slim.tfexample_decoder.Image(shape=[4, 5, 3]),
            "label": slim.tfexample_decoder.Tensor("image/class/label"),
        },
    )
    dataset = slim.dataset.Dataset(
        str(tmp_path / "*.tfrecord"), tf.TFRecordReader, decoder, 4, {"image": "an image", "label": "its class"}
    )
    provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=False, num_epochs=1)
    assert set(provider.list_items()) == {"image", "label", "record_key"} and provider.num_samples() == 4
    batch = tf.train.batch(provider.get(["image", "label"]), 2)
    images, labels = slim.prefetch_queue.prefetch_queue(batch, capacity=2).dequeue()
    seen = {}
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        with slim.queues.QueueRunners(session):
            for _ in range(2):
                for image, label in zip(*session.run([images, labels])):
                    seen[int(label)] = image
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run(images)
    assert sorted(seen) == [0, 1, 2, 3]
    assert all((image == label * 20).all() and image.shape == (4, 5, 3) for label, image in seen.items())


@pytest.mark.parametrize("version", [tf.train.SaverDef.V1, tf.train.SaverDef.V2])
def test_checkpoints_into_whole_and_partitioned_variables(tmp_path, version):
    values = {"a": np.arange(12, dtype="float32").reshape(6, 2), "b": np.float32([3, 4])}
    with tf.Graph().as_default(), tf.Session() as session:
        saved = {name: tf.Variable(value, name=name) for name, value in values.items()}
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver(saved, write_version=version).save(session, str(tmp_path / "model.ckpt"))
    parts = tf.get_variable("a", [6, 2], partitioner=tf.fixed_size_partitioner(3))
    whole = tf.get_variable("b", [2])
    new = tf.get_variable("c", [2], initializer=tf.ones_initializer())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(*slim.assign_from_checkpoint(path, [*parts, whole]))
        for variable, value in ((parts.as_tensor(), values["a"]), (whole, values["b"])):
            np.testing.assert_array_equal(session.run(variable), value)
        with pytest.raises(ValueError, match="c"):
            slim.assign_from_checkpoint(path, [new])
        with pytest.raises(ValueError, match="a has the shape"):
            slim.assign_from_checkpoint(path, {"a": new})
        session.run(*slim.assign_from_checkpoint(path, [new], ignore_missing_vars=True))
        session.run(*slim.assign_from_checkpoint(path, {"b": [new, whole]}))
        np.testing.assert_array_equal(session.run(new), values["b"])
        session.run(*slim.assign_from_values({"c": np.float32([7, 8])}))
        assert session.run(new).tolist() == [7, 8]
        restore = slim.assign_from_checkpoint_fn(path, {"b": new}, ignore_missing_vars=True)
        restore(session)
        np.testing.assert_array_equal(session.run(new), values["b"])


def test_variables_to_restore_and_their_devices():
    with slim.arg_scope([slim.model_variable, slim.variable], device=slim.VariableDeviceChooser(2)):
        slim.model_variable("net/weights", [2])
        slim.model_variable("net/logits/weights", [2])
    slim.create_global_step()
    restored = slim.get_variables_to_restore(exclude=["net/logits"])
    assert [variable.op.name for variable in restored] == ["net/weights", "global_step"]
    assert [v.op.name for v in slim.filter_variables(restored, exclude_patterns=["step"])] == ["net/weights"]
    devices = [variable.device for variable in slim.get_model_variables()]
    assert devices == ["/job:ps/task:0/device:CPU:0", "/job:ps/task:1/device:CPU:0"]


def test_model_analyzer_counts(capsys):
    outputs = slim.conv2d(tf.zeros([1, 8, 8, 3]), 4, 3, scope="conv")
    assert slim.model_analyzer.analyze_vars(slim.get_model_variables(), print_info=True) == (112, 448)
    assert "conv/weights:0 (float32_ref 3x3x3x4) [108, bytes: 432]" in capsys.readouterr().out
    assert slim.model_analyzer.tensor_description(outputs) == "(float32 1x8x8x4)"
    assert slim.model_analyzer.analyze_ops(outputs.graph) >= outputs.shape.num_elements()


def test_summaries_hold_what_they_summarize():
    images = tf.constant(ROWS.reshape(2, 4, 3, 1))
    slim.summaries.add_histogram_summary(images, "histogram")
    slim.summaries.add_image_summary(images, "image")
    slim.summaries.add_zero_fraction_summary(tf.nn.relu(images), "zeros")
    slim.summarize_tensor(tf.constant(2.5, name="scalar"))
    slim.summarize_activation(tf.nn.relu6(images, name="relu6"))
    with tf.Session() as session:
        summary = tf.Summary.FromString(session.run(tf.summary.merge_all()))
    by_tag = {value.tag: value for value in summary.value}
    assert by_tag["histogram"].histo.num == ROWS.size and by_tag["image/image/0"].image.height == 4
    assert by_tag["zeros/Fraction_of_Zero_Values"].simple_value == pytest.approx((ROWS <= 0).mean())
    assert by_tag["scalar_summary"].simple_value == 2.5
    assert by_tag["relu6/zeros"].simple_value == by_tag["zeros/Fraction_of_Zero_Values"].simple_value
    assert by_tag["relu6/sixes"].simple_value == 0
    assert by_tag["relu6/activation"].histo.max == pytest.approx(ROWS.max(), rel=1e-6)
