"""Deep copies of RNN cells: a cell that has made its variables is copied as it was before.

Cells had no variables in TensorFlow 1.0, and code copies them to get others of the same settings: the encoder of
`tf.contrib.legacy_seq2seq` is a copy of its decoder's cell, for each bucket again. From TensorFlow 1.2 on a cell is
a layer that keeps its variables and scopes, and copying one that was called ends in a TypeError.
"""

from __future__ import annotations

import functools
import weakref

from tensorflow.python.keras.layers.legacy_rnn.rnn_cell_impl import LayerRNNCell, RNNCell

# What each cell was before its first call.
_before_call: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()
_copied_deeply = RNNCell.__deepcopy__


def _remembering(call):
    """A cell's `__call__` that keeps a copy of the cell as it is before the first one."""

    @functools.wraps(call)
    def remembering(cell, *args, **kwargs):
        if not cell.built and cell not in _before_call:
            try:
                _before_call[cell] = _copied_deeply(cell, {})
            except TypeError:  # A cell of the script's own holds what cannot be copied; few are ever copied.
                pass
        return call(cell, *args, **kwargs)

    return remembering


def _deepcopy(cell, memo):
    return _copied_deeply(_before_call.get(cell, cell), memo)


def repair() -> None:
    """Lets TensorFlow's cells be copied, for the whole process."""
    for kind in (RNNCell, LayerRNNCell):
        kind.__call__ = _remembering(kind.__call__)
    RNNCell.__deepcopy__ = _deepcopy
