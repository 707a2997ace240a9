"""Restoring: a plan of what goes where and why, and then doing it.

    plan = slimft.plan_restore("vgg_16.ckpt", exclude="vgg_16/fc8")
    print(plan)                 # every variable and every checkpoint entry is accounted for
    plan.apply(session)

or in one call, ``slimft.restore(session, "vgg_16.ckpt", exclude="vgg_16/fc8")``. Nothing is skipped in
silence: what is not excluded and cannot be restored is an error that says what to type.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.checkpoint.view import cast, castable
from slimft.compat import slim, tf
from slimft.errors import RestoreError, UsageError
from slimft.filters import Patterns, VariableFilter, scopes_of
from slimft.leftovers import explain, find_left_over, of_restored_layers, patterns_of
from slimft.renaming import Rename, renamed
from slimft.restore_advice import (
    another_network,
    brief_patterns,
    listing,
    only_averages,
    only_statistics,
    other_names,
    without_statistics,
)
from slimft.wire.binary_file import Malformed

# Bytes of copies handed to TensorFlow at a time, where it copies once more: little beside a network's size.
_CHUNK_BYTES = 64 << 20
# What training adds to a graph beside the optimizer's slots.
_OF_THE_TRAINING = ("global_step", "beta1_power", "beta2_power")


@dataclasses.dataclass(frozen=True)
class Mismatch:
    """A variable whose checkpoint entry has another shape or dtype."""

    name: str
    variable_shape: tuple[int, ...]
    checkpoint_shape: tuple[int, ...]
    variable_dtype: np.dtype
    checkpoint_dtype: np.dtype

    def __str__(self) -> str:
        if self.variable_shape != self.checkpoint_shape:
            return f"{list(self.checkpoint_shape)} in the checkpoint, {list(self.variable_shape)} in the model"
        return f"{self.checkpoint_dtype} in the checkpoint, {self.variable_dtype} in the model"

    @property
    def castable(self) -> bool:
        """Whether `plan_restore(..., cast=True)` would do."""
        return self.variable_shape == self.checkpoint_shape and castable(self.checkpoint_dtype, self.variable_dtype)


@dataclasses.dataclass(frozen=True)
class RestorePlan:
    """What happens to every variable of the model and every entry of the checkpoint.

    Attributes:
        checkpoint: what is restored from.
        variables: the model's variables, by name.
        restored: variable name to the name of the checkpoint entry it gets.
        excluded: names of the variables the patterns leave out.
        missing: names of the variables the checkpoint lacks.
        mismatched: variables whose entry has another shape or dtype.
        unused: names of the checkpoint entries that restore nothing.
        left_over: those of them that belong to a layer of which others are restored, and that the model has no
            variable for: the sign of a network built outside its arg_scope. Without what `ignore_unused` selects.
    """

    checkpoint: Checkpoint
    variables: Mapping[str, tf.Variable]
    restored: Mapping[str, str]
    excluded: tuple[str, ...]
    missing: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    unused: tuple[str, ...]
    left_over: tuple[str, ...] = ()

    def check(self, can_exclude: bool = True, exclude_with: str | None = None) -> None:
        """Raises RestoreError if some variable that is not excluded cannot be restored, or a layer only in part.

        Also where nothing at all is restored, because the patterns leave out every variable.

        Args:
            can_exclude: whether the message may advise to exclude it; evaluation needs all variables.
            exclude_with: how, with ``{!r}`` for the list of scopes; by default the commands' flag.
        """
        if self.left_over:
            raise RestoreError(f"{self.checkpoint.path}: {self._what_is_left_over(can_exclude, exclude_with)}")
        if self.missing or self.mismatched:
            of_other_names = self._of_other_names(can_exclude)
            if of_other_names is not None:
                raise RestoreError(of_other_names)
            if not self.restored and not self.mismatched:
                raise RestoreError(another_network(self.checkpoint, self.variables))
            reasons = self._what_fails(self.missing, self.excluded, can_exclude, exclude_with)
            raise RestoreError(f"{self.checkpoint.path}: {reasons}")
        if not self.restored:
            raise RestoreError(
                f"{self.checkpoint.path}: nothing is restored, because all {len(self.excluded)} variables are left "
                "out; change --include or --exclude, or restore no checkpoint"
            )

    def _of_other_names(self, can_exclude: bool) -> str | None:
        """What is said where most variables are there under other names; None where they are not."""
        if 2 * len(self.missing) < len(self.missing) + len(self.restored) + len(self.mismatched):
            return None
        text = only_averages(self.checkpoint, self.missing)
        if text is None:
            selected = [*self.restored, *self.missing, *(mismatch.name for mismatch in self.mismatched)]
            text = other_names(
                self.checkpoint.path,
                {**{name: name for name in self.checkpoint}, **self.checkpoint.aliases()},
                {name: self.checkpoint.shape(name) for name in self.checkpoint},
                {name: _shape(self.variables[name]) for name in selected},
                len(self.restored),
                can_exclude,
            )
        return None if text is None else f"{self.checkpoint.path}: {text}"

    def _what_fails(
        self, missing: Sequence[str], excluded: Sequence[str], can_exclude: bool, exclude_with: str | None
    ) -> str:
        """What is missing, of `missing`, and mismatched; and what to exclude, beside `excluded`."""
        if not self.mismatched and only_statistics(missing) and exclude_with is None:
            return without_statistics(missing, covering_scopes(excluded, self.variables), can_exclude)
        reasons = []
        if self.mismatched:
            first = self.mismatched[0]
            more = f" and {len(self.mismatched) - 1} more" if len(self.mismatched) > 1 else ""
            reasons.append(f"{first.name}{more} differs from the model ({first})")
        if missing:
            reasons.append(f"{listing(missing)} {'is' if len(missing) == 1 else 'are'} not in it")
        failing = [*missing, *(mismatch.name for mismatch in self.mismatched)]
        failing += excluded
        scopes = covering_scopes(failing, self.variables)
        patterns = brief_patterns(scopes, failing, self.variables)
        if patterns is None:
            advice = f"exclude the {len(scopes)} scopes that --dry_run lists, {listing(scopes, 2)}"
        else:
            advice = f"exclude with --exclude={','.join(patterns)}"
            advice = exclude_with.format(patterns) if exclude_with else advice
        if not missing and all(mismatch.castable for mismatch in self.mismatched):
            advice = f"convert with --cast (cast=True), or {advice}"
        if not can_exclude:
            advice = "choose the model, and the data, to match the checkpoint"
        return f"{', and '.join(reasons)}; {self._probable_cause()}{advice}"

    def _what_is_left_over(self, can_exclude: bool, exclude_with: str | None) -> str:
        count = len(self.left_over)
        entries = "1 entry belongs" if count == 1 else f"{count} entries belong"
        lacking = [name for name in [*self.missing, *self.excluded] if name not in self.checkpoint]
        text = (
            f"{entries} to layers that are restored, but the model has no variable for "
            f"{listing(self.left_over, 2)}: {explain(self.left_over, lacking, self.restored)}"
        )
        if can_exclude:
            text += f"; if it is meant to be so, pass ignore_unused={patterns_of(self.left_over)}"
        # What else is lacking of these layers has the same cause; it is not to be excluded.
        same_cause = self._of_restored_layers(lacking)
        missing = [name for name in self.missing if name not in same_cause]
        if missing or self.mismatched:
            excluded = [name for name in self.excluded if name not in same_cause]
            text += f"; also, {self._what_fails(missing, excluded, can_exclude, exclude_with)}"
        return text

    def _of_restored_layers(self, names: Iterable[str]) -> set[str]:
        return set(of_restored_layers({name: [name] for name in names}, self.restored))

    def _probable_cause(self) -> str:
        """What to say first of three frequent mistakes, if it looks like one of them."""
        for mismatch in self.mismatched:
            theirs, ours = mismatch.checkpoint_shape, mismatch.variable_shape
            if theirs[:-1] == ours[:-1] and {theirs[-1:], ours[-1:]} == {(1000,), (1001,)}:
                has = "counts the background as class 0" if theirs[-1] == 1001 else "has no background class"
                return f"it {has}: build the model with num_classes={theirs[-1]}, or "
        # An optimizer's slot has its variable's name and a further part.
        if (
            self.missing
            and not self.mismatched
            and all(name in _OF_THE_TRAINING or name.rpartition("/")[0] in self.variables for name in self.missing)
        ):
            return "its Saver was made before the optimizer, so that training starts afresh if you "
        if self.missing and not self.left_over and len(self._of_restored_layers(self.missing)) == len(self.missing):
            return (
                "it has the rest of these layers, so the network that wrote it was built outside its arg_scope or "
                "under another: build this one like that, or "
            )
        return ""

    def apply(self, session: tf.Session) -> None:
        """Assigns the restored variables in `session`; adds no op to the graph.

        What is a resource variable takes over the memory that an entry was read into or mapped to, without a
        copy; a ref variable copies from there.

        Raises:
            RestoreError: as `check`; nothing has been assigned then. Or, with `cast`, a value does not fit.
            CheckpointError: an entry cannot be read. Entries before it may have been assigned.
        """
        self.check()
        initializers: list[tf.Operation] = []
        feeds: dict[tf.Tensor, np.ndarray] = {}
        copied = 0
        # The largest first: a V1 file's block is then checked while its large value is read, not once before.
        largest_first = sorted(self.restored.items(), key=lambda pair: -np.prod(self.checkpoint.shape(pair[1])))
        for name, entry in largest_first:
            # A variable's initializer assigns its second input: fed with the entry, it restores.
            initializer = self.variables[name].initializer
            value = self._value(name, entry)
            mapped = self.checkpoint.is_mapped(entry)
            extra = 0 if mapped or initializer.type == "AssignVariableOp" else value.nbytes
            if initializer.inputs[1] in feeds or (extra and copied + extra > _CHUNK_BYTES):
                session.run(initializers, feeds)
                initializers, feeds, copied = [], {}, 0
            initializers.append(initializer)
            feeds[initializer.inputs[1]] = value
            copied += extra
            del value  # So that the next is read after this one is freed.
        if initializers:
            session.run(initializers, feeds)

    def _value(self, name: str, entry: str) -> np.ndarray:
        try:
            return cast(self.checkpoint[entry], _dtype(self.variables[name]))
        except Malformed as error:
            raise RestoreError(f"{self.checkpoint.path}: {entry}: {error}") from None

    def summary(self) -> str:
        """A few lines: how many variables in each state, and which."""
        restored = sum(int(np.prod(_shape(self.variables[name]))) for name in self.restored)
        rows = [
            ("restored", len(self.restored), f"{restored:,} parameters"),
            ("excluded", len(self.excluded), ", ".join(covering_scopes(self.excluded, self.variables))),
            ("missing", len(self.missing), listing(self.missing)),
            ("mismatched", len(self.mismatched), listing([m.name for m in self.mismatched])),
            ("unused", len(self.unused), listing(self.unused)),
        ]
        if self.left_over:
            rows.append(("left over", len(self.left_over), f"of restored layers: {listing(self.left_over)}"))
        lines = [f"restore from {self.checkpoint.path} ({self.checkpoint.format})"]
        lines += [f"  {state:<10} {count:>5}  {note}".rstrip() for state, count, note in rows]
        return "\n".join(lines)

    def __repr__(self) -> str:
        states = ("restored", "excluded", "missing", "mismatched", "unused")
        counts = ", ".join(f"{len(getattr(self, state))} {state}" for state in states)
        return f"<RestorePlan from {self.checkpoint.path}: {counts}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What a notebook and IPython show: the same as `print`."""
        printer.text(str(self))

    def __str__(self) -> str:
        states = {
            name: f"restored from {entry}" if entry != name else "restored" for name, entry in self.restored.items()
        }
        states.update((name, "excluded") for name in self.excluded)
        states.update((name, "missing in the checkpoint") for name in self.missing)
        states.update((m.name, f"mismatched: {m}") for m in self.mismatched)
        width = max(map(len, [*self.variables, *self.unused]), default=0)
        lines = [
            f"{name:<{width}}  {'x'.join(map(str, _shape(variable))) or 'scalar':>16}  {states[name]}"
            for name, variable in self.variables.items()
        ]
        left = set(self.left_over)
        lines += [
            f"{name:<{width}}  {'x'.join(map(str, self.checkpoint.shape(name))) or 'scalar':>16}  unused"
            + (", though its layer is restored" if name in left else "")
            for name in self.unused
        ]
        return "\n".join([*lines, "", self.summary()])


def plan_restore(
    checkpoint: Checkpoint | str | os.PathLike[str],
    variables: Mapping[str, tf.Variable] | Iterable[tf.Variable] | None = None,
    include: Patterns = None,
    exclude: Patterns = None,
    rename: Rename = None,
    cast: bool = False,
    ignore_unused: Patterns = None,
) -> RestorePlan:
    """Decides what of a checkpoint goes into which variable.

    Args:
        checkpoint: a `Checkpoint`, or what `open_checkpoint` takes.
        variables: the variables to restore, or a mapping from names in the checkpoint to them; by
            default the graph's model variables (what slim's layers create), or all its global
            variables where it has none.
        include: patterns of the variables to restore; None for all. See `slimft.filters`.
        exclude: patterns of the variables to leave as they are.
        rename: how the checkpoint's names become the model's: a mapping from scopes or names to others
            (``{"vgg_19": "my_net/vgg_19"}``) or to several (``{"net": ["net", "average/net"]}``), or a function
            of a name that returns one, several or None.
        cast: whether floats may be converted to other floats (half, bfloat16) and integers to other integers,
            where the values fit.
        ignore_unused: patterns of checkpoint entries that may stay unused although their layer is restored; such
            entries are an error otherwise (`RestorePlan.left_over`).

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
        PatternError: a pattern selects none of the variables, or `ignore_unused` none of the entries.
        RestoreError: two entries are renamed to one name, or a renamed scope is not there.
        UsageError: `checkpoint` is None.

    >>> from slimft.checkpoint import write_checkpoint
    >>> write_checkpoint("net.npz", {"net/fc7/weights": np.ones([2, 4]), "net/fc8/weights": np.ones([4, 1000])})
    >>> variables = [tf.get_variable("net/fc7/weights", [2, 4], tf.float64),
    ...              tf.get_variable("net/fc8/weights", [4, 10], tf.float64)]
    >>> plan_restore("net.npz", variables, exclude="net/fc8")
    <RestorePlan from net.npz: 1 restored, 1 excluded, 0 missing, 0 mismatched, 1 unused>
    >>> plan_restore("net.npz", variables).check()
    Traceback (most recent call last):
    slimft.errors.RestoreError: net.npz: net/fc8/weights differs from the model ([4, 1000] in the checkpoint, \
[4, 10] in the model); exclude with --exclude=net/fc8
    """
    if checkpoint is None:
        raise UsageError("checkpoint is None: tf.train.latest_checkpoint returns that where there is no checkpoint")
    checkpoint = open_checkpoint(checkpoint)
    given: Any = slim.get_model_variables() or tf.global_variables() if variables is None else variables
    by_name = dict(given) if isinstance(given, Mapping) else {v.op.name: v for v in given}
    if not by_name:
        raise RestoreError("there are no variables to restore; build the network first")
    keys = {**{name: name for name in checkpoint}, **checkpoint.aliases()}
    entries = {new: keys[name] for new, name in renamed(keys, rename, checkpoint.path).items()}
    selected = set(VariableFilter(include, exclude).select(by_name))

    restored, excluded, missing, mismatched = {}, [], [], []
    for name, variable in by_name.items():
        if name not in selected:
            excluded.append(name)
        elif name not in entries:
            missing.append(name)
        else:
            entry = entries[name]
            mismatch = Mismatch(
                name, _shape(variable), checkpoint.shape(entry), _dtype(variable), checkpoint.dtype(entry)
            )
            same = mismatch.variable_shape == mismatch.checkpoint_shape
            if same and (mismatch.variable_dtype == mismatch.checkpoint_dtype or (cast and mismatch.castable)):
                restored[name] = entry
            else:
                mismatched.append(mismatch)
    used = {*restored.values(), *(entries[m.name] for m in mismatched)}
    return RestorePlan(
        checkpoint=checkpoint,
        variables=types.MappingProxyType(by_name),
        restored=types.MappingProxyType(restored),
        excluded=tuple(excluded),
        missing=tuple(missing),
        mismatched=tuple(mismatched),
        unused=tuple(name for name in checkpoint if name not in used),
        left_over=find_left_over(checkpoint, entries, by_name, restored, ignore_unused),
    )


def restore(
    session: tf.Session,
    checkpoint: Checkpoint | str | os.PathLike[str],
    variables: Mapping[str, tf.Variable] | Iterable[tf.Variable] | None = None,
    include: Patterns = None,
    exclude: Patterns = None,
    rename: Rename = None,
    cast: bool = False,
    ignore_unused: Patterns = None,
) -> RestorePlan:
    """Plans (see `plan_restore`), applies the plan in `session`, and returns it."""
    plan = plan_restore(checkpoint, variables, include, exclude, rename, cast, ignore_unused)
    plan.apply(session)
    return plan


def covering_scopes(names: Iterable[str], among: Iterable[str]) -> list[str]:
    """Returns the fewest scopes that hold all of `names` and nothing else of `among`.

    >>> covering_scopes(["net/fc8/weights", "net/fc8/biases"],
    ...                 ["net/fc7/weights", "net/fc8/weights", "net/fc8/biases"])
    ['net/fc8']
    """
    wanted = set(names)
    others = set(scopes_of(name for name in among if name not in wanted))
    covering: dict[str, None] = {}
    for name in among:
        if name in wanted:
            covering[next((scope for scope in scopes_of([name]) if scope not in others), name)] = None
    return list(covering)


def _shape(variable: tf.Variable) -> tuple[int, ...]:
    return tuple(variable.shape.as_list())


def _dtype(variable: tf.Variable) -> np.dtype:
    return np.dtype(variable.dtype.base_dtype.as_numpy_dtype)


class _CallableModule(types.ModuleType):
    """Makes `slimft.restore(...)` work although importing this file puts the module at that name.

    Both are in use: the function, and ``from slimft.restore import plan_restore``. Whatever file the code lies in,
    Python gives a module, when it is imported, its name in the package; so as long as something can be imported as
    `slimft.restore`, it is that which has to be callable.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> RestorePlan:
        return restore(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
