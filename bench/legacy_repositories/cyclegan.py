"""xhujoy/CycleGAN-tensorflow bd19873a2eca15383ab70786ec0beadcd6e00c7f

Unpaired images, main.py.
"""

import driver_stages as stages

for folder in ("trainA", "trainB", "testA", "testB"):
    stages.images(f"datasets/noise/{folder}", count=2, height=70, width=70)
stages.script(
    "main.py", "--dataset_dir=noise", "--epoch=1", "--load_size=70", "--fine_size=64", "--ngf=4", "--ndf=4",
    "--save_freq=1", "--print_freq=1000", runs=4,
)  # fmt: skip
