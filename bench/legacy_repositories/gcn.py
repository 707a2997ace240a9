"""tkipf/gcn 39a4089fe72ad9f055ed6fdb9746abdcfebc4d81

Graph convolutions, gcn/train.py on its Cora.

Flags: --allow_pickle
"""

import os

import driver_stages as stages

os.chdir("gcn")
stages.script("train.py", "--epochs=3", "--hidden1=4", runs=3)
