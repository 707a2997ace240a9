"""NVlabs/stylegan 1e0d5c781384ef12b50ef20a62fee5d78b38e88f

GAN of images, StyleGAN's dataset_tool.py and training loop on images of 16 pixels, and its network from a snapshot.
"""

import glob
import os

import config
import driver_stages as stages
import numpy as np
import tensorflow as tf

stages.images("noise", 8, 16, 16, ".png")
stages.script("dataset_tool.py", "create_from_images", "datasets/noise", "noise", trains=False)
config.data_dir, config.result_dir = "datasets", "results"
import dnnlib  # noqa: E402
from dnnlib import EasyDict  # noqa: E402
from training import misc, training_loop  # noqa: E402

stages.reached("imported")
submit = dnnlib.SubmitConfig()
submit.run_dir, submit.num_gpus = os.path.abspath("results"), 1
os.makedirs(submit.run_dir)
small = {"fmap_base": 64, "fmap_max": 8}
training_loop.training_loop(
    submit,
    EasyDict(func_name="training.networks_stylegan.G_style", mapping_layers=2, mapping_fmaps=8, dlatent_size=8,
             latent_size=8, **small),
    EasyDict(func_name="training.networks_stylegan.D_basic", **small),
    EasyDict(beta1=0.0, beta2=0.99, epsilon=1e-8),
    EasyDict(beta1=0.0, beta2=0.99, epsilon=1e-8),
    EasyDict(func_name="training.loss.G_logistic_nonsaturating"),
    EasyDict(func_name="training.loss.D_logistic_simplegp", r1_gamma=10.0),
    EasyDict(tfrecord_dir="noise"),
    EasyDict(minibatch_base=4, lod_initial_resolution=8),
    EasyDict(size="1080p", layout="random"),
    total_kimg=0.02, network_snapshot_ticks=1, mirror_augment=True, save_tf_graph=True,
    save_weight_histograms=True,
)  # fmt: skip
stages.reached("step")
_, _, average = misc.load_pkl(glob.glob("results/network-*.pkl")[-1])
images = average.run(np.zeros([1, 8], np.float32), None, truncation_psi=0.7)
assert images.shape == (1, 3, 16, 16) and np.all(np.isfinite(images))
stages.save_and_restore(tf.get_default_session())
