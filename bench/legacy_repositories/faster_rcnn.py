"""endernewton/tf-faster-rcnn b4da911705925ec00e8359b76a2d7260f6d1d314

Detection, Faster R-CNN on MobileNet with a step; its Cython parts in NumPy.
"""

import os
import sys
import types

import driver_stages as stages
import numpy as np
import tensorflow as tf

sys.path.insert(0, os.path.abspath("lib"))


def overlaps(boxes, others):
    """Intersection over union of each box with each other, as the Cython module of this name computes it."""
    top = np.maximum(boxes[:, None, :2], others[None, :, :2])
    size = np.maximum(np.minimum(boxes[:, None, 2:4], others[None, :, 2:4]) - top + 1, 0)
    areas = [np.prod(part[:, 2:4] - part[:, :2] + 1, axis=1) for part in (boxes, others)]
    common = np.prod(size, axis=2)
    return common / (areas[0][:, None] + areas[1][None] - common)


for name, function in (
    ("utils.cython_bbox", "bbox_overlaps"),
    ("nms.cpu_nms", "cpu_nms"),
    ("nms.gpu_nms", "gpu_nms"),
):
    sys.modules[name] = types.ModuleType(name)
    setattr(sys.modules[name], function, overlaps)
from model.config import cfg  # noqa: E402
from nets.mobilenet_v1 import mobilenetv1  # noqa: E402

stages.reached("imported")
cfg.TRAIN.update(RPN_PRE_NMS_TOP_N=50, RPN_POST_NMS_TOP_N=10, BATCH_SIZE=8, USE_GT=True)
cfg.MOBILENET.DEPTH_MULTIPLIER = 0.25
cfg.USE_E2E_TF = True
net = mobilenetv1()
layers = net.create_architecture("TRAIN", 3, tag="default", anchor_scales=[2, 4], anchor_ratios=[0.5, 1, 2])
blobs = {"data": np.random.RandomState(0).rand(1, 128, 128, 3), "im_info": np.array([128, 128, 1.0]),
         "gt_boxes": np.array([[10, 10, 90, 90, 1.0], [40, 30, 100, 120, 2.0]])}  # fmt: skip
feed = {net._image: blobs["data"], net._im_info: blobs["im_info"], net._gt_boxes: blobs["gt_boxes"]}
optimizer = tf.train.MomentumOptimizer(0.001, 0.9)
stages.train(train_op=optimizer.apply_gradients(optimizer.compute_gradients(layers["total_loss"])), feed=feed)
