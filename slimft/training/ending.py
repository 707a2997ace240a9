"""The end of a run: what it ends with is evaluated, and told in its directory."""

from __future__ import annotations

import dataclasses

from slimft.checkpoint import open_checkpoint
from slimft.compat import tf
from slimft.data.fingerprint import contents
from slimft.messages import say
from slimft.restore import plan_restore
from slimft.runs.outcomes import Outcomes, joined, packed
from slimft.tasks.base import in_words
from slimft.training.explained import heat_of_mistakes
from slimft.training.failures import interrupted
from slimft.training.hparams import write_hparams
from slimft.training.label_doubts import LabelDoubts
from slimft.training.measuring import evaluate, write_events
from slimft.training.run import Run
from slimft.training.state import State


def end_of_trial(state: State) -> dict:
    """What the run has come to, and which validation is that of what it ends with."""
    history, best, step = state.history, state.history.best(), state.step
    if state.run.settings.patience and best:
        step = best["step"]
    return {"validations": history.validation, "step": step, "seconds": history.seconds}


def finish(state: State, images_per_second: float | None) -> dict:
    """Evaluates what the run ends with; returns the result."""
    run, settings, history, step = state.run, state.run.settings, state.history, state.step
    task, best = settings.task, history.best()
    checkpoint = run.directory.checkpoints.latest()
    if settings.patience and best and best["step"] != step:
        checkpoint, step = run.directory.checkpoints.best(), best["step"]
        _restore_for_evaluation(state.session, run, checkpoint)
        say(f"the best validation was that of step {step}, which is what is evaluated")
    checkpoint = run.group.broadcast(checkpoint)
    dataset = run.splits[run.final_split]
    if run.final_split != "test":
        say("there is no test split; what is evaluated is the validation split, which chose the best checkpoint")
    if step < run.stage.first_step:  # What is frozen in this stage may have trained since then.
        state.features.forget()
    doubts, batches = LabelDoubts(dataset, task.name, run.group.number), []

    def keep(batch: dict) -> None:
        doubts.add(batch)
        batches.append({**task.outcomes(batch), "examples": batch["examples"]})

    scores = evaluate(state, run.final_split, keep)
    if scores is None:
        run.group.leave()
        raise interrupted(state)
    figures = scores.summary()
    say(f"step {step}: {run.final_split}, {figures['examples']} examples: {in_words(task, figures)}")
    write_events(state, run.final_split, step, figures)
    if state.events.writer:
        write_hparams(state.events.writer, dataclasses.asdict(settings))
    result = {
        "model": settings.model,
        "dataset": settings.dataset,
        "split": run.final_split,
        **figures,
        "examples_in_split": dataset.drawn_from or dataset.num_examples,
        **doubts.count(),
        "step": step,
        "last_step": state.step,
        "train_dir": settings.train_dir,
        "checkpoint": checkpoint,
        f"best_validation_{history.metric}": best and best[history.metric.name],
        "images_per_second": images_per_second,
    }
    doubts.write(run.directory)
    of_all = run.group.gather(packed(batches, task.name))
    if run.group.is_chief:
        arrays = joined(of_all, task.name, dataset.num_classes)
        run.directory.write_outcomes(None if arrays is None else Outcomes(contents(dataset), step, arrays))
    run.directory.write_result(
        result,
        label_errors=doubts.shown(),
        restore=_restored_at_first(run),
        class_names=dataset.class_names,
        class_counts={split: data.counts for split, data in run.splits.items()},
        scores=scores,
        dataset=dataset,
        heat=heat_of_mistakes(settings, checkpoint, scores, dataset) if run.group.is_chief else None,
        seconds=history.seconds,
        images_per_second=images_per_second,
    )
    return result


def _restored_at_first(run: Run) -> str:
    kept = run.directory.restored()
    return kept if kept is not None else run.plan.summary() if run.plan else ""


def _restore_for_evaluation(session: tf.Session, run: Run, checkpoint: str) -> None:
    """Restores the weights and their averages; not the optimizer's variables, which an earlier stage may lack."""
    if run.group.is_chief:
        averages = run.training.averages
        own = run.training.optimizer_variables
        lacking = (
            {name for name in averages.start if name not in open_checkpoint(checkpoint)} if averages else set()
        )
        variables = [v for v in tf.global_variables() if v.op.name not in own and v.op.name not in lacking]
        plan_restore(checkpoint, variables).apply(session)
        session.run([averages.start[name] for name in lacking])
    run.training.spread(session)
