"""Several views of an image, whose predictions are averaged: test-time augmentation; in the graph."""

from __future__ import annotations

import dataclasses

# Share of the sides of what is read that a crop sees: research/slim and AlexNet (Krizhevsky et al., 2012) cut
# 224 of 256 pixels.
_CROP = 0.875

_WHOLE = (0, 0)
# Where in what is left around it a crop begins, in halves: the centre first, then the corners.
_CROPS = ((1, 1), (0, 0), (0, 2), (2, 0), (2, 2))
_VIEWS = {
    "none": ((_WHOLE, False),),
    "flips": ((_WHOLE, False), (_WHOLE, True)),
    "crops": tuple((place, False) for place in _CROPS),
    "ten_crops": tuple((place, mirrored) for mirrored in (False, True) for place in _CROPS),
}
TTA = tuple(_VIEWS)


@dataclasses.dataclass(frozen=True)
class Views:
    """What a network sees of an image, one after the other.

    Attributes:
        tta: one of `TTA`: ``none`` is the image; ``flips`` that and its mirror image; ``crops`` the centre and the
            four corners, each with 7/8 of the sides; ``ten_crops`` these and their mirror images.
    """

    tta: str = "none"

    def __post_init__(self) -> None:
        if self.tta not in _VIEWS:
            raise ValueError(f"{self.tta!r} is none of {', '.join(TTA)}")

    def __len__(self) -> int:
        return len(_VIEWS[self.tta])

    def side(self, image_size: int) -> int:
        """Height and width to read images at, of which a network sees `image_size` pixels."""
        return round(image_size / _CROP) if "crops" in self.tta else image_size

    def see(self, images, image_size: int, number):
        """Adds a view to the current graph.

        Args:
            images: uint8 or float tensor ``[batch, height, width, 3]``, RGB in 0..255.
            image_size: height and width of the result.
            number: scalar int32 tensor: which view, from 0.

        Returns:
            The images as they are if there is one view; else float32 ``[batch, image_size, image_size, 3]``.
        """
        from slimft.compat import tf
        from slimft.data.preprocessing import resize

        if len(self) == 1:
            return images
        side = self.side(image_size)
        places, mirrored = zip(*_VIEWS[self.tta])
        corners = [[y * (side - image_size) // 2, x * (side - image_size) // 2] for y, x in places]
        y, x = tf.unstack(tf.gather(tf.constant(corners, tf.int32), number))
        seen = resize(images, side)[:, y : y + image_size, x : x + image_size]
        seen.set_shape([images.shape[0], image_size, image_size, 3])
        return tf.cond(tf.gather(tf.constant(mirrored), number), lambda: tf.reverse(seen, [2]), lambda: seen)
