"""bin/serve: a classifier over HTTP, with a page on which pictures are dropped."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import warnings
from collections.abc import Sequence

from absl import flags

from slimft.cli import common
from slimft.cli.network_flags import define_network_flags, networks_of
from slimft.cli.setting_flags import define_setting_flags
from slimft.ensemble import Ensemble
from slimft.errors import UsageError
from slimft.local_paths import check_local
from slimft.messages import say
from slimft.runs.folds import is_cross_validation
from slimft.runs.of_checkpoint import is_run, run_of
from slimft.runs.settings_file import SETTINGS_FILE
from slimft.serving import CARD

DESCRIPTION = (
    "Serves a classifier over HTTP: a page on which one drops pictures and sees their classes, POST /classify for "
    "programs, GET /health, and GET /metrics for Prometheus. DIR is the directory of a run of bin/finetune, or one "
    "that bin/export wrote; or give --model and --checkpoint. Nothing that a client sends is written to the disk. "
    "Whoever reaches the address may use it: by default only this machine does. Ctrl-C and SIGTERM end it when "
    "what is in flight has been answered. Needs pip install 'slimft[serve]'. Exit status: 130 or 143 after these "
    "signals; 2 if it cannot begin."
)
_OF_A_NETWORK = ("train_dir", "checkpoint", "model", "image_size", "averages", "precision", "labels")
_MB = 1 << 20
# Of the bodies of all requests, in those of the largest.
_BODIES_AT_A_TIME = 8


def define_flags(values: flags.FlagValues) -> None:
    """Defines the command's flags."""
    define = {"flag_values": values}
    flags.DEFINE_string(
        "host",
        "127.0.0.1",
        "The address to listen at. Any but a loopback address lets other machines in, who need no password; "
        "0.0.0.0 is all addresses of this one.",
        **define,
    )
    flags.DEFINE_integer(
        "port",
        8765,
        "The port; 0 for any that is free. The address is the last line of what is said at the start.",
        lower_bound=0,
        upper_bound=65535,
        **define,
    )
    define_network_flags(
        values,
        checkpoint=", its last layer included",
        averages="Use",
        train_dir="Directory of a run of bin/finetune, as DIR.",
    )
    flags.DEFINE_string("labels", None, "A file with the classes' names, as of bin/predict.", **define)
    flags.DEFINE_integer(
        "top", 5, "How many classes of each image to tell, where a request does not say.", lower_bound=1, **define
    )
    flags.DEFINE_float("crop", 1.0, "As of bin/predict.", **define)
    define_setting_flags(values, ("grey_bits",))
    flags.DEFINE_integer(
        "batch_size", 32, "Images that the network gets at a time, at most.", lower_bound=1, **define
    )
    flags.DEFINE_float(
        "batch_wait_ms",
        5.0,
        "Milliseconds that an image waits for others that are being read, of other requests too, to be classified "
        "with them.",
        lower_bound=0.0,
        upper_bound=10_000.0,
        **define,
    )
    flags.DEFINE_integer(
        "max_upload_mb",
        20,
        f"Size of a request, at most; of all together {_BODIES_AT_A_TIME} times that are in memory.",
        lower_bound=1,
        upper_bound=1024,
        **define,
    )
    flags.DEFINE_integer(
        "max_images", 32, "Images of a request, at most.", lower_bound=1, upper_bound=4096, **define
    )
    flags.DEFINE_integer(
        "max_waiting",
        256,
        "Images that wait for their classes, at most; requests beyond are answered with status 503.",
        lower_bound=1,
        **define,
    )
    flags.DEFINE_float(
        "timeout", 60.0, "Seconds in which a request has to arrive.", lower_bound=0.1, upper_bound=86400.0, **define
    )


def run(values: flags.FlagValues, arguments: list[str]) -> int:
    """Runs the command on parsed flags and the directory; returns the exit status."""
    if not 0 < values.crop <= 1:  # Nor nan.
        raise UsageError(f"--crop={values.crop} must be above 0 and at most 1, a share of the image's shorter side")
    for name in ("batch_wait_ms", "timeout"):
        if values[name].value != values[name].value:
            raise UsageError(f"--{name}=nan is no number")
    export = _directory(values, arguments)
    found = None if export else Ensemble.of(networks_of(values, labels=values.labels))
    try:
        from slimft.serving.app import Application
        from slimft.serving.guard import is_loopback, trusted_hosts
        from slimft.serving.server import Server, address_of, bind
        from slimft.serving.uploads import Limits
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise UsageError(f"the server needs the package {package}: pip install 'slimft[serve]'") from None
    limits = Limits(
        body_bytes=values.max_upload_mb * _MB,
        held_bytes=_BODIES_AT_A_TIME * values.max_upload_mb * _MB,
        images=values.max_images,
        waiting=values.max_waiting,
        seconds=values.timeout,
    )
    with bind(values.host, values.port) as bound:
        address, where = bound.getsockname()[0], address_of(bound)
        with common.quiet_standard_error():
            from slimft.serving.served import Served, ServedExport, ServedNetwork, check
        served: Served
        if found is None:
            with common.quiet_standard_error():  # Of TensorFlow's notes on how it is loaded.
                served = ServedExport(export)
        else:
            served = ServedNetwork(found)
        with contextlib.closing(served):
            check(served)
            application = Application(
                served,
                limits,
                trusted_hosts(address),
                top=values.top,
                batch_size=values.batch_size,
                batch_wait=values.batch_wait_ms / 1000,
                crop=values.crop,
                grey_bits=values.grey_bits,
            )
            if not is_loopback(address):
                say(f"serve: --host={values.host}: whoever reaches it may use the server, and nothing is encrypted")
            # What Pillow says of an odd but readable file.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            server = Server(application.asgi, lambda: say(f"serve: listening at {where}"))
            try:
                server.serve_at(bound)
            except OSError as error:
                raise UsageError(f"--port={values.port}: {error.strerror}; choose another") from None
    assert server.received is not None
    say(f"serve: stopped by {server.received.name}")
    return 128 + server.received


def _directory(values: flags.FlagValues, arguments: list[str]) -> str | None:
    """The directory that bin/export wrote; None for a run, whose directory is put into --train_dir."""
    if len(arguments) > 1:
        raise UsageError(f"one directory is served, not {len(arguments)}")
    if not arguments:
        if not any(values[name].present for name in ("train_dir", "checkpoint", "model")):
            raise UsageError("name a directory of bin/finetune or bin/export, or give --model and --checkpoint")
        return None
    [folder] = arguments
    check_local(folder, "DIR")
    folder = os.path.expanduser(folder)
    if values.train_dir is not None:
        raise UsageError(f"{folder} stands for --train_dir; leave one of them out")
    if os.path.isdir(folder):
        if is_cross_validation(folder) or is_run(pathlib.Path(folder)) or run_of(folder) is not None:
            values.train_dir = folder
            return None
        if os.path.isfile(os.path.join(folder, CARD)):
            given = [f"--{name}" for name in _OF_A_NETWORK if values[name].present]
            if given:
                raise UsageError(f"{folder} is an export, which has all of it; leave out {' and '.join(given)}")
            return folder
    what = f"holds neither {SETTINGS_FILE} nor {CARD}" if os.path.isdir(folder) else "is not there"
    if os.path.lexists(folder) and not os.path.isdir(folder):
        what = "is no directory"
    raise UsageError(f"{folder} {what}; name a directory of a run of bin/finetune, or one that bin/export wrote")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    return common.run(sys.argv if argv is None else argv, define_flags, run, DESCRIPTION, positional="DIR")
