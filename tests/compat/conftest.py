"""slim's own batch_norm, made to work again, to compare ours with."""

import importlib
import sys

import pytest


@pytest.fixture(scope="session")
def slims_batch_norm():
    """The `batch_norm` of tf-slim, with tf-keras' layer put where TensorFlow looks for it."""
    pytest.importorskip("tf_keras", reason="slim's own batch_norm needs tf-keras (pip install tf-keras)")
    from slimft.compat import batch_normalization, slim

    with pytest.MonkeyPatch.context() as patch:
        for name in ("legacy_tf_layers", "legacy_tf_layers.normalization"):
            module = importlib.import_module(f"tf_keras.src.{name}")
            patch.setitem(sys.modules, f"tf_keras.{name}", module)
        yield slim.add_arg_scope(batch_normalization._slims_batch_norm)
