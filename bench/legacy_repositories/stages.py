"""What the drivers in this folder share: says how far a repository's code has come, a line for each stage.

A driver runs by `bin/run_legacy` in a copy of its repository, as one of that repository's own scripts would; so
this module imports tensorflow as such scripts do.
"""

import glob
import gzip
import os
import runpy
import sys

import numpy as np
import tensorflow as tf

# In order.
STAGES = ("imported", "graph", "step", "restored")
_reached = set()
_run = tf.Session.run
_flags = set(tf.app.flags.FLAGS)


def reached(stage):
    """Says, once, that the code has come as far as `stage`, one of `STAGES`."""
    if stage not in STAGES:
        raise ValueError(f"{stage} is none of {STAGES}")
    if stage not in _reached:
        _reached.add(stage)
        print(f"\nstage: {stage}", flush=True)


def begin(name):
    """Begins with the next part of a repository, by its name, in a graph of its own."""
    _reached.clear()
    tf.reset_default_graph()
    tf.Session.run = _run
    print(f"\nstage: none ({name})", flush=True)


def step(session, train_op, feed=None, steps=1):
    """Runs `train_op` with `feed`, and makes sure that trainable variables change and all are finite.

    Args:
        train_op: a tensor, an operation, or a list of these.
        steps: how often; some code begins with a learning rate of 0.
    """
    reached("graph")
    variables = tf.trainable_variables()
    before = session.run(variables)
    for _ in range(steps):
        session.run(train_op, feed)
    after = session.run(variables)
    if all(np.array_equal(old, new) for old, new in zip(before, after)):
        raise AssertionError("no trainable variable has changed")
    for variable, value in zip(variables, after):
        if not np.all(np.isfinite(value)):
            raise AssertionError(f"{variable.op.name} is not finite")
    reached("step")


def save_and_restore(session, variables=None):
    """Saves variables, sets them to their initial values, restores them, and makes sure that they are as before."""
    variables = tf.global_variables() if variables is None else variables
    before = session.run(variables)
    saver = tf.train.Saver(variables)
    path = saver.save(session, os.path.join(os.getcwd(), "driver_checkpoint", "model.ckpt"))
    session.run(tf.variables_initializer(variables))
    saver.restore(session, path)
    for variable, old, new in zip(variables, before, session.run(variables)):
        np.testing.assert_array_equal(old, new, err_msg=variable.op.name)
    reached("restored")


def train(loss=None, feed=None, train_op=None, optimizer=None, steps=1):
    """Takes a step with `train_op`, or with gradient descent on `loss`; saves and restores."""
    if train_op is None:
        optimizer = optimizer or tf.train.GradientDescentOptimizer(0.01)
        update = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        with tf.control_dependencies(update):
            train_op = optimizer.minimize(loss)
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer(), tf.tables_initializer()])
        step(session, train_op, feed, steps)
        save_and_restore(session)


class _Enough(BaseException):
    """A script has taken the steps that it was asked for."""


def _watch(runs):
    """Lets sessions run `runs` times from when trainable variables are there, checks these, and ends the script."""
    run, seen = tf.Session.run, {}

    def watched(session, *args, **kwargs):
        result = run(session, *args, **kwargs)
        with session.graph.as_default():
            variables = tf.trainable_variables()
            if not variables or seen.get("busy"):
                return result
            if seen.get("session") is not session:
                try:
                    before = run(session, variables)
                except tf.errors.FailedPreconditionError:
                    return result
                reached("graph")
                seen.update(session=session, before=before, left=runs)
                return result
            seen["left"] -= 1
            if seen["left"] > 0:
                return result
            seen["busy"] = True
            if all(np.array_equal(old, new) for old, new in zip(seen["before"], run(session, variables))):
                raise AssertionError(f"no trainable variable has changed in {runs} runs")
            reached("step")
            if not session.graph.finalized:
                save_and_restore(session)
        raise _Enough

    tf.Session.run = watched


def _forget_flags():
    """Takes back the flags that an earlier script of this process defined, and parses none yet."""
    defined = tf.app.flags.FLAGS
    for name in set(defined) - _flags:
        delattr(defined, name)
    defined.unparse_flags()


def script(path, *flags, runs=None, trains=True):
    """Runs a script of the repository's own with its flags, as __main__; it has then taken its steps.

    Args:
        runs: after so many runs of a session, variables are saved and restored and the script is ended, for scripts
            that know no such flag.
        trains: whether it has then taken training steps; not one that only makes data.
    """
    _forget_flags()
    sys.argv = [path, *flags]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    if runs:
        _watch(runs)
    try:
        runpy.run_path(path, run_name="__main__")
    except _Enough:
        return
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise RuntimeError(f"{path} ended with status {ended.code}") from ended
    if runs:
        raise AssertionError(f"{path} ended before {runs} runs")
    if trains:
        for stage in STAGES[:3]:
            reached(stage)


def checkpoint_is_whole(pattern):
    """Makes sure that the newest checkpoint of `pattern` is there, and that its tensors are finite."""
    found = sorted(glob.glob(pattern + ".index"), key=os.path.getmtime)
    if not found:
        raise AssertionError(f"no checkpoint {pattern}")
    reader = tf.train.load_checkpoint(found[-1][: -len(".index")])
    names = reader.get_variable_to_shape_map()
    for name in names:
        value = reader.get_tensor(name)
        if value.dtype.kind == "f" and not np.all(np.isfinite(value)):
            raise AssertionError(f"{name} in {found[-1]} is not finite")
    if not names:
        raise AssertionError(f"{found[-1]} is empty")


def images(folder, count=4, height=64, width=64, suffix=".jpg", names=None):
    """Writes `count` images of noise into `folder`; returns their paths."""
    from PIL import Image

    os.makedirs(folder, exist_ok=True)
    random, paths = np.random.RandomState(0), []
    for index in range(count):
        name = names[index] if names else f"{index:04d}{suffix}"
        paths.append(os.path.join(folder, name))
        Image.fromarray(random.randint(0, 256, (height, width, 3)).astype("uint8")).save(paths[-1])
    return paths


def text(path, lines):
    """Writes lines into a file, whose folder is made."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def mnist(folder, train=5500, test=500, suffix=".gz"):
    """Writes MNIST's four files, with digits of noise, into `folder`; they are packed unless `suffix` is ""."""
    os.makedirs(folder, exist_ok=True)
    random, opened = np.random.RandomState(0), gzip.open if suffix else open
    for part, count in (("train", train), ("t10k", test)):
        for name, magic, shape, most in (
            ("images-idx3", 2051, (count, 28, 28), 256),
            ("labels-idx1", 2049, (count,), 10),
        ):
            with opened(os.path.join(folder, f"{part}-{name}-ubyte{suffix}"), "wb") as file:
                file.write(np.array([magic, *shape], ">i4").tobytes())
                file.write(random.randint(0, most, shape).astype("uint8").tobytes())
