"""The table that ``bin/finetune --list_models`` prints."""

from __future__ import annotations

from slimft.cli.text_table import text_table
from slimft.nets import get_network, network_names

_NOTES = """\
task: what its own logits are for; segmentation has them for every pixel.
size: height and width of the images it was trained on; min: of the smallest it takes.
classes: of its ImageNet checkpoint; with 1001, class 0 is background. LeNet is for MNIST, CifarNet for CIFAR-10.
segmentation: size is what GFLOPs are of, any other will do as well, and classes are PASCAL VOC's.
parameters: weights, biases, gammas and betas with these classes, without auxiliary logits.
GFLOPs: 10**9 operations, two for a multiplication and addition, for one image of that size.
inputs: mean_subtraction is RGB in 0..255 minus (123.68, 116.78, 103.94), inception RGB in [-1, 1], densenet
mean_subtraction times 0.017, lenet grey in [-1, 1], cifarnet RGB with each image's mean 0 and deviation 1; slimft
sees to it.
logits: what to --exclude for another number of classes. official checkpoint: what --checkpoint can name;
for segmentation it has all but the logits."""


def models_table() -> str:
    """Returns the table of all networks, and what its columns are, as text."""
    rows = []
    for spec in map(get_network, network_names()):
        rows.append(
            (
                spec.name,
                spec.task,
                spec.preprocessing,
                spec.official_checkpoint or "-",
                f"{spec.default_image_size}",
                f"{spec.min_image_size}",
                f"{spec.num_imagenet_classes}",
                f"{spec.parameters:,}",
                f"{spec.gflops:.2f}",
                ",".join(spec.logits_scopes),
            )
        )
    header = ("model", "task", "inputs", "official checkpoint", "size", "min", "classes", "parameters", "GFLOPs")
    return f"{text_table((*header, 'logits'), rows, left=(0, 1, 2, 3, 9))}\n\n{_NOTES}"
