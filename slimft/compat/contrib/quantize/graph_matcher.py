"""Patterns of ops in a graph: `tensorflow.contrib.quantize.python.graph_matcher`.

A pattern is a tree that is held against an op and what the op is computed from. Source of names and arguments:
TensorFlow 1.15's tensorflow/contrib/quantize/python/graph_matcher.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from slimft.compat.v1 import tf


class Pattern:
    """What an op can match."""

    def match(self, op, tensor):
        """The `MatchResult` for an op and the tensor of it that is used, or None."""
        raise NotImplementedError


class OpTypePattern(Pattern):
    """Matches an op by its type and by the patterns of its inputs.

    Args:
        op_type: types of ops, such as ``Relu|Relu6``; ``*`` for any.
        name: by which a `MatchResult` finds the op.
        inputs: patterns or types, one for each input; None for any inputs.
        ordered_inputs: False matches the inputs in any order.

    Raises:
        ValueError: there are more than 8 inputs.
    """

    def __init__(self, op_type, name=None, inputs=None, ordered_inputs=True):
        inputs = inputs or []
        if len(inputs) > 8:
            raise ValueError(f"a pattern can have 8 inputs, not {len(inputs)}")
        self._types = None if op_type == "*" else frozenset(op_type.split("|"))
        self._inputs = [one if isinstance(one, Pattern) else OpTypePattern(one) for one in inputs]
        self._ordered_inputs = ordered_inputs
        self.name = name

    def match(self, op, tensor):
        """As for `Pattern`."""
        if self._types is not None and op.type not in self._types:
            return None
        if self._inputs and len(op.inputs) != len(self._inputs):
            return None
        orders = [self._inputs] if self._ordered_inputs else itertools.permutations(self._inputs)
        for patterns in orders:
            result = MatchResult()
            result.add(self, op, tensor)
            for pattern, taken in zip(patterns, op.inputs, strict=False):
                found = pattern.match(taken.op, taken)
                if found is None:
                    break
                result.merge_from(found)
            else:
                return result
        return None


class OneofPattern(Pattern):
    """Matches what the first of the patterns does that matches."""

    def __init__(self, sub_patterns):
        self._patterns = sub_patterns

    def match(self, op, tensor):
        """As for `Pattern`."""
        results = (pattern.match(op, tensor) for pattern in self._patterns)
        return next((result for result in results if result is not None), None)


class MatchResult:
    """The ops and tensors that were found, by pattern or by the pattern's name."""

    def __init__(self):
        self._found = {}
        self._names = {}

    def add(self, pattern, op, tensor):
        """Notes what matches a pattern; ValueError if another pattern has its name."""
        self._found[pattern] = op, tensor
        if pattern.name is not None:
            if pattern.name in self._names:
                raise ValueError(f"two patterns are called {pattern.name}")
            self._names[pattern.name] = pattern

    def get_op(self, pattern_or_name):
        """The op that matches the pattern, or None."""
        return self._get(pattern_or_name)[0]

    def get_tensor(self, pattern_or_name):
        """The tensor by which that op is used, or None."""
        return self._get(pattern_or_name)[1]

    def merge_from(self, other_match_result):
        """Takes over all that another result has."""
        self._found.update(other_match_result._found)
        self._names.update(other_match_result._names)

    def _get(self, pattern):
        if isinstance(pattern, str):
            pattern = self._names.get(pattern)
        elif not isinstance(pattern, Pattern):
            raise ValueError(f"an op is found by a pattern or its name, not by {pattern!r}")
        return self._found.get(pattern, (None, None))


class GraphMatcher:
    """Finds a pattern in a graph."""

    def __init__(self, pattern: Pattern):
        self._pattern = pattern

    def match_op(self, op: tf.Operation) -> MatchResult | None:
        """The match of an op, or None."""
        return self._pattern.match(op, None)

    def match_ops(self, ops: Iterable[tf.Operation]) -> Iterator[MatchResult]:
        """The matches of those of the ops that match."""
        return (result for result in map(self.match_op, ops) if result is not None)

    def match_graph(self, graph: tf.Graph) -> Iterator[MatchResult]:
        """The matches of all ops of the graph, in the order in which they were made."""
        return self.match_ops(graph.get_operations())
