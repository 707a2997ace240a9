"""igul222/improved_wgan_training fa66c574a54c4916d27c55441d33753dcc78f6bc

GANs in Python 2, gan_toy.py.

Flags: --python2
"""

import driver_stages as stages

stages.script("gan_toy.py", runs=3)
