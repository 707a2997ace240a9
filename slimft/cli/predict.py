"""bin/predict: what is in an image, according to a checkpoint."""

from __future__ import annotations

import collections
import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.class_argument import number_of
from slimft.cli.image_arguments import IMAGES, ImageArguments
from slimft.cli.network_flags import define_network_flags, networks_of
from slimft.cli.output_files import writable
from slimft.cli.predict_files import (
    UNSURE,
    Output,
    Prediction,
    SortedCopies,
    check_parquet,
    csv_file,
    features_file,
    is_beside,
)
from slimft.cli.predict_heat import HeatFiles
from slimft.cli.predict_masks import OUTPUT_DIR, MaskFiles, json_of, shares_of, text_of
from slimft.cli.setting_flags import define_setting_flags
from slimft.cli.slim_flags import define_slim_flags
from slimft.cli.text_table import text_table
from slimft.cli.thresholds import HELP as THRESHOLD_HELP
from slimft.cli.thresholds import note_on_origin, read_thresholds
from slimft.data.class_names import ClassNames
from slimft.data.image_formats import READABLE, is_image_name
from slimft.data.views import TTA
from slimft.errors import DataError, UsageError
from slimft.inference import Network
from slimft.messages import printable, say, stream_for_bars
from slimft.tasks.decisions import decide, unsure_among

DESCRIPTION = (
    "Classifies images and prints the likeliest classes of each with their probabilities; of a network for "
    "segmentation, writes a mask and an overlay of each, and prints the largest classes. "
    f"{IMAGES.format(formats=READABLE)}. "
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
        "names are taken from it. Several, with commas, are an ensemble: their probabilities are averaged.",
    )
    flags.DEFINE_string(
        "labels",
        None,
        "A file with the classes' names, one a line, or as in slim's labels.txt (0:airplane).",
        **define,
    )
    flags.DEFINE_integer("top", 5, "How many classes to print for each image.", lower_bound=1, **define)
    flags.DEFINE_boolean(
        "all_classes", False, "Tell the probability of every class, in --json, --csv and the text.", **define
    )
    flags.DEFINE_list("threshold", [], THRESHOLD_HELP, **define)
    flags.DEFINE_enum(
        "tta",
        "none",
        TTA,
        "Test-time augmentation: average the probabilities over the image and its mirror image (flips), its centre "
        "and corners of 7/8 of the sides (crops), or these and their mirror images (ten_crops).",
        **define,
    )
    flags.DEFINE_string(
        "csv",
        None,
        "A CSV file to write, with a row for each image (path, predicted, confidence), in place of the text.",
        **define,
    )
    flags.DEFINE_string(
        "copy_to",
        None,
        f"A new folder to copy the images to, into a folder for each class (and {UNSURE}, with --threshold).",
        **define,
    )
    flags.DEFINE_string(
        "features",
        None,
        "A file for what the last layer gets of each image (an embedding): .npy, whose rows are the images of "
        "NAME.paths.csv beside it, or .parquet.",
        **define,
    )
    flags.DEFINE_boolean(
        "recursive", True, "Whether the images in folders below a folder that is named count too.", **define
    )
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
    for name in ("explain", "csv", "copy_to", "features", "threshold"):
        if values[name].value == "" or (values[name].value == [] and values[name].present):
            raise UsageError(f"--{name}= is empty; give it a value, or leave it out")
    if values.explain_class is not None and values.explain is None:
        raise UsageError(f"--explain_class={values.explain_class} is for --explain=DIR; give that too")
    networks = networks_of(values, labels=values.labels)
    if not arguments:
        raise UsageError("name an image, or a folder of images")
    is_map = networks[0].task.targets.is_map
    _check(values, networks, is_map)
    images = ImageArguments("predict", arguments, values.recursive)
    number = images.count()
    if not number:
        return 2
    # What Pillow says of an odd but readable file, once a kind.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    summary: list[str] = []
    if is_map:
        told = _segmented(networks[0], values, images)
    else:
        told = _classified(networks, values, images, summary)
    all_read = True
    with _progress(number) as progress, contextlib.closing(told):
        for text in told:
            with _above(progress):
                if isinstance(text, DataError):
                    all_read = False
                    say(f"predict: {text}")
                elif text is not None:
                    print(text, flush=True)
            progress.update()
    for text in summary:
        print(text, flush=True)
    return 0 if images.all_there and all_read else 1


def _check(values: flags.FlagValues, networks: list[Network], is_map: bool) -> None:
    """Raises UsageError where flags do not go with the networks, or a file cannot be written."""
    if values.output_dir is not None and not is_map:
        raise UsageError(f"--output_dir={values.output_dir}: {networks[0].spec.name} makes no masks")
    if is_map:
        for name in ("csv", "copy_to", "features", "threshold", "tta", "all_classes"):
            if values[name].present:
                raise UsageError(f"--{name}: {networks[0].spec.name} says the class of each pixel, not of an image")
        if len(networks) > 1:
            raise UsageError(f"--train_dir={values.train_dir}: an ensemble classifies; name one run for masks")
        if values.explain is not None:
            name = networks[0].spec.name
            raise UsageError(f"--explain={values.explain}: the masks of {name} show it; leave it out")
        return
    if values.explain is not None and len(networks) > 1:
        raise UsageError(f"--explain={values.explain} explains one network; give one --train_dir")
    if values.features and (len(networks) > 1 or values.tta != "none"):
        why = f"--tta={values.tta}" if len(networks) == 1 else f"the {len(networks)} runs of --train_dir"
        raise UsageError(f"--features={values.features} is of one network and of images as they are, not of {why}")
    if values.csv and is_image_name(values.csv):  # As of `--csv *.jpg`, which would replace the first of them.
        raise UsageError(
            f"--csv={values.csv} has the name of an image; name a table to write, such as predictions.csv"
        )
    for name in ("csv", "features"):
        if values[name].value is not None:
            writable(values[name].value, f"--{name}")
    if values.csv and values.features and is_beside(values.csv, values.features):
        raise UsageError(
            f"--csv={values.csv} is where --features writes which image each row is of; name another file"
        )
    if values.features and values.features.endswith(".parquet"):
        check_parquet(values.features)


def _classified(
    networks: list[Network], values: flags.FlagValues, images: ImageArguments, summary: list[str]
) -> Iterator[str | DataError | None]:
    """What to print of each image, None for nothing, or why it cannot be read; writes what is to be written.

    Args:
        networks, values, images: what to predict with, how, and of what.
        summary: gets what to print at the end.
    """
    classes = networks[0].classes
    thresholds = read_thresholds(values.threshold, classes)
    decides = thresholds is not None
    note = note_on_origin(values.threshold, [one.checkpoint.path for one in networks], values.tta)
    if note is not None:
        say(note)
    written = bool(values.csv or values.copy_to or values.features)
    tell = _json if values.json else None if written else _table
    counts: collections.Counter[int | None] = collections.Counter()
    with contextlib.ExitStack() as stack:
        outputs: list[Output] = []
        if values.csv:
            outputs.append(stack.enter_context(csv_file(values.csv, classes, values.all_classes, decides)))
        if values.features:
            outputs.append(stack.enter_context(features_file(values.features)))
        heat = None
        if values.explain is not None:
            explained = None
            if values.explain_class is not None:
                explained = number_of(values.explain_class, classes, f"--explain_class={values.explain_class}")
            of_files = images.folders, list(images), values.crop, values.grey_bits
            heat = HeatFiles(networks[0], values.explain, explained, *of_files)
        if values.copy_to:
            outputs.append(SortedCopies(values.copy_to, classes, images.folders, decides))
        with common.quiet_standard_error():
            from slimft.prediction import Classifier
        top = classes.num_classes if values.all_classes else values.top
        classifier = stack.enter_context(Classifier.of(networks, top, values.tta))
        predict = classifier.predict_with_features if values.features else classifier.predict_files
        found = predict(images, values.batch_size, values.crop, values.grey_bits)
        stack.enter_context(contextlib.closing(found))
        with_heat = heat.write(found) if heat else ((*one, None) for one in found)
        for path, made, told in with_heat:
            if isinstance(made, DataError):
                for output in outputs:
                    output.add_error(path, made)
                yield made
                continue
            probabilities, features = made if values.features else (made, None)
            decision = int(probabilities.argmax())
            if decides:
                decision = int(decide(probabilities[None], thresholds)[0])
            one = Prediction(path, probabilities, None if decision < 0 else decision, features, told)
            for output in outputs:
                output.add(one)
            counts[one.decision] += 1
            yield tell and tell(one, classifier.top_of(probabilities), classes, decides)
    if values.copy_to:
        say(f"copied {sum(counts.values())} images to {values.copy_to}")
    if written and not values.json and counts:
        summary.append(_counts(counts, classes))


def _segmented(network: Network, values: flags.FlagValues, images: ImageArguments) -> Iterator[str | DataError]:
    """Writes the masks of images; what to print of each, or why it cannot be read."""
    if values["crop"].present:
        raise UsageError(f"--crop={values.crop}: {network.spec.name} sees images whole; leave it out")
    paths = list(images)
    files = MaskFiles(values.output_dir or OUTPUT_DIR, images.folders, paths)
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
            yield tell(path, files.write(path, mask, pixels, network.classes.texts), shares, network.classes)


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


def _table(one: Prediction, likeliest: list[tuple[int, float]], classes: ClassNames, decides: bool) -> str:
    lines = [printable(one.path), "rank  probability  class" + ("  name" if classes.names else "")]
    for rank, (number, probability) in enumerate(likeliest, 1):
        name = printable(classes.describe(number)["name"] or "")
        lines.append(f"{rank:>4}  {probability:>11.4f}  {number:>5}  {name}".rstrip())
    if decides:
        names = classes.texts
        decision = unsure_among(names) if one.decision is None else names[one.decision]
        lines.append(f"decision: {printable(decision)}")
    if one.told:
        lines.append(f"what speaks for class {one.told['explained']['class']}: {printable(one.told['heat_map'])}")
    return "\n".join(lines)


def _json(one: Prediction, likeliest: list[tuple[int, float]], classes: ClassNames, decides: bool) -> str:
    described = [{**classes.describe(number), "probability": share} for number, share in likeliest]
    decision = {"decision": one.decision if one.decision is None else classes.describe(one.decision)}
    return common.json_line(
        {"path": one.path, "predictions": described, **(decision if decides else {}), **one.told}
    )


def _counts(counts: collections.Counter[int | None], classes: ClassNames) -> str:
    """How many images are of each class, the most frequent first."""
    names = classes.texts
    rows = [
        [printable(unsure_among(names) if number is None else names[number]), f"{count:,}"]
        for number, count in counts.most_common()
    ]
    return text_table(["class", "images"], rows, left=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, predict, DESCRIPTION, positional="IMAGE...")
