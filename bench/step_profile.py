"""Where the time of a training step goes: milliseconds by kind of op, one op after the other.

    python bench/step_profile.py [--only vgg_16:224:16:bfloat16] [--steps 3] [--json FILE]

slimft's own step, all layers, of each network of `bench/training.py` in the precision that is its faster one. Ops
run one at a time, each on all cores, so that their times add up; a step of training, which runs several at a time,
is shorter.
"""

from __future__ import annotations

import collections
import statistics

import rounds

WORK = (
    ("vgg_16", 224, 16, "bfloat16"),
    ("vgg_16", 32, 64, "bfloat16"),
    ("resnet_v1_50", 224, 16, "bfloat16"),
    ("mobilenet_v1", 96, 64, "float32"),
)
# By how the type of an op begins, once `_Mkl` and `Native` are off.
KINDS = {
    "convolution": ("Conv2D", "FusedConv2D", "PadWithConv2D", "PadWithFusedConv2D"),
    "gradient of kernels": ("Conv2DBackpropFilter", "DepthwiseConv2dNativeBackpropFilter"),
    "gradient of images": ("Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput"),
    "depthwise convolution": ("DepthwiseConv2dNative", "FusedDepthwiseConv2dNative"),
    "batch normalization": ("FusedBatchNorm",),
    "gradient of batch normalization": ("FusedBatchNormGrad",),
    "matrix products": ("MatMul", "FusedMatMul", "BatchMatMul"),
    "activation": ("Relu", "Relu6", "LeakyRelu"),
    "gradient of activations": ("ReluGrad", "Relu6Grad", "LeakyReluGrad"),
    "pooling and its gradient": ("MaxPool", "AvgPool"),
    "casts": ("Cast",),
    "weight decay, momentum": ("ResourceApply",),
}


def kind_of(op: str) -> str:
    """The kind that an op's type is of: the one with the longest beginning of it."""
    name = op.removeprefix("_Mkl").removeprefix("Native").lstrip("_")
    found = [(len(start), kind) for kind, starts in KINDS.items() for start in starts if name.startswith(start)]
    return max(found)[1] if found else "other"


def milliseconds(model: str, size: int, batch: int, precision: str, steps: int) -> dict[str, float]:
    """The median over some steps, by kind."""
    import worker

    from slimft.compat import tf
    from slimft.session import session_config

    flags = [f"--model={model}", f"--size={size}", f"--batch={batch}", f"--precision={precision}"]
    run = worker.prepared(worker.flags_of(["slimft", "train", *flags]))
    config = session_config()
    config.inter_op_parallelism_threads = 1
    found: dict[str, list[float]] = collections.defaultdict(list)
    with run.training.graph.as_default(), tf.Session(config=config) as session:
        run.restore(session)
        run.start_batches(session, 0)
        for _ in range(3):
            run.take_step(session)
        types = {op.name: op.type for op in run.training.graph.get_operations()}
        for _ in range(steps):
            told = tf.RunMetadata()
            options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
            session.run(run.training.train_op, options=options, run_metadata=told)
            once: collections.Counter[str] = collections.Counter()
            for node in (node for device in told.step_stats.dev_stats for node in device.node_stats):
                # "name = Type(inputs)", of ops that TensorFlow made of others too.
                op = node.timeline_label.partition(" = ")[2].partition("(")[0] or types.get(node.node_name, "")
                once[kind_of(op)] += (node.all_end_rel_micros - node.op_start_rel_micros) / 1000
            for kind in (*KINDS, "other"):
                found[kind].append(once[kind])
    return {kind: statistics.median(values) for kind, values in found.items()}


def main():
    parser = rounds.parser(__doc__, 1)
    parser.add_argument("--only", nargs="*", help="MODEL:SIZE:BATCH:PRECISION, other than by default")
    parser.add_argument("--steps", type=int, default=3, help="steps to take the median of")
    parser.add_argument("--child", help="what a process of this script profiles")
    flags = parser.parse_args()
    if flags.child:
        model, size, batch, precision = flags.child.split(":")
        rounds.print_figures(**milliseconds(model, int(size), int(batch), precision, flags.steps))
        return
    chosen = flags.only or [":".join(map(str, one)) for one in WORK]
    found = {one: rounds.run([__file__, f"--child={one}", f"--steps={flags.steps}"]) for one in chosen}
    heads = ["{0} {1}x{1}, batch {2}, {3}".format(*one.split(":")) for one in chosen]
    rows = [
        [kind, *(f"{figures[kind]:.0f}" for figures in found.values())]
        for kind in (*KINDS, "other")
        if any(figures[kind] >= 0.5 for figures in found.values())
    ]
    rows.append(["all", *(f"{sum(figures.values()):.0f}" for figures in found.values())])
    rounds.finish(flags, found, rounds.table(["ms of a step", *heads], rows))


if __name__ == "__main__":
    main()
