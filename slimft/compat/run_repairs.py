"""slim's loops of training and evaluation, which silently evaluated random weights and trained beyond the end.

Each function has the arguments and the result of slim's own.
"""

import functools
import inspect

from tensorflow.compat import v1 as tf
from tf_slim import learning
from tf_slim.training import evaluation, training

from slimft.errors import RestoreError

_slims_evaluate_once = evaluation.evaluate_once
_slims_evaluate_repeatedly = evaluation.evaluate_repeatedly
_slims_learning_train = learning.train
_slims_training_train = training.train


@functools.wraps(_slims_evaluate_once)
def evaluate_once(*args, **kwargs):
    """slim's `evaluate_once`, which refuses to evaluate variables that nothing restores.

    Raises:
        RestoreError: `checkpoint_path` is None or empty, or the scaffold's saver leaves out variables of the model
            that the evaluation reads; unless the scaffold has an `init_fn`, or an `init_feed_dict` with values.
    """
    call = inspect.signature(_slims_evaluate_once).bind(*args, **kwargs)
    call.apply_defaults()
    given = call.arguments
    scaffold = given["scaffold"]
    if scaffold is None or not (scaffold.init_fn or scaffold.init_feed_dict):
        fetches = [given["eval_ops"], given["final_ops"]]
        _check_restored(given["checkpoint_path"], scaffold and scaffold.saver, fetches)
    return _slims_evaluate_once(*args, **kwargs)


def _check_restored(checkpoint_path, saver, fetches):
    """Raises RestoreError if the model's variables that `fetches` read would not be restored."""
    if checkpoint_path and (saver is None or saver.saver_def is None):
        return  # The default saver restores all global variables.
    graph = tf.get_default_graph()
    reading = _ancestors(_ops(fetches, graph))
    variables = {
        variable.op: variable.op.name
        for key in (tf.GraphKeys.MODEL_VARIABLES, tf.GraphKeys.TRAINABLE_VARIABLES)
        for variable in graph.get_collection(key)
        if not reading or variable.op in reading
    }
    if checkpoint_path:
        restoring = _ancestors([graph.get_operation_by_name(saver.saver_def.restore_op_name)])
        variables = {op: name for op, name in variables.items() if op not in restoring}
    if not variables:
        return
    names = list(variables.values())
    those = names[0] + (f" and {len(names) - 1} more variables" if len(names) > 1 else "")
    if checkpoint_path:
        raise RestoreError(
            f"variables_to_restore leaves out {those}: the accuracy would be that of random weights; restore all "
            "variables of the model"
        )
    raise RestoreError(
        f"checkpoint_path is {checkpoint_path!r}: {those} would be evaluated with random weights; name a "
        "checkpoint (tf.train.latest_checkpoint returns None where there is none)"
    )


def _ops(fetches, graph):
    """The ops of nested lists and dictionaries of what `Session.run` takes."""
    ops = []
    for fetch in tf.nest.flatten(fetches):
        fetch = graph.as_graph_element(fetch) if isinstance(fetch, str) else fetch
        op = getattr(fetch, "op", fetch)
        if isinstance(op, tf.Operation):
            ops.append(op)
    return ops


def _ancestors(ops):
    found, ahead = set(), list(ops)
    while ahead:
        op = ahead.pop()
        if op not in found:
            found.add(op)
            ahead += [tensor.op for tensor in op.inputs]
            ahead += op.control_inputs
    return found


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
    call = inspect.signature(_slims_learning_train).bind(*args, **kwargs)
    call.apply_defaults()
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
        end: the step to end at.
        initialized: whether an `init_fn` set the step, so that this is no run of before that is finished.
    """

    def __init__(self, train_step, end, logdir):
        self.end, self.initialized = end, False
        self._train_step, self._logdir, self._first = train_step, logdir, True

    def __call__(self, session, train_op, global_step, train_step_kwargs):
        first, self._first = self._first, False
        if first and not self.initialized:
            step = session.run(global_step)
            if step >= self.end:
                _say_finished(self._logdir, step, f"number_of_steps={self.end}")
                return None, True
        return self._train_step(session, train_op, global_step, train_step_kwargs)


@functools.wraps(_slims_training_train)
def training_train(*args, **kwargs):
    """slim's `training.train`, which takes no step beyond the `last_step` of a `tf.train.StopAtStepHook`.

    Where the run in `logdir` is finished, no step is taken (slim takes one at each call) and None is returned.

    Raises:
        RestoreError: the scaffold's `init_fn` sets the global step to `last_step` or beyond.
    """
    call = inspect.signature(_slims_training_train).bind(*args, **kwargs)
    call.apply_defaults()
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
        self.end, self.initialized, self._logdir = end, False, logdir

    def after_create_session(self, session, coord):
        step = session.run(tf.train.get_global_step(session.graph))
        if step >= self.end and not self.initialized:
            _say_finished(self._logdir, step, f"last_step={self.end}")
            coord.request_stop()


def _init(init_fn, run, global_step, name, session):
    """Calls `init_fn`; raises RestoreError if after it the run would be at its end, and warns if it is on its way.

    Who asks for one step gets it.
    """
    init_fn(session)
    run.initialized = True
    step = session.run(tf.train.get_global_step(session.graph) if global_step is None else global_step)
    if step >= run.end > 1:
        raise RestoreError(
            f"init_fn sets the global step to {step}, and {name} is {run.end}: training would end at once; leave "
            "the global step out of what init_fn restores, as slimft.get_variables_to_restore() does"
        )
    if step > 0:
        tf.logging.warning(
            "init_fn sets the global step to %d: %d steps remain to %s=%d",
            step, max(1, run.end - step), name, run.end,
        )  # fmt: skip


def _say_finished(logdir, step, end):
    tf.logging.warning(
        "the run in %s is at step %d, and %s: it is finished, and no step is taken; to begin anew, name another "
        "directory",
        logdir, step, end,
    )  # fmt: skip
