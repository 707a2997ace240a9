"""Restore plans against checkpoints that TensorFlow's Saver wrote."""

import numpy as np
import pytest

import slimft
from slimft import CheckpointError, PatternError, RestoreError, get_variables_to_restore, plan_restore
from slimft.compat import slim, tf
from slimft.restore import assign_from_checkpoint_fn, covering_scopes

rng = np.random.default_rng(0)
VALUES = {
    "net/conv1/weights": rng.standard_normal([3, 3, 3, 4], np.float32),
    "net/conv1/BatchNorm/gamma": rng.standard_normal(4, np.float32),
    "net/conv1/BatchNorm/moving_mean": rng.standard_normal(4, np.float32),
    "net/fc8/weights": rng.standard_normal([1, 1, 4, 10], np.float32),
    "net/fc8/biases": rng.standard_normal(10, np.float32),
}
EXTRA = {"global_step": np.array(9, np.int64), "net/mean_rgb": np.ones(3, np.float32)}


@pytest.fixture(scope="module", params=["V1", "V2"])
def path(request, tmp_path_factory):
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in {**VALUES, **EXTRA}.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=getattr(tf.train.SaverDef, request.param))
        return saver.save(session, str(tmp_path_factory.mktemp("saved") / "net.ckpt"))


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def build(shapes=None, use_resource=False, model=True):
    """Model variables of the given shapes, by default those of VALUES."""
    shapes = shapes or {name: value.shape for name, value in VALUES.items()}
    make = slim.model_variable if model else tf.get_variable
    return {
        name: make(name, shape=list(shape), initializer=tf.ones_initializer(), use_resource=use_resource)
        for name, shape in shapes.items()
    }


@pytest.mark.parametrize("use_resource", [False, True])
def test_restores_every_bit_and_adds_no_op(path, session, use_resource):
    variables = build(use_resource=use_resource)
    plan = plan_restore(path)
    ops = len(session.graph.get_operations())
    session.graph.finalize()
    for _ in range(2):
        plan.apply(session)
    assert len(session.graph.get_operations()) == ops
    for name, variable in variables.items():
        np.testing.assert_array_equal(session.run(variable), VALUES[name])
    assert dict(plan.restored) == {name: name for name in VALUES}
    assert plan.unused == ("global_step", "net/mean_rgb")
    assert not plan.excluded and not plan.missing and not plan.mismatched


def test_equals_what_the_saver_restores(path, session):
    variables = build()
    tf.train.Saver(variables).restore(session, path)
    wanted = session.run(variables)
    session.run(tf.global_variables_initializer())
    slimft.restore(session, path)
    for name, value in session.run(variables).items():
        np.testing.assert_array_equal(value, wanted[name])


def test_excluded_variables_keep_their_values(path, session):
    shapes = {name: value.shape for name, value in VALUES.items()}
    shapes.update({"net/fc8/weights": [1, 1, 4, 3], "net/fc8/biases": [3], "net/fc80/weights": [2]})
    variables = build(shapes)
    session.run(tf.global_variables_initializer())
    plan = slimft.restore(session, path, exclude="net/fc8,net/fc80")
    assert plan.excluded == ("net/fc8/weights", "net/fc8/biases", "net/fc80/weights")
    assert {"net/fc8/weights", "net/fc8/biases"} <= set(plan.unused)
    for name, variable in variables.items():
        value = session.run(variable)
        wanted = np.ones(shapes[name]) if name in plan.excluded else VALUES[name]
        np.testing.assert_array_equal(value, wanted)


def test_every_variable_and_entry_is_in_one_place(path, session):
    shapes = {name: value.shape for name, value in VALUES.items()}
    shapes.update({"net/fc8/weights": [1, 1, 4, 3], "net/new/weights": [2]})
    variables = build(shapes)
    plan = plan_restore(path, exclude="net/conv1/BatchNorm")
    states = [*plan.restored, *plan.excluded, *plan.missing, *(m.name for m in plan.mismatched)]
    assert sorted(states) == sorted(variables)
    used = [*plan.restored.values(), *(m.name for m in plan.mismatched)]
    assert sorted([*used, *plan.unused]) == sorted({**VALUES, **EXTRA})
    text = str(plan)
    for name in [*variables, *EXTRA]:
        assert name in text
    for word in ("restored", "excluded", "missing in the checkpoint", "mismatched: [1, 1, 4, 10]", "unused"):
        assert word in text


def raises(message, **arguments):
    with pytest.raises(RestoreError) as caught:
        plan_restore(**arguments).check()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_variable_is_an_error_that_says_what_to_exclude(path, session):
    build({**{name: value.shape for name, value in VALUES.items()}, "net/fc9/weights": [2], "net/fc9/biases": [2]})
    raises("net/fc9/weights, net/fc9/biases are not in it; exclude with --exclude=net/fc9", checkpoint=path)
    raises("--exclude=net/fc8,net/fc9", checkpoint=path, exclude="net/fc8")
    session.run(tf.global_variables_initializer())
    with pytest.raises(RestoreError):
        slimft.restore(session, path)
    assert (session.run("net/conv1/weights:0") == 1).all()
    slimft.restore(session, path, exclude="net/fc9")


def test_another_number_of_classes_is_an_error_that_says_what_to_exclude(path, session):
    build({"net/conv1/weights": [3, 3, 3, 4], "net/fc8/weights": [1, 1, 4, 3], "net/fc8/biases": [3]})
    raises("[1, 1, 4, 10] in the checkpoint, [1, 1, 4, 3] in the model", checkpoint=path)
    raises("--exclude=net/fc8", checkpoint=path)


def test_another_dtype_is_an_error(path, session):
    slim.model_variable("net/fc8/biases", shape=[10], dtype=tf.float16)
    raises("float32 in the checkpoint, float16 in the model", checkpoint=path)


def test_a_checkpoint_of_another_network(path, session):
    build({"other/conv1/weights": [2]})
    raises("another network: it has net, the model other", checkpoint=path)


def test_patterns_that_match_nothing(path, session):
    build()
    with pytest.raises(PatternError, match="--exclude=fc8 matches no variable; did you mean net/fc8"):
        plan_restore(path, exclude="fc8")


def test_no_variables_and_no_checkpoint(path, session):
    raises("there are no variables", checkpoint=path)
    build()
    with pytest.raises(CheckpointError, match="nowhere"):
        plan_restore("nowhere.ckpt")


def test_variables_by_default_are_the_models_or_else_all(path, session):
    build(model=False)
    assert len(plan_restore(path).restored) == len(VALUES)
    slim.model_variable("net/mean_rgb", shape=[3])
    assert list(plan_restore(path).restored) == ["net/mean_rgb"]


def test_variables_as_a_list_and_under_other_names(path, session):
    variables = build()
    plan = plan_restore(path, [variables["net/fc8/biases"]])
    assert list(plan.restored) == ["net/fc8/biases"]
    other = slim.model_variable("elsewhere/b", shape=[10])
    slimft.restore(session, path, {"net/fc8/biases": other})
    np.testing.assert_array_equal(session.run(other), VALUES["net/fc8/biases"])


@pytest.mark.parametrize(
    "rename",
    [
        {"net": "mine/net"},
        {"net/": "mine/net/"},
        {"net/fc8": "mine/net/fc8", "net": "mine/net"},
        lambda name: name if name == "global_step" else f"mine/{name}",
    ],
)
def test_rename(path, session, rename):
    variables = build({f"mine/{name}": value.shape for name, value in VALUES.items()})
    plan = slimft.restore(session, path, rename=rename)
    assert plan.restored["mine/net/fc8/biases"] == "net/fc8/biases"
    for name, variable in variables.items():
        np.testing.assert_array_equal(session.run(variable), VALUES[name.removeprefix("mine/")])


def test_bad_renames(path, session):
    build()
    with pytest.raises(RestoreError, match="both renamed to x"):
        plan_restore(path, rename=lambda name: "x")
    with pytest.raises(PatternError, match="fc9"):
        plan_restore(path, rename={"net/fc9": "a"})


def test_get_variables_to_restore_is_slims_where_slim_is_right(session):
    build()
    tf.get_variable("global_step", [])
    ours = get_variables_to_restore(include=["net"], exclude=["net/fc8"])
    assert ours == slim.get_variables_to_restore(include=["net"], exclude=["net/fc8"])
    assert get_variables_to_restore() == slim.get_variables_to_restore()
    with pytest.raises(PatternError):
        get_variables_to_restore(exclude=["fc8"])


def test_assign_from_checkpoint_fn(path, session):
    variables = build()
    session.run(tf.global_variables_initializer())
    assign_from_checkpoint_fn(path, list(variables.values()))(session)
    np.testing.assert_array_equal(session.run(variables["net/fc8/biases"]), VALUES["net/fc8/biases"])
    extra = slim.model_variable("net/extra", shape=[2], initializer=tf.zeros_initializer())
    with pytest.raises(RestoreError, match="net/extra"):
        assign_from_checkpoint_fn(path, [*variables.values(), extra])
    session.run(tf.global_variables_initializer())
    assign_from_checkpoint_fn(path, [*variables.values(), extra], ignore_missing_vars=True)(session)
    assert (session.run(extra) == 0).all()
    np.testing.assert_array_equal(session.run(variables["net/fc8/biases"]), VALUES["net/fc8/biases"])


def test_covering_scopes():
    among = ["a/x/w", "a/x/b", "a/y/w", "b/w", "c"]
    assert covering_scopes(["a/x/w", "a/x/b"], among) == ["a/x"]
    assert covering_scopes(["a/x/w"], among) == ["a/x/w"]
    assert covering_scopes(["a/x/w", "a/x/b", "a/y/w"], among) == ["a"]
    assert covering_scopes(["c", "b/w"], among) == ["b", "c"]
    assert covering_scopes([], among) == []


@pytest.mark.real
def test_the_official_mobilenet_restores_whole(shared, session):
    """All 137 variables of an official release, into variables made from its own names and shapes."""
    file = shared / "checkpoints" / "mobilenet_v1_1.0_224.ckpt"
    checkpoint = slimft.open_checkpoint(file)
    shapes = {name: checkpoint.shape(name) for name in checkpoint if name.startswith("MobilenetV1")}
    variables = build(shapes)
    plan = slimft.restore(session, file)
    assert len(plan.restored) == 137
    assert "global_step" in plan.unused
    reader = tf.train.load_checkpoint(str(file))
    for name, value in session.run(variables).items():
        np.testing.assert_array_equal(value, reader.get_tensor(name))
