"""How the time and the memory of a restore grow with the checkpoint: slimft against tf.train.Saver, V2.

    python bench/restore_sizes.py [--rounds 3] [--megabytes 10 100 1000 5000] [--folder DIR] [--json FILE]

A checkpoint of so many MB has 20 float32 variables of the same size. Each process builds resource variables of
these shapes and restores them once, the first time in the process; the files are in the page cache. The largest
size is needed twice: on the disk, and in memory.
"""

from __future__ import annotations

import tempfile
import time

import rounds

VARIABLES = 20


def write(path, megabytes):
    """Writes a checkpoint; its variables have the same values, so that it takes the memory of one."""
    import numpy as np

    import slimft

    values = np.random.default_rng(0).standard_normal(int(megabytes * 1e6 / 4 / VARIABLES), np.float32)
    slimft.write_checkpoint(path, {f"layer_{number}/weights": values for number in range(VARIABLES)})
    rounds.print_figures(path=path)


def restore(way, path):
    """Restores in this process; prints the seconds and the largest memory."""
    import slimft
    from slimft.compat import tf

    opened, plan_restore = slimft.open_checkpoint(path), slimft.plan_restore  # Imported before the clock starts.
    tf.get_variable_scope().set_use_resource(True)
    variables = [tf.get_variable(name, opened.shape(name)) for name in opened]
    saver = tf.train.Saver(variables) if way == "Saver" else None
    with tf.Session() as session:
        session.run(tf.constant(0))  # The session takes in the graph, whichever way restores.
        before, start = rounds.peak_megabytes(), time.perf_counter()
        if saver:
            saver.restore(session, path)
        else:
            plan_restore(path, variables).apply(session)
        seconds = time.perf_counter() - start
    rounds.print_figures(seconds=seconds, mb=rounds.peak_megabytes() - before)


def measure(megabytes, folder, number_of_rounds):
    path = f"{folder}/{megabytes}.ckpt"
    rounds.run([__file__, "--write", path, "--megabytes", megabytes])
    found = rounds.alternate({way: [__file__, "--way", way, path] for way in ("slimft", "Saver")}, number_of_rounds)
    return {"megabytes": megabytes, "seconds": rounds.spreads(found, "seconds"), "mb": rounds.spreads(found, "mb")}


def row(figures):
    return [f"{figures['megabytes']:,.0f} MB", *rounds.beside(figures, "slimft", "Saver", 1)]


HEAD = ("checkpoint", "slimft, s", "Saver, s", "ratio", "resident MB more, slimft / Saver")


def main():
    parser = rounds.parser(__doc__, 3)
    parser.add_argument("--megabytes", type=float, nargs="*", default=[10, 100, 1000, 5000])
    parser.add_argument("--folder", help="where to write the checkpoints; a temporary folder by default")
    parser.add_argument("--write", help="only write this checkpoint")
    parser.add_argument("--way", nargs=2, help="only restore in this process: slimft or Saver, and the checkpoint")
    flags = parser.parse_args()
    if flags.write:
        return write(flags.write, flags.megabytes[0])
    if flags.way:
        return restore(*flags.way)
    figures = []
    for megabytes in flags.megabytes:
        with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
            figures.append(measure(megabytes, folder, flags.rounds))
    rounds.finish(flags, {"rows": figures}, rounds.table(HEAD, [row(one) for one in figures]))


if __name__ == "__main__":
    main()
