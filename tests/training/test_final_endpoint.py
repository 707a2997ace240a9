"""A head on a network that is cut short: trained, evaluated, used, continued; and what cannot be."""

import numpy as np
import pytest

import slimft
from slimft.checkpoint import open_checkpoint, write_checkpoint
from slimft.compat import slim, tf
from slimft.errors import CheckpointError, UsageError
from slimft.inference import find_network
from slimft.nets import vgg
from slimft.runs.settings import Settings
from slimft.training import finetune
from slimft.training.completion import complete
from slimft.training.run import prepare

WIDTHS = (4, 6, 8, 6, 4)
FAST = dict(
    model="vgg_a", dataset="digits", head="bn_mlp", final_endpoint="pool3", batch_size=16, train_examples=64,
    steps=4, schedule="fixed", precision="float32", save_secs=1e9,
)  # fmt: skip


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A checkpoint of a narrow `vgg_a` without its fully connected layers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(vgg, "_WIDTHS", WIDTHS)
    with tf.Graph().as_default(), slim.arg_scope(vgg.vgg_arg_scope()):
        vgg.vgg_a(tf.zeros([1, 32, 32, 3]), None, final_endpoint="pool5")
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    rng = np.random.default_rng(0)
    values = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    write_checkpoint(str(tmp_path / "start.npz"), values)
    return str(tmp_path / "start.npz")


def settings_of(folder, start, **changes):
    return Settings(**{**FAST, "train_dir": str(folder), "checkpoint": start, **changes})


def values_of(path):
    checkpoint = open_checkpoint(path)
    return {name: checkpoint[name] for name in checkpoint}


def moved(start, path):
    """The scopes of what is in both checkpoints and differs."""
    before, after = values_of(start), values_of(path)
    return {
        name.rpartition("/")[0] for name in before.keys() & after if not np.array_equal(before[name], after[name])
    }


def scopes_of(path):
    return {name.split("/")[1] for name in open_checkpoint(path) if name.startswith("vgg_a/")}


def test_a_head_on_frozen_layers(start, tmp_path, capsys):
    settings = settings_of(tmp_path / "run", start, recipe="features")
    result = finetune(settings)
    assert "frozen layers are computed once" in capsys.readouterr().err
    assert scopes_of(tmp_path / "run") == {"conv1", "conv2", "conv3"}
    assert moved(start, tmp_path / "run") == set()
    assert open_checkpoint(tmp_path / "run").shape("head/hidden/weights") == (WIDTHS[2], 256)
    found = slimft.evaluate(train_dir=tmp_path / "run")
    assert (found["accuracy"], found["loss"]) == (result["accuracy"], pytest.approx(result["loss"], rel=1e-5))
    with slimft.Classifier(train_dir=tmp_path / "run") as classifier:
        (best,) = classifier.classify(np.zeros((1, 32, 32, 3), np.uint8))
    assert len(best) == 5


def test_what_is_above_the_end_is_unused(start, tmp_path):
    run = prepare(settings_of(tmp_path / "run", start, recipe="all"))
    run.check()
    assert {name.split("/")[1] for name in run.plan.unused} == {"conv4", "conv5"}
    assert not run.plan.missing and not run.plan.mismatched
    assert {name.split("/")[0] for name in run.plan.excluded} == {"head"}
    decayed = {loss.op.name.split("/")[0] for loss in run.training.graph.get_collection("regularization_losses")}
    assert decayed == {"vgg_a", "head"}


@pytest.mark.parametrize(
    "end, trained",
    [
        ("pool3", {"vgg_a/conv3/conv3_1", "vgg_a/conv3/conv3_2"}),
        ("conv4/conv4_1", {"vgg_a/conv4/conv4_1"}),
        ("pool1", {"vgg_a/conv1/conv1_1"}),
    ],
)
def test_top_is_the_last_block_below_the_end(start, tmp_path, end, trained):
    finetune(settings_of(tmp_path / "run", start, recipe="top", final_endpoint=end))
    assert moved(start, tmp_path / "run") == trained


def test_fc6_is_an_end_too(start, tmp_path):
    """Of which 32 pixels reach one tap only."""
    finetune(settings_of(tmp_path / "run", start, recipe="scratch", checkpoint=None, final_endpoint="fc6", steps=2))
    assert scopes_of(tmp_path / "run") == {"conv1", "conv2", "conv3", "conv4", "conv5", "fc6"}
    assert slimft.evaluate(train_dir=tmp_path / "run")["examples"] == 360


def test_a_run_goes_on_as_if_it_had_not_ended(start, tmp_path):
    for folder, steps in (("once", (8,)), ("twice", (4, 8))):
        for last in steps:
            finetune(settings_of(tmp_path / folder, start, recipe="all", steps=last))
    once, twice = values_of(tmp_path / "once"), values_of(tmp_path / "twice")
    assert once.keys() == twice.keys() and once["global_step"] == 8
    for name in once:
        np.testing.assert_allclose(once[name], twice[name], rtol=1e-4, atol=1e-6, err_msg=name)
    with pytest.raises(UsageError, match="holds a run with --final_endpoint=pool3, not pool4; name another"):
        finetune(settings_of(tmp_path / "once", start, recipe="all", final_endpoint="pool4"))


def test_a_checkpoint_alone_does_not_tell_its_end(start, tmp_path):
    finetune(settings_of(tmp_path / "run", start, steps=1))
    write_checkpoint(str(tmp_path / "alone.npz"), values_of(tmp_path / "run"))
    with pytest.raises(
        CheckpointError, match="alone.npz has nothing in vgg_a/fc7, as of a run with --final_endpoint"
    ):
        find_network("vgg_a", str(tmp_path / "alone.npz"))
    found = find_network(checkpoint=str(tmp_path / "alone.npz"), train_dir=tmp_path / "run")
    assert found.options == {"final_endpoint": "pool3"}
    assert "final_endpoint pool3" in found.sized().describe()


def test_mobilenet_ends_early_too(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    changes = {"model": "mobilenet_v1_025", "final_endpoint": "Conv2d_5_pointwise", "recipe": "scratch"}
    result = finetune(settings_of(tmp_path / "run", None, **changes, steps=2))
    names = {name.split("/")[1] for name in open_checkpoint(tmp_path / "run") if name.startswith("MobilenetV1/")}
    halves = {f"Conv2d_{i}_{half}" for i in range(1, 6) for half in ("depthwise", "pointwise")}
    assert names == {"Conv2d_0", *halves}
    assert slimft.evaluate(train_dir=tmp_path / "run")["accuracy"] == result["accuracy"]


LIST = "conv1/conv1_1, pool1, conv2/conv2_1, pool2, "


@pytest.mark.parametrize("recipe", [None, "top"])
@pytest.mark.parametrize(
    "changes, message",
    [
        ({"head": "linear"}, "--final_endpoint=pool3 leaves out fc8: name --head=mlp or bn_mlp"),
        ({"final_endpoint": "pool6"}, "--final_endpoint=pool6: vgg_a has no such end point; did you mean pool"),
        ({"final_endpoint": "vgg_a/pool2"}, "vgg_a has no such end point; did you mean pool2? There are " + LIST),
        ({"final_endpoint": "zebra"}, "--final_endpoint=zebra: vgg_a has no such end point; There are " + LIST),
        ({"model": "alexnet_v2"}, "alexnet_v2 has no such option; it is for "),
        ({"model": "fcn_8s", "dataset": "voc", "head": "linear"}, "fcn_8s has no such option; it is for "),
        ({"final_endpoint": ""}, "--final_endpoint is empty; give it a value, or leave it out"),
    ],
)
def test_what_cannot_be_is_refused(changes, message, recipe):
    with pytest.raises(UsageError) as caught:
        complete(Settings(**{**FAST, "checkpoint": "hed", "recipe": recipe, **changes}))
    assert message in str(caught.value)


def test_the_words_of_a_cut_network():
    from slimft.nets import get_network

    options = {"final_endpoint": "pool4"}
    spec = get_network("vgg_16")
    assert spec.expand(("head",), "mlp", options) == ("head",)
    assert spec.expand(("top",), "mlp", options) == ("vgg_16/conv4", "head")
    assert spec.expand(("all",), "mlp", options) == ("vgg_16", "head")
    options = {"final_endpoint": "Conv2d_7_depthwise"}
    scopes = ("MobilenetV1/Conv2d_6_*", "MobilenetV1/Conv2d_7_*", "head")
    assert get_network("mobilenet_v1").expand(("top",), "mlp", options) == scopes
