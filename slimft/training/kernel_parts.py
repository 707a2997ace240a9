"""The parts of fc6 that small images reach, as variables of their own: what no image reaches is left alone.

Of a 7x7 kernel on a 1x1 map, 48 of 49 taps meet nothing but padding. As a part of the whole kernel, what is
reached would have a gradient, momentum and weight decay of the whole kernel's size, hundreds of megabytes, in each
step. The whole kernel is stored, under TF-Slim's name and with its shape: its other taps stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable

from slimft.compat import tf


class KernelParts:
    """The reached parts of kernels; what `slimft.nets.fully_connected.parts_by` takes.

    The parts are local variables, which are not saved: `take` and `put_back` carry them from the kernels and back.

    Args:
        trains: whether a kernel, by its name, is trained; of others there is no part.
    """

    def __init__(self, trains: Callable[[str], bool]):
        self._trains = trains
        self._parts: dict[str, tf.Variable] = {}
        self._taking: list[tf.Operation] = []
        self._putting: list[tf.Operation] = []

    def has(self, name: str) -> bool:
        """Whether it has, or makes, the part of the kernel called `name`."""
        return self._trains(name)

    def of(self, kernel: tf.Variable, taps: slice, regularizer) -> tf.Variable:
        """Returns the `taps` of a kernel, of its height and width alike, as a variable of their own."""
        name = kernel.op.name
        if name not in self._parts:
            side = taps.stop - taps.start
            # What is built around it, such as control dependencies, is not about its initializer.
            with tf.init_scope(), tf.name_scope(f"{name}/"):
                part = tf.Variable(
                    tf.zeros([side, side, *kernel.shape[2:]], kernel.dtype.base_dtype),
                    name="reached",
                    trainable=False,  # It is trained in the kernel's place, by the kernel's name.
                    use_resource=True,
                    collections=[tf.GraphKeys.LOCAL_VARIABLES],
                )
                self._parts[name] = part
                self._taking.append(part.assign(kernel[taps, taps]).op)
                self._putting.append(kernel[taps, taps].assign(part).op)
            if regularizer is not None:
                loss = regularizer(part)
                if loss is not None:
                    tf.add_to_collection(tf.GraphKeys.REGULARIZATION_LOSSES, loss)
        return self._parts[name]

    def instead(self, variables: list[tf.Variable]) -> list[tf.Variable]:
        """The `variables`, with the part in the place of each kernel that has one."""
        return [self._parts.get(variable.op.name, variable) for variable in variables]

    def take(self, session: tf.Session) -> None:
        """Takes the parts from the kernels, after these have been restored."""
        session.run(self._taking)

    def put_back(self, session: tf.Session) -> None:
        """Puts the parts into the kernels, before these are saved."""
        session.run(self._putting)
