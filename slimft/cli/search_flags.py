"""The flags of bin/finetune that make several runs of one command, and what they call."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from slimft.cli import common
from slimft.errors import UsageError
from slimft.messages import printable
from slimft.runs.settings import Settings

# What is about one run, or starts several processes.
_OF_ONE_RUN = ("launch", "find_lr", "show_augmented", "resume_from")
_OF_SEARCH = ("search", "trials", "search_seed", "prune")


def define_search_flags(values: flags.FlagValues) -> None:
    """Defines them."""
    define = {"flag_values": values}
    flags.DEFINE_multi_string(
        "sweep",
        [],
        "FLAG:VALUE,VALUE,..., repeated: train a run with every combination of these, each in a directory of its "
        "own below --train_dir, and test the best in validation. With --search also FLAG:LOW..HIGH and "
        "FLAG:LOW..HIGH:log.",
        **define,
    )
    flags.DEFINE_enum(
        "search",
        None,
        ["random", "tpe"],
        "With --sweep: draw --trials combinations at random, or as Optuna's tree-structured Parzen estimator "
        "chooses them from those before, instead of all.",
        **define,
    )
    flags.DEFINE_integer("trials", 20, "With --search: how many trials, in all.", lower_bound=1, **define)
    flags.DEFINE_integer(
        "search_seed", 0, "With --search: decides the combinations.", lower_bound=0, upper_bound=2**31 - 1, **define
    )
    flags.DEFINE_boolean(
        "prune",
        False,
        "With --sweep: end a trial that in validation is below the median of the trials before it.",
        **define,
    )


def is_search(values: flags.FlagValues) -> bool:
    """Whether the command makes several runs.

    Raises:
        UsageError: a flag is given that needs --sweep.
    """
    if values.sweep:
        return True
    for name in _OF_SEARCH:
        if values[name].present and values[name].value not in (None, False):
            raise UsageError(f"--{name} is for a search; give --sweep=FLAG:VALUES too")
    return False


def run_search(
    values: flags.FlagValues, given: Mapping[str, Any], settings: Callable[[Mapping[str, Any]], Settings]
) -> None:
    """Makes the runs, and prints the command of the best and the result.

    Args:
        values: the flags.
        given: the settings among them that were given.
        settings: makes the settings of a run from these and some others.

    Raises:
        SlimftError: as `slimft.search.conduct.search`.
    """
    from slimft.search import record, space

    for name in _OF_ONE_RUN:
        if values[name].value not in (None, False):
            raise UsageError(f"--{name} is for one run; leave --sweep out")
    if str(given.get("fold")) == "all":
        raise UsageError("--fold=all with --sweep is not there yet; sweep with one --fold, then do all folds")
    if values.train_dir is None:
        raise UsageError("--sweep needs --train_dir=DIR, below which each trial has its directory")
    axes = space.read_sweep(values.sweep, ranges=values.search is not None)
    for axis in axes:
        if axis.name in given:
            raise UsageError(f"--{axis.name} is given, and --sweep={axis} too; leave one out")
    for name in ("trials", "search_seed"):
        if values.search is None and values[name].present:
            raise UsageError(f"--{name} is for --search=random and --search=tpe; give one of these too")
    from slimft.search import conduct

    plan = conduct.Plan(
        folder=pathlib.Path(values.train_dir).expanduser(),
        axes=axes,
        kind=values.search or record.GRID,
        trials=values.trials if values.search else None,
        seed=values.search_seed,
        prune=values.prune,
        settings=settings,
    )
    if values.dry_run:
        conduct.check(plan)
        trials = space.grid(axes) if plan.kind == record.GRID else []
        lines = [" ".join(space.shown(parameters)) for parameters in trials]
        lines += [f"{len(trials) or plan.trials} trials" + ("" if trials else f" of {', '.join(map(str, axes))}")]
        print("\n".join(map(printable, lines)), flush=True)
        return
    with common.quiet_standard_error():
        import slimft.training.loop  # noqa: F401
    result = conduct.search(plan)
    print(printable(result["command"]), flush=True)
    common.print_result(result)
