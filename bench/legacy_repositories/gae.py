"""tkipf/gae 0ebbe9b9a8f496eb12deb9aa6a62e7016b5a5ac3

Graph autoencoders, gae/train.py on its Cora with and without the variational part.

Flags: --allow_pickle
"""

import os
import sys

import driver_stages as stages

os.chdir("gae")
sys.path.insert(0, os.path.dirname(os.getcwd()))
for model in ("gcn_ae", "gcn_vae"):
    stages.begin(model)
    stages.script("train.py", f"--model={model}", runs=3)
