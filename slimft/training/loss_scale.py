"""Dynamic loss scaling, for gradients in float16, of which those below 6e-8 would be zero.

The loss is multiplied by a scale, its gradients divided by it; where one of them overflows, the scale is halved,
and after so many batches without it doubles (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slimft.compat import tf

_INITIAL, _LARGEST = 2.0**15, 2.0**24
# Batches without an overflow after which the scale doubles: that of NVIDIA's apex and of Keras.
_GROWS_AFTER = 2000


class LossScale:
    """The scale, a variable that is saved with the run.

    Attributes:
        variables: what it has to remember.
    """

    def __init__(self):
        with tf.variable_scope("loss_scale", use_resource=True):
            self._scale = tf.get_variable(
                "scale", [], tf.float32, tf.constant_initializer(_INITIAL), trainable=False
            )
            self._good = tf.get_variable("good_batches", [], tf.int32, tf.zeros_initializer(), trainable=False)
        self.variables = [self._scale, self._good]
        self._now = self._scale.read_value()

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to take gradients of."""
        return loss * self._now

    def unscaled(
        self,
        gradients: Sequence[Sequence[tf.Tensor]],
        average: Callable[[Sequence[Sequence[tf.Tensor]]], list[tf.Tensor]] | None = None,
    ) -> list[list[tf.Tensor]]:
        """The gradients of the loss itself; zeros where one of them is not finite: that batch teaches nothing.

        Adds the scale's own update to UPDATE_OPS.

        Args:
            gradients: those of each share of the batch that is computed in this process.
            average: averages over all shares of the batch; None where there is one.
        """
        finite_shares = [tf.reduce_all([tf.reduce_all(tf.is_finite(one)) for one in own]) for own in gradients]
        finite = finite_shares[0]
        if average is not None:
            (overflowing,) = average([[1 - tf.cast(one, tf.float32)] for one in finite_shares])
            finite = tf.equal(overflowing, 0)
        grows = tf.logical_and(finite, self._good + 1 >= _GROWS_AFTER)
        scale = tf.where_v2(finite, tf.where_v2(grows, self._now * 2, self._now), self._now / 2)
        good = tf.where_v2(tf.logical_and(finite, tf.logical_not(grows)), self._good + 1, 0)
        results = [
            [tf.where_v2(finite, gradient / self._now, tf.zeros_like(gradient)) for gradient in own]
            for own in gradients
        ]
        updates = [self._scale.assign(tf.clip_by_value(scale, 1.0, _LARGEST)).op, self._good.assign(good).op]
        tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, tf.group(*updates))
        return results
