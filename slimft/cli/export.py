"""bin/export: what was trained, as files that are used elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.network_flags import define_network_flags, networks_of
from slimft.cli.slim_flags import define_slim_flags
from slimft.ensemble import Ensemble
from slimft.errors import UsageError
from slimft.export import CHECKED_IMAGES, FORMATS, check_destination, check_finished, chosen_formats, export_network

DESCRIPTION = (
    "Writes a trained network into the folder OUT, which must not be there yet, in one or several formats: "
    + "; ".join(f"{form.name} ({form.use})" for form in FORMATS.values())
    + ". Give --train_dir, a finished run of bin/finetune, or --model and --checkpoint. Each file is run in a "
    "fresh process on images of the run and compared with the session; model_card.json and README.md beside the "
    "files say what they take and give. All compute in float32, or as their name says. The last line on standard "
    "output is the card as JSON. Exit status: 0; 1 if a file does not say what the session says, and then nothing "
    "is left under OUT's name; 2 if anything else is wrong."
)


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags, and slim's spelling of them as aliases."""
    define = {"flag_values": values}
    define_network_flags(
        values,
        checkpoint=", its last layer included",
        averages="Export",
        train_dir="Directory of a finished run of bin/finetune: the model, the image size, the checkpoint, the "
        "classes' names and the images to try the files with are taken from it.",
        precision=False,
    )
    flags.DEFINE_list(
        "format", ["saved_model"], f"The formats, with commas between: {', '.join(FORMATS)}.", **define
    )
    flags.DEFINE_string(
        "labels",
        None,
        "A file with the classes' names, one a line; by default those of the run, or ImageNet's.",
        **define,
    )
    flags.DEFINE_boolean(
        "fold_batch_norm",
        False,
        "In a frozen graph, let batch normalization become part of the convolutions before it.",
        **define,
    )
    flags.DEFINE_string(
        "images",
        None,
        "A folder with images to try the files with, and to fit the numbers of tflite_int8 to; by default the "
        "run's test (or validation) images, and its training images.",
        **define,
    )
    flags.DEFINE_string("data_dir", None, "Where the run's data is now, if not where it was.", **define)
    flags.DEFINE_integer(
        "checked_images",
        CHECKED_IMAGES,
        "How many images each file is tried with, at most: a sample, the same each time, where there are more.",
        lower_bound=1,
        **define,
    )
    define_slim_flags(values)


def export(values: flags.FlagValues, arguments: list[str]) -> None:
    """Runs the command on parsed flags and OUT."""
    if len(arguments) != 1:
        raise UsageError(f"give one OUT, the folder to write, not {len(arguments)}")
    wanted = chosen_formats(values.format)
    check_destination(arguments[0])
    networks = networks_of(values, labels=values.labels)
    for one in networks:
        check_finished(one, was_chosen=values.checkpoint is not None)
    network = Ensemble.of(networks)
    with common.quiet_standard_error():
        from slimft.export import writing  # noqa: F401 (With TensorFlow.)

    with common.terminated_by_exception():
        card = export_network(
            network,
            arguments[0],
            [form.name for form in wanted],
            images=values.images,
            checked_images=values.checked_images,
            data_dir=values.data_dir,
            fold_batch_norm=values.fold_batch_norm,
            quietly=common.quiet_standard_error,
        )
    common.print_result(card)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, export, DESCRIPTION, positional="OUT")
