"""jakeret/tf_unet 0dcdf2ff1ebcc2ee59997d127a0c0be847168884

Segmentation, its Trainer on its own made-up images.

Trains two epochs, the second from the first's checkpoint, and predicts from it.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from tf_unet import image_gen, unet

stages.reached("imported")
images = image_gen.GrayScaleDataProvider(92, 92, cnt=3, border=10)
for restore in (False, True):
    tf.reset_default_graph()
    net = unet.Unet(channels=images.channels, n_class=images.n_class, layers=2, features_root=4)
    stages.reached("graph")
    trainer = unet.Trainer(net, optimizer="momentum", opt_kwargs={"momentum": 0.2})
    path = trainer.train(images, "./trained", training_iters=2, epochs=1, display_step=1, restore=restore)
stages.reached("step")
stages.checkpoint_is_whole("trained/model.ckpt")
assert np.isfinite(net.predict(path, images(1)[0])).all()
stages.reached("restored")
