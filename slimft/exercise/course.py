"""The POSTECH exercise: VGG and ResNet on CIFAR-10, from nothing and from a checkpoint, and FCN.

Its notebooks are 03.transfer_learning and 04.fcn of github.com/mixcheck/cnntutorial (2017 and 2018). Their
parameters are those of ``--scale=course``: 224x224 pixels, batches of 100, Adam at 0.001, 3 epochs; FCN at 0.0001.
"""

from __future__ import annotations

from slimft.exercise.steps import Start, Step
from slimft.exercise.vgg_starts import added, from_hed, fully_connected

PART = "course"
_FC = fully_connected("vgg_16")
_ONLY_FC = {"trainable": _FC, "cache_views": 1}
_MOBILENET = "mobilenet_v1 in place of {}: another network, its official checkpoint"


def _mobilenet(official: str) -> Start:
    return Start("mobilenet_v1", {"model": "mobilenet_v1", "exclude": None}, _MOBILENET.format(official))


STEPS = (
    Step(
        name="vgg16_scratch",
        part=PART,
        title="(a) VGG-16 from scratch",
        shows="All 134 million weights start at random. Without batch normalization, and with few images, VGG-16 "
        "begins slowly; the next steps show what a checkpoint is for.",
        flags={"model": "vgg_16", "recipe": "scratch"},
    ),
    Step(
        name="vgg16_fc8",
        part=PART,
        title="(b) pre-trained VGG-16, only fc8 trains",
        shows="The checkpoint is restored but for vgg_16/fc8, which has as many outputs as there are classes: "
        "--exclude=vgg_16/fc8. Only that layer trains (--trainable=vgg_16/fc8), so that everything below it is "
        "computed once for each image, and epochs cost next to nothing. The images of CIFAR-10 are small and not "
        "ImageNet's: what fc7 says of them, a linear layer can use only so far.",
        flags={"model": "vgg_16", "recipe": "features"},
        starts=(
            Start("vgg_16"),
            _mobilenet("vgg_16"),
            from_hed("vgg_16", "vgg_16", **_ONLY_FC),
        ),
        scales={"small": {"image_size": 64}},
    ),
    Step(
        name="vgg16_all",
        part=PART,
        title="(c) pre-trained VGG-16, all layers train",
        shows="The same start, and every layer may follow the new data. That is the most accurate of the three, at "
        "a rate that is small enough: at the course's 0.001, Adam moves each weight by up to 0.001 a step, which "
        "wipes out what the convolutions of a VGG had learned, and accuracy may stay at 10 %. The recipe takes "
        "0.0001, and more for the new layer.",
        flags={"model": "vgg_16", "recipe": "all"},
        starts=(Start("vgg_16"), from_hed("vgg_16", "vgg_16")),
    ),
    Step(
        name="resnet50",
        part=PART,
        title="(d) pre-trained ResNet-V1-50",
        shows="A fifth of VGG-16's weights, batch normalization, and residual connections: it takes more than ten "
        "times VGG's learning rate. Its first layers shrink an image to a quarter of its size, so that one of "
        "32x32 is enlarged here.",
        flags={"model": "resnet_v1_50", "recipe": "all"},
        starts=(Start("resnet_v1_50"), _mobilenet("resnet_v1_50")),
        scales={"small": {"image_size": 64}},
    ),
    Step(
        name="schedule",
        part=PART,
        title="(e1) 50 epochs, the rate falls to 20 % every 10",
        shows="The notebook's first task: Adam at 0.001, times 0.2 every 10 epochs. The curves have a step where "
        "the rate falls: the noise of large steps ends, and validation gains at once. With the convolutions "
        "frozen, 50 epochs are 49 passes over features that are there already.",
        flags={
            "model": "vgg_16", "recipe": "features", "trainable": _FC, "epochs": 50, "optimizer": "adam",
            "learning_rate": 0.001, "schedule": "exponential", "decay_factor": 0.2, "decay_epochs": 10,
        },
        starts=(Start("vgg_16"), from_hed("vgg_16", "vgg_16", **_ONLY_FC)),
        scales={"small": {"train_examples": 5000}},
    ),
    Step(
        name="vgg19",
        part=PART,
        title="(e2) VGG-19 in place of VGG-16",
        shows="Three more convolutions, a quarter more time. The code changes in one word: --model=vgg_19.",
        flags={"model": "vgg_19", "recipe": "all"},
        starts=(Start("vgg_19"), from_hed("vgg_19", "vgg_19")),
    ),
    Step(
        name="vgg16_fc",
        part=PART,
        title="(e3) convolutions frozen, fc6 to fc8 train",
        shows="Between (b) and (c): fc6 and fc7 adapt too. The frozen variables are in the last checkpoint bit for "
        "bit as they were in the first.",
        flags={"model": "vgg_16", "recipe": "features", "trainable": _FC},
        starts=(Start("vgg_16"), from_hed("vgg_16", "vgg_16", **_ONLY_FC)),
    ),
    Step(
        name="vgg_postech",
        part=PART,
        title="(e4) vgg_postech from a renamed VGG-19",
        shows="The course's own network, with 2, 3, 4, 5 and 5 convolutions. There is no checkpoint of it, and "
        "none is needed: --rename=vgg_19:vgg_postech gives it VGG-19's variables, and the three layers that "
        "VGG-19 has not start afresh.",
        flags={
            "model": "vgg_postech", "recipe": "all", "rename": ("vgg_19:vgg_postech",),
            "exclude": (*added("vgg_postech", to="vgg_19"), "vgg_postech/fc8"),
        },
        starts=(Start("vgg_19"), from_hed("vgg_postech", "vgg_19")),
    ),
    Step(
        name="fcn_32s",
        part=PART,
        title="(f) FCN-32s: a class for every pixel",
        shows="VGG-16 with fc6 and fc7 as convolutions, and a score for each class at a 32nd of the image's size, "
        "enlarged 32 times: large things are found, and their outlines are blurred.",
        flags={"model": "fcn_32s", "recipe": "all", "schedule": "poly"},
        starts=(
            Start("vgg_16"),
            Start("hed", {"exclude": _FC[:2]}, "hed in place of vgg_16: fc6 and fc7 start afresh"),
        ),
        segments=True,
    ),
    Step(
        name="fcn_16s",
        part=PART,
        title="(f) FCN-16s, from that",
        shows="Scores of pool4 are added, at twice the resolution. What the checkpoint has nothing of starts at "
        "zero, so that training goes on where FCN-32s was.",
        flags={"model": "fcn_16s", "recipe": "all", "schedule": "poly"},
        starts=(Start("step:fcn_32s"),),
        segments=True,
    ),
    Step(
        name="fcn_8s",
        part=PART,
        title="(f) FCN-8s, from that",
        shows="And those of pool3: outlines get sharper still.",
        flags={"model": "fcn_8s", "recipe": "all", "schedule": "poly"},
        starts=(Start("step:fcn_16s"),),
        segments=True,
    ),
)  # fmt: skip
