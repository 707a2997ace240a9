"""Inception's preprocessing: a crop of any size and shape, resized; colours distorted in training.

Arguments, ranges and orders are those of research/slim/preprocessing/inception_preprocessing.py
(github.com/tensorflow/models).
"""

from slimft.compat import tf

_BRIGHTNESS_DELTA = 32 / 255
_HUE_DELTA = 0.2
_FACTORS = (0.5, 1.5)

# The distortions by letter, and in which order each of the ways to distort colours applies them.
_DISTORTIONS = {
    "b": lambda image: tf.image.random_brightness(image, _BRIGHTNESS_DELTA),
    "s": lambda image: tf.image.random_saturation(image, *_FACTORS),
    "h": lambda image: tf.image.random_hue(image, _HUE_DELTA),
    "c": lambda image: tf.image.random_contrast(image, *_FACTORS),
}
_FAST_ORDERS = ("bs", "sb", "sb", "sb")
_ORDERS = ("bshc", "sbch", "chbs", "hscb")


def apply_with_random_selector(x, func, num_cases):
    """``func(x, case)`` with `case`, a Python int below `num_cases`, drawn anew for each run of the graph."""
    if num_cases == 1:
        return func(x, 0)
    case = tf.random_uniform([], maxval=num_cases, dtype=tf.int32)
    return tf.switch_case(case, [lambda i=i: func(x, i) for i in range(num_cases)])


def distort_color(image, color_ordering=0, fast_mode=True, scope=None):
    """Changes brightness and saturation at random and, unless `fast_mode`, hue and contrast.

    Args:
        image: ``[height, width, 3]``, RGB in [0, 1].
        color_ordering: which of the four orders, 0 to 3.
        fast_mode: whether to leave out the slower ones.
        scope: name scope.

    Returns:
        The image, in [0, 1].

    Raises:
        ValueError: there is no such order.
    """
    if color_ordering not in range(len(_ORDERS)):
        raise ValueError(f"color_ordering={color_ordering} is not one of 0, 1, 2, 3")
    with tf.name_scope(scope, "distort_color", [image]):
        for letter in (_FAST_ORDERS if fast_mode else _ORDERS)[color_ordering]:
            image = _DISTORTIONS[letter](image)
        return tf.clip_by_value(image, 0.0, 1.0)


def distorted_bounding_box_crop(
    image,
    bbox,
    min_object_covered=0.1,
    aspect_ratio_range=(0.75, 1.33),
    area_range=(0.05, 1.0),
    max_attempts=100,
    scope=None,
):
    """A random part of an image, within the bounds of `tf.image.sample_distorted_bounding_box`.

    Args:
        image: ``[height, width, 3]``.
        bbox: float ``[1, boxes, 4]``: top, left, bottom and right as shares of height and width.
        min_object_covered: the least share of a box that is in the part.
        aspect_ratio_range: least and greatest width by height of the part.
        area_range: least and greatest share of the image that the part is.
        max_attempts: how often to draw before the whole image is taken.
        scope: name scope.

    Returns:
        The part, and its own box ``[1, 1, 4]``.
    """
    with tf.name_scope(scope, "distorted_bounding_box_crop", [image, bbox]):
        begin, size, box = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            bbox,
            min_object_covered=min_object_covered,
            aspect_ratio_range=aspect_ratio_range,
            area_range=area_range,
            max_attempts=max_attempts,
            use_image_if_no_bounding_boxes=True,
        )
        part = tf.slice(image, begin, size)
        part.set_shape([None, None, 3])
        return part, box


def preprocess_for_train(
    image,
    height,
    width,
    bbox=None,
    fast_mode=True,
    scope=None,
    add_image_summaries=True,
    random_crop=True,
    use_grayscale=False,
):
    """A random part of an image, resized, mirrored half of the time, its colours distorted.

    Args:
        image: ``[height, width, 3]``, RGB: integers in their type's range, or float32 in [0, 1].
        height: height of the result, in pixels.
        width: width of the result.
        bbox: float ``[1, boxes, 4]``, see `distorted_bounding_box_crop`; None for the whole image.
        fast_mode: whether to resize bilinearly always, and to distort brightness and saturation only.
        scope: name scope.
        add_image_summaries: whether to add image summaries of the steps.
        random_crop: whether to take a part.
        use_grayscale: whether to make grey of RGB in the end, of one channel.

    Returns:
        float32 ``[height, width, 3]``, RGB in [-1, 1]; or one channel.
    """

    def summarize(name, image, boxes=None):
        if add_image_summaries:
            images = image[tf.newaxis]
            tf.summary.image(name, images if boxes is None else tf.image.draw_bounding_boxes(images, boxes))

    with tf.name_scope(scope, "distort_image", [image, bbox]):
        if bbox is None:
            bbox = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
        image = tf.image.convert_image_dtype(image, tf.float32)
        summarize("image_with_bounding_boxes", image, bbox)
        distorted = image
        if random_crop:
            distorted, box = distorted_bounding_box_crop(image, bbox)
            summarize("images_with_distorted_bounding_box", image, box)
        # The methods of tf.image.ResizeMethod are numbered from 0, bilinear, to 3.
        distorted = apply_with_random_selector(
            distorted, lambda x, method: tf.image.resize_images(x, [height, width], method), 1 if fast_mode else 4
        )
        distorted.set_shape([height, width, 3])
        summarize("cropped_resized_image" if random_crop else "resized_image", distorted)
        distorted = tf.image.random_flip_left_right(distorted)
        distorted = apply_with_random_selector(
            distorted, lambda x, ordering: distort_color(x, ordering, fast_mode), 1 if fast_mode else 4
        )
        if use_grayscale:
            distorted = tf.image.rgb_to_grayscale(distorted)
        summarize("final_distorted_image", distorted)
        return distorted * 2 - 1


def preprocess_for_eval(
    image, height, width, central_fraction=0.875, scope=None, central_crop=True, use_grayscale=False
):
    """The middle of an image, resized.

    Args:
        image: as for training.
        height: height of the result, in pixels; None or 0 to leave the size as it is.
        width: width of the result.
        central_fraction: share of height and width to keep; None or 0 for all.
        scope: name scope.
        central_crop: whether to heed `central_fraction`.
        use_grayscale: whether to make grey of RGB, of one channel.

    Returns:
        float32 ``[height, width, 3]``, RGB in [-1, 1]; or one channel, also of an image that has one.
    """
    with tf.name_scope(scope, "eval_image", [image]):
        image = tf.image.convert_image_dtype(image, tf.float32)
        if use_grayscale:
            image = tf.image.rgb_to_grayscale(image)
        if central_crop and central_fraction:
            image = tf.image.central_crop(image, central_fraction)
        if height and width:
            image = tf.image.resize_bilinear(image[tf.newaxis], [height, width])[0]
            image.set_shape([height, width, image.shape[-1].value or 3])
        return image * 2 - 1


def preprocess_image(
    image,
    height,
    width,
    is_training=False,
    bbox=None,
    fast_mode=True,
    add_image_summaries=True,
    crop_image=True,
    use_grayscale=False,
):
    """`preprocess_for_train`, or `preprocess_for_eval`; `crop_image` tells whether to crop in either."""
    if is_training:
        return preprocess_for_train(
            image,
            height,
            width,
            bbox,
            fast_mode,
            add_image_summaries=add_image_summaries,
            random_crop=crop_image,
            use_grayscale=use_grayscale,
        )
    return preprocess_for_eval(image, height, width, central_crop=crop_image, use_grayscale=use_grayscale)
