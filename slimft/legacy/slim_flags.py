"""Flags of research/slim's scripts that mean nothing to slimft, or that it has under another name.

The commands take them as flags, the functions of `slimft.api` as keywords.
"""

from __future__ import annotations

from typing import NamedTuple

_THREADS = "leave it out: as many threads read as there are processors"
_ONE_MACHINE = "leave it out: one process trains, on one device"
_EXPORT = "there is no export of a graph; bin/convert_checkpoint writes a checkpoint in other formats"
_FIXED = "leave it out: it is what TensorFlow has by default, and cannot be chosen"
_OPTIMIZERS = "leave it out: choose --optimizer=momentum, sgd, adam or rmsprop"
_RGB = "leave it out: networks take colour, and grey images are read as such"
_CONVERTER = "leave it out: slimft reads images as they are (--dataset=image_folder) and makes no records"


class SlimFlag(NamedTuple):
    """A flag of slim.

    Attributes:
        instead: what to say to who gives it.
        accepted: values, in small letters, that ask for what slimft does anyway.
        boolean: whether it is a switch.
    """

    instead: str
    accepted: tuple[str, ...] = ()
    boolean: bool = False

    def accepts(self, value: object) -> bool:
        """Whether `value`, a flag's text or what Python has for it, asks for what slimft does anyway."""
        return str(value).lower() in self.accepted


_NO = ("false", "0", "no", "f", "n")
# Of train_image_classifier.py, eval_image_classifier.py, export_inference_graph.py, download_and_convert_data.py.
# What slimft has as well under the same or another name, the commands define as their own flags and aliases.
SLIM_FLAGS = {
    # Where it runs.
    "master": SlimFlag(_ONE_MACHINE, ("", "local")),
    "num_clones": SlimFlag(f"{_ONE_MACHINE}; --accumulate=N makes one step of N batches", ("1",)),
    "clone_on_cpu": SlimFlag("leave it out: CUDA_VISIBLE_DEVICES= hides the GPU", _NO, boolean=True),
    "worker_replicas": SlimFlag(_ONE_MACHINE, ("1",)),
    "num_ps_tasks": SlimFlag(_ONE_MACHINE, ("0",)),
    "task": SlimFlag(_ONE_MACHINE, ("0",)),
    "sync_replicas": SlimFlag(_ONE_MACHINE, _NO, boolean=True),
    "replicas_to_aggregate": SlimFlag("use --accumulate, the batches whose gradients make one step", ("1",)),
    "num_readers": SlimFlag(_THREADS),
    "num_preprocessing_threads": SlimFlag(_THREADS),
    # What is told.
    "log_every_n_steps": SlimFlag("leave it out: a bar shows each step, report.html and TensorBoard the curves"),
    "save_summaries_secs": SlimFlag("leave it out: events are written with each validation (--eval_every)"),
    "eval_dir": SlimFlag("leave it out: the result is printed; --predictions=FILE.csv writes each example's"),
    "max_num_batches": SlimFlag("leave it out: every example is evaluated once; --split chooses which"),
    # Optimizers and learning rate.
    "opt_epsilon": SlimFlag(f"{_FIXED} (1e-8 of adam, 1e-10 of rmsprop; slim has 1.0)"),
    "adam_beta1": SlimFlag(f"{_FIXED} (0.9)", ("0.9",)),
    "adam_beta2": SlimFlag(f"{_FIXED} (0.999)", ("0.999",)),
    "rmsprop_decay": SlimFlag(f"{_FIXED} (0.9)", ("0.9",)),
    "adadelta_rho": SlimFlag(_OPTIMIZERS),
    "adagrad_initial_accumulator_value": SlimFlag(_OPTIMIZERS),
    "ftrl_learning_rate_power": SlimFlag(_OPTIMIZERS),
    "ftrl_initial_accumulator_value": SlimFlag(_OPTIMIZERS),
    "ftrl_l1": SlimFlag(_OPTIMIZERS),
    "ftrl_l2": SlimFlag(_OPTIMIZERS),
    "end_learning_rate": SlimFlag("leave it out: it is of slim's polynomial decay; use --schedule=cosine, to 0"),
    # Data and network.
    "dataset_split_name": SlimFlag(
        "leave it out: the split called train is trained on; what validates and tests, docs/datasets.md says",
        ("train",),
    ),
    "preprocessing_name": SlimFlag("leave it out: each network has its own; --augment chooses what training does"),
    "use_grayscale": SlimFlag(_RGB, _NO, boolean=True),
    "ignore_missing_vars": SlimFlag(
        "say with --exclude which scopes the checkpoint lacks; --dry_run shows them", _NO, boolean=True
    ),
    "moving_average_decay": SlimFlag("use --averages: the averages are taken from the checkpoint"),
    "quantize": SlimFlag("leave it out: there is no quantized training", _NO, boolean=True),
    "quantize_delay": SlimFlag("leave it out: there is no quantized training", ("-1",)),
    # Of the scripts that export and convert.
    "output_file": SlimFlag(_EXPORT),
    "is_training": SlimFlag(_EXPORT, _NO, boolean=True),
    "write_text_graphdef": SlimFlag(_EXPORT, _NO, boolean=True),
    "is_video_model": SlimFlag(_EXPORT, _NO, boolean=True),
    "num_frames": SlimFlag(_EXPORT),
    # But for bin/finetune, which has it.
    "final_endpoint": SlimFlag("it is for bin/finetune; of a run's checkpoint the run tells it (--train_dir)"),
    "small_object_area_threshold": SlimFlag(_CONVERTER),
    "foreground_class_of_interest": SlimFlag(_CONVERTER),
}
