"""slim's loops of training and evaluation, which silently evaluated random weights and trained beyond the end.

Each function has the arguments and the result of slim's own.
"""

import collections.abc
import functools
import inspect

from tensorflow.compat import v1 as tf
from tf_slim import evaluation as slim_evaluation
from tf_slim import learning
from tf_slim.training import evaluation, training

from slimft.compat.graphs import ancestors
from slimft.errors import RestoreError

_slims_evaluate_once = evaluation.evaluate_once
_slims_evaluate_repeatedly = evaluation.evaluate_repeatedly
_slims_learning_train = learning.train
_slims_training_train = training.train


@functools.wraps(_slims_evaluate_once)
def evaluate_once(*args, **kwargs):
    """slim's `training.evaluate_once`, which refuses to evaluate weights that nothing sets.

    Raises:
        RestoreError: `checkpoint_path` is None or empty and the evaluation reads variables of the model; unless the
            scaffold has an `init_fn`, or an `init_feed_dict` with values.
    """
    given = _arguments(_slims_evaluate_once, args, kwargs).arguments
    path, scaffold = given["checkpoint_path"], given["scaffold"]
    # With a checkpoint, TensorFlow reports variables that it does not restore.
    if not path and not (scaffold and (scaffold.init_fn or scaffold.init_feed_dict)):
        names = _weights_read_by([given["eval_ops"], given["final_ops"]])
        if names:
            those = names[0] + (f" and {len(names) - 1} more variables" if len(names) > 1 else "")
            raise RestoreError(
                f"checkpoint_path is {path!r}: {those} would be evaluated with random weights; name a checkpoint "
                "(tf.train.latest_checkpoint returns None where there is none)"
            )
    return _slims_evaluate_once(*args, **kwargs)


def _weights_read_by(fetches):
    """The names of the model's variables that `fetches` depend on; of all, if there are no fetches."""
    graph = tf.get_default_graph()
    reading = ancestors(_ops(fetches, graph))
    variables = [*graph.get_collection(tf.GraphKeys.MODEL_VARIABLES), *tf.trainable_variables()]
    return list(dict.fromkeys(v.op.name for v in variables if not reading or v.op in reading))


def _restoring_the_step(function):
    """A function of slim.evaluation whose `variables_to_restore` need not have the global step."""

    @functools.wraps(function)
    def evaluate(*args, **kwargs):
        call = _arguments(function, args, kwargs)
        variables, step = call.arguments["variables_to_restore"], tf.train.get_global_step()
        if variables is not None and step is not None:
            by_name = isinstance(variables, collections.abc.Mapping)
            if not any(variable is step for variable in (variables.values() if by_name else variables)):
                more = {**variables, step.op.name: step} if by_name else [*variables, step]
                call.arguments["variables_to_restore"] = more
        return function(*call.args, **call.kwargs)

    return evaluate


def _arguments(function, args, kwargs):
    call = inspect.signature(function).bind(*args, **kwargs)
    call.apply_defaults()
    return call


evaluation_evaluate_once = _restoring_the_step(slim_evaluation.evaluate_once)
evaluation_loop = _restoring_the_step(slim_evaluation.evaluation_loop)


def _ops(fetches, graph):
    """The ops of nested lists and dictionaries of what `Session.run` takes."""
    ops = []
    for fetch in tf.nest.flatten(fetches):
        fetch = graph.as_graph_element(fetch) if isinstance(fetch, str) else fetch
        op = getattr(fetch, "op", fetch)
        if isinstance(op, tf.Operation):
            ops.append(op)
    return ops


@functools.wraps(_slims_evaluate_repeatedly)
def evaluate_repeatedly(checkpoint_dir, *args, **kwargs):
    """slim's `evaluate_repeatedly`, which warns if it ends without a checkpoint to evaluate."""
    if checkpoint_dir is None:
        raise RestoreError("checkpoint_dir is None: name the directory in which the checkpoints appear")
    result = _slims_evaluate_repeatedly(checkpoint_dir, *args, **kwargs)
    if tf.train.latest_checkpoint(checkpoint_dir) is None:
        tf.logging.warning("no checkpoint appeared in %s: nothing was evaluated", checkpoint_dir)
    return result


@functools.wraps(_slims_learning_train)
def learning_train(*args, **kwargs):
    """slim's `learning.train`, which takes no step beyond `number_of_steps`, and says so.

    Where the run in `logdir` is finished, no step is taken (slim takes one at each call) and None is returned.

    Raises:
        RestoreError: `init_fn` sets the global step to `number_of_steps` or beyond.
    """
    call = _arguments(_slims_learning_train, args, kwargs)
    given = call.arguments
    # With train_step_kwargs of the script's own, slim does not go by number_of_steps.
    if given["number_of_steps"] and given["train_step_kwargs"] == learning._USE_DEFAULT:
        given["train_step_fn"] = _UntilTheEnd(given["train_step_fn"], given["number_of_steps"], given["logdir"])
        if given["init_fn"] is not None:
            given["init_fn"] = functools.partial(
                _init, given["init_fn"], given["train_step_fn"], given["global_step"], "number_of_steps"
            )
    return _slims_learning_train(*call.args, **call.kwargs)


class _UntilTheEnd:
    """slim's `train_step`, but where the run is at its end before the first of them.

    Attributes:
        last_step: the step to end at.
        initialized: whether an `init_fn` set the step, so that this is no run of before that is finished.
    """

    def __init__(self, train_step, end, logdir):
        self.last_step, self.initialized = end, False
        self._train_step, self._logdir, self._first = train_step, logdir, True

    def __call__(self, session, train_op, global_step, train_step_kwargs):
        first, self._first = self._first, False
        if first and not self.initialized:
            step = session.run(global_step)
            if step >= self.last_step:
                _say_finished(self._logdir, step, f"number_of_steps={self.last_step}")
                return None, True
        return self._train_step(session, train_op, global_step, train_step_kwargs)


@functools.wraps(_slims_training_train)
def training_train(*args, **kwargs):
    """slim's `training.train`, which takes no step beyond the `last_step` of a `tf.train.StopAtStepHook`.

    Where the run in `logdir` is finished, no step is taken (slim takes one at each call) and None is returned.

    Raises:
        RestoreError: the scaffold's `init_fn` sets the global step to `last_step` or beyond.
    """
    call = _arguments(_slims_training_train, args, kwargs)
    given = call.arguments
    hooks = [*(given["hooks"] or ()), *(given["chief_only_hooks"] or ())]
    ends = [hook._last_step for hook in hooks if isinstance(hook, tf.train.StopAtStepHook)]
    ends = [end for end in ends if end is not None]
    if ends:
        stop = _StopWhereFinished(min(ends), given["logdir"])
        given["hooks"] = [*(given["hooks"] or ()), stop]
        scaffold = given["scaffold"]
        if scaffold is not None and scaffold.init_fn:
            scaffold._init_fn = functools.partial(_init, scaffold.init_fn, stop, None, "last_step")
    return _slims_training_train(*call.args, **call.kwargs)


class _StopWhereFinished(tf.train.SessionRunHook):
    """Stops a run before its first step, if it is at its end already; attributes as `_UntilTheEnd`."""

    def __init__(self, end, logdir):
        self.last_step, self.initialized, self._logdir = end, False, logdir

    def after_create_session(self, session, coord):
        step = session.run(tf.train.get_global_step(session.graph))
        if step >= self.last_step and not self.initialized:
            _say_finished(self._logdir, step, f"last_step={self.last_step}")
            coord.request_stop()


def _init(init_fn, run, global_step, name, session):
    """Calls `init_fn`; raises RestoreError if after it the run would be at its end, and warns if it is on its way.

    Who asks for one step gets it.
    """
    init_fn(session)
    run.initialized = True
    step = session.run(tf.train.get_global_step(session.graph) if global_step is None else global_step)
    if step >= run.last_step > 1:
        raise RestoreError(
            f"init_fn sets the global step to {step}, and {name} is {run.last_step}: training would end at once; "
            "leave the global step out of what init_fn restores, as slimft.get_variables_to_restore() does"
        )
    if step > 0:
        tf.logging.warning(
            "init_fn sets the global step to %d: %d steps remain to %s=%d",
            step,
            max(1, run.last_step - step),
            name,
            run.last_step,
        )


def _say_finished(logdir, step, end):
    tf.logging.warning(
        "the run in %s is at step %d, and %s: it is finished, and no step is taken; to begin anew, name another "
        "directory",
        logdir,
        step,
        end,
    )
