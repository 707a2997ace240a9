"""Measures restoring VGG-16 against tf.train.Saver: seconds and memory.

    python bench/restore.py [--rounds 5] [--repeats 4] [--folder DIR]

Writes a VGG-16 checkpoint (138 million parameters, 553 MB) in both of TensorFlow's formats with
tf.train.Saver, into --folder or a temporary one. Then, in turn and in fresh processes, each way restores it
into a session of the network's graph: once (the first restore in a process, which also pays for the memory
and for TensorFlow preparing the run) and then `--repeats` times more. The files are in the page cache.
Prints the medians, and the ratio of Saver's time to ours; the memory is the most that one first restore
needed beyond what the process had before it, in MiB: private memory (anonymous pages), and with the pages
of the mapped file added.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
KINDS = ("ref", "resource")
WAYS = ("Saver", "slimft", "slimft, no checksums")


def build(kind):
    """VGG-16's graph with variables of `kind`; returns TensorFlow and the variables."""
    from slimft.compat import slim, tf
    from slimft.nets import vgg

    tf.get_variable_scope().set_use_resource(kind == "resource")
    with slim.arg_scope(vgg.vgg_arg_scope()):
        vgg.vgg_16(tf.placeholder(tf.float32, [None, 224, 224, 3]), 1000, is_training=False)
    return tf, slim.get_model_variables()


def write(folder):
    """Writes the checkpoints `v1.ckpt` and `v2.ckpt`."""
    tf, variables = build("ref")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for version in (1, 2):
            saver = tf.train.Saver(variables, write_version=version)
            saver.save(session, f"{folder}/v{version}.ckpt", write_meta_graph=False, write_state=False)


def restorer(way, tf, variables, path):
    """A function of a session that restores `variables`."""
    if way == "Saver":
        saver = tf.train.Saver(variables)
        return lambda session: saver.restore(session, path)
    import slimft

    def restore(session):
        checkpoint = slimft.open_checkpoint(path, verify=way == "slimft")
        slimft.plan_restore(checkpoint, variables).apply(session)

    return restore


def child(way, kind, path, repeats, memory):
    """Restores in this process; prints the seconds of each restore, or the memory of the first."""
    tf, variables = build(kind)
    restore = restorer(way, tf, variables, path)
    with tf.Session() as session:
        session.run(tf.constant(0))  # The session takes in the graph, whichever way restores.
        if memory:
            print(json.dumps(peak_mebibytes(lambda: restore(session))))
            return
        seconds = []
        for _ in range(1 + repeats):
            start = time.perf_counter()
            restore(session)
            seconds.append(time.perf_counter() - start)
    print(json.dumps(seconds))


def peak_mebibytes(function):
    """The most memory beyond today's that the process has while `function` runs: private, and with files."""

    def status():
        with open("/proc/self/status") as stream:
            rows = dict(line.split(":", 1) for line in stream)
        anonymous, files = (int(rows[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile"))
        return anonymous, anonymous + files

    def watch():
        while not done.is_set():
            for index, value in enumerate(status()):
                most[index] = max(most[index], value)
            time.sleep(0.002)

    before, most, done = status(), [0.0, 0.0], threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    function()
    done.set()
    watcher.join()
    return [value - base for value, base in zip(most, before)]


def run(*arguments):
    """The JSON that a child process prints."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of each kind")
    parser.add_argument("--repeats", type=int, default=4, help="restores in each after the first")
    parser.add_argument("--folder", help="where to write 1.1 GB; a temporary folder by default")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.repeats < 2:
        parser.error("--repeats must be at least 2: the first of them does not count")
    if flags.child:
        return child(*flags.child, flags.repeats, flags.memory)
    if flags.write:
        write(flags.write)
        return print("{}")
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        run("--write", folder)
        print("| format | variables | way | first | again | ratio, first | ratio, again | private | with file |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for version in (1, 2):
            for kind in KINDS:
                compare(version, kind, f"{folder}/v{version}.ckpt", flags)


def compare(version, kind, path, flags):
    """Prints a row for each way of restoring."""
    first = {way: [] for way in WAYS}
    again = {way: [] for way in WAYS}
    for _ in range(flags.rounds):
        for way in WAYS:
            seconds = run("--child", way, kind, path, "--repeats", flags.repeats)
            first[way].append(seconds[0])
            # The second still meets memory the process never had; the rest are alike.
            again[way] += seconds[2:]
    for way in WAYS:
        private, with_file = run("--child", way, kind, path, "--memory")
        once, more = statistics.median(first[way]), statistics.median(again[way])
        ratios = [statistics.median(first["Saver"]) / once, statistics.median(again["Saver"]) / more]
        print(
            f"| V{version} | {kind} | {way} | {once:.3f} s | {more:.3f} s | {ratios[0]:.1f} | {ratios[1]:.1f} | "
            f"{private:.0f} | {with_file:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
