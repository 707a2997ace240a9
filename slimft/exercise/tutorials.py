"""Public tutorials of transfer learning to CIFAR-10: their experiments, and the figures that they published.

Most answer a task of Holberton School's (a validation accuracy of 87 %, in Keras), and validate on CIFAR-10's test
images. Where an author's code, in a repository named holbertonschool-machine_learning, differs from the text, the
step says so.
"""

from __future__ import annotations

from slimft.exercise.steps import Published, Start, Step
from slimft.exercise.vgg_starts import added, from_hed

PART = "tutorials"
_VARGAS = "https://735.medium.com/transfer-learning-with-deep-convolutional-networks-f863941eaaff"
_BANI = "https://dhirubhai.net/pulse/transfer-learning-cifar-10-classification-using-resnet50-mahdi-bani-glmhe"
_MASAYDA = "https://justinmasayda.medium.com/transfer-learning-d357d3baaf7f"
_VALIDATION = "validation, on the test images"
_MOBILENET_V2 = "mobilenet_v1 in place of mobilenet_v2: another network, its official checkpoint"
# Of their code: batches of 128, Adam at its default, images of 32x32.
_ADAM = {"batch_size": 128, "optimizer": "adam", "learning_rate": 0.001, "warmup_epochs": 0, "lr_multiplier": ()}


def _cut_vgg(endpoint: str, head: str, recipe: str) -> dict:
    return {"model": "vgg_16", "final_endpoint": endpoint, "head": head, "recipe": recipe}


def _cut_hed() -> Start:
    return Start("hed", {}, "hed in place of vgg_16: conv1 to conv5, fine-tuned to edges")


def _compared() -> tuple[Step, ...]:
    """Four networks: a new head on the frozen network, the last blocks too, all of it."""
    networks = {
        "resnet50": ("resnet_v1_50", "ResNet-V1-50", Start("resnet_v1_50"), 224, None),
        "densenet121": ("densenet_121", "DenseNet-121", None, 224, None),
        "inception_v3": ("inception_v3", "Inception V3", Start("inception_v3"), 299, None),
        "mobilenet_v2": (
            "mobilenet_v2", "MobileNet V2", Start("mobilenet_v2"), 224,
            Start("mobilenet_v1", {"model": "mobilenet_v1", "exclude": None}, _MOBILENET_V2),
        ),
    }  # fmt: skip
    ways = {
        "frozen": ("features", "the network is frozen, a new last layer trains"),
        "top": ("top", "the last blocks train"),
        "all": ("all", "everything trains"),
    }
    published = {
        ("resnet50", "frozen"): Published(0.8994, _VALIDATION, _BANI),
        ("densenet121", "frozen"): Published(0.87, "at least, " + _VALIDATION, _MASAYDA),
    }
    return tuple(
        Step(
            name=f"{network}_{way}",
            part=PART,
            title=f"{title}: {told}",
            shows="Four networks, each three ways: a new last layer, the last blocks too, everything. Training "
            "more of a network takes longer and gains accuracy.",
            flags={"model": model, "recipe": recipe},
            starts=tuple(start for start in (official, stand_in) if start) or (Start(model),),
            scales={"small": {"image_size": 96}, "course": {"image_size": size}},
            published=published.get((network, way)),
        )
        for network, (model, title, official, size, stand_in) in networks.items()
        for way, (recipe, told) in ways.items()
    )


# The first blocks of MobileNet V1 that are frozen, by their number.
_BLOCKS = (0, 3, 6, 9, 12)


def _first_frozen() -> tuple[Step, ...]:
    return tuple(
        Step(
            name=f"first{number}_frozen",
            part=PART,
            title=f"SGD at 0.001, the first {number} blocks of MobileNet V1 frozen" if number else
            "SGD at 0.001, nothing frozen",
            shows="The earlier a block, the more general what it finds: freezing the first ones costs little "
            "accuracy and saves their gradients; freezing the last ones costs much.",
            flags={
                "model": "mobilenet_v1", "optimizer": "momentum", "learning_rate": 0.001,
                "exclude": ("MobilenetV1/Logits",),
                "freeze": tuple(f"MobilenetV1/Conv2d_{block}{kind}" for block in range(number + 1)
                                for kind in (("_depthwise", "_pointwise") if block else ("",))) if number else None,
            },
            starts=(Start("mobilenet_v1"),),
            scales={
                "small": {"image_size": 96, "schedule": "fixed"},
                "course": {"image_size": 224, "epochs": 50, "optimizer": "momentum"},
            },
        )
        for number in _BLOCKS
    )  # fmt: skip


def _sizes() -> tuple[Step, ...]:
    """The image enlarged, against the network cut short."""
    shows = (
        "An image of 32x32 leaves a network that shrinks it 32 times nothing to look at: enlarge the image, at the "
        "cost of its area, or take the network's first blocks only, which shrink it less? The chart has both."
    )
    mobilenet = {"model": "mobilenet_v1", "recipe": "features", "head": "bn_mlp"}
    whole = tuple(
        Step(
            name=f"size{size}",
            part=PART,
            title=f"MobileNet V1, frozen, images enlarged to {size}x{size}"
            if size > 32
            else "MobileNet V1, frozen, images as they are",
            shows=shows,
            flags={**mobilenet, "image_size": size},
            starts=(Start("mobilenet_v1"),),
            scales={"course": {"image_size": size}},
            chart="the whole network, frozen",
        )
        for size in (32, 64, 96, 128, 160, 224)
    )
    cut = tuple(
        Step(
            name=f"cut{block}_size{size}",
            part=PART,
            title=f"MobileNet V1's first {block + 1} blocks ({stride} times smaller), frozen, {size}x{size}",
            shows=shows,
            flags={**mobilenet, "final_endpoint": f"Conv2d_{block}_pointwise", "image_size": size},
            starts=(Start("mobilenet_v1"),),
            scales={"course": {"image_size": size}},
            chart=f"blocks to {block}, frozen",
        )
        for block, stride in ((5, 8), (11, 16))
        for size in (32, 64, 96)
    )
    trained = tuple(
        Step(
            name=f"size{size}_all",
            part=PART,
            title=f"MobileNet V1, everything trains, {size}x{size}",
            shows=shows,
            flags={"model": "mobilenet_v1", "recipe": "all", "image_size": size},
            starts=(Start("mobilenet_v1"),),
            scales={"course": {"image_size": size}},
            chart="the whole network, all trained",
        )
        for size in (32, 64, 96, 128)
    )
    return (*whole, *cut, *trained)


STEPS = (
    Step(
        name="five_blocks_frozen",
        part=PART,
        title="VGG-16's five blocks frozen, a new dense head",
        shows="The head sees what pool5 makes of 32x32 pixels: a single position. The text calls the blocks "
        "frozen; the author's code freezes none, and others had about 64 % with frozen ones.",
        flags=_cut_vgg("pool5", "mlp", "features"),
        starts=(Start("vgg_16"), _cut_hed()),
        scales={"course": {"image_size": 32, "epochs": 30, **_ADAM}},
        published=Published(0.8456, _VALIDATION, _VARGAS),
    ),
    Step(
        name="five_blocks_trained",
        part=PART,
        title="VGG-16's five blocks, a new dense head; nothing frozen, as the code has it",
        shows="What the published figure is of.",
        flags=_cut_vgg("pool5", "mlp", "all"),
        starts=(Start("vgg_16"), _cut_hed()),
        scales={"course": {"image_size": 32, "epochs": 30, **_ADAM}},
        published=Published(0.8456, _VALIDATION, _VARGAS),
    ),
    Step(
        name="two_blocks_cut",
        part=PART,
        title="VGG-16's last two blocks cut, batch normalization, a new dense head; frozen",
        shows="pool3 leaves 4x4 positions of 32x32 pixels, and features that are less ImageNet's.",
        flags=_cut_vgg("pool3", "bn_mlp", "features"),
        starts=(Start("vgg_16"), _cut_hed()),
        scales={"course": {"image_size": 32, "epochs": 30, **_ADAM}},
    ),
    Step(
        name="two_blocks_cut_trained",
        part=PART,
        title="VGG-16's last two blocks cut, batch normalization, a new dense head; nothing frozen, as in the code",
        shows="A network of 2 million weights in place of 15: at 32x32, where the last two blocks see 2x2 "
        "positions and one, they add little.",
        flags=_cut_vgg("pool3", "bn_mlp", "all"),
        starts=(Start("vgg_16"), _cut_hed()),
        scales={"course": {"image_size": 32, "epochs": 30, **_ADAM}},
        published=Published(0.8923, _VALIDATION, _VARGAS),
    ),
    Step(
        name="full_finetuning",
        part=PART,
        title="VGG-16 fine-tuned in full, towards more than 90 %",
        shows="Larger images, strong augmentation, and the recipe's small rate. Compare what it costs with what "
        "MobileNet takes for the same accuracy: that is the balance with the computational cost.",
        flags={"model": "vgg_16", "recipe": "all", "augment": "strong"},
        starts=(Start("vgg_16"), from_hed("vgg_16", "vgg_16")),
        scales={
            "small": {"image_size": 48},
            "course": {"image_size": 64, "epochs": 10, **_ADAM, "learning_rate": 3.2e-5},
        },
    ),
    Step(
        name="vgg19_resized",
        part=PART,
        title="VGG-19, images enlarged, convolutions frozen",
        shows="At its own size a VGG finds what it was trained to find; each image costs 49 times what it does at "
        "32x32, once. The small scale resizes to 96.",
        flags={"model": "vgg_19", "final_endpoint": "pool5", "head": "mlp", "recipe": "features"},
        starts=(
            Start("vgg_19"),
            Start(
                "hed",
                {"rename": ("vgg_16:vgg_19",), "exclude": (*added("vgg_19"), "head"),
                 "trainable": (*added("vgg_19"), "head"), "cache_views": None},
                "hed in place of vgg_19: conv1 to conv5 of VGG-16, fine-tuned to edges; the layers that it has "
                "not train",
            ),
        ),
        scales={"small": {"image_size": 96}},
    ),
    *_compared(),
    *_first_frozen(),
    *_sizes(),
)  # fmt: skip
