"""Who is to train together: ``TF_CONFIG``, as Kubernetes operators and TensorFlow's own launchers write it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping

from slimft.errors import UsageError

VARIABLE = "TF_CONFIG"
_EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
# A host's name, IPv4 address or, in brackets, IPv6 address; and a port.
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>[0-9]{1,5})")
_MOST_MEMBERS = 4096
# What jobs of other designs are for.
_NOT_NEEDED = {
    "ps": "is for parameter servers, which there are none of: all workers hold all variables",
    "evaluator": "is for a process that only evaluates: here all workers evaluate together",
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes that are to train together, and which of them this is.

    Attributes:
        addresses: of each, ``host:port``; the chief is the first, by ``TF_CONFIG``.
        index: of this one.
    """

    addresses: tuple[str, ...]
    index: int

    def name(self, index: int) -> str:
        """What a message calls one of them."""
        return f"worker {index} ({self.addresses[index]})"


def cluster_of(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The cluster that ``TF_CONFIG`` describes; None where it is not set, or describes a single process.

    Jobs may be ``worker``, and ``chief`` for the first of them, as TensorFlow 1's Estimators had it.

    >>> cluster_of({"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'})
    Cluster(addresses=('a:1', 'b:1'), index=1)

    Raises:
        UsageError: it is none that workers can be found by.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong(f"is no JSON ({error})") from None
    cluster, task = (told.get(name) if isinstance(told, dict) else None for name in ("cluster", "task"))
    if not cluster and isinstance(told, dict):  # As for a single process.
        return None
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise _wrong("must have a cluster and a task")
    addresses = _addresses(cluster)
    index = _index(task, {job: len(cluster[job]) for job in cluster})
    return Cluster(addresses, index) if len(addresses) > 1 else None


def _addresses(cluster: dict) -> tuple[str, ...]:
    for job in cluster:
        if job not in ("worker", "chief"):
            why = _NOT_NEEDED.get(job, "is none that slimft knows")
            raise _wrong(f"has a job {job!r:.40}, which {why}; leave it out, the jobs are chief and worker")
        if not isinstance(cluster[job], list):
            raise _wrong(f"must have a list of addresses for {job}")
    chiefs, workers = (cluster.get(job, []) for job in ("chief", "worker"))
    if len(chiefs) > 1:
        raise _wrong(f"has {len(chiefs)} chiefs, and one process writes; make the others workers")
    addresses = [*chiefs, *workers]
    if len(addresses) > _MOST_MEMBERS:
        raise _wrong(f"has {len(addresses)} addresses; {_MOST_MEMBERS} is the most")
    for address in addresses:
        found = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if found is None or not 0 < int(found["port"]) < 1 << 16:
            raise _wrong(f"has the address {address!r:.80}, which must be host:port")
    twice = {address for address in addresses if addresses.count(address) > 1}
    if twice:
        raise _wrong(f"has the address {min(twice)} twice; each process needs a port of its own")
    return tuple(addresses)


def _index(task: dict, sizes: dict[str, int]) -> int:
    job, index = task.get("type"), task.get("index")
    if job not in sizes:
        raise _wrong(f"has the task type {job!r:.40}, which must be one of its jobs: {', '.join(sizes)}")
    if isinstance(index, str) and index.isascii() and index.isdigit():  # As some shells write it.
        index = int(index)
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < sizes[job]:
        raise _wrong(f"has the task index {index!r:.40}, which must be from 0 to {sizes[job] - 1} for {job}")
    return index + (sizes.get("chief", 0) if job == "worker" else 0)


def _wrong(what: str) -> UsageError:
    return UsageError(f"{VARIABLE} in the environment {what}; it looks like {_EXAMPLE}")
