"""What the processes of a group tell each other, and what is found out when they are not alike or not there."""

import dataclasses
import json
import signal
import socket
import time

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data import load_dataset
from slimft.errors import UsageError
from slimft.runs.settings import Settings
from slimft.training import finetune, replica_choice
from slimft.training.cluster import agreement, buckets, pace
from slimft.training.cluster.group import Alone
from slimft.training.completion import complete


class Two(Alone):
    """A group in which the other one sends what `other` makes of this one's message."""

    number = 2

    def __init__(self, other):
        self._other = other

    def name(self, index):
        return f"worker {index} (host{index}:1)"

    def gather(self, message):
        return [message, json.dumps(self._other(json.loads(message))).encode()]


def test_those_who_are_told_alike():
    settings = complete(Settings(model="cifarnet", train_dir="a"))
    agreement.check_told_alike(Two(lambda told: told), settings, 1)
    same = complete(
        dataclasses.replace(settings, train_dir="b", data_dir="elsewhere", cache="off", cluster_timeout=9.0)
    )
    mine = []
    agreement.check_told_alike(Two(lambda told: mine.append(told) or told), same, 1)
    agreement.check_told_alike(Two(lambda told: mine[0]), settings, 1)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"slimft": "0.0"}, "worker 1 (host1:1) has other slimft than worker 0 (host0:1): 0.0, not "),
        ({"TensorFlow": "2.16.1"}, "has other TensorFlow than"),
        ({"--seed": 4}, "has --seed=4, and worker 0 (host0:1) --seed=0; start all with the same flags"),
        ({"--checkpoint": "given"}, "has --checkpoint=given, and worker 0 (host0:1) --checkpoint=nothing"),
        ({"devices": 2}, "has other devices than worker 0 (host0:1): 2, not 1"),
    ],
)
def test_those_who_are_not(change, said):
    settings = complete(Settings(model="cifarnet", train_dir="a"))
    with pytest.raises(UsageError) as caught:
        agreement.check_told_alike(Two(lambda told: {**told, **change}), settings, 1)
    assert said in str(caught.value)


def test_other_data_is_found_out(tmp_path):
    from PIL import Image

    for name in ("mine", "theirs"):
        for label in ("cat", "dog"):
            (tmp_path / name / label).mkdir(parents=True)
            for number in range(6):
                pixels = np.full([8, 8, 3], 10 * number + (5 if label == "cat" else 0), np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{number}.png")
    sent = []
    mine, theirs = (load_dataset("image_folder", str(tmp_path / name)) for name in ("mine", "theirs"))
    agreement.check_same_data(Two(lambda told: sent.append(told) or told), theirs)
    agreement.check_same_data(Two(lambda told: sent[0]), mine)
    Image.fromarray(np.full([8, 8, 3], 99, np.uint8)).save(tmp_path / "theirs" / "dog" / "3.png")
    changed = load_dataset("image_folder", str(tmp_path / "theirs"))
    agreement.check_same_data(Two(lambda told: sent.append(told) or told), changed)
    with pytest.raises(UsageError, match=r"worker 1 .* has other images of the \w+ split than .*give all the same"):
        agreement.check_same_data(Two(lambda told: sent[1]), mine)


def test_a_slow_one_is_named(capsys):
    seconds = {}
    two = Two(lambda own: seconds["other"])
    events = []
    watch = pace.Pace(two, 2, lambda step, values: events.append((step, values)))
    for step in range(1, 13):
        seconds["other"] = 0.5 if 4 < step < 9 else 0.1
        watch.step(step, 0.1)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "until it waits for the others, a step takes worker 0 0.1 s, worker 1 0.1 s"
    assert said[1:] == [
        "step 8: worker 1 (host1:1) is slow, and all wait for it: 0.5 s a step, the others 0.1 s",
        "step 10: worker 1 (host1:1) is as fast as the others again",
    ]
    assert [step for step, _ in events] == [2, 4, 6, 8, 10, 12]
    assert events[3][1] == {"workers/0_seconds_per_step": pytest.approx(0.1), "workers/1_seconds_per_step": 0.5}


def test_alone_nothing_is_told_of_the_pace(capsys):
    pace.Pace(Alone(), 1, lambda *_: pytest.fail("nothing is to be written")).step(1, None)
    assert capsys.readouterr().err == ""


def test_buckets_put_tensors_together_and_take_them_apart():
    shapes = [(3,), (), (2, 5), (7,), (4, 4)]
    rng = np.random.default_rng(0)
    values = [[rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(2)]
    with tf.Graph().as_default(), tf.Session() as session:
        calls = []

        def function(vectors):
            calls.append([vector.shape.as_list() for vector in vectors])
            return vectors[0] + 2 * vectors[1]

        tensors = [[tf.constant(one) for one in device] for device in values]
        found = session.run(buckets.fused(tensors, function))
        assert calls == [[[37], [37]]]
        # Of 40 bytes: the last layers first.
        assert buckets.bucketed(tensors[0], 40) == [[0, 1], [2], [3], [4]]
    for one, other, result in zip(*values, found):
        np.testing.assert_allclose(result, one + 2 * other, rtol=1e-6)
        assert result.shape == one.shape


def test_one_that_is_killed_is_named_and_nothing_is_lost(tmp_path, addresses, start):
    chief, worker = (start(index, tmp_path / "run") for index in range(2))
    until = time.monotonic() + 300
    while not (tmp_path / "run" / "model.ckpt-20.index").exists() and time.monotonic() < until:
        time.sleep(0.2)
    worker.send_signal(signal.SIGKILL)
    _, said = chief.communicate(timeout=120)
    worker.communicate(timeout=10)
    assert chief.returncode == 75, said
    last = said.strip().splitlines()[-1]
    assert f"worker 1 ({addresses[1]}) has ended: all workers have to start anew" in last
    assert (tmp_path / "run" / "checkpoint").exists() and not (tmp_path / "run" / "traceback.txt").exists()


def test_a_port_in_use_and_others_that_do_not_come(tmp_path, addresses, start):
    with socket.socket() as taken:
        host, port = addresses[0].split(":")
        taken.bind(("", int(port)))
        taken.listen()
        in_use = start(0, tmp_path / "run")
        late = start(1, tmp_path / "run", "--cluster_timeout=4")
        (_, first), (_, second) = (process.communicate(timeout=300) for process in (in_use, late))
    assert in_use.returncode == 2 and f"worker 0 ({addresses[0]}) cannot listen" in first.strip().splitlines()[-1]
    assert late.returncode == 75
    last = second.strip().splitlines()[-1]
    assert f"worker 1 ({addresses[1]}) cannot reach worker 0 ({addresses[0]})" in last
    assert "within --cluster_timeout=4 seconds" in last
    assert not (tmp_path / "run").exists()


class Several(Alone):
    number = 2


@pytest.mark.parametrize(
    "told, said",
    [
        ({"batch_size": 1}, "2 workers with 1 replica each: a --batch_size of 1 has no image for each"),
        ({"cache_views": 2}, "what --cache_views keeps is of whole batches"),
        ({"xla": True}, "--xla compiles the graph of one device"),
        ({"remat": True, "sync_batch_norm": True}, "--sync_batch_norm lets each replica wait"),
    ],
)
def test_what_workers_cannot_do(told, said):
    settings = Settings(model="cifarnet", **told)
    with pytest.raises(UsageError, match=said):
        replica_choice._workers(settings, Several(), 1, 0)


def test_what_is_for_several_processes_is_said_to_do_nothing(tmp_path, capsys):
    settings = {"model": "cifarnet", "dataset": "digits", "steps": 1, "precision": "float32"}
    finetune(Settings(**settings, train_dir=str(tmp_path), wire_precision="bfloat16", min_workers=2))
    said = capsys.readouterr().err
    assert "--wire_precision=bfloat16 does nothing here: there is one process" in said
    assert "--min_workers=2 does nothing here" in said
