"""MobileNet V1 with its official checkpoint on photographs."""

import numpy as np
import pytest

import slimft

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def classify(shared):
    """Restores the official checkpoint; gives the plan and a function from a photograph to probabilities."""
    from slimft.compat import tf
    from slimft.data.preprocessing import PREPROCESSING, resize
    from slimft.nets import get_network

    spec = get_network("mobilenet_v1")
    with tf.Graph().as_default(), tf.Session() as session:
        photos = tf.placeholder(tf.uint8, [None, None, None, 3])
        images = PREPROCESSING[spec.preprocessing](resize(photos, spec.default_image_size))
        _, end_points = spec.build(images, spec.num_imagenet_classes, is_training=False)
        plan = slimft.restore(session, shared / "checkpoints" / "mobilenet_v1_1.0_224.ckpt")

        def classify(photo):
            """Of the square in the middle of `photo`, resized to 224x224."""
            height, width = photo.shape[:2]
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            square = photo[None, top : top + side, left : left + side]
            return session.run(end_points["Predictions"], {photos: square})[0]

        yield plan, classify


def test_all_of_the_official_checkpoint_arrives(classify):
    plan, _ = classify
    assert len(plan.restored) == 137
    assert (plan.missing, plan.mismatched, plan.excluded) == ((), (), ())
    assert tuple(plan.unused) == ("global_step",)


# Class 0 is background, so these are 285 and 967 of the 1000 of ILSVRC.
@pytest.mark.parametrize("photo, label, expected", [("chelsea", 286, 0.54), ("coffee", 968, 0.97)])
def test_photographs_are_what_they_show(classify, photo, label, expected):
    """An Egyptian cat and an espresso, as sure as the checkpoint is known to be of them."""
    data = pytest.importorskip("skimage.data")
    probabilities = classify[1](getattr(data, photo)())
    assert probabilities.shape == (1001,) and np.isclose(probabilities.sum(), 1, atol=1e-5)
    assert probabilities.argmax() == label
    assert abs(probabilities[label] - expected) < 0.01
