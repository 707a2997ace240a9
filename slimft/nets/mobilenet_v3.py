"""`slimft.nets.mobilenet.mobilenet_v3` by the path that the other networks have."""

import sys

from slimft.nets.mobilenet import mobilenet_v3

sys.modules[__name__] = mobilenet_v3
