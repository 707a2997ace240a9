"""TensorFlow's collective ops: sums over all members of a group, who run them alike."""

from __future__ import annotations

from slimft.compat import tf

# All processes, for each of which one device stands; and from here on all devices that train, by how many they are.
PROCESSES, _DEVICES = 1, 2


def all_reduce(
    value: tf.Tensor, number: int, key: int, hint: str | None = None, group: int | None = None
) -> tf.Tensor:
    """The sum of a tensor over all members of a group, who have to run this alike.

    Args:
        value: this member's.
        number: of members.
        key: the same for what is summed up, and for nothing else that these members ever sum up.
        hint: how: ``ring``, ``nccl`` or ``auto``; None for ``ring``.
        group: `PROCESSES`; None for all devices.
    """
    return tf.raw_ops.CollectiveReduceV2(
        input=value,
        group_size=number,
        group_key=_DEVICES + number if group is None else group,
        instance_key=key,
        ordering_token=[],
        merge_op="Add",
        final_op="Id",
        communication_hint=hint or "ring",
    )
