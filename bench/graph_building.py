"""Measures how long a network's training graph takes to build, against TensorFlow's own time for such a graph.

    python bench/graph_building.py [--rounds 5] [--repeats 3] [--only nasnet_mobile inception_resnet_v2]

TensorFlow's own time is that of a graph with the same ops and variables, made without slim: a `tf.Variable` for
each variable, and for each of the other ops the call that is behind every function of TensorFlow that makes one
(`apply_op`), with the same name, inputs, control inputs and attributes. Each round starts a fresh process for one
side and then for the other; a process builds the network once, untimed, and then `--repeats` times in new graphs.
The time is the process' CPU time, which other processes disturb less than wall time. The ratio is ours to
TensorFlow's: below 1 is faster.
"""

import gc
import sys
import time

import rounds

NETWORKS = ("resnet_v1_50", "mobilenet_v2", "inception_resnet_v2", "nasnet_mobile", "nasnet_large")
SIDES = ("slimft", "TensorFlow")


def build(spec):
    """The network in a graph of its own, as it trains; returns the graph."""
    from slimft.compat import tf

    with tf.Graph().as_default() as graph:
        size = spec.default_image_size
        images = tf.placeholder(tf.float32, [None, size, size, spec.channels])
        spec.build(images, spec.num_imagenet_classes, is_training=True)
    return graph


class Plain:
    """What it takes to make a graph like `graph` op by op."""

    def __init__(self, graph):
        from slimft.compat import tf

        variables = {variable.op: variable for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)}
        of_variables = {variable.initializer for variable in variables.values()}
        of_variables |= {variable.value().op for variable in variables.values()}
        self.steps = []
        for op in graph.get_operations():
            if op in variables:
                variable = variables[op]
                initial, read = variable.initializer.inputs[1].name, variable.value().name
                self.steps.append((op.name, initial, variable.trainable, read))
            elif op not in of_variables:
                controls = [control.name for control in op.control_inputs]
                self.steps.append((op.type, op.name, *_arguments(op), controls))

    def build(self):
        """The graph."""
        from tensorflow.python.framework.op_def_library import apply_op

        from slimft.compat import tf

        with tf.Graph().as_default() as graph:
            ops, tensors = {}, {}
            for step in self.steps:
                if len(step) == 4:
                    name, initial, trainable, read = step
                    variable = tf.Variable(tensors[initial], trainable=trainable, name=name)
                    op, tensors[read] = variable.op, variable.value()
                else:
                    kind, name, inputs, attributes, controls = step
                    found = {
                        key: [tensors[tensor] for tensor in value] if isinstance(value, list) else tensors[value]
                        for key, value in inputs.items()
                    }
                    with tf.control_dependencies([ops[control] for control in controls]):
                        apply_op(kind, **found, **attributes, name=f"{name}/")
                    op = graph.get_operation_by_name(name)
                ops[op.name] = op
                tensors.update({tensor.name: tensor for tensor in op.outputs})
        return graph


def _arguments(op):
    """The inputs of an op by argument, as names of tensors, and those of its attributes that inputs do not tell."""
    inputs, inferred, tensors = {}, set(), [tensor.name for tensor in op.inputs]
    for argument in op.op_def.input_arg:
        inferred |= {argument.type_attr, argument.number_attr, argument.type_list_attr}
        if argument.number_attr or argument.type_list_attr:
            number = op.get_attr(argument.number_attr or argument.type_list_attr)
            number = number if isinstance(number, int) else len(number)
            inputs[argument.name], tensors = tensors[:number], tensors[number:]
        else:
            inputs[argument.name], *tensors = tensors
    attributes = {attribute.name: op.get_attr(attribute.name) for attribute in op.op_def.attr
                  if attribute.name not in inferred}  # fmt: skip
    if op.type == "Const":
        attributes["value"] = op.node_def.attr["value"].tensor
    return inputs, attributes


def measure(name, side, repeats):
    """CPU seconds of each build in this process, and how many ops and variables there are."""
    from slimft.compat import tf
    from slimft.nets import get_network

    spec = get_network(name)
    graph = build(spec)
    counts = len(graph.get_operations()), len(graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES))
    make = (lambda: build(spec)) if side == "slimft" else Plain(graph).build
    del graph
    seconds = []
    for _ in range(repeats):
        gc.collect()
        begun = time.process_time()
        graph = make()
        seconds.append(time.process_time() - begun)
    assert counts == (len(graph.get_operations()), len(graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)))
    return {"seconds": min(seconds), "ops": counts[0], "variables": counts[1]}


def main():
    parser = rounds.parser(__doc__, rounds=5)
    parser.add_argument("--repeats", type=int, default=3, help="builds in each process; the fastest counts")
    parser.add_argument("--only", nargs="+", default=NETWORKS, help="networks")
    parser.add_argument("--child", nargs=2, help="of itself: a network, and which side")
    flags = parser.parse_args()
    if flags.child:
        rounds.print_figures(**measure(*flags.child, flags.repeats))
        return
    rows, figures = [], {}
    for name in flags.only:
        command = [__file__, f"--repeats={flags.repeats}", "--child", name]
        found = rounds.alternate({side: [*command, side] for side in SIDES}, flags.rounds)
        seconds = figures[name] = rounds.spreads(found, "seconds")
        first = found["slimft"][0]
        ratio = seconds["slimft"].median / seconds["TensorFlow"].median
        rows.append([f"`{name}`", f"{first['ops']:,}", f"{first['variables']:,}",
                     *(seconds[side].show() for side in SIDES), f"{ratio:.2f}"])  # fmt: skip
    head = ["network", "ops", "variables", "slimft, s", "TensorFlow, s", "slimft / TensorFlow"]
    rounds.finish(flags, figures, rounds.table(head, rows))


if __name__ == "__main__":
    sys.exit(main())
