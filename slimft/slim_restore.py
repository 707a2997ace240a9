"""slim's functions that restore, to drop in: slimft's engine reads, and what slim passes over is an error.

Names, arguments and results are those of tf_slim/ops/variables.py (tf-slim 1.1.0). docs/restore.md lists the
differences. For MonitoredTrainingSession there are `RestoreHook` and `init_fn`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.compat import tf
from slimft.errors import PatternError, RestoreError, UsageError
from slimft.filters import Patterns, VariableFilter, compile_pattern, split_patterns, suggest_scope
from slimft.renaming import Rename
from slimft.restore import RestorePlan, plan_restore

_EXCLUDE_WITH = "leave it out of var_list: slimft.get_variables_to_restore(exclude={!r})"


def get_variables_to_restore(include: Patterns = None, exclude: Patterns = None) -> list[tf.Variable]:
    """`slim.get_variables_to_restore`, but with patterns that match whole scopes or are errors.

    Args:
        include: patterns, or `tf.VariableScope`s, of the graph's global variables to return; None for all.
        exclude: those of variables to leave out.

    A pattern that is no whole scope or name is read as slim reads it, as a regular expression for how names
    begin: ``vgg_16/fc`` selects fc6, fc7 and fc8. ``vgg_16/fc8`` never selects fc80, as it does with slim.

    Returns:
        The variables, in slim's order: that of the include patterns, then of the graph. None is there twice.

    Raises:
        PatternError: a pattern matches no variable; slim would return every variable.
    """
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    wanted = _selected(_patterns(include, "include"), variables, "include")
    if not wanted and include not in ([], ()):
        wanted = list(variables)
    unwanted = set(_selected(_patterns(exclude, "exclude"), variables, "exclude"))
    return [variables[name] for name in wanted if name not in unwanted]


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
) -> tuple[tf.Operation, dict[tf.Tensor, np.ndarray]]:
    """`slim.assign_from_checkpoint`: returns an op and what to feed it so that it restores `var_list`.

    Args:
        model_path: what `slimft.open_checkpoint` takes.
        var_list: variables, or a mapping from names in the checkpoint to a variable or several. The parts of
            a partitioned variable get their parts of the entry that has the whole variable's name.
        ignore_missing_vars: whether to leave what the checkpoint lacks as it is, with a warning.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
        RestoreError: a variable is missing and not ignored, or differs in shape or dtype.
    """
    assignments, feeds = [], {}
    plan = _plan(model_path, var_list, ignore_missing_vars) if var_list else None
    for name, entry in plan.restored.items() if plan else ():
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
) -> Callable[[tf.Session], None] | None:
    """`slim.assign_from_checkpoint_fn`: returns a function of a session that restores `var_list`.

    Args:
        model_path: what `slimft.open_checkpoint` takes.
        var_list: as for `assign_from_checkpoint`.
        ignore_missing_vars: whether to leave what the checkpoint lacks as it is, with a warning.
        reshape_variables: whether an entry of another shape with as many elements will do.

    Returns:
        The function, which adds no op to the graph; or None, where `ignore_missing_vars` leaves no variable.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
        RestoreError: `var_list` is empty, or a variable is missing and not ignored, or differs in shape or
            dtype. Now, not when the function is called.
    """
    if not var_list:
        raise RestoreError("var_list cannot be empty; build the network before its variables are collected")
    plan = _plan(model_path, var_list, ignore_missing_vars, reshape_variables)
    if plan is None:
        tf.logging.warning("No Variables to restore")
        return None
    return plan.apply


def _plan(model_path, var_list, ignore_missing_vars=False, reshape=False) -> RestorePlan | None:
    """A checked plan for slim's kind of `var_list`; None where the checkpoint has nothing of it."""
    if model_path is None:
        raise UsageError("model_path is None: tf.train.latest_checkpoint returns that where there is no checkpoint")
    checkpoint = open_checkpoint(model_path)
    names = {**{name: name for name in checkpoint}, **checkpoint.aliases()}
    variables: dict[str, tf.Variable] = {}
    parts: dict[str, _Part] = {}
    for entry, variable in _entries_and_variables(var_list):
        if ignore_missing_vars and entry not in names:
            tf.logging.warning("Variable %s missing in checkpoint %s", entry, checkpoint.path)
            continue
        variables[variable.op.name] = variable
        if entry in names:
            parts[variable.op.name] = _Part(checkpoint, names[entry], variable, reshape)
        elif isinstance(var_list, Mapping):
            suggestion = suggest_scope(entry, names)
            advice = f"did you mean {suggestion}?" if suggestion else "var_list maps the checkpoint's names"
            raise RestoreError(f"{checkpoint.path} has no {entry} for {variable.op.name}; {advice}")
    if not variables:
        return None
    if not parts:
        # Raises and says what the checkpoint has instead.
        plan_restore(checkpoint, variables).check(exclude_with=_EXCLUDE_WITH)
    plan = plan_restore(_CheckpointOfParts(checkpoint, parts), variables)
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
) -> Callable[..., None]:
    """The `init_fn` of a `tf.train.Scaffold` or of `slim.learning.train`: restores after the init op has run.

    Both call it only where there is no checkpoint of the run itself to go on from. Call this when the network is
    built; arguments and errors are those of `plan_restore` and `RestorePlan.check`, and are raised now.

    Returns:
        A function of a session, or of a scaffold and a session; it adds no op to the graph.
    """
    plan = plan_restore(checkpoint, variables, include, exclude, rename, cast)
    plan.check()

    def restore_in(*arguments) -> None:
        plan.apply(arguments[-1])

    return restore_in


class RestoreHook(tf.train.SessionRunHook):
    """Restores when a MonitoredTrainingSession begins, unless it goes on from the run's own checkpoint.

    That a run goes on is seen by its global_step being above 0: at step 0 nothing has been trained yet, and a
    checkpoint from then was saved before hooks like this one ran. In a graph without a global_step it always
    restores. Where several workers share the variables, only the chief may have it.

    Args:
        checkpoint, variables, include, exclude, rename, cast: as for `plan_restore`; by default the model
            variables that there are when the session is made.

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
    ):
        VariableFilter(include, exclude)  # So that a bad expression is an error here.
        self._arguments = (checkpoint, variables, include, exclude, rename, cast)
        self.plan: RestorePlan | None = None

    def begin(self) -> None:
        """Plans. Raises what `plan_restore` and `RestorePlan.check` raise."""
        self.plan = plan_restore(*self._arguments)
        self.plan.check()

    def after_create_session(self, session: tf.Session, coord: tf.train.Coordinator) -> None:
        """Restores, where the run is at its first step."""
        step = tf.train.get_global_step()
        if step is None or session.run(step) == 0:
            self.plan.apply(session)
