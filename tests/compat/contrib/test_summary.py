"""tf.contrib.summary: tags and values of the event files that TensorFlow 1.15 writes for the same graph."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.contrib import summary
from slimft.compat.legacy_names import resolve

# (step, tag, value) as read from TensorFlow 1.15.5's file; for histograms the sum, for images and audio the bytes.
IN_1_15 = [
    (0, "always", 1.0),
    (0, "aud/audio", 84),
    (0, "fam/scope/fam/inner", 3.0),
    (0, "gen", [1, 2]),
    (0, "hist", 6.0),
    (0, "img/image", 103),
    (0, "loss", 0.0),
    (1, "always", 1.0),
    (2, "always", 1.0),
    (2, "aud/audio", 84),
    (2, "fam/scope/fam/inner", 3.0),
    (2, "gen", [1, 2]),
    (2, "hist", 6.0),
    (2, "img/image", 103),
    (2, "loss", 6.0),
    (77, "withstep", 3.0),
    (77, "withstep", 3.0),
]


def written(value):
    kind = value.WhichOneof("value")
    if kind == "tensor":
        return tf.make_ndarray(value.tensor).tolist()
    return {
        "simple_value": value.simple_value,
        "histo": value.histo.sum,
        "image": len(value.image.encoded_image_string),
        "audio": len(value.audio.encoded_audio_string),
    }[kind]


def test_event_files_are_those_of_1_15(tmp_path):
    pixels = np.linspace(0, 1, 2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.get_or_create_global_step()
        next_step = tf.assign_add(step, 1)
        writer = summary.create_file_writer(str(tmp_path), flush_millis=10000)
        x = tf.constant(3.0)
        with writer.as_default(), summary.record_summaries_every_n_global_steps(2):
            summary.scalar("loss", x * tf.cast(step, tf.float32))
            with tf.name_scope("scope"):
                summary.scalar("inner", x, family="fam")
            summary.histogram("hist", tf.constant([1.0, 2.0, 3.0]))
            summary.image("img", tf.constant(pixels), max_images=1)
            summary.audio("aud", tf.zeros((2, 20, 1)), 8000, 1)
            summary.generic("gen", tf.constant([1, 2]))
            summary.scalar("withstep", x, step=tf.constant(77, tf.int64))
            with summary.always_record_summaries():
                summary.scalar("always", 1)
            with summary.never_record_summaries():
                summary.scalar("never", 1)
            records = summary.should_record_summaries()
            session.run(tf.global_variables_initializer())
            summary.initialize(graph=session.graph, session=session)
            for expected in (True, False, True):
                session.run(summary.all_summary_ops())
                assert session.run(records) == expected
                session.run(next_step)
            session.run(summary.flush())
            session.run(writer.close())
    (file,) = tmp_path.iterdir()
    events = list(tf.train.summary_iterator(str(file)))
    values = [(event.step, value.tag, written(value)) for event in events for value in event.summary.value]
    assert sorted(values, key=str) == sorted(IN_1_15, key=str)
    assert [event.step for event in events if event.WhichOneof("what") == "graph_def"] == [0]


def test_all_names_are_there():
    module = resolve("tensorflow.contrib.summary")
    assert module.summary.scalar is module.scalar is summary.scalar
    assert summary.eval_dir("run") == "run/eval"
    assert summary.eval_dir("run", "quick") == "run/eval_quick"
    with pytest.raises(NotImplementedError, match="create_file_writer"):
        summary.create_db_writer("file:x.sqlite")
