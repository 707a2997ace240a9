"""Each network is registered once, and then tested everywhere.

To add a network, write its entry into a file of `networks/`, one a family: ``NETWORKS = (Entry(...), ...)``, with
what is known of it from elsewhere (`entry.Entry` says what there is to fill in). Nothing else has to be edited:

- `test_graphs.py`: variables, collections, end points, signature, figures; op by op as tf-slim's own;
- `test_ends.py`: heads, `logits_scopes` and `top_scopes`, by walking the graph; gradients, reuse, small images;
- `test_logits.py`: the logits, against tf-slim's and Keras' with the same random weights.

What only one family has (arguments of its own, other paddings) is tested in ``tests/nets/test_<family>.py``.

    python -m pytest tests/nets/conformance -k vgg_16
    python -m pytest tests/nets/conformance -m "slow or not slow"
"""

import importlib
import pkgutil

from . import networks

NETWORKS = {
    entry.name: entry
    for module in sorted(module.name for module in pkgutil.iter_modules(networks.__path__))
    for entry in importlib.import_module(f"{networks.__name__}.{module}").NETWORKS
}
