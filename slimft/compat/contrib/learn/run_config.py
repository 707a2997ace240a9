"""tf.contrib.learn.RunConfig: tf.estimator's with the arguments of 2016.

Source: tensorflow/contrib/learn/python/learn/estimators/run_config.py of TensorFlow 1.15.
"""

from __future__ import annotations

import json
import os

from slimft.compat.contrib.learn.keys import Environment
from slimft.compat.v1 import tf

__all__ = ["ClusterConfig", "RunConfig"]


class RunConfig(tf.estimator.RunConfig):
    """Settings of a run; what `num_cores` and so on say goes into the session's, unless `session_config` is given.

    Args:
        master: the address of a TensorFlow server; TF_CONFIG's, or this process.
        num_cores: threads; 0 leaves it to TensorFlow.
        log_device_placement: whether each op's device is logged.
        gpu_memory_fraction: how much of each GPU's memory is taken.
        save_checkpoints_secs, save_checkpoints_steps: how often; every 600 s if neither is given.
        evaluation_master: the address of a server to evaluate on.
        tf_random_seed, save_summary_steps, keep_checkpoint_max, keep_checkpoint_every_n_hours,
            log_step_count_steps, protocol, model_dir, session_config: as tf.estimator.RunConfig's.
    """

    _USE_DEFAULT = 0

    def __init__(
        self,
        master=None,
        num_cores=0,
        log_device_placement=False,
        gpu_memory_fraction=1,
        tf_random_seed=None,
        save_summary_steps=100,
        save_checkpoints_secs=_USE_DEFAULT,
        save_checkpoints_steps=None,
        keep_checkpoint_max=5,
        keep_checkpoint_every_n_hours=10000,
        log_step_count_steps=100,
        protocol=None,
        evaluation_master="",
        model_dir=None,
        session_config=None,
    ):
        options = {}
        if save_checkpoints_secs != RunConfig._USE_DEFAULT:
            options["save_checkpoints_secs"] = save_checkpoints_secs
        if save_checkpoints_steps is not None or "save_checkpoints_secs" in options:
            options["save_checkpoints_steps"] = save_checkpoints_steps
        tf_config = tf.ConfigProto(
            log_device_placement=log_device_placement,
            inter_op_parallelism_threads=num_cores,
            intra_op_parallelism_threads=num_cores,
            gpu_options=tf.GPUOptions(per_process_gpu_memory_fraction=gpu_memory_fraction),
        )
        if session_config is None and (num_cores or log_device_placement or gpu_memory_fraction != 1):
            session_config = tf.ConfigProto(allow_soft_placement=True)
            session_config.MergeFrom(tf_config)
        super().__init__(
            model_dir=model_dir,
            tf_random_seed=tf_random_seed,
            save_summary_steps=save_summary_steps,
            session_config=session_config,
            keep_checkpoint_max=keep_checkpoint_max,
            keep_checkpoint_every_n_hours=keep_checkpoint_every_n_hours,
            log_step_count_steps=log_step_count_steps,
            protocol=protocol,
            **options,
        )
        self._tf_config = tf_config
        self._environment = json.loads(os.environ.get("TF_CONFIG") or "{}").get("environment", Environment.LOCAL)
        if master is not None:
            self._master = master
        if evaluation_master:
            self._evaluation_master = evaluation_master

    def __setattr__(self, name, value):
        # Scripts of 2016 set config.save_checkpoints_secs = 60.
        is_setting = isinstance(getattr(type(self), name, None), property)
        super().__setattr__(f"_{name}" if is_setting else name, value)

    @property
    def tf_config(self):
        """The session's settings of `num_cores`, `log_device_placement` and `gpu_memory_fraction`."""
        return self._tf_config

    @property
    def environment(self) -> str:
        """TF_CONFIG's, of `Environment`."""
        return self._environment

    @staticmethod
    def get_task_id() -> int:
        """The number of this process in TF_CONFIG."""
        return int(json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {}).get("index") or 0)

    def uid(self, whitelist=None) -> str:
        """A text of all settings but those in `whitelist`, or but those that change no result."""
        left_out = whitelist or (
            *("tf_random_seed", "save_summary_steps", "save_checkpoints_steps", "save_checkpoints_secs"),
            *("session_config", "keep_checkpoint_max", "keep_checkpoint_every_n_hours", "log_step_count_steps"),
        )
        names = sorted(name for name in vars(self) if name.lstrip("_") not in left_out)
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


ClusterConfig = RunConfig
