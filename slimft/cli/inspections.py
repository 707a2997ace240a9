"""What bin/inspect_checkpoint tells of a checkpoint: the listing, damage, differences, what fits a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from slimft.checkpoint import Checkpoint
from slimft.cli import common
from slimft.cli.listing import Totals, listing, rows_of, scope_table, selected_names, totals_by_scope
from slimft.cli.read_progress import ReadProgress
from slimft.cli.text_table import counted, dtype_text, megabytes, shape_text, text_table
from slimft.errors import CheckpointError, SlimftError
from slimft.messages import one_line, printable, say

_WITH_CHECKSUMS = {
    "tensorflow_v1": "every checksum matches",
    "tensorflow_v2": "every checksum matches",
    "npz": "every array's CRC-32 matches",
}


@dataclasses.dataclass(frozen=True)
class Answer:
    """What there is to say about one checkpoint.

    Attributes:
        text: for a person.
        result: the same for JSON.
        status: the exit status.
        error: what makes the command fail after all is printed, or None.
    """

    text: str
    result: dict
    status: int = 0
    error: SlimftError | None = None


def list_variables(
    checkpoint: Checkpoint, match: str | None = None, stats: bool = False, depth: int | None = None
) -> Answer:
    """The listing: the variables, the totals by scope and in all."""
    try:
        full_names = {key: full_name for full_name, key in checkpoint.aliases().items()}
    except CheckpointError as error:
        say(f"inspect_checkpoint: without full names: {one_line(error)}")
        full_names = {}
    names = selected_names(checkpoint, match)
    rows = rows_of(checkpoint, names, full_names)
    figures = _statistics(checkpoint, names) if stats else None
    scopes, totals = totals_by_scope(rows, depth), Totals.of(rows)
    tables = [listing(rows, figures)]
    if depth or len(scopes) < len(rows):  # Else they would only repeat the listing.
        tables.append(scope_table(scopes, totals.bytes))
    of = "" if len(rows) == len(checkpoint) else f", of {counted(len(checkpoint), 'variable')} in it"
    tables.append(f"{printable(checkpoint.path)}: {checkpoint.format}, {totals}{of}")
    described = [row.as_json() for row in rows]
    if figures is not None:
        for one in described:
            found = figures[one["name"]]
            one["stats"] = None if found is None else dataclasses.asdict(found)
    result = {
        "variables": described,
        "scopes": [{"scope": scope, **dataclasses.asdict(sums)} for scope, sums in scopes.items()],
        "totals": dataclasses.asdict(totals),
    }
    return Answer("\n\n".join(tables), result)


def _statistics(checkpoint: Checkpoint, names: Sequence[str]) -> dict:
    from slimft.cli.variable_values import statistics

    with ReadProgress(checkpoint, {name: name for name in names}) as progress:
        return {name: statistics(progress[name]) for name in names}


def verify(checkpoint: Checkpoint, match: str | None = None) -> Answer:
    """Reads all variables, and so checks the checksums of formats that have any; status 1 if one is damaged."""
    names = selected_names(checkpoint, match)
    with ReadProgress(checkpoint, {name: name for name in names}) as progress:
        damaged = {
            name: reason.removeprefix(f"{checkpoint.path}: cannot read {name}: ")
            for name, reason in progress.verify()
        }
    result = {
        "variables": len(names),
        "has_checksums": checkpoint.format in _WITH_CHECKSUMS,
        "damaged": [{"name": name, "reason": reason} for name, reason in damaged.items()],
    }
    path, count = printable(checkpoint.path), counted(len(names), "variable")
    if damaged:
        lines = [f"damaged: {printable(name)}: {printable(reason)}" for name, reason in damaged.items()]
        lines.append(f"{path}: {len(damaged):,} of {count} {'is' if len(damaged) == 1 else 'are'} damaged")
        return Answer("\n".join(lines), {"verify": result}, status=1)
    size = Totals.of(rows_of(checkpoint, names, {})).bytes
    found = _WITH_CHECKSUMS.get(
        checkpoint.format, "all could be read; this format has no checksums, so changed values would not show"
    )
    return Answer(f"{path}: {count}, {megabytes(size, size)} MB: {found}", {"verify": result})


def diff(checkpoint: Checkpoint, other: Checkpoint, match: str | None = None) -> Answer:
    """Compares two checkpoints; status 1 if they differ."""
    from slimft.cli.variable_values import difference

    names = selected_names(checkpoint, match, other)
    only = [name for name in names if name not in other]
    others = [name for name in names if name not in checkpoint]
    described = {
        name: (_description(checkpoint, name), _description(other, name))
        for name in names
        if name in checkpoint and name in other
    }
    differing = {name: pair for name, pair in described.items() if pair[0] != pair[1]}
    comparable = {name: name for name in described if name not in differing}
    values = {}
    with ReadProgress(checkpoint, comparable) as progress:
        for name in comparable:
            found = difference(progress[name], other[name])
            if found.differing:
                values[name] = found
    result = {
        "other": other.path,
        "identical": not (only or others or differing or values),
        "only_here": only,
        "only_in_other": others,
        "described_differently": [
            {"name": name, "here": ours, "in_other": theirs} for name, (ours, theirs) in differing.items()
        ],
        "values_differ": [{"name": name, **dataclasses.asdict(found)} for name, found in values.items()],
        "same": len(comparable) - len(values),
    }
    text = _diff_text(checkpoint, other, result)
    return Answer(text, {"diff": result}, status=0 if result["identical"] else 1)


def _description(checkpoint: Checkpoint, name: str) -> dict:
    return {"shape": list(checkpoint.shape(name)), "dtype": dtype_text(checkpoint.dtype(name))}


def _diff_text(checkpoint: Checkpoint, other: Checkpoint, result: Mapping) -> str:
    path, other_path = printable(checkpoint.path), printable(other.path)
    if result["identical"]:
        return f"{path} and {other_path} are identical: {counted(result['same'], 'variable')}"
    rows = [
        [name, f"only in {here.path}", f"{shape_text(here.shape(name))} {dtype_text(here.dtype(name))}"]
        for here, names in ((checkpoint, result["only_here"]), (other, result["only_in_other"]))
        for name in names
    ]
    for one in result["described_differently"]:
        kinds = [kind for kind in ("shape", "dtype") if one["here"][kind] != one["in_other"][kind]]
        here, there = (f"{shape_text(one[side]['shape'])} {one[side]['dtype']}" for side in ("here", "in_other"))
        what = f"{' and '.join(kinds)} differ" if len(kinds) > 1 else f"{kinds[0]} differs"
        rows.append([one["name"], what, f"{here} against {there}"])
    for one in result["values_differ"]:
        by = "" if one["largest"] is None else f", by up to {one['largest']:.4g}"
        rows.append([one["name"], "values differ", f"{one['differing']:,} of {one['elements']:,}{by}"])
    return text_table(["name", "difference", "what"], rows, left=3) + (
        f"\n\n{path} and {other_path}: {len(rows):,} of {counted(len(rows) + result['same'], 'variable')} differ"
    )


def planner(model: str, num_classes: int | None = None, **restoring) -> Callable[[Checkpoint], Answer]:
    """Builds a network; returns what tells which of a checkpoint's variables restore it.

    Args:
        model: the network's name.
        num_classes: its classes; None for as many as its ImageNet checkpoint has.
        restoring: further arguments of `slimft.plan_restore`.

    Raises:
        UsageError: there is no such network.
    """
    from slimft.nets import get_network

    spec = get_network(model)
    with common.quiet_standard_error():
        from slimft.compat import tf
        from slimft.inference import options_of
        from slimft.restore import plan_restore

    def graph_for(checkpoint: Checkpoint) -> tf.Graph:
        graph, size = tf.Graph(), spec.default_image_size
        with graph.as_default():
            images = tf.placeholder(tf.float32, [1, size, size, spec.channels])
            options = options_of(checkpoint, spec)
            spec.build(images, num_classes or spec.num_imagenet_classes, is_training=True, options=options)
        return graph

    def plan(checkpoint: Checkpoint) -> Answer:
        with graph_for(checkpoint).as_default():
            planned = plan_restore(checkpoint, **restoring)
        error = None
        try:
            planned.check()
        except SlimftError as found:
            error = found
        mismatched = [
            {
                "name": one.name,
                "model": {"shape": list(one.variable_shape), "dtype": dtype_text(one.variable_dtype)},
                "checkpoint": {"shape": list(one.checkpoint_shape), "dtype": dtype_text(one.checkpoint_dtype)},
            }
            for one in planned.mismatched
        ]
        result = {
            "model": model,
            "restores": error is None,
            "error": None if error is None else str(error),
            "restored": dict(planned.restored),
            "excluded": list(planned.excluded),
            "missing": list(planned.missing),
            "mismatched": mismatched,
            "unused": list(planned.unused),
        }
        text = "\n".join(map(printable, str(planned).split("\n")))
        return Answer(text, {"plan": result}, error=error)

    return plan
