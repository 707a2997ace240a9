"""Batches of beams; source: beam_search_decoder.py and the op GatherTree of TensorFlow 1.15's contrib/seq2seq."""

from __future__ import annotations

from slimft.compat.v1 import tf


def tile_batch(t, multiplier, name=None):
    """Tensors [batch, ...], each entry `multiplier` times in a row: [batch * multiplier, ...]."""
    with tf.name_scope(name, "tile_batch", [*tf.nest.flatten(t), multiplier]):
        return tf.nest.map_structure(lambda tensor: _tiled(tensor, multiplier), t)


def _tiled(tensor, multiplier):
    tensor = tf.convert_to_tensor(tensor, name="t")
    if tensor.shape.rank in (None, 0):
        raise ValueError(f"tile_batch: a tensor with a batch axis is needed, and {tensor.name} has {tensor.shape}")
    shape = tf.shape(tensor)
    repeats = [1, multiplier, *[1] * (tensor.shape.rank - 1)]
    tiled = tf.tile(tf.expand_dims(tensor, 1), repeats)
    tiled = tf.reshape(tiled, tf.concat(([shape[0] * multiplier], shape[1:]), 0))
    known = tensor.shape.as_list()[0] is not None and not tf.is_tensor(multiplier)
    tiled.set_shape([tensor.shape.as_list()[0] * multiplier if known else None, *tensor.shape.as_list()[1:]])
    return tiled


def gather_tree(step_ids, parent_ids, max_sequence_lengths, end_token):
    """The sequences that lead to the beams of the last step.

    Args:
        step_ids: int32 [time, batch, beams], each step's symbols.
        parent_ids: int32 [time, batch, beams], which beam of the step before each one goes on from.
        max_sequence_lengths: int32 [batch], how many steps count.
        end_token: int32 scalar; fills a sequence from its first end token, and all beyond the length.

    Returns:
        int32 [time, batch, beams].
    """
    step_ids = tf.convert_to_tensor(step_ids, tf.int32)
    parent_ids = tf.convert_to_tensor(parent_ids, tf.int32)
    time, batch, beams = tf.unstack(tf.shape(step_ids))
    lengths = tf.minimum(tf.cast(max_sequence_lengths, tf.int32), time)
    counted = tf.tile(tf.transpose(tf.sequence_mask(lengths, time))[:, :, tf.newaxis], [1, 1, beams])
    here = tf.tile(tf.range(beams)[tf.newaxis], [batch, 1])

    def back(carried, step):
        place, _ = carried
        ids, parents, counts = step
        before = tf.where(counts, tf.gather(parents, place, batch_dims=1), place)
        return before, tf.where(counts, tf.gather(ids, place, batch_dims=1), tf.fill(tf.shape(ids), end_token))

    steps = (step_ids, parent_ids, counted)
    _, found = tf.scan(back, steps, (here, tf.zeros_like(here)), reverse=True, back_prop=False)
    ended = tf.cumsum(tf.cast(tf.equal(found, end_token), tf.int32), axis=0, exclusive=True) > 0
    found = tf.where(ended, tf.fill(tf.shape(found), end_token), found)
    found.set_shape(step_ids.shape)
    return found


def gather_tree_from_array(t, parent_ids, sequence_length):
    """What beams that changed places collected, such as alignments, for the sequences of the last step.

    Args:
        t: [time, batch, beams, ...].
        parent_ids: int32 [time, batch, beams].
        sequence_length: int [batch, beams].

    Returns:
        A tensor of the shape of `t`.
    """
    time, batch, beams = tf.unstack(tf.shape(parent_ids))
    here = tf.tile(tf.range(beams)[tf.newaxis, tf.newaxis], [time, batch, 1])
    lengths = tf.cast(tf.reduce_max(sequence_length, axis=1), tf.int32)
    sources = gather_tree(here, parent_ids, lengths, end_token=beams + 1)
    counted = tf.transpose(tf.sequence_mask(sequence_length, maxlen=time), [2, 0, 1])
    gathered = tf.gather(t, tf.where(counted, sources, here), axis=2, batch_dims=2)
    gathered.set_shape(t.shape)
    return gathered


def split(tensor, batch_size, beam_width):
    """[batch * beams, ...] as [batch, beams, ...]; scalars and arrays of steps as they are."""
    if isinstance(tensor, tf.TensorArray) or tensor.shape.rank == 0:
        return tensor
    result = tf.reshape(tensor, tf.concat(([batch_size, beam_width], tf.shape(tensor)[1:]), 0))
    batch = tf.get_static_value(batch_size) if tf.is_tensor(batch_size) else batch_size
    result.set_shape([batch, beam_width, *tensor.shape.as_list()[1:]])
    return result


def merge(tensor, beam_width):
    """[batch, beams, ...] as [batch * beams, ...]; scalars and arrays of steps as they are."""
    if isinstance(tensor, tf.TensorArray) or tensor.shape.rank == 0:
        return tensor
    shape = tf.shape(tensor)
    result = tf.reshape(tensor, tf.concat(([shape[0] * beam_width], shape[2:]), 0))
    batch = tensor.shape.as_list()[0]
    result.set_shape([None if batch is None else batch * beam_width, *tensor.shape.as_list()[2:]])
    return result


def chosen(tensor, beam_ids):
    """[batch, beams, ...] at `beam_ids` [batch, beams]; scalars and arrays of steps as they are."""
    if isinstance(tensor, tf.TensorArray) or tensor.shape.rank == 0:
        return tensor
    gathered = tf.gather(tensor, beam_ids, axis=1, batch_dims=1)
    gathered.set_shape(tensor.shape)
    return gathered
