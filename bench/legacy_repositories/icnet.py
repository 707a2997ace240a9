"""hellochick/ICNet-tensorflow 90a85c4e8b2da241128f6ddc0938ab5c4336a309

Segmentation, train.py of ICNet on images of noise, with weights read from a file.

Flags: --allow_pickle
"""

import os

import driver_stages as stages
import numpy as np
from PIL import Image
from utils.config import Config

names = [os.path.basename(path) for path in stages.images("data/images", 8, 160, 160, ".png")]
os.makedirs("data/labels")
for name in names:
    Image.fromarray(np.random.RandomState(0).randint(0, 5, (160, 160)).astype("uint8")).save(f"data/labels/{name}")
stages.text("data/list.txt", [f"images/{name} labels/{name}" for name in names])
Config.cityscapes_param.update(data_dir="data", train_list="data/list.txt", eval_list="data/list.txt")
Config.TRAINING_SIZE, Config.TRAINING_STEPS, Config.SAVE_PRED_EVERY = [192, 192], 2, 1
os.makedirs("model/cityscapes")
weights = {"conv1_1_3x3_s2": {"weights": np.zeros([3, 3, 3, 32], np.float32)}}
np.save("model/cityscapes/icnet_cityscapes_train_30k_bnnomerge.npy", weights)
stages.reached("imported")
stages.script(
    "train.py", "--dataset=cityscapes", "--random-mirror", "--random-scale", "--update-mean-var",
    "--train-beta-gamma", runs=3,
)  # fmt: skip
