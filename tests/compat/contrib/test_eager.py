"""tf.contrib.eager in graphs: what works, and one line for what does not."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.legacy_names import resolve
from slimft.errors import UsageError

tfe = resolve("tensorflow.contrib.eager")


def test_what_has_a_meaning_in_graphs():
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tfe.Variable(2.0, name="v")
        doubled = tfe.py_func(lambda x: x * 2, [variable], tf.float32)

        @tfe.defun
        def squared(x):
            return x * x

        tripled = tfe.function(input_signature=None)(lambda x: 3 * x)
        session.run(tf.global_variables_initializer())
        assert session.run([doubled, squared(variable), tripled(variable)]) == [4, 4, 6]
    assert not tfe.executing_eagerly()
    assert not tfe.in_eager_mode()
    assert tfe.num_gpus() >= 0
    assert resolve("tensorflow.contrib.eager.python.tfe").Variable is tfe.Variable


def test_eager_execution_is_one_line_that_says_what_to_do():
    with pytest.raises(UsageError, match=r"builds graphs.*TensorFlow 2 itself"):
        tfe.enable_eager_execution()
    with pytest.raises(UsageError, match="get_next"):
        tfe.Iterator(tf.data.Dataset.from_tensors(np.zeros(1)))
    with pytest.raises(AttributeError, match=r"no tf\.contrib\.eager\.Network"):
        print(tfe.Network)
