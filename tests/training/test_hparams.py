"""Hyperparameters as TensorBoard's own code reads them."""

import dataclasses
import sys

import pytest

from slimft.compat import tf
from slimft.runs.settings import Settings
from slimft.training.hparams import write_hparams


@pytest.fixture
def write(tmp_path):
    """Writes a run's events into a folder of `tmp_path`; returns what `write_hparams` does."""

    def run(name, settings, accuracy):
        with tf.Graph().as_default():
            writer = tf.summary.FileWriter(str(tmp_path / name))
            writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="test/accuracy", simple_value=accuracy)]), 7)
            written = write_hparams(writer, dataclasses.asdict(settings))
            writer.close()
        return written

    return run


def test_two_runs(write, tmp_path):
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams import api_pb2, metadata

    assert write("a", Settings(model="vgg_16", learning_rate=0.5, deterministic=True), 0.25)
    assert write("b", Settings(model="vgg_16", weight_decay=1e-4, exclude=("x/y", "z"), folds=5), 0.75)
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    events.Reload()
    found, ended = {}, {}
    for name, tags in events.PluginRunToTagToContent("hparams").items():
        started = metadata.parse_session_start_info_plugin_data(tags[metadata.SESSION_START_INFO_TAG])
        found[name] = started.hparams
        ended[name] = metadata.parse_session_end_info_plugin_data(tags[metadata.SESSION_END_INFO_TAG]).status
        assert set(tags) == {metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG}
    assert ended == {"a": api_pb2.STATUS_SUCCESS, "b": api_pb2.STATUS_SUCCESS}
    assert found["a"]["learning_rate"].number_value == 0.5 and found["a"]["deterministic"].bool_value
    assert found["b"]["weight_decay"].number_value == 1e-4 and found["b"]["exclude"].string_value == "x/y,z"
    assert found["b"]["folds"].number_value == 5 and found["b"]["model"].string_value == "vgg_16"
    assert "weight_decay" not in found["a"] and "train_dir" not in found["a"]
    assert [events.Tensors("b", "test/accuracy")[0].step] == [7]


def test_without_tensorboard(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.plugins.hparams", None)
    assert write("a", Settings(model="vgg_16"), 0.5) is False
