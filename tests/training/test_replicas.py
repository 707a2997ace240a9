"""Several devices of one machine train as one does: on virtual devices of the CPU."""

import numpy as np
import pytest

import slimft
from slimft.cli.finetune import main
from slimft.compat import slim, tf
from slimft.errors import UsageError
from slimft.runs.settings import Settings
from slimft.session import CPU_DEVICES, session_config
from slimft.tasks import get_task
from slimft.training import finetune
from slimft.training.cluster.group import Alone
from slimft.training.loss_scale import LossScale
from slimft.training.replica_choice import replicas_of
from slimft.training.replicas import OneProcess, Share, Towers
from slimft.training.run import prepare
from slimft.training.towers import Tower, loss_scales, move_averages

FAST = {"dataset": "digits", "precision": "float32", "batch_size": 16}


@pytest.fixture(autouse=True)
def _devices(monkeypatch):
    monkeypatch.setenv(CPU_DEVICES, "4")


def towers(number=2, collective=None):
    config = session_config()
    config.device_count["CPU"] = number
    return Towers([f"/cpu:{cpu}" for cpu in range(number)], config, collective)


def steps_of(folder, number, steps, **settings):
    """What each of the first steps measures, and the variables after them."""
    run = prepare(Settings(**{**FAST, "steps": 100, "train_dir": str(folder), "num_replicas": number, **settings}))
    with run.training.graph.as_default(), run.new_session() as session:
        run.restore(session)
        run.start_batches(session, 0)
        measured = [run.take_step(session).values for _ in range(steps)]
        run.training.parts.put_back(session)
        return measured, {variable.op.name: session.run(variable) for variable in tf.global_variables()}


def assert_agree(one, other, losses, weights):
    """The losses and other figures of each step agree, relatively, and the variables, by their norms."""
    assert one[1].keys() == other[1].keys()
    for left, right in zip(one[0], other[0]):
        for name in left:
            assert left[name] == pytest.approx(right[name], rel=losses, abs=losses), name
    for name, value in one[1].items():
        distance = np.linalg.norm(np.asarray(value, float) - other[1][name])
        assert distance <= weights * np.linalg.norm(np.asarray(value, float)) + 1e-9, name


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "cifarnet"},  # Neither dropout nor batch normalization.
        {"model": "tiny", "sync_batch_norm": True, "seed": 3},  # With dropout: each image has its own draws.
    ],
    ids=["plain", "synchronised"],
)
def test_fifty_steps_are_those_of_one_device(tiny, tmp_path, number, settings, of_one={}):  # noqa: B006
    key = settings["model"]
    if key not in of_one:
        of_one[key] = steps_of(tmp_path, 1, 50, **settings)
    one = of_one[key]
    several = steps_of(tmp_path, number, 50, **settings)
    weights = [{n: v for n, v in run[1].items() if not n.endswith("Momentum")} for run in (one, several)]
    assert_agree((one[0], weights[0]), (several[0], weights[1]), losses=5e-6, weights=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        dict(  # Shares of different sizes.
            head="bn_mlp", batch_size=17, accumulate=2, augment="strong", mixup=0.2, cutmix=1.0, clip_norm=1.0,
            ema=0.9, label_smoothing=0.1, focal_gamma=1.0, balance="loss", lr_multiplier=("head:3",),
        ),
        dict(optimizer="rmsprop", weight_decay=0.01),
        dict(head="mlp", remat=True, sync_batch_norm=False, batch_norm="frozen", trainable=("head",)),
        dict(model="cifarnet", remat=True),
        dict(model="cifarnet", weight_decay=0.1, clip_norm=10.0),
    ],
    ids=["everything", "rmsprop", "head", "remat", "decay"],
)  # fmt: skip
def test_a_few_steps_agree_whatever_is_asked_for(tiny, tmp_path, settings):
    if settings.get("batch_norm") == "frozen":
        settings = {**settings, "checkpoint": finetune_tiny(tmp_path / "start", 1)}
    settings = {"model": "tiny", "sync_batch_norm": "remat" not in settings, "seed": 3, **settings}
    one, two = (steps_of(tmp_path / "none", number, 3, **settings) for number in (1, 2))
    assert_agree(one, two, losses=2e-5, weights=2e-4)


@pytest.mark.parametrize("precision, tolerance", [("float16", 0.02), ("bfloat16", 0.1)])
def test_half_precision_agrees_roughly(tiny, tmp_path, precision, tolerance):
    settings = {"model": "tiny", "sync_batch_norm": True, "precision": precision, "accumulate": 2}
    one, two = (steps_of(tmp_path, number, 3, **settings) for number in (1, 2))
    assert [step["loss"] for step in one[0]] == pytest.approx([step["loss"] for step in two[0]], rel=tolerance)
    if precision == "float16":  # A mean over half as many has gradients twice as large, which may overflow once.
        assert two[1]["loss_scale/scale"] in (one[1]["loss_scale/scale"], one[1]["loss_scale/scale"] / 2)


def test_masks_weigh_by_their_pixels(tiny, tmp_path, voc):
    """Shares of one and two images, whose pixels of no class are not as many."""
    settings = {
        "model": "tiny_fcn", "dataset": "voc", "data_dir": str(voc), "batch_size": 3, "sync_batch_norm": True,
        "augment": "standard", "learning_rate": 0.02,
    }  # fmt: skip
    one, two = (steps_of(tmp_path, number, 3, **settings) for number in (1, 2))
    assert_agree(one, two, losses=2e-5, weights=2e-4)


def test_void_shares_count_for_nothing():
    with tf.Graph().as_default(), tf.Session(config=towers().config) as session:
        masks = tf.constant(np.array([[[255, 255]], [[255, 255]], [[1, 0]]], np.uint8))
        shares = [Share(0, slice(0, 2), 3, 4 / 3), Share(1, slice(2, 3), 3, 2 / 3)]
        nets = [Tower(share, None, None, {}, []) for share in shares]
        assert session.run(loss_scales(towers(), nets, masks, get_task("segmentation"))) == [0, 2]
        none = tf.fill([3, 1, 2], tf.constant(255, tf.uint8))
        assert session.run(loss_scales(towers(), nets, none, get_task("segmentation"))) == [0, 0]


def test_moving_averages_are_of_the_averages_of_all_statistics():
    random = np.random.default_rng(0)
    images = (random.normal(size=[6, 4, 4, 2]) * [1, 3] + np.arange(6)[:, None, None, None]).astype(np.float32)
    both = towers()
    with tf.Graph().as_default(), tf.Session(config=both.config) as session:
        nets = []
        for share in both.shares(5):  # Three images and two.
            with both.batch_norm(share, False) as moves, tf.variable_scope("", reuse=bool(nets)):
                slim.batch_norm(share.take(tf.constant(images[:5])), decay=0.9, scope="bn")
            nets.append(Tower(share, None, None, {}, moves))
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        move_averages(both, nets, False)
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        mean, variance = session.run(["bn/moving_mean:0", "bn/moving_variance:0"])
    parts, axes = (images[:3], images[3:5]), (0, 1, 2)
    means = 0.6 * parts[0].mean(axes) + 0.4 * parts[1].mean(axes)
    variances = 0.6 * parts[0].var(axes) * 48 / 47 + 0.4 * parts[1].var(axes) * 32 / 31
    np.testing.assert_allclose(mean, 0.1 * means, rtol=1e-5)
    np.testing.assert_allclose(variance, 0.9 + 0.1 * variances, rtol=1e-5)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_synchronised_layers_are_one_layer(data_format):
    """Outputs, gradients and update are those of a layer of the whole batch; statistics far from 0 too."""
    images = np.random.default_rng(1).normal(50, 2, [5, 2, 3, 4]).astype(np.float32)
    shape = {"scale": True, "decay": 0.9, "scope": "bn", "data_format": data_format}
    several = towers(3)

    def loss(normal, share):
        weights = np.linspace(-1, 1, images.size, dtype=np.float32).reshape(images.shape)[share.rows]
        return tf.reduce_sum(tf.nn.tanh(normal) * weights)

    def run(replicas):
        with tf.Graph().as_default(), tf.Session(config=several.config) as session:
            nets, outputs, gradients = [], [], []
            for share in replicas.shares(5):
                with (
                    share.placed(),
                    replicas.batch_norm(share, True) as moves,
                    tf.variable_scope("", reuse=bool(nets)),
                ):
                    own = share.take(tf.constant(images))
                    normal = slim.batch_norm(own, **shape)
                    if data_format == "NCHW" and not moves:  # The CPU has no such kernel.
                        normal = tf.transpose(
                            slim.batch_norm(
                                tf.transpose(own, [0, 2, 3, 1]), **{**shape, "data_format": "NHWC"}, reuse=True
                            ),
                            [0, 3, 1, 2],
                        )
                        del tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)[:2]
                    gradients.append(tf.gradients(loss(normal, share), [own, *tf.trainable_variables()]))
                nets.append(Tower(share, None, None, {}, moves))
                outputs.append(normal)
            move_averages(replicas, nets, True)
            session.run(tf.global_variables_initializer())
            found = session.run([outputs, gradients])
            session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
            averages = session.run(["bn/moving_mean:0", "bn/moving_variance:0"])
        of_images = np.concatenate([own[0] for own in found[1]])
        of_variables = [sum(own[1 + i] for own in found[1]) for i in range(2)]
        return [np.concatenate(found[0]), of_images, *of_variables, *averages]

    for one, other in zip(run(OneProcess(several.config)), run(several)):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("collective", [None, "ring"])
def test_averages(collective):
    several = towers(3, collective)
    with tf.Graph().as_default(), tf.Session(config=several.config) as session:
        shares = several.shares(7)
        assert [share.rows for share in shares] == [slice(0, 3), slice(3, 5), slice(5, 7)]
        assert sum(share.scale for share in shares) == pytest.approx(3)
        values = [[tf.constant([1.0, number]), tf.constant(number * 3.0)] for number in range(3)]
        first, second = session.run(several.average(values))
        np.testing.assert_allclose(first, [1, 1])
        assert second == 3


def test_an_overflow_of_one_replica_is_one_of_all():
    several = towers()
    with tf.Graph().as_default(), tf.Session(config=several.config) as session:
        scale, bad = LossScale(), tf.placeholder(tf.float32, [])
        gradients = scale.unscaled([[tf.constant(2.0**15)], [bad]], several.average)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        session.run(tf.global_variables_initializer())
        assert session.run([gradients, updates], {bad: 2.0**16})[0] == [[1], [2]]
        assert session.run([gradients, updates], {bad: np.inf})[0] == [[0], [0]]
        assert session.run(scale.variables) == [2.0**14, 0]


def test_one_process_adds_nothing():
    one, gradients = OneProcess(session_config()), [tf.constant(1.0)]
    assert one.average([gradients])[0] is gradients[0]
    (share,) = one.shares(8)
    assert share.is_whole and share.take(gradients) is gradients and share.device is None
    alone = Alone()
    assert alone.any(True, False) == [True, False] and alone.broadcast("value") == "value"
    assert alone.gather(b"message") == [b"message"]


def finetune_tiny(folder, number, steps=4, **changes):
    """The checkpoint of a short run."""
    settings = {**FAST, "model": "tiny", "steps": steps, "augment": "none", "schedule": "fixed", "seed": 3}
    found = finetune(
        Settings(
            **{**settings, "train_dir": str(folder), "num_replicas": number, "sync_batch_norm": True, **changes}
        )
    )
    return found["checkpoint"]


@pytest.mark.parametrize("first, then", [(2, 1), (1, 3)])
def test_a_checkpoint_does_not_depend_on_the_number(tiny, tmp_path, capsys, first, then):
    whole = slimft.open_checkpoint(finetune_tiny(tmp_path / "whole", 1, steps=8))
    finetune_tiny(tmp_path / "run", first)
    capsys.readouterr()
    found = slimft.open_checkpoint(finetune_tiny(tmp_path / "run", then, steps=8))
    assert f"note: --num_replicas was {first}, is now {then}" in capsys.readouterr().err
    assert {name: found.shape(name) for name in found} == {name: whole.shape(name) for name in whole}
    for name in whole:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_what_is_said(tiny, tmp_path, capsys):
    finetune_tiny(tmp_path, 3, learning_rate=0.01)
    assert (
        "3 replicas, on 3 virtual devices of the CPU: a batch of 16 is 6, 5 and 5 images; the learning rate of "
        "0.01 is for the whole batch; batch_norm trains by the statistics of the whole batch"
    ) in capsys.readouterr().err


def test_stages_and_frozen_layers(tiny, tmp_path, capsys):
    stages = {"stage": ("0.1:head", "0.1:all"), "augment": "none", "steps": None, "batch_size": 64}
    finetune_tiny(tmp_path, 2, **stages)
    told = capsys.readouterr().err
    assert "stage 2 of 2" in told
    assert "train: what is kept is of whole batches, which 2 replicas split" in told


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--num_replicas=0"], "--num_replicas=0"),
        (["--num_replicas=5"], "--num_replicas=5: SLIMFT_CPU_DEVICES=4"),
        (["--num_replicas=4", "--batch_size=3"], "a --batch_size of 3 has no image for each"),
        (["--num_replicas=2", "--xla"], "--xla compiles the graph of one device"),
        (["--num_replicas=2", "--cache_views=2"], "leave --cache_views out"),
        (["--num_replicas=2", "--sync_batch_norm", "--remat"], "leave one of them out"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(tmp_path, capsys, flags, told):
    command = ["finetune", "--model=cifarnet", "--dataset=digits", f"--train_dir={tmp_path / 'run'}", *flags]
    assert main(command) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", ["", "0", "two", "1000", "-1"])
def test_a_bad_number_of_devices(monkeypatch, value):
    monkeypatch.setenv(CPU_DEVICES, value)
    with pytest.raises(UsageError, match=CPU_DEVICES):
        replicas_of(Settings(num_replicas=2))


def test_without_a_gpu_one_trains_but_where_more_are_asked_for(monkeypatch):
    assert replicas_of(Settings()).number == 1
    monkeypatch.delenv(CPU_DEVICES)
    with pytest.raises(UsageError, match="there is no GPU"):
        replicas_of(Settings(num_replicas=2))


def test_all_gpus_train_by_default(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["one"] * 4)
    assert replicas_of(Settings()).number == 4
    assert replicas_of(Settings(batch_size=3)).number == 3
    assert replicas_of(Settings(num_replicas=2)).number == 2
    with pytest.raises(UsageError, match="--num_replicas=5: this machine has 4 GPUs"):
        replicas_of(Settings(num_replicas=5))
    for alone in ({"xla": True}, {"cache_views": 2}, {"trainable": ("head",), "augment": "none"}):
        one = replicas_of(Settings(**alone))
        assert one.number == 1
        assert "one of 4 GPUs trains" in one.describe(Settings(**alone), 0.1)[0]
    assert replicas_of(Settings(trainable=("all",), augment="none")).number == 4
