"""tf.contrib.image against NumPy and SciPy."""

import numpy as np
import pytest

from slimft.compat import tf

image = tf.contrib.image
IMAGES = np.random.RandomState(0).rand(2, 6, 8, 3).astype(np.float32)


def value_of(make):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(make())


@pytest.mark.parametrize("turns", range(4))
def test_quarter_turns_are_numpys(turns):
    square = IMAGES[:, :, :6]
    found = value_of(lambda: image.rotate(square, turns * np.pi / 2))
    np.testing.assert_allclose(found, np.rot90(square, turns, (1, 2)), atol=1e-6)


def test_each_image_by_its_own_angle_and_rank():
    square = IMAGES[:, :, :6]
    found = value_of(lambda: image.rotate(square, [0.0, np.pi / 2], "BILINEAR"))
    np.testing.assert_allclose(found[0], square[0], atol=1e-5)
    np.testing.assert_allclose(found[1], np.rot90(square[1]), atol=1e-4)
    np.testing.assert_allclose(value_of(lambda: image.rotate(square[0], np.pi)), np.rot90(square[0], 2), atol=1e-5)
    flat = value_of(lambda: image.rotate(square[0, :, :, 0], np.pi))
    np.testing.assert_allclose(flat, np.rot90(square[0, :, :, 0], 2), atol=1e-5)


def test_an_angle_is_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    picture = np.zeros((15, 15), np.float32)
    picture[4:11, 5:9] = np.arange(28, dtype=np.float32).reshape(7, 4)
    expected = ndimage.rotate(picture, 30, reshape=False, order=1)
    found = value_of(lambda: image.rotate(picture, np.radians(30), "BILINEAR"))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_translations_move_right_and_down():
    found = value_of(lambda: image.translate(IMAGES, [2, 1]))
    expected = np.zeros_like(IMAGES)
    expected[:, 1:, 2:] = IMAGES[:, :-1, :-2]
    np.testing.assert_array_equal(found, expected)
    each = value_of(lambda: image.translate(IMAGES, [[2.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(each[0], expected[0])
    np.testing.assert_array_equal(each[1], IMAGES[1])


def test_transforms_compose_and_go_to_matrices_and_back():
    def both():
        turn = image.angles_to_projective_transforms(0.3, 6, 8)
        move = image.translations_to_projective_transforms([1.0, -2.0])
        composed = image.compose_transforms(turn, move)
        matrices = image.flat_transforms_to_matrices(turn), image.flat_transforms_to_matrices(move)
        return composed, tf.matmul(*matrices), image.matrices_to_flat_transforms(3 * matrices[0]), turn

    composed, product, back, turn = value_of(both)
    np.testing.assert_allclose(np.append(composed[0], 1), product[0].ravel(), atol=1e-6)
    np.testing.assert_allclose(back, turn, atol=1e-5)


def test_dtypes_output_shapes_and_gradients():
    whole = (IMAGES * 255).astype(np.uint8)
    found = value_of(lambda: image.transform(whole, [1, 0, 0, 0, 1, 0, 0, 0], output_shape=[4, 4]))
    np.testing.assert_array_equal(found, whole[:, :4, :4])
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 6, 8, 3])
        moved = image.translate(images, [2, 0])
        assert moved.shape.as_list() == [None, 6, 8, 3]
        (gradient,) = tf.gradients(moved, images)
        found = session.run(gradient, {images: IMAGES})
    expected = np.ones_like(IMAGES)
    expected[:, :, -2:] = 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "make",
    [
        lambda: image.rotate(tf.zeros([2, 2], tf.string), 0.0),
        lambda: image.transform(tf.zeros([1, 2, 2, 1]), tf.zeros([1, 1, 8])),
        lambda: image.rotate(tf.zeros([1, 1, 2, 2, 1]), 0.0),
    ],
)
def test_what_cannot_be_is_refused(make):
    with tf.Graph().as_default(), pytest.raises((TypeError, ValueError)):
        make()


def test_dense_image_warp_is_that_of_1_15():
    """Figures measured with TensorFlow 1.15.5."""
    random = np.random.RandomState(0)
    images = tf.constant(random.uniform(size=(2, 4, 5, 2)).astype("f"))
    flow = tf.constant(random.normal(size=(2, 4, 5, 2)).astype("f") * 2)
    warped = tf.contrib.image.dense_image_warp(images, flow)
    by_image, by_flow = tf.gradients(warped, [images, flow])
    with tf.Session() as session:
        warped, by_image, by_flow = session.run([warped, by_image, by_flow])
    first = [0.3328, 0.7589, 0.4588, 0.6261, 0.4236, 0.5721, 0.1194, 0.8837]
    np.testing.assert_allclose(warped.ravel()[:8], first, atol=1e-4)
    assert [float(np.abs(value).sum()) for value in (warped, by_image, by_flow)] == pytest.approx(
        [39.837, 80.0, 21.412], abs=1e-2
    )
