"""How the processes of a cluster find each other: each starts its server, and the chief says who is in.

All wait until everybody's server answers. Where some do not come in time and fewer are enough, the chief goes on
with those who are there. It keeps the list of members as a variable of its server, where the others read it. In the
list is each member's incarnation, so that nobody takes an earlier group's list for its own.
"""

from __future__ import annotations

import contextlib
import json
import time

from slimft.compat import tf
from slimft.errors import SlimftError, UsageError
from slimft.messages import say
from slimft.session import session_config
from slimft.training.cluster.members import VARIABLE, Cluster
from slimft.training.cluster.peers import Answer, Line, ask_all

_SECONDS_BETWEEN = 0.3
# From when on a process that waits says for whom, and how often.
_SECONDS_QUIET = 10.0
# How long the list of members may take after all are there.
_SECONDS_FOR_LIST = 15.0
_TIMEOUT_MS = 5000
_LIST = "slimft_members"
# Who gives out the keys by which collective ops meet; a server is told when it starts.
LEADER = "/job:worker/replica:0/task:0"


class WorkerLost(SlimftError):
    """Another process cannot be reached, or has ended: all have to be started anew."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h: whoever supervises may try again.


def start_server(cluster: Cluster, cpus: int) -> tf.train.Server:
    """Starts this process's server, which lasts as long as the process.

    Args:
        cluster: the cluster.
        cpus: how many virtual devices the CPU has.

    Raises:
        UsageError: it cannot, for example because its port is in use.
    """
    config = session_config()
    config.device_count["CPU"] = cpus
    config.experimental.collective_group_leader = LEADER
    address = cluster.addresses[cluster.index]
    try:
        return tf.train.Server(
            tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
            job_name="worker",
            task_index=cluster.index,
            config=config,
        )
    except (tf.errors.OpError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise UsageError(
            f"{VARIABLE}: {cluster.name(cluster.index)} cannot listen at {address} ({reason}); is its port in use?"
        ) from None


def join(cluster: Cluster, min_workers: int | None, timeout: float) -> dict[int, int]:
    """Waits for the other processes; returns the incarnation of each member, by its index in the cluster.

    Args:
        cluster: the cluster; this process's server is running.
        min_workers: how many are enough to begin with, this one among them; None for all.
        timeout: how many seconds to wait for all.

    Raises:
        WorkerLost: too few came, or this process came too late.
    """
    with contextlib.ExitStack() as stack:
        lines = [stack.enter_context(contextlib.closing(Line(address))) for address in cluster.addresses]
        answers = _wait_for_all(cluster, lines, min_workers or len(lines), timeout)
        there = {i: a.incarnation for i, a in enumerate(answers) if a.incarnation is not None}
        if cluster.index == 0:
            _publish(cluster, there)
            return there
        return _read(cluster, there[cluster.index], lines[0])


def _wait_for_all(cluster: Cluster, lines: list[Line], enough: int, timeout: float) -> list[Answer]:
    began, said = time.monotonic(), 0.0
    while True:
        answers = ask_all(lines)
        missing = [index for index, answer in enumerate(answers) if answer.incarnation is None]
        if not missing:
            return answers
        waited = time.monotonic() - began
        here = len(answers) - len(missing)
        names = ", ".join(map(cluster.name, missing[:5])) + (" and others" if len(missing) > 5 else "")
        if waited >= timeout:
            if here < enough or 0 in missing or cluster.index in missing:
                raise WorkerLost(
                    f"{cluster.name(cluster.index)} cannot reach {names} within --cluster_timeout={timeout:g} "
                    f"seconds ({here} of {len(answers)} are there; {enough}, and worker 0, are needed); are they "
                    "running, and is the port open?"
                )
            say(f"{names} did not come within --cluster_timeout={timeout:g} seconds: {here} workers go on")
            return answers
        if waited - said >= _SECONDS_QUIET:
            said = waited
            say(f"{cluster.name(cluster.index)} waits for {names}, {waited:.0f} of {timeout:g} seconds")
        time.sleep(_SECONDS_BETWEEN)


def _list_variable() -> tuple[tf.Variable, tf.ConfigProto]:
    config = session_config()
    config.device_filters.append("/job:worker/task:0")
    config.operation_timeout_in_ms = _TIMEOUT_MS
    with tf.device("/job:worker/task:0/cpu:0"):
        return tf.get_variable(_LIST, initializer=tf.constant(""), use_resource=True, trainable=False), config


def _publish(cluster: Cluster, members: dict[int, int]) -> None:
    """Keeps the list of members on the chief's server."""
    with tf.Graph().as_default():
        variable, config = _list_variable()
        text = tf.placeholder(tf.string, [])
        assign = variable.assign(text).op
        with tf.Session(f"grpc://{cluster.addresses[0]}", config=config) as session:
            session.run(assign, {text: json.dumps({str(index): one for index, one in members.items()})})


def _read(cluster: Cluster, own: int, line: Line) -> dict[int, int]:
    """The list of members as the chief has it, once it has this start of this process."""
    chief, until, seen = cluster.name(0), time.monotonic() + _SECONDS_FOR_LIST, False
    with tf.Graph().as_default():
        variable, config = _list_variable()
        while True:
            members = _list_on(f"grpc://{cluster.addresses[0]}", config, variable)
            if members.get(cluster.index) == own:
                return members
            seen = seen or bool(members)
            if time.monotonic() >= until or line.ask()().incarnation is None:
                break
            time.sleep(_SECONDS_BETWEEN)
    if seen:
        raise WorkerLost(
            f"{cluster.name(cluster.index)} comes too late: {chief} has begun without it; it can join when "
            "the others start anew"
        )
    raise WorkerLost(f"{cluster.name(cluster.index)} waits in vain for {chief} to say who trains")


def _list_on(target: str, config: tf.ConfigProto, variable: tf.Variable) -> dict[int, int]:
    """The list of members that a server has; it is empty until there is one, and where the server is lost.

    The session is a new one each time: the server may have been started anew, and does not know an older one.
    """
    with (
        contextlib.suppress(tf.errors.OpError, ValueError, AttributeError),
        tf.Session(target, config=config) as session,
    ):
        return {int(index): int(one) for index, one in json.loads(session.run(variable) or "{}").items()}
    return {}
