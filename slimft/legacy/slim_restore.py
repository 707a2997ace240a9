"""slim's functions that restore, to drop in: slimft's engine reads, and what slim passes over is an error.

Names, arguments and results are those of tf_slim/ops/variables.py (tf-slim 1.1.0), but for `ignore_unused` and what
docs/restore.md lists. For MonitoredTrainingSession there are `RestoreHook` and `init_fn`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.compat import slim, tf
from slimft.errors import PatternError, RestoreError, UsageError
from slimft.filters import Patterns, VariableFilter, compile_pattern, split_patterns, suggest_scope
from slimft.leftovers import find_left_over
from slimft.renaming import Rename
from slimft.restore import RestorePlan, plan_restore

_EXCLUDE_WITH = "leave it out of var_list: slimft.get_variables_to_restore(exclude={!r})"


def get_variables_to_restore(include: Patterns = None, exclude: Patterns = None) -> list[tf.Variable]:
    """`slim.get_variables_to_restore`, but with patterns that match whole scopes or are errors.

    Args:
        include: patterns, or `tf.VariableScope`s, of the graph's global variables to return; None for all.
        exclude: those of variables to leave out.

    The graph's global step is only among them if a pattern of `include` selects it: slim's function returns it, and
    restored with a pretrained network's number of steps it ends `slim.learning.train` after one.

    A pattern that is no whole scope or name is read as slim reads it, as a regular expression for how names
    begin: ``vgg_16/fc`` selects fc6, fc7 and fc8. ``vgg_16/fc8`` never selects fc80, as it does with slim.

    Returns:
        The variables, in slim's order: that of the include patterns, then of the graph. None is there twice.

    Raises:
        PatternError: a pattern matches no variable; slim would return every variable. Or the patterns leave
            nothing to restore.
    """
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    wanted = _selected(_patterns(include, "include"), variables, "include")
    if not wanted and include not in ([], ()):
        wanted = [name for name, variable in variables.items() if not _is_global_step(variable)]
    unwanted = set(_selected(_patterns(exclude, "exclude"), variables, "exclude"))
    selected = [variables[name] for name in wanted if name not in unwanted]
    if wanted and not selected:
        raise PatternError(f"exclude={exclude!r} leaves none of {len(wanted)} variables to restore")
    return selected


def _is_global_step(variable: tf.Variable) -> bool:
    steps = variable.graph.get_collection(tf.GraphKeys.GLOBAL_STEP)
    return variable.op.name == "global_step" or any(variable is step for step in steps)


def _patterns(patterns, argument: str) -> tuple[str, ...]:
    if isinstance(patterns, (list, tuple)):
        patterns = [pattern.name if isinstance(pattern, tf.VariableScope) else pattern for pattern in patterns]
    elif patterns is not None and not isinstance(patterns, str):
        raise PatternError(f"{argument}={patterns!r} is not a list of patterns")
    return split_patterns(patterns)


def _selected(patterns: Iterable[str], names: Iterable[str], argument: str) -> list[str]:
    """The names that each pattern selects as slimft reads it, or else as slim does; each name once."""
    selected: dict[str, None] = {}
    for pattern in patterns:
        whole = compile_pattern(pattern)
        matching = [name for name in names if whole.fullmatch(name)]
        if not matching and not pattern.startswith("re:"):
            with contextlib.suppress(re.error):  # It may be no regular expression.
                # slim compares with the names of TensorFlow's variables, which end in ":0".
                matching = [name for name in names if re.match(pattern, f"{name}:0")]
        if not matching:
            suggestion = suggest_scope(pattern, names)
            tops = ", ".join(dict.fromkeys(name.split("/", 1)[0] for name in names)) or "(there are no variables)"
            advice = f"did you mean {suggestion}?" if suggestion else f"the top scopes are: {tops}"
            raise PatternError(f"{argument}: {pattern!r} matches no variable; {advice}")
        selected.update(dict.fromkeys(matching))
    return list(selected)


def assign_from_checkpoint(
    model_path: Checkpoint | str,
    var_list: Mapping[str, tf.Variable] | Sequence[tf.Variable],
    ignore_missing_vars: bool = False,
    ignore_unused: Patterns = None,
) -> tuple[tf.Operation, dict[tf.Tensor, np.ndarray]]:
    """`slim.assign_from_checkpoint`: returns an op and what to feed it so that it restores `var_list`.

    Args:
        model_path: what `slimft.open_checkpoint` takes.
        var_list: variables, or a mapping from names in the checkpoint to a variable or several. The parts of
            a partitioned variable get their parts of the entry that has the whole variable's name.
        ignore_missing_vars: whether to leave what the checkpoint lacks as it is, with a warning.
        ignore_unused: as for `plan_restore`; slim's function does not have it.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
        RestoreError: `var_list` is empty, or the checkpoint has nothing of it; a variable is missing and not
            ignored, or differs in shape or dtype; the network was built outside its arg_scope.
    """
    assignments, feeds = [], {}
    plan = _plan(model_path, var_list, ignore_missing_vars, ignore_unused=ignore_unused)
    for name, entry in plan.restored.items():
        variable = plan.variables[name]
        value = tf.placeholder(variable.dtype.base_dtype, variable.shape, name=f"placeholder/{name}")
        assignments.append(variable.assign(value))
        feeds[value] = plan.checkpoint[entry]
    return tf.group(*assignments), feeds


def assign_from_checkpoint_fn(
    model_path: Checkpoint | str,
    var_list: Mapping[str, tf.Variable] | Sequence[tf.Variable],
    ignore_missing_vars: bool = False,
    reshape_variables: bool = False,
    ignore_unused: Patterns = None,
) -> Callable[[tf.Session], None]:
    """`slim.assign_from_checkpoint_fn`: returns a function of a session that restores `var_list`.

    Args:
        model_path: what `slimft.open_checkpoint` takes.
        var_list: as for `assign_from_checkpoint`.
        ignore_missing_vars: whether to leave what the checkpoint lacks as it is, with a warning.
        reshape_variables: whether an entry of another shape with as many elements will do.
        ignore_unused: as for `plan_restore`; slim's function does not have it.

    Returns:
        The function, which adds no op to the graph. It warns where it sets the step of a graph that trains.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
        RestoreError: as for `assign_from_checkpoint`. Now, not when the function is called.
    """
    return _applying(_plan(model_path, var_list, ignore_missing_vars, reshape_variables, ignore_unused))


def _applying(plan: RestorePlan) -> Callable[..., None]:
    """A function whose last argument is a session, in which it applies the plan."""

    def restore_in(*arguments) -> None:
        session = arguments[-1]
        plan.apply(session)
        _tell_the_step(plan, session)

    return restore_in


def _tell_the_step(plan: RestorePlan, session: tf.Session) -> None:
    """Warns if the plan has set the global step of a graph that trains, to where another run was."""
    steps = [plan.variables[name] for name in plan.restored if _is_global_step(plan.variables[name])]
    if steps and steps[0].graph.get_collection(tf.GraphKeys.TRAIN_OP):
        tf.logging.warning(
            "%s also restored %s: training goes on at step %d, and its learning rate and end count from there; "
            "leave it out of the variables to start at 0",
            plan.checkpoint.path,
            steps[0].op.name,
            session.run(steps[0]),
        )


def _plan(model_path, var_list, ignore_missing_vars=False, reshape=False, ignore_unused=None) -> RestorePlan:
    """A checked plan for slim's kind of `var_list`."""
    if model_path is None:
        raise UsageError("model_path is None: tf.train.latest_checkpoint returns that where there is no checkpoint")
    if not var_list:
        raise RestoreError("var_list cannot be empty; build the network before its variables are collected")
    checkpoint = open_checkpoint(model_path)
    names = {**{name: name for name in checkpoint}, **checkpoint.aliases()}
    variables: dict[str, tf.Variable] = {}
    missing: list[str] = []
    parts: dict[str, _Part] = {}
    by_entry: dict[str, tf.Variable] = {}
    for entry, variable in _entries_and_variables(var_list):
        if ignore_missing_vars and entry not in names:
            tf.logging.warning("Variable %s missing in checkpoint %s", entry, checkpoint.path)
            missing.append(entry)
            continue
        variables[variable.op.name] = variable
        if entry in names:
            parts[variable.op.name] = _Part(checkpoint, names[entry], variable, reshape)
            by_entry[entry] = variable
        elif isinstance(var_list, Mapping):
            suggestion = suggest_scope(entry, names)
            advice = f"did you mean {suggestion}?" if suggestion else "var_list maps the checkpoint's names"
            raise RestoreError(f"{checkpoint.path} has no {entry} for {variable.op.name}; {advice}")
    if not variables:
        raise RestoreError(
            f"{checkpoint.path} has none of the {len(missing)} variables, such as {missing[0]}: nothing would be "
            "restored; choose the model or the checkpoint to match"
        )
    if missing:
        tf.logging.warning("%s restores %d variables, and %d not", checkpoint.path, len(variables), len(missing))
    if not parts:
        # Raises and says what the checkpoint has instead.
        plan_restore(checkpoint, variables).check(exclude_with=_EXCLUDE_WITH)
    plan = dataclasses.replace(
        plan_restore(_CheckpointOfParts(checkpoint, parts), variables),
        excluded=tuple(missing),
        left_over=find_left_over(checkpoint, names, by_entry, by_entry, ignore_unused),
    )
    plan.check(exclude_with=_EXCLUDE_WITH)
    return plan


def _entries_and_variables(var_list) -> list[tuple[str, tf.Variable]]:
    """Each variable with the name of its entry; a partitioned variable as its parts."""
    if isinstance(var_list, Mapping):
        pairs = list(var_list.items())
    else:
        pairs = [(None, value) for value in var_list]
    found = []
    for entry, value in pairs:
        # A tf.PartitionedVariable is no variable itself but iterates over its parts.
        for variable in [value] if hasattr(value, "initializer") else list(value):
            found.append((_full_name(variable) if entry is None else entry, variable))
    return found


def _slice_of(variable: tf.Variable):
    """Where a part of a partitioned variable lies in the whole: full_name, var_offset, var_shape; or None."""
    described = variable.to_proto()
    return described.save_slice_info_def if described.HasField("save_slice_info_def") else None


def _full_name(variable: tf.Variable) -> str:
    part = _slice_of(variable)
    return part.full_name if part else variable.op.name


class _Part:
    """What a variable gets of an entry: all of it, or a slice of it, perhaps in another shape."""

    def __init__(self, checkpoint: Checkpoint, entry: str, variable: tf.Variable, reshape: bool):
        self.entry, self.slices = entry, None
        self.shape = checkpoint.shape(entry)
        part, wanted = _slice_of(variable), tuple(variable.shape.as_list())
        if part and len(part.full_shape) == len(self.shape) and tuple(part.full_shape) == self.shape:
            self.slices = tuple(slice(start, start + size) for start, size in zip(part.var_offset, part.var_shape))
            self.shape = tuple(part.var_shape)
        elif reshape and not part and np.prod(self.shape, dtype=int) == np.prod(wanted, dtype=int):
            self.shape = wanted


class _CheckpointOfParts(Checkpoint):
    """A checkpoint under the names and in the shapes of the variables that it goes into."""

    def __init__(self, source: Checkpoint, parts: Mapping[str, _Part]):
        self.path, self.format = source.path, source.format
        self._source, self._parts = source, parts
        self._variables = {name: (part.shape, source.dtype(part.entry)) for name, part in parts.items()}

    def _shapes_and_dtypes(self):
        return self._variables

    def is_mapped(self, name: str) -> bool:
        return self._parts[name].slices is None and self._source.is_mapped(self._parts[name].entry)

    def _read(self, name: str) -> np.ndarray:
        part = self._parts[name]
        value = self._source[part.entry]
        if part.slices is not None:
            value = np.array(value[part.slices])  # A copy: the rest of the entry need not stay in memory.
        return value.reshape(part.shape)


def init_fn(
    checkpoint: Checkpoint | str,
    variables: Mapping[str, tf.Variable] | Iterable[tf.Variable] | None = None,
    include: Patterns = None,
    exclude: Patterns = None,
    rename: Rename = None,
    cast: bool = False,
    ignore_unused: Patterns = None,
) -> Callable[..., None]:
    """The `init_fn` of a `tf.train.Scaffold` or of `slim.learning.train`: restores after the init op has run.

    Both call it only where there is no checkpoint of the run itself to go on from. Call this when the network is
    built; arguments and errors are those of `plan_restore` and `RestorePlan.check`, and are raised now. The global
    step is only restored if it is among `variables`.

    Returns:
        A function of a session, or of a scaffold and a session; it adds no op to the graph. It warns where it sets
        the step of a graph that trains.
    """
    variables = _to_start_from(variables)
    plan = plan_restore(checkpoint, variables, include, exclude, rename, cast, ignore_unused)
    plan.check()
    return _applying(plan)


def _to_start_from(variables):
    """`variables`, or by default those of `plan_restore` without the global step."""
    if variables is None:
        model = slim.get_model_variables() or tf.global_variables()
        variables = [variable for variable in model if not _is_global_step(variable)]
    return variables


class RestoreHook(tf.train.SessionRunHook):
    """Restores when a MonitoredTrainingSession begins, unless it goes on from the run's own checkpoint.

    That a run goes on is seen by its global_step being above 0: at step 0 nothing has been trained yet, and a
    checkpoint from then was saved before hooks like this one ran. In a graph without a global_step it always
    restores. Where several workers share the variables, only the chief may have it.

    Args:
        checkpoint, variables, include, exclude, rename, cast, ignore_unused: as for `plan_restore`; by default the
            model variables that there are when the session is made, or else all global variables but the global
            step.

    Attributes:
        plan: the `RestorePlan`, once the session is being made.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | str,
        variables: Mapping[str, tf.Variable] | Iterable[tf.Variable] | None = None,
        include: Patterns = None,
        exclude: Patterns = None,
        rename: Rename = None,
        cast: bool = False,
        ignore_unused: Patterns = None,
    ):
        VariableFilter(include, exclude)  # So that a bad expression is an error here.
        self._checkpoint, self._variables = checkpoint, variables
        self._arguments = (include, exclude, rename, cast, ignore_unused)
        self.plan: RestorePlan | None = None

    def begin(self) -> None:
        """Plans. Raises what `plan_restore` and `RestorePlan.check` raise."""
        self.plan = plan_restore(self._checkpoint, _to_start_from(self._variables), *self._arguments)
        self.plan.check()

    def after_create_session(self, session: tf.Session, coord: tf.train.Coordinator) -> None:
        """Restores, where the run is at its first step."""
        step = tf.train.get_global_step()
        if step is None or session.run(step) == 0:
            self.plan.apply(session)
            _tell_the_step(self.plan, session)
