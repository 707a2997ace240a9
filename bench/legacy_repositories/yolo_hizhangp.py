"""hizhangp/yolo_tensorflow 88aba9d5569c04170f294a093455390a90f2686e

Detection, YOLO trained by train.py's Solver on Pascal VOC of noise, and its Detector.
"""

import os

import driver_stages as stages
import numpy as np
import tensorflow as tf
import yolo.config as cfg

cfg.BATCH_SIZE, cfg.MAX_ITER, cfg.SAVE_ITER, cfg.SUMMARY_ITER, cfg.WEIGHTS_FILE = 1, 2, 2, 2, None
cfg.IMAGE_SIZE, cfg.FLIPPED = 448, True
voc = os.path.join(cfg.PASCAL_PATH, "VOCdevkit", "VOC2007")
stages.images(os.path.join(voc, "JPEGImages"), 1, 60, 80, names=["000001.jpg"])
stages.text(os.path.join(voc, "ImageSets", "Main", "trainval.txt"), ["000001"])
box = "<bndbox><xmin>10</xmin><ymin>12</ymin><xmax>40</xmax><ymax>50</ymax></bndbox>"
stages.text(
    os.path.join(voc, "Annotations", "000001.xml"),
    [f"<annotation><object><name>dog</name>{box}</object></annotation>"],
)
import test  # noqa: E402
import train  # noqa: E402

stages.reached("imported")
solver = train.Solver(train.YOLONet(), train.pascal_voc("train"))
stages.reached("graph")
before = solver.sess.run(tf.trainable_variables()[-1])
solver.train()
assert not np.array_equal(before, solver.sess.run(tf.trainable_variables()[-1]))
stages.reached("step")
stages.checkpoint_is_whole(os.path.join(solver.output_dir, "yolo*"))
tf.reset_default_graph()
written = tf.train.latest_checkpoint(solver.output_dir)
detector = test.Detector(train.YOLONet(False), written)
detector.detect(np.zeros([60, 80, 3], np.uint8))
stages.reached("restored")
