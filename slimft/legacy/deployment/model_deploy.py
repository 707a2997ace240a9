"""A model on several devices: clones that share their variables, and whose gradients are added up.

    config = model_deploy.DeploymentConfig(num_clones=2, clone_on_cpu=True)
    with tf.device(config.optimizer_device()):
        optimizer = tf.train.MomentumOptimizer(0.01, 0.9)
    model = model_deploy.deploy(config, model_fn, [batches], optimizer=optimizer)
    slim.learning.train(model.train_op, train_dir, summary_op=model.summary_op)

``model_fn`` builds the network and adds its losses to the collection LOSSES. It is called once for each clone, in
the clone's name scope (``clone_0`` and so on; none if there is only one) and on its device: ``/device:GPU:0`` and
so on, or the CPU for all. Variables are made by the first, with tf-slim's functions, on the CPU or, if there are
parameter servers, in turns on these; the other clones reuse them. Regularization losses count once.

Update ops and summaries are those of the first clone. Names, signatures, devices and scopes are those of
research/slim/deployment/model_deploy.py (github.com/tensorflow/models).
"""

import dataclasses
import functools
import itertools
from typing import Any, NamedTuple

from slimft.compat import slim, tf

__all__ = ["Clone", "DeployedModel", "DeploymentConfig", "create_clones", "deploy", "optimize_clones"]


class Clone(NamedTuple):
    """One of the copies of a model.

    Attributes:
        outputs: what ``model_fn`` returned.
        scope: its name scope, which ends with a slash; empty for the only one.
        device: its device.
    """

    outputs: Any
    scope: str
    device: str


class DeployedModel(NamedTuple):
    """A model with what trains it.

    Attributes:
        train_op: the total loss, after the step and the update ops; None without optimizer or gradients.
        summary_op: all summaries in one; None where there are none.
        total_loss: the mean of the clones' losses, and the regularization losses; None where there are none.
        clones: list of `Clone`.
    """

    train_op: Any
    summary_op: Any
    total_loss: Any
    clones: Any


@dataclasses.dataclass(frozen=True)
class DeploymentConfig:
    """On which devices a model is.

    Args:
        num_clones: number of clones in each replica.
        clone_on_cpu: whether all clones are on the CPU, and not each on a GPU of its own.
        replica_id: which replica this is; 0 for the chief.
        num_replicas: number of replicas, each a process.
        num_ps_tasks: number of parameter servers; 0 for none.
        worker_job_name: the job of the replicas, which counts where there are parameter servers.
        ps_job_name: the job of the parameter servers.

    Raises:
        ValueError: there are several replicas and no parameter server, a job has no name, or there is no such
            replica.
    """

    num_clones: int = 1
    clone_on_cpu: bool = False
    replica_id: int = 0
    num_replicas: int = 1
    num_ps_tasks: int = 0
    worker_job_name: str = "worker"
    ps_job_name: str = "ps"

    def __post_init__(self):
        if self.num_replicas > 1 and self.num_ps_tasks < 1:
            raise ValueError(f"num_replicas={self.num_replicas} needs parameter servers: num_ps_tasks=1 or more")
        if self.num_replicas > 1 or self.num_ps_tasks > 0:
            for name in ("worker_job_name", "ps_job_name"):
                if not getattr(self, name):
                    raise ValueError(f"{name} is empty, which it cannot be with replicas or parameter servers")
        if self.replica_id >= self.num_replicas:
            raise ValueError(f"replica_id={self.replica_id} has to be less than num_replicas={self.num_replicas}")

    @property
    def ps_device(self):
        """The device of the parameter servers' job; empty where there are none."""
        return f"/job:{self.ps_job_name}" if self.num_ps_tasks > 0 else ""

    @property
    def worker_device(self):
        """The device of the replicas' job; empty where there are no parameter servers."""
        return f"/job:{self.worker_job_name}" if self.num_ps_tasks > 0 else ""

    def caching_device(self):
        """Where variables are cached, for `tf.variable_scope`: beside the op that reads them, or None for not."""
        return (lambda op: op.device) if self.num_ps_tasks > 0 else None

    def clone_device(self, clone_index):
        """The device of a clone and all its ops.

        Raises:
            ValueError: there is no such clone.
        """
        self._check_clone(clone_index)
        return self.worker_device + ("/device:CPU:0" if self.clone_on_cpu else f"/device:GPU:{clone_index}")

    def clone_scope(self, clone_index):
        """The name scope of a clone: empty for the only one.

        Raises:
            ValueError: there is no such clone.
        """
        self._check_clone(clone_index)
        return f"clone_{clone_index}" if self.num_clones > 1 else ""

    def optimizer_device(self):
        """The device of the optimizer."""
        return f"{self.worker_device}/device:CPU:0" if self.num_ps_tasks > 0 or self.num_clones > 0 else ""

    def inputs_device(self):
        """The device of the input."""
        return f"{self.worker_device}/device:CPU:0"

    def variables_device(self):
        """The device of variables: the CPU, or with parameter servers a function of ops that takes turns.

        Each call begins anew with the first parameter server. What is no variable, or has a device, keeps its own.
        """
        if not self.num_ps_tasks:
            return "/device:CPU:0"
        tasks = itertools.cycle(range(self.num_ps_tasks))

        def choose(op):
            node_def = op if isinstance(op, tf.NodeDef) else op.node_def
            if op.device or not node_def.op.startswith(("Variable", "VarHandle")):
                return op.device
            return f"{self.ps_device}/task:{next(tasks)}/device:CPU:0"

        return choose

    def _check_clone(self, clone_index):
        if clone_index >= self.num_clones:
            raise ValueError(f"clone_index={clone_index} has to be less than num_clones={self.num_clones}")


def create_clones(config, model_fn, args=None, kwargs=None):
    """Builds a model as often as `config` says.

    A clone's losses, summaries and update ops are found by its scope: ``tf.get_collection(tf.GraphKeys.LOSSES,
    clone.scope)``.

    Args:
        config: a `DeploymentConfig`.
        model_fn: called as ``model_fn(*args, **kwargs)``.
        args: list of arguments.
        kwargs: dictionary of keyword arguments.

    Returns:
        List of `Clone`.
    """
    clones = []
    with slim.arg_scope([slim.model_variable, slim.variable], device=config.variables_device()):
        for i in range(config.num_clones):
            device = config.clone_device(i)
            with (
                tf.name_scope(config.clone_scope(i)) as scope,
                tf.device(device),
                tf.variable_scope(tf.get_variable_scope(), reuse=True if i > 0 else None),
            ):
                clones.append(Clone(model_fn(*(args or ()), **(kwargs or {})), scope, device))
    return clones


def _gather_clone_loss(clone, num_clones, regularization_losses):
    """The sum of a clone's losses, by `num_clones`, and of `regularization_losses`; None where there are none.

    Its parts get a summary each.
    """
    clone_loss = regularization_loss = None
    with tf.device(clone.device):
        clone_losses = tf.get_collection(tf.GraphKeys.LOSSES, clone.scope)
        if clone_losses:
            clone_loss = tf.add_n(clone_losses, name="clone_loss")
            if num_clones > 1:
                clone_loss = tf.div(clone_loss, 1.0 * num_clones, name="scaled_clone_loss")
        if regularization_losses:
            regularization_loss = tf.add_n(regularization_losses, name="regularization_loss")
        losses = [loss for loss in (clone_loss, regularization_loss) if loss is not None]
        sum_loss = tf.add_n(losses) if losses else None
    if clone_loss is not None:
        tf.summary.scalar("/".join(filter(None, ["Losses", clone.scope, "clone_loss"])), clone_loss)
    if regularization_loss is not None:
        tf.summary.scalar("Losses/regularization_loss", regularization_loss)
    return sum_loss


def _optimize_clone(optimizer, clone, num_clones, regularization_losses, **kwargs):
    """A clone's loss, as of `_gather_clone_loss`, and its gradients.

    Args:
        kwargs: further arguments of ``optimizer.compute_gradients``.

    Returns:
        The loss and the pairs of gradient and variable; None for both where there is no loss.
    """
    loss = _gather_clone_loss(clone, num_clones, regularization_losses)
    if loss is None:
        return None, None
    with tf.device(clone.device):
        return loss, optimizer.compute_gradients(loss, **kwargs)


def _of_each(clones, regularization_losses, function):
    """What ``function(clone, num_clones, regularization_losses)`` returns of each clone, within its scope.

    The first clone bears the regularization losses.
    """
    results = []
    for i, clone in enumerate(clones):
        with tf.name_scope(clone.scope):
            results.append(function(clone, len(clones), None if i else regularization_losses))
    return results


def optimize_clones(clones, optimizer, regularization_losses=None, **kwargs):
    """The losses and gradients of clones, added up.

    Args:
        clones: list of `Clone`.
        optimizer: a `tf.train.Optimizer`.
        regularization_losses: list of losses that count once; None for those of the graph.
        kwargs: further arguments of ``optimizer.compute_gradients``.

    Returns:
        The mean of the clones' losses plus the regularization losses, and pairs of gradient and variable, without
        those of variables that have no gradient.

    Raises:
        ValueError: no clone has a loss.
    """
    if regularization_losses is None:
        regularization_losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    optimized = _of_each(clones, regularization_losses, functools.partial(_optimize_clone, optimizer, **kwargs))
    optimized = [(loss, gradients) for loss, gradients in optimized if loss is not None]
    if not optimized:
        raise ValueError("there is no loss: no clone has one in the graph's collection LOSSES")
    total_loss = tf.add_n([loss for loss, _ in optimized], name="total_loss")
    return total_loss, _sum_clones_gradients([gradients for _, gradients in optimized])


def deploy(config, model_fn, args=None, kwargs=None, optimizer=None, summarize_gradients=False):
    """Builds the clones of a model and, with an optimizer, what trains it.

    Args:
        config: a `DeploymentConfig`.
        model_fn: called as ``model_fn(*args, **kwargs)`` for each clone; adds losses to the collection LOSSES.
        args: list of arguments.
        kwargs: dictionary of keyword arguments.
        optimizer: a `tf.train.Optimizer`; None for evaluation.
        summarize_gradients: whether to add histograms of the gradients to the summaries.

    Returns:
        A `DeployedModel`.

    Raises:
        ValueError: there is an optimizer, and no loss.
    """
    summaries = set(tf.get_collection(tf.GraphKeys.SUMMARIES))
    clones = create_clones(config, model_fn, args, kwargs)
    scope = clones[0].scope
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS, scope)
    train_op = total_loss = summary_op = None
    with tf.device(config.optimizer_device()):
        if optimizer:
            with tf.device(config.variables_device()):
                global_step = tf.train.get_or_create_global_step()
            total_loss, gradients = optimize_clones(clones, optimizer)
            if gradients:
                if summarize_gradients:
                    summaries.update(_add_gradients_summaries(gradients))
                updates.append(optimizer.apply_gradients(gradients, global_step=global_step))
                with tf.control_dependencies([tf.group(*updates)]):
                    train_op = tf.identity(total_loss, name="train_op")
        else:
            losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
            losses = [loss for loss in _of_each(clones, losses, _gather_clone_loss) if loss is not None]
            if losses:
                total_loss = tf.add_n(losses, name="total_loss")
        summaries.update(tf.get_collection(tf.GraphKeys.SUMMARIES, scope))
        if total_loss is not None:
            summaries.add(tf.summary.scalar("total_loss", total_loss))
        if summaries:
            summary_op = tf.summary.merge(sorted(summaries, key=lambda summary: summary.name), name="summary_op")
    return DeployedModel(train_op, summary_op, total_loss, clones)


def _sum_clones_gradients(clone_grads):
    """Adds up the gradients of each variable.

    Args:
        clone_grads: a list of pairs of gradient and variable for each clone, all of the same variables.

    Returns:
        Such a list, without the variables that have no gradient in any clone.

    Raises:
        ValueError: a clone has other variables than the first.
    """
    summed = []
    for pairs in zip(*clone_grads):
        variable = pairs[0][1]
        if any(other is not variable for _, other in pairs):
            raise ValueError(
                f"{variable.op.name} is not a variable of all clones; they have to be the same, in order"
            )
        gradients = [gradient for gradient, _ in pairs if gradient is not None]
        if len(gradients) > 1:
            summed.append((tf.add_n(gradients, name=f"{variable.op.name}/sum_grads"), variable))
        elif gradients:
            summed.append((gradients[0], variable))
    return summed


def _add_gradients_summaries(grads_and_vars):
    """Adds histograms of gradients and of their norms to the graph's summaries, and returns them as a list."""
    summaries = []
    for gradient, variable in grads_and_vars:
        if gradient is None:
            tf.logging.info("%s has no gradient", variable.op.name)
            continue
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        summaries.append(tf.summary.histogram(f"{variable.op.name}_gradient", values))
        summaries.append(tf.summary.histogram(f"{variable.op.name}_gradient_norm", tf.global_norm([values])))
    return summaries
