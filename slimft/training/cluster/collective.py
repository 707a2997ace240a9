"""TensorFlow's collective ops: sums over all members of a group, who run them alike."""

from __future__ import annotations

from slimft.compat import tf

# All devices that train, and all processes, for each of which one device stands.
DEVICES, PROCESSES = 1, 2


def all_reduce(value: tf.Tensor, number: int, key: int, hint: str | None = None, group: int = DEVICES) -> tf.Tensor:
    """The sum of a tensor over all members of a group, who have to run this alike.

    Args:
        value: this member's.
        number: of members.
        key: the same for what is summed up, and for nothing else that these members ever sum up.
        hint: how: ``ring``, ``nccl`` or ``auto``; None for ``ring``.
        group: `DEVICES` or `PROCESSES`.
    """
    return tf.raw_ops.CollectiveReduceV2(
        input=value,
        group_size=number,
        group_key=group,
        instance_key=key,
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
        communication_hint=hint or "ring",
    )
