"""Several networks of one kind as one: the mean of their probabilities, in one graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from slimft.errors import UsageError
from slimft.inference import Architecture, Network

if TYPE_CHECKING:
    from slimft.compat import tf

# The smallest float32 that is no denormal one: of a probability of 0, too, there is a logarithm.
_LEAST = 1.1754944e-38
# What they have to have in common, and what to call it.
_ALIKE = {
    "network": lambda one: (one.spec.name, dict(one.options)),
    "image size": lambda one: one.image_size,
    "head": lambda one: one.head,
    "classes": lambda one: (one.num_classes, one.classes.names),
}


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
