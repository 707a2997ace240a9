"""PASCAL VOC's classes of pixels, and the colours that its masks show them in."""

from __future__ import annotations

# In the order of their indices in a mask, as the development kit has them; 255 is no class but "void", which the
# outlines of objects have and no score counts.
VOC_CLASSES = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person "
    "pottedplant sheep sofa train tvmonitor"
).split()


def voc_palette() -> list[int]:
    """The colour map of PASCAL VOC, as a palette PNG holds it.

    The bits of an index are dealt out to red, green and blue in turn, the lowest first, and each colour takes them
    from its highest bit downwards: so indices near each other have colours far apart. The source is
    VOClabelcolormap.m of the VOC development kit
    (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html#sec:voclabelcolormap).

    Returns:
        768 numbers in 0..255: red, green and blue of index 0, of index 1 and so on to 255.

    >>> palette = voc_palette()
    >>> [tuple(palette[3 * index : 3 * index + 3]) for index in (0, 1, 2, 15, 255)]
    [(0, 0, 0), (128, 0, 0), (0, 128, 0), (192, 128, 128), (224, 224, 192)]
    """
    palette = []
    for index in range(256):
        # Bit 3 * k + channel of the index is bit 7 - k of the channel.
        palette += [sum((index >> 3 * k + channel & 1) << 7 - k for k in range(3)) for channel in range(3)]
    return palette
