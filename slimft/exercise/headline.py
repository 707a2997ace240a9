"""The headline results on CIFAR-10: from a checkpoint and from nothing, in the same time, three seeds each.

The rates follow short runs that were judged by the validation split (docs/results.md); sizes, epochs and
augmentation are not tuned yet. The test split is looked at once, at the end of each run.
"""

from __future__ import annotations

from slimft.exercise.steps import Start, Step
from slimft.exercise.vgg_starts import from_hed

PART = "headline"
_MOBILENET = {
    "model": "mobilenet_v1", "image_size": 128, "batch_size": 64, "epochs": 18, "augment": "strong",
    "label_smoothing": 0.1,
}  # fmt: skip
_VGG = {"model": "vgg_16", "image_size": 32, "batch_size": 64, "epochs": 30, "augment": "strong"}

STEPS = (
    Step(
        name="headline_mobilenet",
        part=PART,
        title="MobileNet V1 from the official checkpoint",
        shows="Long runs: 18 epochs of all images at 128x128.",
        flags={**_MOBILENET, "recipe": "all", "learning_rate": 0.001},
        starts=(Start("mobilenet_v1"),),
        own_scale=True,
        seeds=3,
    ),
    Step(
        name="headline_mobilenet_scratch",
        part=PART,
        title="MobileNet V1 from scratch",
        shows="The same network, images and time, without the checkpoint.",
        flags={**_MOBILENET, "recipe": "scratch", "learning_rate": 0.03},
        own_scale=True,
        seeds=3,
    ),
    Step(
        name="headline_vgg16",
        part=PART,
        title="VGG-16 from its checkpoint",
        shows="The network that this project is named by, at 32x32 pixels.",
        flags={**_VGG, "recipe": "all"},
        starts=(Start("vgg_16"), from_hed("vgg_16", "vgg_16")),
        own_scale=True,
        seeds=3,
    ),
    Step(
        name="headline_vgg16_scratch",
        part=PART,
        title="VGG-16 from scratch",
        shows="The same, without the checkpoint.",
        flags={**_VGG, "recipe": "scratch"},
        own_scale=True,
        seeds=3,
    ),
)  # fmt: skip
