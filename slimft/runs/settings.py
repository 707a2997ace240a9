"""The settings of a training run, which are the flags of ``bin/finetune``."""

from __future__ import annotations

import dataclasses
import functools
import math
import pathlib
import types
import typing
from collections.abc import Sequence
from typing import Any

from slimft.data import DataOptions, dataset_names
from slimft.nets import HEADS, get_network, network_names
from slimft.tasks import Figure, Task, get_task, metric_names
from slimft.tasks.base import figure

RECIPES = ("features", "top", "all", "scratch")
OPTIMIZERS = ("momentum", "sgd", "adam", "rmsprop")
SCHEDULES = ("cosine", "exponential", "fixed", "poly")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
BALANCES = ("none", "loss", "sampler")
AUGMENTATIONS = ("none", "flip", "standard", "strong", "randaugment", "augmix")
BATCH_NORMS = ("update", "frozen")
METRICS = metric_names()
NETWORK_OPTIONS = ("fc_width", "output_stride", "learn_upsampling", "final_endpoint")


def _flag(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] | None = None,
    least: float | None = None,
    most: float | None = None,
    alias: str | None = None,
) -> Any:
    """A field with what its flag needs: help text, choices or bounds (inclusive), slim's name for it."""
    metadata = {"help": help, "choices": choices, "least": least, "most": most, "alias": alias}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What ``bin/finetune`` was told: a field for each flag of the same name.

    Fields of `DEFAULTS` that are None are left open: `slimft.training.completion.complete` fills them in, from the
    recipe where there is one.
    """

    model: str | None = _flag(None, f"The network: {', '.join(network_names())}.", alias="model_name")
    recipe: str | None = _flag(
        None,
        "Sets the flags of a technique, but for those you give, and prints them: features trains a new head on the "
        "frozen network, top the head and the last blocks, all everything, scratch everything from nothing.",
        choices=RECIPES,
    )

    # What to start from.
    checkpoint: str | None = _flag(
        None,
        "What to start from: a checkpoint's path, a directory with one, or a name: hed, or an official TF-Slim "
        "release such as vgg_16, or hf:OWNER/NAME[@REVISION][:FILE] for weights of a Hugging Face repository, "
        "which are fetched if need be. Without it all variables start afresh.",
        alias="checkpoint_path",
    )
    exclude: tuple[str, ...] | None = _flag(
        None,
        "Scopes or variables not to restore, such as vgg_16/fc8; * and re: patterns too.",
        alias="checkpoint_exclude_scopes",
    )
    include: tuple[str, ...] = _flag((), "Scopes or variables to restore; everything by default.")
    rename: tuple[str, ...] = _flag(
        (),
        "FROM:TO,...: what the checkpoint has in the scope FROM restores the scope TO; several TOs of one FROM are "
        "several pairs.",
    )
    cast: bool = _flag(False, "Convert a checkpoint of half, bfloat16 or double floats.")
    averages: bool | None = _flag(
        None,
        "Whether to start from a checkpoint's moving averages of the weights instead of the weights; by default "
        "where it has them, as that of a run with --ema.",
    )

    # What to train.
    head: str = _flag(
        "linear",
        "The last layers: the network's own logits (linear), or in their place a dense layer of 256 with ReLU and "
        "dropout before new logits (mlp), with batch normalization before it (bn_mlp).",
        choices=HEADS,
    )
    fc_width: int | None = _flag(
        None,
        "Of fcn_32s, fcn_16s and fcn_8s: the width of fc6 and fc7, by default 4096, such as 512 for CPUs; where it "
        "divides 4096, they start from every so many-th filter of a checkpoint that has them.",
        least=1,
        most=4096,
    )
    output_stride: int | None = _flag(
        None,
        "Of fcn_resnet_v1_50: how much coarser than the image its features are: 32, 16 or 8, by default 16.",
        least=8,
        most=32,
    )
    learn_upsampling: bool = _flag(
        False,
        "Of networks for segmentation: train the filters that enlarge the scores, too, which else stay bilinear.",
    )
    final_endpoint: str | None = _flag(
        None,
        "The last layer of the network that is built, such as pool5 of VGG: nothing above it is there, and --head "
        "(mlp or bn_mlp) stands on it. A name that there is not gets a list.",
    )
    trainable: tuple[str, ...] | None = _flag(
        None,
        "Scopes or variables to train; everything by default. head, top and all stand for the last layer, for it "
        "and the last blocks, for everything.",
        alias="trainable_scopes",
    )
    freeze: tuple[str, ...] = _flag((), "Scopes or variables not to train, of those that --trainable selects.")
    stage: tuple[str, ...] = _flag(
        (),
        "EPOCHS:SCOPES or EPOCHS:SCOPES@LEARNING_RATE, repeated: what to train one after the other, such as "
        "--stage=2:head --stage=6:all@0.0005. Each stage has a learning rate schedule of its own.",
    )
    lr_multiplier: tuple[str, ...] | None = _flag(
        None, "SCOPE:FACTOR,...: what to multiply the learning rate of some scopes by; head and top work here too."
    )
    batch_norm: str = _flag(
        "update",
        "Whether trained batch_norm layers use and update the batch's statistics, or keep and use those of the "
        "checkpoint (frozen; a new head's are updated all the same). Layers that are not trained always keep them.",
        choices=BATCH_NORMS,
    )

    # The data.
    dataset: str | None = _flag(
        None, f"The data: {', '.join(dataset_names())}; by default digits.", alias="dataset_name"
    )
    data_dir: str | None = _flag(
        None,
        "Where the data is: a folder, a CSV file for csv; for cifar10 also where to download it to.",
        alias="dataset_dir",
    )
    validation_share: float = _flag(
        DataOptions.validation_share,
        "Share of the training examples to validate on, where the data has no such split.",
        least=0,
        most=0.9,
    )
    test_share: float = _flag(
        DataOptions.test_share,
        "Share of all examples to test on, where the data has no splits at all.",
        least=0,
        most=0.9,
    )
    split_seed: int = _flag(DataOptions.split_seed, "Decides which examples these are.", least=0, most=2**31 - 1)
    folds: int | None = _flag(
        None, "Split the data, if it has no splits, in so many parts, and test on one of them.", least=2
    )
    fold: int = _flag(0, "Which of the --folds to test on, from 0.", least=0)
    group: str | None = _flag(
        None,
        "A regular expression that tells what belongs together, such as one patient's images: those in whose path "
        "it finds the same (its first group, if it has one) stay in one split. A manifest's column group does "
        "the same; --group= (empty) ignores it.",
    )
    train_examples: int | None = _flag(
        None, "Train on so many examples only, as many of each class as its share of the training split.", least=1
    )
    validation_examples: int | None = _flag(
        None,
        "Validate on so many examples of the validation split only, as many of each class as its share; the same "
        "ones each time.",
        least=1,
    )
    test_examples: int | None = _flag(None, "Test on so many examples of the test split only, likewise.", least=1)
    cache: str = _flag(
        "auto",
        "Whether to keep decoded images on the disk, in $XDG_CACHE_HOME/slimft/images (by default "
        "~/.cache/slimft/images): auto does where it helps.",
        choices=("auto", "on", "off"),
    )
    cache_views: int | None = _flag(
        None,
        "Where the first layers are frozen: to compute so many views of each image once, the image as it is and "
        "others as --augment draws them, and to train on these in turn, an epoch each.",
        least=1,
        most=1000,
    )
    cache_gb: float = _flag(
        20.0,
        "How many GB what frozen layers make of images takes at most, in $XDG_CACHE_HOME/slimft/features; what was "
        "not used for the longest time makes room. --cache=off keeps none.",
        least=0,
        most=1e6,
    )
    grey_bits: int | None = _flag(
        None,
        "How many of their 16 bits grey TIFFs and PNGs use, such as 12, where they do not tell; by default what "
        "the brightest of all images needs.",
        least=8,
        most=16,
    )
    labels_offset: int = _flag(
        0, "Of TFRecords: what to take off from the labels, such as 1 where they are counted from 1.", least=0
    )
    image_key: str = _flag(DataOptions.image_key, "Of TFRecords: the feature with the encoded image.")
    label_key: str = _flag(DataOptions.label_key, "Of TFRecords: the feature with the label, a number or a name.")
    longest_side: int = _flag(
        DataOptions.longest_side,
        "Of segmentation: an image whose longer side has more pixels is scaled down to so many; it is evaluated at "
        "its mask's own size all the same.",
        least=32,
        most=16384,
    )
    train_list: str = _flag(
        DataOptions.train_list,
        "Of --dataset=voc: the list in ImageSets/Segmentation to train on, such as trainval or train_aug.",
    )
    image_size: int | None = _flag(
        None,
        "Height and width the network sees; by default as the dataset suggests, or the network's own. In "
        "segmentation the most of both that training crops out of an image; images are evaluated whole.",
        least=1,
        most=4096,
        alias="train_image_size",
    )
    balance: str = _flag(
        "none",
        "For classes of unequal size: weigh the loss of an example by its class (loss), or draw the examples of "
        "small classes more often (sampler). In segmentation, loss weighs pixels by the median of the classes' "
        "frequencies.",
        choices=BALANCES,
    )
    balance_beta: float = _flag(
        0.999,
        "How far --balance goes: 1 makes all classes equal, 0 none; between them, a class counts as the effective "
        "number of its examples.",
        least=0,
        most=1,
    )

    # Augmentation and loss.
    augment: str = _flag(
        "standard",
        "What training does to images at random: nothing, flip (mirror, where the dataset allows it), standard "
        "(flip and move or crop), strong (that, turn, zoom, change colours and hide a part), randaugment or augmix "
        "(standard, and operations drawn from a list).",
        choices=AUGMENTATIONS,
    )
    randaugment_ops: int = _flag(
        2, "With --augment=randaugment, how many operations each image gets.", least=1, most=8
    )
    randaugment_magnitude: float = _flag(
        9.0, "With --augment=randaugment, how strong operations are: 0 is least, 30 most.", least=0, most=30
    )
    augmix_severity: float = _flag(
        3.0, "With --augment=augmix, how strong operations are at most: 10 is most.", least=0, most=10
    )
    flip: bool | None = _flag(None, "Whether a mirror image is as good; by default as the dataset says.")
    mixup: float = _flag(0.0, "Alpha of mixup: 0.2 is usual, 0 is none.", least=0)
    cutmix: float = _flag(0.0, "Alpha of CutMix: 1 is usual, 0 is none. With both, each batch draws one.", least=0)
    label_smoothing: float = _flag(
        0.0, "Share of the target that all classes get; 0.1 is usual.", least=0, most=0.99
    )
    focal_gamma: float = _flag(0.0, "Gamma of the focal loss: 2 is usual, 0 is plain cross entropy.", least=0)

    # How to train.
    train_dir: str | None = _flag(
        None,
        "Directory of the run: checkpoints, report, TensorBoard events, settings. A run in it is continued. By "
        "default a new one, runs/MODEL-DATASET-TIME-ID.",
    )
    batch_size: int = _flag(32, "Images per step.", least=1)
    accumulate: int = _flag(1, "Batches whose gradients make one step.", least=1)
    epochs: float = _flag(8.0, "Passes over the training split.", least=0, most=1e6)
    steps: int | None = _flag(None, "Steps to train, instead of --epochs.", least=1, alias="max_number_of_steps")
    learning_rate: float | None = _flag(None, "Initial learning rate; by default the recipe's, or 0.002.")
    schedule: str = _flag(
        "cosine", "How the learning rate falls.", choices=SCHEDULES, alias="learning_rate_decay_type"
    )
    warmup_epochs: float | None = _flag(
        None, "Epochs in which the learning rate rises from zero first; by default the recipe's, or none.", least=0
    )
    decay_factor: float = _flag(
        0.94, "What --schedule=exponential multiplies by.", least=0, most=1, alias="learning_rate_decay_factor"
    )
    poly_power: float = _flag(
        0.9, "The power of the share of steps that is left, which --schedule=poly multiplies by.", least=0, most=100
    )
    decay_epochs: float = _flag(2.0, "Epochs between such steps.", alias="num_epochs_per_decay")
    optimizer: str | None = _flag(None, "The optimizer; by default the recipe's, or momentum.", choices=OPTIMIZERS)
    momentum: float = _flag(0.9, "Momentum, of momentum and rmsprop.", least=0, most=1, alias="rmsprop_momentum")
    weight_decay: float | None = _flag(None, "Factor of the L2 regularizer; by default the network's own.", least=0)
    clip_norm: float | None = _flag(None, "Largest norm of all gradients together; larger ones are scaled down.")
    ema: float = _flag(
        0.0,
        "Decay of moving averages of the weights, such as 0.999, which are then what is evaluated; 0 for none.",
        least=0,
        most=0.999999,
        alias="moving_average_decay",
    )
    eval_every: int | None = _flag(None, "Steps between two validations; by default an epoch.", least=1)
    metric: str | None = _flag(
        None,
        "What tells the best checkpoint in validation; by default accuracy, or balanced_accuracy with --balance; "
        "in segmentation mean_iou.",
        choices=METRICS,
    )
    patience: int = _flag(
        0,
        "Stop after so many validations in a row without a new best one, and end with that; 0 never stops.",
        least=0,
    )
    precision: str = _flag(
        "auto",
        "The floats that the network computes in; variables, loss and updates stay float32. auto measures a few "
        "steps and takes the fastest on this machine, which it remembers; a run that goes on keeps what it had.",
        choices=PRECISIONS,
    )
    remat: bool = _flag(
        False,
        "Keep only some activations for the gradients and compute the others a second time: about a third more "
        "time, for larger batches in the same memory. The losses are the same.",
    )
    xla: bool = _flag(False, "Let XLA compile the graph, on a GPU; the first step takes longer.")
    num_replicas: int | None = _flag(
        None,
        "How many devices of this machine train together, each on its share of every batch; by default all GPUs, "
        "and 1 without. What --batch_size and --learning_rate say is of the whole batch.",
        least=1,
    )
    wire_precision: str = _flag(
        "float32",
        "Of several processes (TF_CONFIG): the floats in which gradients go over the network. bfloat16 halves what "
        "is sent, and rounds.",
        choices=("float32", "bfloat16", "float16"),
    )
    min_workers: int | None = _flag(
        None,
        "Of several processes: how many are enough to begin with, where the others do not come in time; by default "
        "all.",
        least=1,
    )
    cluster_timeout: float = _flag(
        300.0, "Of several processes: how many seconds to wait for the others at the start.", least=0, most=86400
    )
    sync_batch_norm: bool = _flag(
        False,
        "With several replicas, let batch_norm layers that train normalize by the statistics of the whole batch, "
        "instead of those of each replica's share; slower.",
    )
    deterministic: bool = _flag(
        False, "Compute so that the same command gives the same bits on this machine; can be slower."
    )
    seed: int = _flag(0, "Decides order, augmentation, dropout and fresh variables.", least=0, most=2**31 - 1)
    keep: int = _flag(2, "Newest checkpoints to keep.", least=1, alias="max_to_keep")
    save_secs: float = _flag(
        600.0,
        "Seconds after which to save, besides when validation improves and at the end.",
        least=0,
        alias="save_interval_secs",
    )

    # Who is told of it.
    track: tuple[str, ...] = _flag(
        (),
        "Trackers that get the run's settings, curves, figures, report and checkpoints: mlflow, wandb or both. "
        "Their own environment variables, such as MLFLOW_TRACKING_URI, say where they are.",
    )
    track_project: str | None = _flag(
        None,
        "The experiment (MLflow) or project (W&B) that a tracked run is in; by default what the tracker's "
        "environment says, or slimft.",
    )
    track_name: str | None = _flag(None, "What trackers call the run; by default as its directory is called.")
    track_checkpoint: bool = _flag(True, "Whether trackers get the checkpoints of a run that has come to its end.")

    def data_options(self) -> DataOptions:
        """What of the settings `slimft.data.load_dataset` needs, beside its name and place."""
        names = [field.name for field in dataclasses.fields(DataOptions)]
        return DataOptions(**{name: getattr(self, name) for name in names})

    @property
    def task(self) -> Task:
        """What the network is trained for: the task of its last layers."""
        assert self.model is not None
        return get_task(get_network(self.model).task_of(self.head))

    def network_options(self) -> dict[str, Any]:
        """What the network's function is told beside what all are told, as of `NetworkSpec.build`."""
        given = {name: getattr(self, name) for name in NETWORK_OPTIONS}
        return {name: value for name, value in given.items() if value not in (None, False)}

    def best_metric(self) -> str:
        """The figure of a validation that tells the best checkpoint."""
        return self.metric or self.task.default_metric(self.balance != "none")

    def best_figure(self) -> Figure:
        """The figure of that name."""
        return figure(self.task.figures, self.best_metric())

    def final_checkpoint(self) -> str:
        """What the run ends with: its best checkpoint if it may stop early, else its newest."""
        assert self.train_dir is not None  # `complete` has filled it in.
        best = pathlib.Path(self.train_dir, "best")
        return str(best if self.patience and (best / "checkpoint").exists() else self.train_dir)


# What stands for None in these fields where no recipe says otherwise.
DEFAULTS = {
    "dataset": "digits",
    "exclude": (),
    "trainable": (),
    "lr_multiplier": (),
    "learning_rate": 0.002,
    "warmup_epochs": 0.0,
    "optimizer": "momentum",
}
# What a recipe sets.
OF_RECIPES = (
    "checkpoint", "exclude", "trainable", "lr_multiplier", "learning_rate", "warmup_epochs", "optimizer",
    "cache_views",
)  # fmt: skip
# What says where and how often something is written, and nothing of the training.
OF_TRACKERS = ("track", "track_project", "track_name", "track_checkpoint")
OF_THE_DISK = ("train_dir", "cache", "cache_gb", "keep", "save_secs", *OF_TRACKERS)
# What says how the processes of a run find each other.
OF_THE_CLUSTER = ("min_workers", "cluster_timeout")


def out_of_bounds(field: dataclasses.Field, value: Any) -> str | None:
    """What a field's value, of the right type, has to be and is not; None where it is good."""
    choices, least, most = (field.metadata[name] for name in ("choices", "least", "most"))
    if value is None:
        return None
    if most is None and kind_of(field) is int:
        most = 2**31 - 1  # What TensorFlow's shapes and loops can count.
    if kind_of(field) is float and not math.isfinite(value):
        return "must be a finite number"
    if choices and value not in choices:
        return f"must be one of {', '.join(choices)}"
    if least is not None and value < least:
        return f"must be at least {least}"
    if most is not None and value > most:
        return f"must be at most {most}"
    return None


def kind_of(field: dataclasses.Field) -> type:
    """What a field of `Settings` holds beside None: str, int, float, bool or tuple."""
    return _kinds()[field.name]


@functools.cache
def _kinds() -> dict[str, type]:
    kinds = {}
    for name, hint in typing.get_type_hints(Settings).items():
        alternatives = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (kind,) = {typing.get_origin(kind) or kind for kind in alternatives} - {types.NoneType}
        kinds[name] = kind
    return kinds
