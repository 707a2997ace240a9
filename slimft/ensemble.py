"""The networks that predict together: those of several runs, each on its own or all in one graph."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.errors import UsageError
from slimft.inference import Architecture, Network, find_network
from slimft.messages import say
from slimft.runs.folds import is_cross_validation, runs_of

if TYPE_CHECKING:
    from slimft.compat import tf

TrainDirs = str | os.PathLike | Sequence[str | os.PathLike] | None
# The smallest float32 that is no denormal one: of a probability of 0, too, there is a logarithm.
_LEAST = 1.1754944e-38
# What they have to have in common, and what to call it.
_ALIKE = {
    "network": lambda one: (one.spec.name, dict(one.options)),
    "image size": lambda one: one.image_size,
    "head": lambda one: one.head,
    "classes": lambda one: (one.num_classes, one.classes.names),
}


def find_networks(
    model: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    *,
    train_dir: TrainDirs = None,
    **arguments,
) -> list[Network]:
    """As `find_network`, of each of several runs.

    Args:
        model, checkpoint, arguments: as of `find_network`.
        train_dir: the directory of a run, or of a cross-validation, which stands for its folds; or several of
            these, in a list or with commas between them.

    Raises:
        UsageError: also where there are several runs and a `checkpoint`, or a fold has not come to its end.
    """
    train_dirs = [run for one in _split(train_dir) for run in _runs_of(one)]
    if len(train_dirs) > 1 and checkpoint is not None:
        raise UsageError(
            f"--checkpoint={getattr(checkpoint, 'path', checkpoint)}: of several runs, each is used with what it "
            "ended with; for another checkpoint of one, name its folder, such as DIR/best"
        )
    places = [os.path.realpath(os.path.expanduser(one)) for one in train_dirs if one]
    twice = next((one for one, place in zip(train_dirs, places) if places.count(place) > 1), None)
    if twice is not None:
        say(f"--train_dir: {twice} is there more than once, and counts as often")
    return [find_network(model, checkpoint, train_dir=one, **arguments) for one in train_dirs]


def _runs_of(train_dir: str | os.PathLike | None) -> Sequence[str | os.PathLike | None]:
    return runs_of(train_dir) if train_dir and is_cross_validation(train_dir) else [train_dir]


def _split(train_dir: TrainDirs) -> list[str | os.PathLike | None]:
    if isinstance(train_dir, (list, tuple)):
        return list(train_dir)
    if not isinstance(train_dir, str) or "," not in train_dir or os.path.lexists(os.path.expanduser(train_dir)):
        return [train_dir]
    return [one.strip() for one in train_dir.split(",")]


def class_orders(networks: Sequence[Network]) -> list[np.ndarray | None]:
    """Where in each network's classes those of the first are; None where they are the same.

    Raises:
        UsageError: a network is for segmentation, or has other classes.
    """
    for network in networks:
        if network.task.targets.is_map:
            several = "; an ensemble classifies" if len(networks) > 1 else ""
            raise UsageError(
                f"{network.spec.name} says the class of each pixel, not of an image; use a Segmenter{several}"
            )
    first, orders = networks[0], []
    for network in networks:
        ours, theirs = first.classes.names, network.classes.names
        if network.num_classes != first.num_classes or (ours is None) != (theirs is None):
            other = f"{network.num_classes} classes" + ("" if theirs else ", without names")
            raise UsageError(
                f"{network.checkpoint.path} has {other}, and {first.checkpoint.path} {first.num_classes}"
                f"{'' if ours else ', without names'}; an ensemble's networks have the same classes"
            )
        if ours == theirs:
            orders.append(None)
            continue
        unknown = sorted(set(theirs) ^ set(ours))
        if unknown or len(set(ours)) < len(ours):
            odd = unknown[0] if unknown else next(name for name in ours if ours.count(name) > 1)
            raise UsageError(
                f"{network.checkpoint.path} and {first.checkpoint.path} have different classes, such as {odd!r}; "
                "an ensemble's networks have the same"
            )
        orders.append(np.array([theirs.index(name) for name in ours]))
    return orders


@dataclasses.dataclass(frozen=True)
class EnsembleArchitecture(Architecture):
    """As `Architecture`, of several networks, each in a variable scope of its own.

    Attributes:
        scopes: of these.
    """

    scopes: tuple[str, ...] = ()

    def build(self, pixels):
        """As of `Architecture`: logarithms of mean probabilities, and among the end points these themselves."""
        from slimft.compat import tf

        made = []
        for scope in self.scopes:
            with tf.variable_scope(scope):
                made.append(tf.nn.softmax(super().build(pixels)[0]))
        mean = tf.multiply(tf.add_n(made), 1 / len(made), name="mean_probabilities")
        return tf.log(tf.maximum(mean, _LEAST), name="mean_logits"), {"Predictions": mean}


@dataclasses.dataclass(frozen=True)
class Ensemble(Network):
    """As `Network`, of several that are alike; made by `Ensemble.of`. It is of no run: no data is its own.

    Attributes:
        members: the networks.
    """

    members: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: Sequence[Network]) -> Network:
        """The ensemble of some networks, or the only one there is.

        Raises:
            UsageError: they are of several kinds, sizes or classes, or for segmentation.
        """
        first, *others = networks = [network.sized() for network in networks]
        if not others:
            return networks[0]
        if first.task.targets.is_map:
            raise UsageError(
                f"{first.spec.name} is for segmentation, of which there are no ensembles; name one run"
            )
        for other in others:
            for what, value in _ALIKE.items():
                if value(first) != value(other):
                    raise UsageError(
                        f"{other.checkpoint.path} has another {what} than {first.checkpoint.path}: in a graph are "
                        "networks that are alike; take them one by one"
                    )
        kept = {field.name: getattr(first, field.name) for field in dataclasses.fields(Network)}
        notes = tuple(note for network in networks for note in network.notes)
        return cls(**{**kept, "run": None, "notes": notes}, members=tuple(networks))

    @property
    def architecture(self) -> EnsembleArchitecture:
        one = super().architecture
        given = {field.name: getattr(one, field.name) for field in dataclasses.fields(Architecture)}
        return EnsembleArchitecture(**given, scopes=tuple(self._scopes))

    @property
    def _scopes(self) -> list[str]:
        return [f"member_{number}" for number in range(len(self.members))]

    def describe(self) -> str:
        """As of `Network`."""
        return f"the mean of {len(self.members)} networks, of which the first is {self.members[0].describe()}"

    def session(self) -> tf.Session:
        """As of `Network`."""
        from slimft.compat import slim, tf
        from slimft.restore import plan_restore
        from slimft.session import session_config

        plans, variables = [], slim.get_model_variables() or tf.global_variables()
        for scope, member in zip(self._scopes, self.members):
            own = {one.op.name[len(scope) + 1 :]: one for one in variables if one.op.name.startswith(f"{scope}/")}
            plan = plan_restore(member.checkpoint, own, cast=True)
            plan.check(can_exclude=False)
            plans.append(plan)
        session = tf.Session(config=session_config())
        try:
            for plan in plans:
                plan.apply(session)
        except BaseException:
            session.close()
            raise
        return session
