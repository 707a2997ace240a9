"""PetarV-/GAT 5af87e7fce2b90ae1cbd621cd58059036a3c7436

Graph attention.
"""

import driver_stages as stages

stages.script("execute_cora.py", runs=3)
