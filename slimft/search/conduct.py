"""A search, trial by trial: each is a run of its own, in a directory of its own, and the best one is tested."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slimft.errors import CheckpointError, DataError, SlimftError, TrainingError, UsageError
from slimft.messages import say
from slimft.report.run_page import REPORT_FILE
from slimft.runs.checked_json import read_json
from slimft.runs.directory import locked
from slimft.runs.read import read_run
from slimft.runs.result import RESULT_FILE
from slimft.runs.settings import Settings
from slimft.runs.settings_file import SETTINGS_FILE, as_flags, flags_of
from slimft.search.record import (
    COMPLETE,
    FAILED,
    GRID,
    PRUNED,
    SEARCH_FILE,
    WAITING,
    Record,
    Trial,
    common_settings,
    read_record,
)
from slimft.search.space import Axis, corners, grid, settings_of, shown
from slimft.search.study import check_optuna, is_to_prune, suggest
from slimft.training.cluster.members import VARIABLE
from slimft.training.completion import complete

if TYPE_CHECKING:
    from slimft.training.run import Run

# Below it a run that fails is taken to have failed for want of space, as the next ones would.
_LEAST_FREE_BYTES = 32 << 20


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a search was told.

    Attributes:
        folder: its directory.
        axes: what varies.
        kind: ``grid``, ``random`` or ``tpe``.
        trials: how many trials there are to be in all; None in a grid.
        seed: of the sampler.
        prune: whether trials end that are worse than the median of those before them.
        settings: makes the settings of a run from some that are chosen, beside what was given.
    """

    folder: pathlib.Path
    axes: tuple[Axis, ...]
    kind: str
    trials: int | None
    seed: int
    prune: bool
    settings: Callable[[Mapping[str, Any]], Settings]

    def of(self, trial: Trial, precision: str) -> Settings:
        """The settings of a trial.

        Args:
            trial: the trial.
            precision: what ``--precision=auto`` came to in the first one; empty while that is not known.
        """
        settings = self.settings({**settings_of(trial.parameters), "train_dir": str(self.folder / trial.name)})
        is_known = settings.precision == "auto" and precision
        return dataclasses.replace(settings, precision=precision) if is_known else settings

    def command(self, trial: Trial, precision: str) -> str:
        """The command that makes a trial's run anew, elsewhere; arguments as of `of`."""
        settings = self.of(trial, precision)
        completed = complete(settings)
        # What a reader looks for is there also where it is the default.
        names = ["model", "dataset", *(["data_dir"] if completed.data_dir else []), *settings_of(trial.parameters)]
        shown = [flag for name in names for flag in flags_of(name, getattr(completed, name))]
        return shlex.join(["bin/finetune", *shown, *as_flags(settings, leave=("train_dir", *names))])


class Pruned(SlimftError):
    """A trial is not worth going on with."""


def check(plan: Plan) -> Record:
    """Checks all that can be before anything is trained; returns the record of the search as it would begin.

    Raises:
        UsageError: some trial's settings cannot work, or trials could not be compared.
    """
    if plan.kind != GRID:
        check_optuna(f"--search={plan.kind}")
    if plan.prune:
        check_optuna("--prune")
    tried = grid(plan.axes) if plan.kind == GRID else corners(plan.axes)
    completed = [
        complete(plan.settings({**settings_of(parameters), "train_dir": str(plan.folder)})) for parameters in tried
    ]
    metrics = sorted({settings.best_metric() for settings in completed})
    if len(metrics) > 1:
        raise UsageError(f"--sweep: trials would go by {' and by '.join(metrics)}; give --metric, one for all")
    common = common_settings(dataclasses.asdict(plan.settings({})))
    varied = {axis.name for axis in plan.axes}
    common = {name: value for name, value in common.items() if name not in varied}
    figure = completed[0].best_figure()
    return Record(plan.kind, plan.seed, plan.axes, figure.name, figure.larger_is_better, common)


def search(plan: Plan) -> dict[str, Any]:
    """Runs the trials that are not done, and tests the best of all.

    Returns:
        ``search`` (its kind), ``trials, complete, pruned, failed``, how many; ``metric``, ``best_trial``,
        ``parameters`` and ``validation`` (the metric) of the best; ``result``, what ``bin/finetune`` prints of it;
        ``command``, which makes it anew; ``train_dir`` and ``report``.

    Raises:
        UsageError: bad settings, or the directory holds another search, or a run.
        SlimftError: what would end every trial, such as data that cannot be read.
        TrainingError: no trial came to its end.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the same command goes on.
    """
    fresh = check(plan)
    if os.environ.get(VARIABLE):
        raise UsageError(f"{VARIABLE} is set: a search runs in one process; leave it out")
    if os.path.lexists(plan.folder / SETTINGS_FILE):
        raise UsageError(f"--train_dir={plan.folder} holds a run; a search needs a directory of its own")
    plan.folder.mkdir(parents=True, exist_ok=True)
    with locked(str(plan.folder)):
        record = _opened(plan, fresh)
        _train_all(plan, record)
        return _finish(plan, record)


def _opened(plan: Plan, fresh: Record) -> Record:
    """The record of the search in the directory, or a fresh one where there is none."""
    found = read_record(plan.folder)
    if found is None or not any((plan.folder / trial.name).is_dir() for trial in found.trials):
        return fresh  # A search that began nothing, as with a flag that was wrong, binds nobody.
    _check_same(plan, found, fresh)
    for trial in found.trials:
        if trial.state != WAITING and not (plan.folder / trial.name).is_dir():
            say(f"{trial.name} is gone; it is run again")
            trial.state, trial.values, trial.message = WAITING, [], ""
    found.axes = fresh.axes
    return found


def _check_same(plan: Plan, found: Record, fresh: Record) -> None:
    """Raises UsageError if what is in the directory is another search."""
    where = f"--train_dir={plan.folder} holds a search"
    elsewhere = "repeat its command, or name another directory"
    if found.kind != fresh.kind:
        raise UsageError(f"{where} of the kind {found.kind}, not {fresh.kind}; {elsewhere}")
    if found.kind != GRID and found.seed != fresh.seed:
        raise UsageError(f"{where} with --search_seed={found.seed}, not {fresh.seed}; {elsewhere}")
    same = {axis.name for axis in found.axes} == {axis.name for axis in fresh.axes}
    if not same or (found.kind != GRID and set(found.axes) != set(fresh.axes)):
        raise UsageError(f"{where} of --sweep={' --sweep='.join(map(str, found.axes))}; {elsewhere}")
    differing = [
        name
        for name in {**found.settings, **fresh.settings}
        if found.settings.get(name) != fresh.settings.get(name)
    ]
    if differing or found.metric != fresh.metric:
        name = differing[0] if differing else "metric"
        before, now = (one.settings.get(name) if differing else one.metric for one in (found, fresh))
        raise UsageError(f"{where} whose trials have --{name}={_told(before)}, not {_told(now)}; {elsewhere}")


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "(left out)" if value is None else str(value)


def _train_all(plan: Plan, record: Record) -> None:
    total = _add_waiting(plan, record)
    done = sum(trial.state != WAITING for trial in record.trials)
    if done:
        say(f"{done} of {total} trials are done, as {plan.folder / SEARCH_FILE} has it")
    while (trial := _next(plan, record)) is not None:
        flags = " ".join(shown(trial.parameters))
        say(f"{trial.name} of {total}: {flags}")
        _train(plan, record, trial, total)
        record.save(plan.folder)
        _say_how_it_went(record, trial)
        _write_page(plan, record)


def _add_waiting(plan: Plan, record: Record) -> int:
    """Adds the trials of a grid to the record; returns how many trials there are to be."""
    if plan.kind != GRID:
        assert plan.trials is not None
        if len(record.trials) > plan.trials:
            say(f"--trials={plan.trials}: there are {len(record.trials)} already, which all count")
        return max(plan.trials, len(record.trials))
    wanted = grid(plan.axes)
    values = [settings_of(parameters) for parameters in wanted]
    there = [settings_of(trial.parameters) for trial in record.trials]
    others = sum(one not in values for one in there)
    if others:
        say(f"{others} trial{'s' * (others > 1)} of an earlier --sweep count too")
    for parameters, one in zip(wanted, values):
        if one not in there:
            record.trials.append(Trial(len(record.trials) + 1, parameters))
    return len(record.trials)


def _next(plan: Plan, record: Record) -> Trial | None:
    """The trial that comes next, which the record has then; None where all are done."""
    waiting = next((trial for trial in record.trials if trial.state == WAITING), None)
    if waiting is None and plan.kind != GRID and len(record.trials) < (plan.trials or 0):
        waiting = Trial(len(record.trials) + 1, suggest(record))
        record.trials.append(waiting)
    if waiting is not None:
        record.save(plan.folder)
    return waiting


def _train(plan: Plan, record: Record, trial: Trial, total: int) -> None:
    """Trains one, or goes on with it, and notes in it how it ended.

    Raises:
        SlimftError: what ends the search too.
    """
    from slimft.training.failures import Interrupted
    from slimft.training.loop import train_and_evaluate
    from slimft.training.run import prepare
    from slimft.training.tracked import follow

    def watch(validations: Sequence[Mapping[str, Any]]) -> None:
        trial.values = [_finite(one.get(record.metric)) for one in validations]
        trial.value, trial.loss = trial.values[-1], _finite(validations[-1].get("loss"))
        trial.step = validations[-1]["step"]
        if plan.prune and is_to_prune(record, trial):
            raise Pruned(f"at step {trial.step} it is below the median of the trials before it")

    try:
        run = prepare(plan.of(trial, record.precision))
        _check_data(plan, record, run)
        if all(axis.name not in ("model", "precision") for axis in plan.axes):
            record.precision = run.settings.precision  # Else batches of each size would be measured.
        outcome = train_and_evaluate(run, None, watch, lambda its: follow(its, Pruned))
    except Pruned as error:
        trial.state, trial.message = PRUNED, str(error).split(";")[0]
    except Interrupted as error:
        raise Interrupted(
            f"{trial.name} of {total}: {str(error).split(';')[0]}; repeat the command to go on",
            error.exit_status - 128,
        ) from None
    except TrainingError as error:
        if shutil.disk_usage(plan.folder).free < _LEAST_FREE_BYTES:
            raise
        trial.state, trial.message, trial.value = FAILED, str(error), None
    except (DataError, CheckpointError):
        raise
    except SlimftError as error:
        if not record.count(COMPLETE):
            raise
        trial.state, trial.message, trial.value = FAILED, str(error), None
    else:
        _take(record, trial, outcome)


def _take(record: Record, trial: Trial, outcome: Mapping[str, Any]) -> None:
    validation = next((one for one in outcome["validations"] if one["step"] == outcome["step"]), {})
    trial.values = [_finite(one.get(record.metric)) for one in outcome["validations"]]
    trial.value, trial.loss = _finite(validation.get(record.metric)), _finite(validation.get("loss"))
    trial.step, trial.seconds = outcome["step"], outcome["seconds"]
    trial.state, trial.message = COMPLETE, ""
    if trial.value is None:
        trial.state, trial.message = FAILED, f"its validation {record.metric} is not finite"


def _finite(value: float | None) -> float | None:
    return None if value is None or not abs(value) < float("inf") else float(value)


def _check_data(plan: Plan, record: Record, run: Run) -> None:
    """Raises DataError if the data is not what the trials before had."""
    if run.data_record is None:
        return
    splits = run.data_record.to_json()["splits"]
    if any(axis.name == "train_examples" for axis in plan.axes):
        splits.pop("train", None)
    digest = hashlib.sha256(json.dumps(splits, sort_keys=True).encode()).hexdigest()
    if record.data and record.data != digest:
        raise DataError(
            f"the data is not that of the trials before ({plan.folder / SEARCH_FILE}), which would not compare; "
            "restore it, or name another --train_dir"
        )
    record.data = digest


def _say_how_it_went(record: Record, trial: Trial) -> None:
    best = record.best
    if trial.state == PRUNED:
        told = f"is ended early: {trial.message}"
    elif trial.state == FAILED:
        told = f"failed: {trial.message}"
    else:
        told = f"comes to a validation {record.metric} of {trial.value:.4f}"
        told += ", the best so far" if best is trial else f"; the best is {best.value:.4f}, of {best.name}"
    say(f"{trial.name} {told}")


def _write_page(plan: Plan, record: Record, result: Mapping[str, Any] | None = None) -> None:
    from slimft.search.page import write_page

    best = record.best
    write_page(plan.folder, record, result, plan.command(best, record.precision) if best else "")


def _finish(plan: Plan, record: Record) -> dict[str, Any]:
    """Tests the best trial; writes the page."""
    best = record.best
    if best is None:
        _write_page(plan, record)
        raise TrainingError(f"no trial came to its end, of {len(record.trials)}; see {plan.folder / REPORT_FILE}")
    result = _tested(plan, best, record.precision)
    _write_page(plan, record, result)
    told = f"{record.metric} {best.value:.4f} in validation"
    say(f"of {len(record.trials)} trials {best.name} is the best, {told}", f"see {plan.folder / REPORT_FILE}")
    return {
        "search": record.kind,
        "trials": len(record.trials),
        **{state: record.count(state) for state in (COMPLETE, PRUNED, FAILED)},
        "metric": record.metric,
        "best_trial": best.name,
        "parameters": best.parameters,
        "validation": best.value,
        "result": result,
        "command": plan.command(best, record.precision),
        "train_dir": str(plan.folder),
        "report": str(plan.folder / REPORT_FILE),
    }


def _tested(plan: Plan, best: Trial, precision: str) -> dict[str, Any]:
    """The result of the best trial, which is evaluated if it was not before."""
    folder = plan.folder / best.name
    found = read_run(folder).result
    if found is None or found.figure("step") != best.step:
        from slimft.report import write_report
        from slimft.training.loop import train_and_evaluate
        from slimft.training.run import prepare
        from slimft.training.tracked import follow

        say(f"{best.name} is the best; it is evaluated as a run of its own")
        train_and_evaluate(prepare(plan.of(best, precision)), write_report, follow=follow)
    # The same whether it is evaluated now or was before.
    result = read_json(folder / RESULT_FILE).get("result").object()
    return {**{name: value.raw for name, value in result.items()}, "report": str(folder / REPORT_FILE)}
