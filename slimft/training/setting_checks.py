"""Settings that cannot work, alone or together, found before anything is loaded."""

from __future__ import annotations

import dataclasses

from slimft.data.loading import task_of
from slimft.data.splits import few
from slimft.errors import UsageError
from slimft.nets import get_network, network_names
from slimft.renaming import parse_renames
from slimft.runs.settings import Settings, out_of_bounds
from slimft.tasks import get_task
from slimft.tracking import check_trackers
from slimft.training.stages import parse_multipliers, parse_stages

_POSITIVE = ("learning_rate", "decay_epochs", "epochs", "clip_norm")

# What segmentation has not, and what to say of it.
_NOT_OF_MAPS = {
    "mixup": "mixes classes of images, which segmentation has not; leave it out",
    "cutmix": "mixes classes of images, which segmentation has not; leave it out",
    "cache_views": "keeps views of images with one class each, which segmentation has not; leave it out",
    "balance_beta": "is of examples of one class; in segmentation --balance=loss goes by the median of frequencies",
}
# The --augment that other flags are of.
_OF_AUGMENTS = {
    "randaugment_ops": "randaugment",
    "randaugment_magnitude": "randaugment",
    "augmix_severity": "augmix",
}


def check_settings(settings: Settings) -> None:
    """Raises UsageError, with one line that says what to do, if some settings cannot work."""
    _check_values(settings)
    check_trackers(settings.track)
    parse_renames(settings.rename)
    parse_multipliers(settings.lr_multiplier)
    parse_stages(settings.stage)
    _check_task(settings)
    for wrong, message in _contradictions(settings):
        if wrong:
            raise UsageError(message)


def _check_task(settings: Settings) -> None:
    """What does not go with what the network is for."""
    spec, data = get_network(settings.model), settings.dataset
    own = get_task(spec.task)
    if own.targets.is_map and settings.head != "linear":
        raise UsageError(f"--head={settings.head}: {spec.name} has last layers of its own; leave --head out")
    task = settings.task
    if task_of(data) != task.name:
        fitting = [name for name in network_names() if get_network(name).task == task_of(data)]
        what = "has masks, for segmentation" if task_of(data) == "segmentation" else "has a class for each image"
        raise UsageError(
            f"--model={spec.name} is for {task.name}, and --dataset={data} {what}; choose another of them "
            f"(networks for {task_of(data)}: {few(fitting)})"
        )
    for name, value in settings.network_options().items():
        if name not in spec.options:
            fitting = [one for one in network_names() if name in get_network(one).options]
            raise UsageError(f"--{name}={value}: {spec.name} has no such option; it is for {few(fitting)}")
    spec.check_options(settings.network_options())
    spec.check_head(settings.head, settings.network_options())
    for scope in settings.trainable or ():
        if scope in spec.upsampling_scopes and not settings.learn_upsampling:
            raise UsageError(f"--trainable={scope}: what enlarges scores trains with --learn_upsampling only")
    if settings.output_stride not in (None, 8, 16, 32):
        raise UsageError(f"--output_stride={settings.output_stride} must be 8, 16 or 32")
    chooses = [one.name for one in task.figures if one.chooses]
    if settings.metric is not None and settings.metric not in chooses:
        raise UsageError(f"--metric={settings.metric}: in {task.name} it is one of {', '.join(chooses)}")
    if task.targets.is_map:
        for name, why in _NOT_OF_MAPS.items():
            value = getattr(settings, name)
            if value != _default_of(name):
                raise UsageError(f"--{name}={value} {why}")
        if settings.augment in ("randaugment", "augmix"):
            raise UsageError(
                f"--augment={settings.augment} moves no masks; segmentation has none, flip, standard and strong"
            )
        if settings.balance == "sampler":
            raise UsageError(
                "--balance=sampler draws images by their class, and in segmentation an image has several; choose "
                "--balance=loss"
            )


def _default_of(name: str):
    return next(field.default for field in dataclasses.fields(Settings) if field.name == name)


def _check_values(settings: Settings) -> None:
    """Each field by itself: flags are checked when they are parsed, a file of settings is not."""
    for field in dataclasses.fields(Settings):
        value = getattr(settings, field.name)
        problem = problem_of(field, value)
        if problem:
            raise UsageError(f"--{field.name}={value} {problem}")


def problem_of(field: dataclasses.Field, value) -> str | None:
    """What a field's value, of the right type, has to be and is not; None where it is good."""
    problem = out_of_bounds(field, value)
    if problem is None and value is not None and field.name in _POSITIVE and not value > 0:
        return "must be a positive number"
    return problem


def _contradictions(settings: Settings) -> list[tuple[bool, str]]:
    """Pairs: whether two settings contradict each other, and what to say then."""
    patterns = settings.exclude or settings.include or settings.rename
    return [
        (
            settings.recipe == "scratch" and settings.checkpoint is not None,
            "--recipe=scratch trains from nothing; leave --checkpoint out, or choose --recipe=all",
        ),
        (
            settings.recipe not in (None, "scratch") and settings.checkpoint is None,
            f"--recipe={settings.recipe} starts from a checkpoint, and {settings.model} has no official one; give "
            "a --checkpoint",
        ),
        (
            settings.checkpoint is None and bool(patterns),
            "--exclude, --include and --rename say what to restore; they need a --checkpoint",
        ),
        (
            settings.checkpoint is None and settings.batch_norm == "frozen",
            "--batch_norm=frozen keeps the statistics of a checkpoint; it needs a --checkpoint",
        ),
        (
            bool(settings.stage and settings.trainable),
            "--stage and --trainable both say what to train; name the scopes in --stage alone",
        ),
        (
            bool(settings.stage) and settings.steps is not None,
            "--stage gives each stage its epochs; leave --steps out",
        ),
        (
            bool(settings.augment == "none" and settings.flip),
            "--flip mirrors images, which --augment=none does not allow; choose --augment=flip",
        ),
        *(
            (
                settings.augment != augment and getattr(settings, name) != _default_of(name),
                f"--{name}={getattr(settings, name)} is of --augment={augment}; choose that, or leave it out",
            )
            for name, augment in _OF_AUGMENTS.items()
        ),
        (
            bool(settings.cache_views and (settings.mixup or settings.cutmix)),
            "--cache_views keeps views of single images, and --mixup and --cutmix mix several; leave one out",
        ),
        (
            bool(settings.cache_views and settings.cache_views > 1 and settings.augment == "none"),
            "--augment=none has one view of each image; choose --cache_views=1, or another --augment",
        ),
        (
            bool(settings.cache_views and settings.cache == "off"),
            "--cache=off keeps nothing, and --cache_views says what to keep; leave one of them out",
        ),
        *_contradictions_of_replicas(settings, settings.num_replicas or 1),
        (
            settings.batch_size < 2 and bool(settings.mixup or settings.cutmix),
            "--mixup and --cutmix mix the images of a batch; they need a --batch_size of 2 or more",
        ),
    ]


def check_several(settings: Settings, number: int, of: str) -> None:
    """Raises UsageError if some settings do not go with several replicas.

    Args:
        settings: the settings.
        number: of replicas.
        of: what to say they come from.
    """
    for wrong, message in _contradictions_of_replicas(settings, number, of):
        if wrong:
            raise UsageError(message)


def _contradictions_of_replicas(settings: Settings, number: int, of: str | None = None) -> list[tuple[bool, str]]:
    several, of = number > 1, of or f"--num_replicas={number}"
    return [
        (
            settings.batch_size < number,
            f"{of}: a --batch_size of {settings.batch_size} has no image for each; choose a larger one",
        ),
        (
            several and bool(settings.cache_views),
            f"{of}: what --cache_views keeps is of whole batches, which replicas split; leave --cache_views out, "
            "or train on one device",
        ),
        (
            several and settings.xla,
            f"{of}: --xla compiles the graph of one device; leave it out",
        ),
        (
            several and settings.remat and settings.sync_batch_norm,
            "--sync_batch_norm lets each replica wait for the others in each layer, which --remat cannot compute "
            "a second time; leave one of them out",
        ),
    ]
