"""docs/benchmarks.md, made of the results that `bench/run_all` leaves: the text is here, the figures are there."""

from __future__ import annotations

import json
import pathlib
from typing import NamedTuple

import rounds


class Benchmark(NamedTuple):
    """A section of the page.

    Attributes:
        name: of its results.
        title: its heading.
        script: the file in bench/.
        flags: those of the page; `quick` those that show that it works.
        text: what stands above its table; `notes` what stands below.
        has_figures: whether the script has ``--json``.
    """

    name: str
    title: str
    script: str
    flags: tuple[str, ...]
    quick: tuple[str, ...]
    text: str
    notes: str = ""
    has_figures: bool = True

    @property
    def exists(self) -> bool:
        """Whether the script is there."""
        return (rounds.ROOT / "bench" / self.script).exists()


_TOY = ("--rounds=1", "--seconds=0.5")
BENCHMARKS = (
    Benchmark(
        "training",
        "Training",
        "training.py",
        ("--rounds=2", "--seconds=3"),
        (*_TOY, "--only", "mobilenet_v1:32:8"),
        "All layers train. slimft takes its own steps with its own input, Keras runs `fit` on the network of "
        "`keras.applications` with the same batch, by momentum. *best* is each side's faster precision, *auto* "
        "what slimft chooses by itself. An image of 32x32 reaches one of the 49 taps of VGG's fc6, which has "
        "103 million weights; Keras' network flattens to 512 features there and has 2 million.",
    ),
    Benchmark(
        "step_profile",
        "Where a step's time goes",
        "step_profile.py",
        (),
        ("--steps=1", "--only", "mobilenet_v1:32:8:float32"),
        "One op after the other, so the sum is more than a step of training takes.",
    ),
    Benchmark(
        "memory",
        "Memory of training",
        "memory.py",
        ("--rounds=1", "--seconds=2"),
        (*_TOY, "--model=mobilenet_v1", "--size=32", "--batch=8"),
        "The largest resident memory of the process, with `--remat` and without; the ratio is to the first row.",
    ),
    Benchmark(
        "evaluation",
        "Evaluation and prediction",
        "evaluation.py",
        ("--rounds=1", "--seconds=2"),
        (*_TOY, "--only", "mobilenet_v1", "--size=32", "--batch=8"),
        "Networks of 1000 classes, 224x224, batches of 32. slimft's evaluator also reads its images and adds up"
        " all scores; *classifies* is the `Classifier` of `bin/predict`; Keras runs `predict`.",
    ),
    Benchmark(
        "features",
        "Frozen layers computed once",
        "features.py",
        ("--rounds=1", "--images=256"),
        ("--rounds=1", "--images=32", "--size=32", "--batch=8"),
        "VGG-16, 224x224, batches of 32, only the last layer trains. *Later epochs* read what the frozen layers "
        "make of each image, Keras' `fit` computes it again; the *first pass* computes it, against Keras' "
        "`predict`.",
    ),
    Benchmark(
        "growth",
        "How an epoch grows",
        "growth.py",
        ("--rounds=1",),
        ("--rounds=1", "--quick"),
        "MobileNet V1, all layers, float32: one of image size, batch, images and classes changes, the others "
        "are 64x64 pixels, batches of 32, 512 images and 10 classes. Time of an epoch after the first.\n\n"
        "![time of an epoch](images/growth.svg)",
    ),
    Benchmark(
        "restore",
        "Restoring VGG-16",
        "restore.py",
        ("--rounds=2", "--repeats=3"),
        ("--rounds=1", "--repeats=2"),
        "138 million parameters, 553 MB, written by `tf.train.Saver` in both formats. *First* is the first "
        "restore in a process, *again* a repeated one; the ratios are Saver's time to ours. Memory is the most "
        "MiB that the first restore needed beyond what the process had (the variables are 528 MiB): private "
        "memory, and with the pages of the mapped file.",
        "TensorFlow copies what is fed to a ref variable, which slim's layers make by default; a resource "
        "variable takes the memory as it is. Checksums are verified unless the row says otherwise. Most of a "
        "first restore is the system handing out fresh memory. Repeated with checksums, V2 into resource variables "
        "takes little more than reading 553 MB once: a fifth of Saver's time it is not.",
        has_figures=False,
    ),
    Benchmark(
        "restore_sizes",
        "How a restore grows",
        "restore_sizes.py",
        ("--rounds=1",),
        ("--rounds=1", "--megabytes", "1", "10"),
        "The first restore in a process, V2, resource variables, checksums verified, against "
        "`tf.train.Saver`.\n\n"
        "![time of a restore](images/restore_sizes.svg)",
    ),
    Benchmark(
        "inspect_checkpoint",
        "Listing VGG-16",
        "inspect_checkpoint.py",
        ("--rounds=5",),
        ("--rounds=1",),
        "Whole processes, start-up included.",
        has_figures=False,
    ),
    Benchmark(
        "startup",
        "Start-up",
        "startup.py",
        ("--rounds=5",),
        ("--rounds=1",),
        "Whole processes.",
        has_figures=False,
    ),
    Benchmark(
        "image_folder",
        "Images from files",
        "image_folder.py",
        ("--images=1000", "--many=20000"),
        ("--images=64", "--many=200"),
        "JPEG files of 500x375, to 224x224. slimft decodes whole squares of pixels and takes their mean, as "
        "`bin/predict` does; tf.data's pipeline looks at four pixels, however large the image.",
        "Each image from the cache is compared with its CRC-32C.\n\n"
        "Without the cache slimft stays slower. By single threads such a file takes it 1.22 ms of a processor (an "
        "AMD EPYC): Pillow's decoder 0.67 ms (libjpeg-turbo by simplejpeg 0.57 ms), resizing some 0.4 ms, the rest "
        "Python; tf.data's whole pipeline takes 0.9 ms, its decoder 0.58 ms. A decoder that scales by eighths "
        "(simplejpeg, to 313x235) takes 0.69 ms, more than for all pixels.",
        has_figures=False,
    ),
    Benchmark(
        "input_wait",
        "What a step waits for",
        "input_wait.py",
        ("--steps=10",),
        ("--steps=2", "--images=64"),
        "Training on JPEG files of 500x375: how long a step waits for its images.",
        has_figures=False,
    ),
)

_HEAD = """# Benchmarks

Each claim has a script in `bench/` that runs slimft and its peer in turn, in fresh processes, and prints medians,
the least and the most in brackets, and ratios. This page is written by `bench/run_all`. Files are in the page
cache. Figures in images/s are of one machine; what carries over are the ratios.

*Times: from a minute to half an hour for each command below.*

Machine: {machine}.
"""

_TAIL = """## On a GPU

    python bench/gpu.py

trains VGG-16, ResNet-V1-50 and MobileNet V1 on a GPU, by slimft and by Keras `fit` in one run, in float32, bfloat16
and float16, with XLA and without. There was no GPU at hand when this page was made: how fast slimft is on one is
unmeasured.

## Converting VGG-16

553 MB, the largest variable 411 MB (392 MiB): from V1 or V2 to V2, `.npz` or `.safetensors` in 0.5 to 2.2 s with at
most 434 MiB resident, 42 MiB above the largest variable; with `--dtype=bfloat16` 640 MiB, because the variable and
its converted copy are there at once. (One run each, by the command line under `/usr/bin/time`, of an earlier date.)

## Building ResNet-V1-50

`bench/resnet_build.py`; the figures are in [results.md](results.md).
"""


def write(folder: pathlib.Path, page: pathlib.Path) -> None:
    """Writes the page and its plots, of the results that are in `folder`.

    Raises:
        SystemExit: there are none.
    """
    results = {}
    for benchmark in BENCHMARKS:
        file = folder / f"{benchmark.name}.json"
        if file.exists():
            results[benchmark.name] = json.loads(file.read_text())
    if not results:
        raise SystemExit(f"run_all: {folder} holds no results")
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    if "growth" in results:
        plot_growth(results["growth"]["figures"], images / "growth.svg")
    if "restore_sizes" in results:
        plot_restore(results["restore_sizes"]["figures"], images / "restore_sizes.svg")
    part = page.with_suffix(".part")
    part.write_text(text_of(results))
    part.replace(page)


def text_of(results: dict[str, dict]) -> str:
    """The page of results by the names of their benchmarks."""
    machines = {rounds.describe(result["machine"]): None for result in results.values()}
    parts = [_HEAD.format(machine="; ".join(machines))]
    for benchmark in BENCHMARKS:
        result = results.get(benchmark.name)
        if result is None:
            continue
        output = result["output"].strip("\n")
        shown = output if output.startswith("|") else "\n".join(f"    {line}" for line in output.splitlines())
        command = f"```bash\n{result['command']}\n```"
        sections = [f"## {benchmark.title}", command, benchmark.text, shown, benchmark.notes]
        parts.append("\n\n".join(filter(None, sections)) + "\n")
    return "\n".join([*parts, _TAIL])


def plot_growth(figures: dict, file: pathlib.Path) -> None:
    """Four plots: the seconds of an epoch against what changes."""
    from growth import TITLES

    figure, axes = _canvas(len(figures))
    for axis, (what, found) in zip(axes, figures.items()):
        for side, label in (("slimft", "slimft"), ("keras", "Keras")):
            axis.plot(*zip(*((one["value"], one["seconds"][side][0]) for one in found)), "o-", label=label)
        _label(axis, TITLES[what], "seconds an epoch", [one["value"] for one in found])
    _save(figure, file)


def plot_restore(figures: dict, file: pathlib.Path) -> None:
    """The seconds of a restore against the size."""
    figure, axes = _canvas(1)
    for way in ("slimft", "Saver"):
        points = [(one["megabytes"], one["seconds"][way][0]) for one in figures["rows"]]
        axes[0].plot(*zip(*points), "o-", label="tf.train.Saver" if way == "Saver" else way)
    _label(axes[0], "MB", "seconds", [megabytes for megabytes, _ in points])
    _save(figure, file)


def _canvas(count: int):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * max(count, 1.5), 2.8), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _label(axis, x: str, y: str, values: list[float]) -> None:
    """Names the axes, both logarithmic, with ticks at the `values` of x and plain numbers."""
    axis.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    axis.minorticks_off()
    axis.set_xticks(values, [f"{value:,}" for value in values])
    low, high = axis.get_ylim()
    ticks = [step * 10.0**power for power in range(-4, 5) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ylim(low, high)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)


def _save(figure, file: pathlib.Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "slimft"}):  # The same figures make the same file.
        figure.savefig(file, metadata={"Date": None})
