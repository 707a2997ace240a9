"""`TF_CONFIG`: what is taken, and what is told of what is not."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimft.errors import UsageError
from slimft.training.cluster.members import Cluster, cluster_of


def of(**told):
    return {"TF_CONFIG": json.dumps(told)}


WORKERS = {"worker": ["a:2222", "b:2222", "[::1]:80"]}


def test_workers():
    found = cluster_of(of(cluster=WORKERS, task={"type": "worker", "index": 2}))
    assert found == Cluster(("a:2222", "b:2222", "[::1]:80"), 2)
    assert found.name(1) == "worker 1 (b:2222)"


def test_a_chief_comes_first():
    cluster = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    chief, second = (
        cluster_of(of(cluster=cluster, task={"type": job, "index": "0"})) for job in ("chief", "worker")
    )
    assert chief == Cluster(("a:1", "b:1", "c:1"), 0) and second.index == 1


@pytest.mark.parametrize("text", ["", "  ", "{}", '{"cluster": {}}', '{"task": {"type": "worker", "index": 0}}'])
def test_no_cluster(text):
    assert cluster_of({"TF_CONFIG": text}) is None and cluster_of({}) is None


def test_one_worker_is_one_process():
    assert cluster_of(of(cluster={"worker": ["a:1"]}, task={"type": "worker", "index": 0})) is None


@pytest.mark.parametrize(
    "told, said",
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1]", "a cluster and a task"),
        ({"cluster": WORKERS}, "a cluster and a task"),
        ({"cluster": {"ps": ["a:1"], **WORKERS}, "task": {"type": "ps", "index": 0}}, "parameter servers"),
        ({"cluster": {"evaluator": ["a:1"]}, "task": {"type": "worker", "index": 0}}, "all workers evaluate"),
        ({"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 1}}, "has 2 chiefs"),
        ({"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}, "a list of addresses"),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}, "a:1 twice"),
        ({"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}, "'b', which must be host"),
        ({"cluster": {"worker": ["a:1", "b:0"]}, "task": {"type": "worker", "index": 0}}, "'b:0', which must"),
        ({"cluster": {"worker": ["a:1", "b:70000"]}, "task": {"type": "worker", "index": 0}}, "must be host:port"),
        ({"cluster": {"worker": ["a:1", 7]}, "task": {"type": "worker", "index": 0}}, "must be host:port"),
        ({"cluster": WORKERS, "task": {"type": "master", "index": 0}}, "task type 'master'"),
        ({"cluster": WORKERS, "task": {"type": "worker", "index": 3}}, "from 0 to 2"),
        ({"cluster": WORKERS, "task": {"type": "worker", "index": -1}}, "from 0 to 2"),
        ({"cluster": WORKERS, "task": {"type": "worker", "index": True}}, "from 0 to 2"),
        ({"cluster": WORKERS, "task": {"type": "worker"}}, "task index None"),
        ({"cluster": {"worker": [f"a:{port + 1}" for port in range(5000)]}, "task": {}}, "5000 addresses"),
    ],
)
def test_what_cannot_be(told, said):
    text = told if isinstance(told, str) else json.dumps(told)
    with pytest.raises(UsageError, match=said) as caught:
        cluster_of({"TF_CONFIG": text})
    assert str(caught.value).startswith("TF_CONFIG in the environment") and "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["worker", "task", "x"]), inner),
    max_leaves=6,
)


@given(cluster=json_values, task=json_values)
def test_whatever_it_says_is_a_cluster_or_one_error(cluster, task):
    try:
        found = cluster_of(of(cluster=cluster, task=task))
    except UsageError:
        return
    assert found is None or 0 <= found.index < len(found.addresses)
