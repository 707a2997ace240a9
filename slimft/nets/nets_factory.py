"""`slimft.legacy.nets_factory` by its documented path."""

import sys

from slimft.legacy import nets_factory

sys.modules[__name__] = nets_factory
