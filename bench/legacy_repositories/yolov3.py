"""YunYang1994/tensorflow-yolov3 03cb272af2e26d598c553f3a2d38024fc6f67a0b

Detection, train.py on two images of noise.
"""

import driver_stages as stages

paths = stages.images("pictures", count=2, height=80, width=80)
stages.text("data/classes/two.names", ["cat", "dog"])
stages.text("data/boxes.txt", [f"{path} 10,10,60,60,0 5,20,30,40,1" for path in paths])
from core.config import cfg  # noqa: E402

cfg.YOLO.CLASSES = "data/classes/two.names"
cfg.TRAIN.update(ANNOT_PATH="data/boxes.txt", BATCH_SIZE=1, INPUT_SIZE=[96], FISRT_STAGE_EPOCHS=1,
                 SECOND_STAGE_EPOCHS=1, DATA_AUG=False)  # fmt: skip
cfg.TEST.update(ANNOT_PATH="data/boxes.txt", BATCH_SIZE=1, INPUT_SIZE=96)
stages.script("train.py", runs=2)
