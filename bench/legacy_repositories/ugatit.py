"""taki0112/UGATIT d508e8f5188e47000d79d8aecada0cc9119e0d56

Unpaired images, main.py.
"""

import driver_stages as stages

for folder in ("trainA", "trainB", "testA", "testB"):
    stages.images(f"dataset/noise/{folder}", count=2, height=40, width=40)
stages.script(
    "main.py", "--dataset=noise", "--light=True", "--epoch=1", "--iteration=4", "--ch=4", "--n_dis=3",
    "--img_size=32", "--decay_flag=False", runs=4,
)  # fmt: skip
