"""`slimft.nets.mobilenet.mobilenet_v2` by its documented path."""

import sys

from slimft.nets.mobilenet import mobilenet_v2

sys.modules[__name__] = mobilenet_v2
