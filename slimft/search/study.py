"""What Optuna decides: the parameters of the next trial, and whether one is worth going on with.

Its study is in memory, told anew of the trials of the record for each one: so the n-th trial's parameters depend on
the seed, n and the trials before alone, whether or not the search was interrupted.
"""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from slimft.errors import UsageError
from slimft.search.record import COMPLETE, GRID, PRUNED, WAITING, Record, Trial
from slimft.search.space import Axis, Parameters

# Trials that come to their end before one is pruned, and validations of each that it is left in any case.
_UNPRUNED_TRIALS = 4
_UNPRUNED_VALIDATIONS = 1


def check_optuna(flag: str) -> types.ModuleType:
    """Imports Optuna.

    Raises:
        UsageError: it is missing; the message says that `flag` needs it.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError(f"{flag} needs Optuna: pip install 'slimft[search]' (or pip install optuna)") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def suggest(record: Record) -> Parameters:
    """The parameters of the trial after those of the record."""
    optuna = check_optuna("--search")
    (seed,) = np.random.SeedSequence([record.seed, len(record.trials)]).generate_state(1)
    sampler_of = optuna.samplers.TPESampler if record.kind == "tpe" else optuna.samplers.RandomSampler
    study = _study(record, sampler=sampler_of(seed=int(seed)))
    found = study.ask(_distributions(record)).params
    return {axis.name: found[axis.name] for axis in record.axes}


def is_to_prune(record: Record, trial: Trial) -> bool:
    """Whether a trial is worse, at its last validation, than the median of the other ones there."""
    optuna = check_optuna("--prune")
    pruner = optuna.pruners.MedianPruner(_UNPRUNED_TRIALS, _UNPRUNED_VALIDATIONS + 1)
    study = _study(record, pruner=pruner, but=trial)
    running = study.ask()
    for number, value in enumerate(trial.values, 1):
        running.report(float("nan") if value is None else value, number)
    return running.should_prune()


def _study(record: Record, but: Trial | None = None, **options: Any) -> Any:
    """A study that knows the trials that are over."""
    optuna = check_optuna("--search")
    study = optuna.create_study(direction="maximize" if record.larger_is_better else "minimize", **options)
    distributions = {} if record.kind == GRID else _distributions(record)
    for trial in record.trials:
        if trial.state == WAITING or trial is but:
            continue
        states = optuna.trial.TrialState
        # One that failed counts as pruned before its first validation, to which the sampler does not go back.
        complete = trial.state == COMPLETE and trial.value is not None
        values = {number: value for number, value in enumerate(trial.values, 1) if value is not None}
        study.add_trial(
            optuna.trial.create_trial(
                state=states.COMPLETE if complete else states.PRUNED,
                value=trial.value if complete else None,
                params={name: trial.parameters[name] for name in distributions},
                distributions=distributions,
                intermediate_values=values if complete or trial.state == PRUNED else {},
            )
        )
    return study


def _distributions(record: Record) -> dict[str, Any]:
    return {axis.name: _distribution(axis) for axis in record.axes}


def _distribution(axis: Axis) -> Any:
    distributions = check_optuna("--search").distributions
    if axis.choices:
        return distributions.CategoricalDistribution(axis.choices)
    if axis.is_whole:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
