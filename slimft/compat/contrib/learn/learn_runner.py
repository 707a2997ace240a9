"""tf.contrib.learn.learn_runner: runs an Experiment."""

from slimft.compat.contrib.learn.experiment import Experiment, run, tune

__all__ = ["Experiment", "run", "tune"]
