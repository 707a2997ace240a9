"""tegg89/SRCNN-Tensorflow 78be1a24697935fc39a3a8cf59a6632264afade7

Super-resolution, main.py on its Train folder's first image.
"""

import glob
import os

import driver_stages as stages

for path in sorted(glob.glob("Train/*.bmp"))[1:]:
    os.remove(path)
stages.script("main.py", "--epoch=1", "--batch_size=16", runs=3)
