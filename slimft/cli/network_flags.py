"""The flags that say which trained network a command uses: a run's, or that of a model and a checkpoint."""

from __future__ import annotations

from absl import flags

from slimft.ensemble import find_networks
from slimft.inference import Network
from slimft.nets import network_names
from slimft.runs.settings import PRECISIONS


def define_network_flags(
    values: flags.FlagValues, *, train_dir: str, checkpoint: str, averages: str, precision: bool = True
) -> None:
    """Defines the flags, and slim's spelling of them as aliases.

    Args:
        values: where they are defined.
        train_dir: what the command takes from a run's directory, a sentence.
        checkpoint: what of a checkpoint it needs, to go between two commas; or nothing.
        averages: what it does with the moving averages, a verb.
        precision: whether it has a flag for the floats that the network computes in.
    """
    define = {"flag_values": values}
    flags.DEFINE_string("train_dir", None, train_dir, **define)
    flags.DEFINE_string(
        "checkpoint",
        None,
        f"A checkpoint's path, directory or name (hf:OWNER/NAME too){checkpoint}; by default what the run in "
        "--train_dir ended with (the best in validation is in its folder best). One that lies in the directory of "
        "a run is used as that run used it.",
        **define,
    )
    flags.DEFINE_alias("checkpoint_path", "checkpoint", flag_values=values)
    flags.DEFINE_string("model", None, f"The network: {', '.join(network_names())}.", **define)
    flags.DEFINE_alias("model_name", "model", flag_values=values)
    flags.DEFINE_integer(
        "image_size",
        None,
        "Height and width the network sees; by default as in training.",
        lower_bound=1,
        upper_bound=4096,
        **define,
    )
    flags.DEFINE_alias("eval_image_size", "image_size", flag_values=values)
    flags.DEFINE_boolean(
        "averages",
        None,
        f"{averages} the moving averages of the weights instead of the weights; by default where the checkpoint "
        "has them, as that of a run with --ema.",
        **define,
    )
    if precision:
        flags.DEFINE_enum("precision", None, PRECISIONS, "As in bin/finetune; by default as in training.", **define)


def networks_of(values: flags.FlagValues, labels: str | None = None) -> list[Network]:
    """The networks that the parsed flags say; errors are those of `find_networks`."""
    return find_networks(
        values.model,
        values.checkpoint,
        train_dir=values.train_dir,
        image_size=values.image_size,
        averages=values.averages,
        precision=values.precision if "precision" in values else None,
        labels=labels,
    )
