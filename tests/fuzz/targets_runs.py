"""Targets: the files of a run's directory, and files of flags."""

from __future__ import annotations

import base64
import dataclasses
import json
import os

from fuzz import bounds
from fuzz.mutate import TEXTS, changed, changed_json, changed_text, encoded
from fuzz.target import Target
from fuzz.targets_data import picture


def run_files() -> dict[str, bytes]:
    """The directory of a run."""
    from slimft.runs.settings import Settings

    settings = dataclasses.asdict(Settings(model="vgg_16", train_dir="runs/a", exclude=("vgg_16/fc8",), patience=3))
    record = {"loss": 1.5, "accuracy": 0.5, "learning_rate": 0.01, "seconds": 3.5, "images_per_second": 10.0}
    rows = [{"step": step, **record} for step in (5, 10, 15)]
    sums = {"step": 15, "steps": 0, "seconds": 0.5, "loss": 0.0, "accuracy": 0.0}
    history = {
        "train": rows,
        "validation": [{**row, "macro_f1": 0.4, "balanced_accuracy": 0.5} for row in rows],
        "sums": [sums],
        "best_step": 10,
        "metric": "accuracy",
        "best_from": 0,
        "kept": None,
        "saved": 15,
    }
    url = "data:image/jpeg;base64," + base64.b64encode(picture("JPEG")).decode()
    bins = [{"low": 0.0, "high": 0.5, "examples": 2, "confidence": 0.3, "accuracy": 0.5}]
    result = {
        "result": {"model": "vgg_16", "split": "test", "accuracy": 0.5, "loss": 1.0, "step": 10, "examples": 4},
        "class_names": ["cat", "dog"], "class_counts": {"train": [3, 4], "test": [2, 2]}, "restore": "all of it",
        "confusion_matrix": [[1, 1], [1, 1]], "confused_pairs": [[0, 1, 1]], "seconds": 3.0, "device": "cpu",
        "per_class": [{"class": "cat", "examples": 2, "precision": 0.5, "recall": None, "f1": 0.5}],
        "calibration": {"ece": 0.1, "bins": bins}, "versions": {"numpy": "2"},
        "mistakes": [{"name": "a.jpg", "label": 0, "predicted": 1, "confidence": 0.9, "image": url}],
    }  # fmt: skip
    train = {"keys": ["a", "b"], "digests": ["0" * 16, "f" * 16]}
    data = {"version": 1, "splits": {"train": train}, "trained_before": []}
    whole = {
        "settings.json": settings,
        "history.json": history,
        "result.json": result,
        "data.json": data,
        "best/metrics.json": {"step": 10, "accuracy": 0.5, "loss": 1.0},
    }
    return {name: json.dumps(value).encode() for name, value in whole.items()}


def segmentation_files() -> dict[str, bytes]:
    """The directory of a run of a segmentation."""
    files = {name: json.loads(data) for name, data in run_files().items()}
    files["settings.json"] |= {"model": "fcn_8s", "dataset": "voc", "exclude": None}
    figures = {
        "mean_iou": 0.3,
        "pixel_accuracy": 0.8,
        "mean_accuracy": 0.4,
        "frequency_weighted_iou": 0.7,
        "loss": 0.5,
    }
    files["history.json"]["metric"] = "mean_iou"
    files["history.json"]["validation"] = [{"step": step, "pixels": 90, **figures} for step in (5, 10, 15)]
    jpeg, png = (
        f"data:image/{kind.lower()};base64,{base64.b64encode(picture(kind)).decode()}" for kind in ("JPEG", "PNG")
    )
    shown = {"name": "a.jpg", "mean_iou": 0.2, "pixel_accuracy": 0.7, "image": jpeg, "truth": png, "predicted": png}
    files["result.json"] |= {
        "task": "segmentation",
        "result": {"model": "fcn_8s", "split": "test", "step": 10, "examples": 4, "pixels": 90, **figures},
        "per_class": [{"class": "cat", "pixels": 40, "iou": 0.5, "accuracy": None, "precision": 0.5}],
        "confused_pairs": [], "calibration": None, "mistakes": [],
        "pictures": [{**shown, "kind": "worst"}, {**shown, "kind": "best"}],
    }  # fmt: skip
    files["best/metrics.json"] = {"step": 10, **figures}
    return {name: json.dumps(value).encode() for name, value in files.items()}


class RunFile(Target):
    """One of the files, by its own readers."""

    name, kind, bound, references = "run", "files of a run (JSON)", bounds.TEXT, ("json_files",)

    def seeds(self):
        return [run_files(), segmentation_files()]

    def mutated(self, rng, seeds):
        files = dict(rng.choice(seeds))
        name = rng.choice(sorted(files))
        if rng.random() < 0.1:
            files[name] = changed(rng, files[name])
        else:
            files[name] = encoded(rng, changed_json(rng, json.loads(files[name])))
        return files

    def read(self, folder):
        from slimft.runs.checked_json import read_json
        from slimft.runs.data_record import read_data_record
        from slimft.runs.history import History
        from slimft.runs.read import read_run
        from slimft.runs.settings_file import as_flags, load_settings

        found = {name: repr(read_json(folder / name).raw) for name in run_files()}
        settings = load_settings(folder)
        as_flags(settings)
        history = History(str(folder), settings.best_figure())
        history.load(10)
        history.best()
        history.validations_since_best()
        read_data_record(folder)
        run = read_run(folder)
        run.notes()
        run.flags(run.given())
        return found, 0


class Report(RunFile):
    """The same, by the page that shows them."""

    name, kind, share = "report", "report of a run", 0.2
    references = ()

    def read(self, folder):
        from slimft.report import write_report

        page = write_report(folder).read_text(encoding="utf-8")
        assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>"), page[:50]
        return {"page": True}, len(page)


class Flags(Target):
    name, kind, bound, warm = "flags", "file of flags", bounds.TEXT, False

    def seeds(self):
        import slimft.cli.finetune  # noqa: F401  (so that it counts for no case)

        return [{"flags.txt": b"--model=vgg_16\n--exclude=vgg_16/fc8,vgg_16/fc7\n--noflip\n--steps=9\n# a note\n"}]

    def mutated(self, rng, seeds):
        tokens = [
            *"-=\n,\"' #\0", "--", "--flagfile=flags.txt\n", "--flagfile\n", "--flagfile=/dev/zero\n", "nan",
            "--steps=", "--model=", "--no", "--undefok=x\n", "-" * 99, "9" * 5000, "--exclude=", "\r\n", "1e999",
            "--flagfile=../flags.txt\n", *TEXTS,
        ]  # fmt: skip
        return {"flags.txt": encoded(rng, changed_text(rng, seeds[0]["flags.txt"].decode(), tokens))}

    def read(self, folder):
        from absl import flags

        from slimft.cli import common, finetune
        from slimft.cli.flag_files import check_flag_files
        from slimft.errors import UsageError

        os.chdir(folder)
        arguments = ["--flagfile=flags.txt"]
        check_flag_files(arguments)
        values = flags.FlagValues()
        finetune.define_flags(values)
        try:
            common.parse(values, ["finetune", *arguments])
        except flags.Error as error:
            raise UsageError(common._in_short(error)) from None
        return {name: repr(values[name].value) for name in values}, 0


TARGETS = [RunFile(), Report(), Flags()]
