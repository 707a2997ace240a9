"""Experiment and learn_runner: training, evaluation and export of an estimator in one call.

Source: tensorflow/contrib/learn/python/learn/{experiment,learn_runner}.py of TensorFlow 1.15. Estimators of
tf.estimator and of tf.contrib.learn are both run.
"""

from __future__ import annotations

import os
import time

from slimft.compat.contrib.learn.keys import TaskType
from slimft.compat.contrib.learn.utils import ExportStrategy
from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = ["Experiment", "run", "tune"]


class _Evaluation(tf.train.CheckpointSaverListener):
    """Evaluates an experiment's checkpoints while it trains, but for the one that it begins with."""

    def __init__(self, evaluate, every_n_steps):
        self._evaluate, self._every_n_steps = evaluate, every_n_steps
        self._last = None

    def after_save(self, session, global_step_value):
        if self._last is None:
            self._last = global_step_value
        elif global_step_value - self._last >= self._every_n_steps:
            self._last = global_step_value
            self._evaluate()


class Experiment:
    """An estimator with its data.

    Args:
        estimator: of tf.estimator or tf.contrib.learn.
        train_input_fn, eval_input_fn: input functions.
        eval_metrics: by name, MetricSpecs; for an estimator of tf.contrib.learn.
        train_steps: the global step at which training ends; None for ever.
        eval_steps: batches of an evaluation; None for all.
        train_monitors, eval_hooks: hooks of tf.train.
        eval_delay_secs: `evaluate` and `continuous_eval` wait so long first.
        continuous_eval_throttle_secs: at least so long from one evaluation's beginning to the next.
        min_eval_frequency: `train_and_evaluate` evaluates checkpoints at least so many steps apart; 0 only at the
            end. (1.15's default: 1, each checkpoint.)
        delay_workers_by_global_step: not used.
        export_strategies: an `ExportStrategy`, or several.
        train_steps_per_iteration: steps between the evaluations of `continuous_train_and_eval`.
        checkpoint_and_export: whether `train_and_evaluate` exports after each evaluation.
        saving_listeners: listeners of tf.train.
        check_interval_secs: how often `continuous_eval` looks for a checkpoint.

    Raises:
        ValueError: `estimator` or `export_strategies` are something else.
    """

    def __init__(
        self,
        estimator,
        train_input_fn,
        eval_input_fn,
        eval_metrics=None,
        train_steps=None,
        eval_steps=100,
        train_monitors=None,
        eval_hooks=None,
        eval_delay_secs=120,
        continuous_eval_throttle_secs=60,
        min_eval_frequency=None,
        delay_workers_by_global_step=False,
        export_strategies=None,
        train_steps_per_iteration=None,
        checkpoint_and_export=False,
        saving_listeners=None,
        check_interval_secs=5,
    ):
        if not isinstance(estimator, tf.estimator.Estimator):
            raise ValueError(f"an Experiment needs an estimator, not {estimator!r}")
        if eval_metrics is not None and not hasattr(estimator, "fit"):
            raise ValueError("eval_metrics are for estimators of tf.contrib.learn; use eval_metric_ops in model_fn")
        # Subclasses in scripts read these names, which are those of 1.15.
        self._estimator, self._eval_metrics = estimator, eval_metrics
        self._train_steps, self._eval_steps = train_steps, eval_steps
        self._train_input_fn, self._eval_input_fn = train_input_fn, eval_input_fn
        self._train_monitors, self._eval_hooks = list(train_monitors or []), list(eval_hooks or [])
        self._eval_delay_secs = eval_delay_secs
        self._continuous_eval_throttle_secs = continuous_eval_throttle_secs
        self._min_eval_frequency = 1 if min_eval_frequency is None else min_eval_frequency
        self._delay_workers_by_global_step = delay_workers_by_global_step
        self._train_steps_per_iteration = train_steps_per_iteration
        self._checkpoint_and_export = checkpoint_and_export
        self._saving_listeners = list(saving_listeners or [])
        self._check_interval_secs = check_interval_secs
        self.reset_export_strategies(export_strategies)

    @property
    def estimator(self):
        """The estimator."""
        return self._estimator

    @property
    def eval_metrics(self):
        """The MetricSpecs of the evaluation, by name, or None."""
        return self._eval_metrics

    @property
    def train_steps(self):
        """The global step at which training ends; None for ever."""
        return self._train_steps

    @property
    def eval_steps(self):
        """Batches of an evaluation; None for all."""
        return self._eval_steps

    def extend_train_hooks(self, additional_hooks) -> None:
        """Adds hooks to those of training."""
        self._train_monitors.extend(additional_hooks)

    def reset_export_strategies(self, new_export_strategies=None) -> list:
        """Sets the export strategies; returns those of before."""
        old = getattr(self, "_export_strategies", [])
        new = new_export_strategies
        new = [new] if isinstance(new, ExportStrategy) else list(new or [])
        if not all(isinstance(strategy, ExportStrategy) for strategy in new):
            raise ValueError("export_strategies have to be an ExportStrategy or several")
        self._export_strategies = new
        return old

    def train(self, delay_secs=None):
        """Trains to `train_steps`, after `delay_secs`; returns the estimator."""
        task_id = self.estimator.config.task_id or 0
        _wait(min(60, task_id * 5) if delay_secs is None else delay_secs, "training")
        return self._train(self.train_steps, self._saving_listeners)

    def _train(self, max_steps, listeners):
        return self.estimator.train(
            self._train_input_fn, self._train_monitors, max_steps=max_steps, saving_listeners=listeners
        )

    def evaluate(self, delay_secs=None, name=None):
        """The metrics of the latest checkpoint, after `delay_secs` or the experiment's delay."""
        _wait(self._eval_delay_secs if delay_secs is None else delay_secs, "evaluation")
        return self._evaluate(name or "one_pass", self._eval_input_fn)

    def _evaluate(self, name, input_fn, checkpoint_path=None, steps=None):
        more = {"metrics": self.eval_metrics} if self.eval_metrics else {}
        return self.estimator.evaluate(
            input_fn=input_fn,
            steps=steps or self.eval_steps,
            hooks=self._eval_hooks,
            checkpoint_path=checkpoint_path,
            name=name,
            **more,
        )

    def train_and_evaluate(self):
        """Trains to `train_steps`, with evaluations on the way and at the end, and exports.

        Returns:
            The last metrics and the paths of the exports.
        """

        def evaluate():
            result = self._evaluate(None, self._eval_input_fn)
            if self._checkpoint_and_export:
                self._maybe_export(result)

        listeners = list(self._saving_listeners)
        if self._min_eval_frequency:
            listeners.append(_Evaluation(evaluate, self._min_eval_frequency))
        self._train(self.train_steps, listeners)
        result = self._evaluate(None, self._eval_input_fn)
        return result, self._maybe_export(result)

    local_run = train_and_evaluate

    def continuous_train_and_eval(self, continuous_eval_predicate_fn=None):
        """Trains and evaluates in turns until `train_steps`, or until the function of the metrics says False.

        Returns:
            The last metrics and the paths of the exports.
        """
        step = self._train_steps_per_iteration or self.estimator.config.save_checkpoints_steps or 1000
        result, exports, done = None, [], 0
        while continuous_eval_predicate_fn is None or continuous_eval_predicate_fn(result):
            if self.train_steps is not None and done >= self.train_steps:
                break
            target = done + step if self.train_steps is None else min(done + step, self.train_steps)
            self._train(target, self._saving_listeners)
            result = self._evaluate("continuous", self._eval_input_fn)
            exports = self._maybe_export(result)
            if result["global_step"] <= done:
                break  # The input has ended.
            done = int(result["global_step"])
        return result, exports

    def continuous_eval(
        self,
        delay_secs=None,
        throttle_delay_secs=None,
        evaluate_checkpoint_only_once=True,
        continuous_eval_predicate_fn=None,
        name="continuous",
    ) -> None:
        """Evaluates and exports each new checkpoint, until the function of the metrics says False or the end."""
        self._continuous_eval(
            self._eval_input_fn,
            name,
            self._eval_delay_secs if delay_secs is None else delay_secs,
            self._continuous_eval_throttle_secs if throttle_delay_secs is None else throttle_delay_secs,
            evaluate_checkpoint_only_once,
            continuous_eval_predicate_fn,
        )

    def continuous_eval_on_train_data(
        self,
        delay_secs=None,
        throttle_delay_secs=None,
        continuous_eval_predicate_fn=None,
        name="continuous_on_train_data",
    ) -> None:
        """`continuous_eval` with the training's input."""
        self._continuous_eval(
            self._train_input_fn,
            name,
            self._eval_delay_secs if delay_secs is None else delay_secs,
            self._continuous_eval_throttle_secs if throttle_delay_secs is None else throttle_delay_secs,
            True,
            continuous_eval_predicate_fn,
        )

    def _continuous_eval(self, input_fn, name, delay_secs, throttle_secs, only_once, goes_on):
        if goes_on is not None and not callable(goes_on):
            raise ValueError("continuous_eval_predicate_fn has to be a function or None")
        _wait(delay_secs, "evaluation")
        previous, result = None, None
        while goes_on is None or goes_on(result):
            start = time.time()
            checkpoint = tf.train.latest_checkpoint(self.estimator.model_dir)
            if checkpoint is None or (only_once and checkpoint == previous):
                result = {}
                time.sleep(self._check_interval_secs)
                continue
            result = self._evaluate(name, input_fn, checkpoint)
            self._maybe_export(result, checkpoint)
            previous = checkpoint
            if self.train_steps is not None and result["global_step"] >= self.train_steps:
                break
            time.sleep(max(0, throttle_secs - (time.time() - start)))

    def test(self):
        """A step of training and one of evaluation; returns the metrics and the paths of exports."""
        self.estimator.train(self._train_input_fn, self._train_monitors, steps=1)
        result = self._evaluate("one_pass", self._eval_input_fn, steps=1)
        return result, self._maybe_export(result)

    def run_std_server(self):
        """UsageError: a parameter server is run by tf.train.Server."""
        raise UsageError(
            "Experiment.run_std_server: for a cluster use tf.estimator.train_and_evaluate, or "
            "tf.train.Server(cluster, job_name, task_index).join()"
        )

    def _maybe_export(self, eval_result, checkpoint_path=None):
        base = os.path.join(self.estimator.model_dir, "export")
        path = checkpoint_path or tf.train.latest_checkpoint(self.estimator.model_dir)
        return [
            strategy.export(self.estimator, os.path.join(base, strategy.name), path, eval_result)
            for strategy in self._export_strategies
        ]


def _wait(seconds, what):
    if seconds:
        tf.logging.info("Waiting %d s before %s.", seconds, what)
        time.sleep(seconds)


def run(experiment_fn, output_dir=None, schedule=None, run_config=None, hparams=None):
    """Makes an experiment and calls the method of it that is named `schedule`.

    Args:
        experiment_fn: a function of `output_dir`, or of `run_config` and `hparams`, that returns an `Experiment`.
        output_dir: the folder of checkpoints; either this or `run_config`.
        schedule: a method's name; None is that of the task in TF_CONFIG, train_and_evaluate without one.
        run_config: a RunConfig with `model_dir`.
        hparams: given to `experiment_fn` with `run_config`.

    Returns:
        What the method returns.

    Raises:
        TypeError: `experiment_fn` is no function, or returns no `Experiment`.
        ValueError: there is neither `output_dir` nor `run_config`, or both, or there is no such method.
    """
    if not callable(experiment_fn):
        raise TypeError(f"experiment_fn {experiment_fn!r} is no function")
    if (run_config is None) == (not output_dir):
        raise ValueError("learn_runner.run needs either output_dir or run_config")
    if run_config is None:
        if hparams is not None:
            raise ValueError("learn_runner.run: hparams need run_config instead of output_dir")
        experiment = experiment_fn(output_dir)
    elif not run_config.model_dir:
        raise ValueError("learn_runner.run: run_config has no model_dir")
    else:
        experiment = experiment_fn(run_config, hparams)
    if not isinstance(experiment, Experiment):
        raise TypeError(f"experiment_fn returns {experiment!r}, which is no Experiment")
    if schedule is None:
        schedule = _default_schedule(run_config or experiment.estimator.config)
    method = None if schedule.startswith("_") else getattr(experiment, schedule, None)
    if not callable(method):
        raise ValueError(f"schedule {schedule!r}: an Experiment has no such method")
    return method()


def _default_schedule(config):
    """The method for the task in TF_CONFIG."""
    if not config.cluster_spec or not config.cluster_spec.as_dict():
        return "train_and_evaluate"
    schedules = {TaskType.MASTER: "train_and_evaluate", TaskType.PS: "run_std_server", TaskType.WORKER: "train"}
    if config.task_type not in schedules:
        raise ValueError(f"TF_CONFIG's task {config.task_type!r} has no schedule; give one")
    return schedules[config.task_type]


def tune(experiment_fn, tuner):
    """UsageError: tuners are gone."""
    raise UsageError("learn_runner.tune: TensorFlow has no tuners any more; call learn_runner.run in a loop")
