"""bin/predict: what is in an image, according to a checkpoint."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.network_flags import define_network_flags, network_of
from slimft.cli.predict_heat import HeatFiles, check_explain
from slimft.cli.predict_masks import OUTPUT_DIR, MaskFiles, json_of, names_of, shares_of, text_of
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.slim_flags import define_slim_flags
from slimft.data.class_names import ClassNames
from slimft.data.file_dataset import PassedOver
from slimft.data.image_formats import READABLE, SOME_SUFFIXES, find_images
from slimft.errors import DataError, UsageError
from slimft.inference import Network
from slimft.local_paths import address_advice
from slimft.messages import printable, say, stream_for_bars

DESCRIPTION = (
    "Classifies images and prints the likeliest classes of each with their probabilities; of a network for "
    "segmentation, writes a mask and an overlay of each, and prints the largest classes. An IMAGE is a file "
    f"({READABLE}) or a folder, of which all images count, those in folders below it too. "
    "Give --model and --checkpoint, or --train_dir, a run of bin/finetune; what was chosen is said on standard "
    "error. With 1000 classes, or 1001 with background first, the names are ImageNet's; those of a run are in its "
    "labels.txt. Exit status: 0; 1 if an image could not be read, which is said on standard error; 2 if anything "
    "else is wrong, or there is no image at all."
)
# A bar for less is gone before it is read.
_LEAST_PROGRESS = 10


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    define_network_flags(
        values,
        checkpoint=", its last layer included",
        averages="Use",
        train_dir="Directory of a run of bin/finetune: the model, the image size, the checkpoint and the classes' "
        "names are taken from it.",
    )
    flags.DEFINE_string(
        "labels",
        None,
        "A file with the classes' names, one a line, or as in slim's labels.txt (0:airplane).",
        **define,
    )
    flags.DEFINE_integer("top", 5, "How many classes to print for each image.", lower_bound=1, **define)
    flags.DEFINE_float(
        "crop",
        1.0,
        "Share of an image's shorter side that is the side of the central square which the network sees.",
        **define,
    )
    flags.DEFINE_string(
        "output_dir",
        None,
        "Of a network for segmentation: where the masks go, NAME.png, whose values are the classes, and the images "
        f"in the colours of their classes, NAME_overlay.jpg; by default {OUTPUT_DIR}.",
        **define,
    )
    flags.DEFINE_string(
        "explain",
        None,
        "A folder for heat maps (Grad-CAM): NAME_heat.jpg is what the network saw of an image, coloured where it "
        "speaks for the likeliest class.",
        **define,
    )
    flags.DEFINE_string(
        "explain_class",
        None,
        "With --explain, another class than the likeliest: its name, or its number.",
        **define,
    )
    define_setting_flags(values, ("grey_bits", "longest_side"))
    flags.DEFINE_integer("batch_size", 32, "Images at a time.", lower_bound=1, **define)
    flags.DEFINE_boolean(
        "json", False, "Print one JSON object for each image, on a line of its own: path, predictions.", **define
    )
    define_slim_flags(values)


def predict(values: flags.FlagValues, arguments: list[str]) -> int:
    """Runs the command on parsed flags and paths; returns the exit status."""
    if not 0 < values.crop <= 1:  # Nor nan.
        raise UsageError(f"--crop={values.crop} must be above 0 and at most 1, a share of the image's shorter side")
    check_explain(values.explain, values.explain_class, values.train_dir)
    network = network_of(values, labels=values.labels)
    if not arguments:
        raise UsageError("name an image, or a folder of images")
    if values.explain is not None and network.task.targets.is_map:
        raise UsageError(f"--explain={values.explain}: the masks of {network.spec.name} show it; leave it out")
    if values.output_dir is not None and not network.task.targets.is_map:
        raise UsageError(f"--output_dir={values.output_dir}: {network.spec.name} makes no masks")
    paths, all_there = _find(arguments)
    if not paths:
        return 2
    # What Pillow says of an odd but readable file, once a kind.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    if network.task.targets.is_map:
        told = _segmented(network, values, arguments, paths)
    else:
        told = _classified(network, values, arguments, paths)
    all_read = True
    with _progress(len(paths)) as progress, contextlib.closing(told):
        for text in told:
            with _above(progress):
                if isinstance(text, DataError):
                    all_read = False
                    _report(text)
                else:
                    print(text, flush=True)
            progress.update()
    return 0 if all_there and all_read else 1


def _classified(
    network: Network, values: flags.FlagValues, arguments: list[str], paths: list[str]
) -> Iterator[str | DataError]:
    """What to print of each image, or why it cannot be read."""
    heat = None
    if values.explain is not None:
        heat = HeatFiles(
            network, values.explain, values.explain_class, arguments, paths, values.crop, values.grey_bits
        )
    with common.quiet_standard_error():
        from slimft.prediction import Classifier
    with (
        Classifier.of(network, values.top) as classifier,
        contextlib.closing(
            classifier.classify_files(paths, values.batch_size, values.crop, values.grey_bits)
        ) as classified,
    ):
        tell = _json if values.json else _table
        for path, found, more in heat.write(classified) if heat else ((*one, None) for one in classified):
            yield found if isinstance(found, DataError) else tell(path, found, network.classes, more)


def _segmented(
    network: Network, values: flags.FlagValues, arguments: list[str], paths: list[str]
) -> Iterator[str | DataError]:
    """Writes the masks of images; what to print of each, or why it cannot be read."""
    if values["crop"].present:
        raise UsageError(f"--crop={values.crop}: {network.spec.name} sees images whole; leave it out")
    files = MaskFiles(values.output_dir or OUTPUT_DIR, arguments, paths)
    with common.quiet_standard_error():
        from slimft.segmenter import Segmenter
    tell = json_of if values.json else text_of
    longest_side = values.longest_side if values["longest_side"].present else None
    with (
        Segmenter.of(network, longest_side) as segmenter,
        contextlib.closing(segmenter.segment_files(paths, values.batch_size, values.grey_bits)) as segmented,
    ):
        for path, mask, pixels in segmented:
            if pixels is None:
                yield mask
                continue
            shares = list(shares_of(mask, network.num_classes, values.top))
            yield tell(path, files.write(path, mask, pixels, names_of(network.classes)), shares, network.classes)


def _find(arguments: list[str]) -> tuple[list[str], bool]:
    """The images that the arguments name, and whether all of these are there; reports what is not."""
    paths, wrong = [], []

    def report(error: DataError):
        wrong.append(error)
        _report(error)

    for argument in arguments:
        if os.path.isdir(argument):
            before = len(wrong)
            found, others = find_images(argument, report)
            for note in PassedOver.of_files(argument, others).notes():
                say(f"predict: {note}, of {argument}")
            if not found and len(wrong) == before:
                report(DataError(f"{argument} holds no images ({SOME_SUFFIXES})"))
            paths += found
        elif os.path.lexists(argument):
            paths.append(argument)
        else:
            advice = address_advice(argument)
            missing = f"{argument} is not there; name a file or a folder"
            report(DataError(f"{argument}: {advice}" if advice else missing))
    return paths, not wrong


def _report(error: DataError) -> None:
    say(f"predict: {error}")


def _progress(total: int):
    """A progress bar on standard error; where that is no terminal, a line now and then."""
    from slimft.progress_bar import PassBar, ProgressBar

    if not stream_for_bars().isatty():
        return PassBar("predicting", total)
    return ProgressBar(total=total, unit=" images", leave=False, disable=total < _LEAST_PROGRESS)


def _above(progress):
    """A context in which what is printed appears above the progress bar."""
    return (
        contextlib.nullcontext()
        if progress.disable or not stream_for_bars().isatty()
        else progress.external_write_mode(file=sys.stdout)
    )


def _table(path: str, predictions: list[tuple[int, float]], names: ClassNames, more: dict | None = None) -> str:
    lines = [printable(path), "rank  probability  class" + ("  name" if names.names else "")]
    for rank, (number, probability) in enumerate(predictions, 1):
        name = printable(names.describe(number)["name"] or "")
        lines.append(f"{rank:>4}  {probability:>11.4f}  {number:>5}  {name}".rstrip())
    if more:
        lines.append(f"what speaks for class {more['explained']['class']}: {printable(more['heat_map'])}")
    return "\n".join(lines)


def _json(path: str, predictions: list[tuple[int, float]], names: ClassNames, more: dict | None = None) -> str:
    described = [{**names.describe(number), "probability": probability} for number, probability in predictions]
    return common.json_line({"path": path, "predictions": described, **(more or {})})


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, predict, DESCRIPTION, positional="IMAGE...")
