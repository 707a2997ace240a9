"""Measures how long ResNet-V1-50's graph takes to build, against slim's own batch_norm.

The figures so far, from 0.6 to 1.0 of slim's time, are in docs/results.md.

    python bench/resnet_build.py [--rounds 5] [--repeats 5]

Builds tf_slim.nets.resnet_v1.resnet_v1_50 for training, as legacy code does, in two ways: after
`import slimft.compat` (our batch_norm; it also keeps Keras from reassigning its layers' base classes,
which makes slim.conv2d faster), and with tf-slim alone, whose batch_norm is made to work by giving
tf-keras' layer the module name that TensorFlow looks for. Each round starts a fresh process for one,
then one for the other; a process builds once (the first build) and then `--repeats` times more, each
time in a new graph. Imports, tf-keras' included, are over before the clock starts. The time is the
process' CPU time, which other processes disturb less than wall time. Prints medians and their ratio,
ours / slim's: below 1 is faster.
"""

import argparse
import gc
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
KINDS = ("ours", "slim's")


def import_slim(kind):
    """Imports TensorFlow and tf-slim, with our replacements or with slim's own functions made to work."""
    if kind == "ours":
        from slimft.compat import slim, tf
    else:
        from tensorflow.compat import v1 as tf

        tf.disable_v2_behavior()
        for name in ("legacy_tf_layers", "legacy_tf_layers.normalization"):
            sys.modules[f"tf_keras.{name}"] = importlib.import_module(f"tf_keras.src.{name}")
        import tf_slim as slim
    return tf, slim


def build_times(kind, builds):
    """Builds the network `builds` times in this process; returns CPU seconds of each."""
    tf, slim = import_slim(kind)
    from tf_slim.nets import resnet_v1

    seconds = []
    for _ in range(builds):
        gc.collect()
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, 224, 224, 3])
            start = time.process_time()
            with slim.arg_scope(resnet_v1.resnet_arg_scope()):
                resnet_v1.resnet_v1_50(images, 1000, is_training=True)
            seconds.append(time.process_time() - start)
            counts = len(slim.get_model_variables()), len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
            assert counts == (267, 106), counts
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="fresh processes of each kind")
    parser.add_argument("--repeats", type=int, default=5, help="builds in each after the first")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.child:
        print(json.dumps(build_times(flags.child, 1 + flags.repeats)))
        return
    if importlib.util.find_spec("tf_keras") is None:
        sys.exit("resnet_build: slim's own batch_norm needs tf-keras: pip install tf-keras")

    first = {kind: [] for kind in KINDS}
    repeated = {kind: [] for kind in KINDS}
    for _ in range(flags.rounds):
        for kind in KINDS:
            command = [sys.executable, __file__, "--child", kind, "--repeats", str(flags.repeats)]
            child = subprocess.run(command, capture_output=True, text=True)
            if child.returncode:
                sys.exit(child.stderr)
            seconds = json.loads(child.stdout)
            first[kind].append(seconds[0])
            repeated[kind] += seconds[1:]
    print_ratio("first build in a process", first)
    if flags.repeats:
        print_ratio("repeated builds", repeated)


def print_ratio(title, times):
    """Prints the medians of `times`, a dict of lists of seconds, and their ratio."""
    ours, slims = (statistics.median(times[kind]) for kind in KINDS)
    fastest = min(times[KINDS[0]]) / min(times[KINDS[1]])
    print(
        f"{title}: ours {ours:.2f} s, slim's {slims:.2f} s of CPU, ratio {ours / slims:.2f} "
        f"(medians of {len(times[KINDS[0]])}; ratio of the fastest {fastest:.2f})"
    )


if __name__ == "__main__":
    main()
