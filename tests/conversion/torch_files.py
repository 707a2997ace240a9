"""Writes networks of torchvision and timm with random weights, as safetensors saves state dicts, and their logits.

    python torch_files.py FOLDER IMAGES.npy NETWORK...
    python torch_files.py --outlines torch_outlines.json.gz

A NETWORK is a key of SHAPES, such as timm.vgg11. For each: NETWORK.safetensors; NETWORK.exact.npy, the logits of
images of a size at which it pads as TF-Slim's does, where what lies outside of the image and the averages at the
border are as in TF-Slim too; NETWORK.same_size.npy, those of the library's own function at that size; NETWORK.npy,
those of its own function at its own size. Of Inception V3 also NETWORK.auxiliary.npy. The outlines are the names
and shapes of these networks and of OTHERS.
Its own process, as torch and TensorFlow need not be in one.
"""

import functools
import gzip
import json
import pathlib
import sys
from unittest import mock

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision

CLASSES = 7
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
# The colour that TF-Slim's networks take to be outside of an image: a zero of their input.
MEANS, GREY = (123.68, 116.78, 103.94), (127.5, 127.5, 127.5)
# The network: its normalization, its colour in TF-Slim, the size where TF-Slim pads alike, its own size.
SHAPES = {
    "torchvision.vgg11": (IMAGENET, MEANS, 224, 224),
    "torchvision.vgg16": (IMAGENET, MEANS, 224, 224),
    "torchvision.vgg19": (IMAGENET, MEANS, 224, 224),
    "torchvision.vgg11_bn": (IMAGENET, MEANS, 224, 224),
    "torchvision.vgg16_bn": (IMAGENET, MEANS, 224, 224),
    "torchvision.vgg19_bn": (IMAGENET, MEANS, 224, 224),
    "torchvision.densenet121": (IMAGENET, MEANS, 225, 224),
    "torchvision.densenet169": (IMAGENET, MEANS, 225, 224),
    "torchvision.googlenet": (IMAGENET, GREY, 223, 224),
    "torchvision.inception_v3": (IMAGENET, GREY, 299, 299),
    "torchvision.mobilenet_v2": (IMAGENET, GREY, 225, 224),
    "timm.vgg11": (IMAGENET, MEANS, 224, 224),
    "timm.vgg16": (IMAGENET, MEANS, 224, 224),
    "timm.vgg19": (IMAGENET, MEANS, 224, 224),
    "timm.vgg16_bn": (IMAGENET, MEANS, 224, 224),
    "timm.densenet121": (IMAGENET, MEANS, 225, 224),
    "timm.densenet169": (IMAGENET, MEANS, 225, 224),
    "timm.inception_v3": (HALF, GREY, 299, 299),
    "timm.inception_v4": (HALF, GREY, 299, 299),
    "timm.inception_resnet_v2": (HALF, GREY, 299, 299),
    "timm.mobilenetv1_100": (HALF, GREY, 225, 224),
    "timm.mobilenetv2_100": (IMAGENET, GREY, 225, 224),
    "timm.mobilenetv2_140": (IMAGENET, GREY, 225, 224),
}
# Networks that cannot be equal.
OTHERS = (
    "torchvision.resnet18", "torchvision.resnet50", "torchvision.alexnet", "torchvision.vgg13",
    "torchvision.mnasnet1_0", "timm.resnet50", "timm.resnetv2_50", "timm.resnetv2_50x1_bit",
    "timm.mobilenetv1_100h", "timm.mobilenetv2_050", "timm.efficientnet_b0",
)  # fmt: skip


def made(name):
    """The network, without values: drawing VGG's takes seconds."""
    library, _, network = name.partition(".")
    with torch.device("meta"):
        if library == "timm":
            arguments = {"aux_logits": True} if network == "inception_v3" else {}
            model = timm.create_model(network, num_classes=CLASSES, **arguments)
        elif network in ("googlenet", "inception_v3"):
            model = getattr(torchvision.models, network)(
                num_classes=CLASSES, aux_logits=True, transform_input=True, init_weights=False
            )
        else:
            model = getattr(torchvision.models, network)(num_classes=CLASSES)
    return model.to_empty(device="cpu").eval()


def fill(model, generator):
    """Values at which every weight matters and activations keep their size; variances and means are no 1 and 0."""
    normalized = {name for name, module in model.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    for name, value in model.state_dict().items():
        layer, _, part = name.rpartition(".")
        if part == "num_batches_tracked":
            value.fill_(1000)
            continue
        value.uniform_(generator=generator)
        if part == "running_var":
            value += 0.5
        elif part == "weight" and layer in normalized:
            value.mul_(0.5).add_(0.75)
        else:
            value -= 0.5  # of variance 1/12; with He et al.'s for kernels
            if value.ndim > 1:
                value *= np.sqrt(24 / np.prod(value.shape[1:]))


def logits_of(model, normalization, pixels):
    mean, deviation = (torch.tensor(values) for values in normalization)
    images = ((torch.from_numpy(pixels) / 255 - mean) / deviation).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits = model(images)
    return (logits[0] if isinstance(logits, tuple) else logits).numpy()


def with_slims_border(model, pixels, colour):
    """`pixels` with the border that the first convolution pads, which it no longer does then."""
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    border = first.padding[0]
    first.padding = (0, 0)
    padded = np.full([len(pixels), *(size + 2 * border for size in pixels.shape[1:3]), 3], colour, np.float32)
    padded[:, border : padded.shape[1] - border, border : padded.shape[2] - border] = pixels
    return padded


def write(folder, images, name):
    normalization, colour, same_size, own_size = SHAPES[name]
    model = made(name)
    fill(model, torch.Generator().manual_seed(20160831))
    safetensors.torch.save_file(model.state_dict(), folder / f"{name}.safetensors")

    def save(kind, pixels):
        np.save(folder / f"{name}{kind}.npy", logits_of(model, normalization, pixels))

    save("", images[:, :own_size, :own_size])
    cut = images[:, :same_size, :same_size]
    save(".same_size", cut)
    exact = with_slims_border(model, cut, colour)
    if not name.endswith("inception_v3"):
        save(".exact", exact)
        return
    features = []
    model.Mixed_6e.register_forward_hook(lambda module, inputs, outputs: features.append(outputs))
    average = torch.nn.functional.avg_pool2d
    with mock.patch.object(torch.nn.functional, "avg_pool2d", functools.partial(average, count_include_pad=False)):
        save(".exact", exact)
        with torch.no_grad():
            np.save(folder / f"{name}.auxiliary.npy", model.AuxLogits(features[0]).numpy())


def outlines():
    """The names and shapes of all state dicts."""
    states = {name: made(name).state_dict() for name in (*SHAPES, *OTHERS)}
    return {name: {key: list(value.shape) for key, value in state.items()} for name, state in states.items()}


def main(folder, images, *names):
    if folder == "--outlines":
        with gzip.GzipFile(images, "wb", mtime=0) as file:
            file.write(json.dumps(outlines(), separators=(",", ":")).encode())
        return
    for name in names:
        write(pathlib.Path(folder), np.load(images), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
