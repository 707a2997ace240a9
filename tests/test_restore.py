"""Restore plans against checkpoints that TensorFlow's Saver wrote."""

import numpy as np
import pytest

import slimft
from slimft import CheckpointError, PatternError, RestoreError, UsageError, plan_restore
from slimft.compat import slim, tf
from slimft.renaming import parse_renames
from slimft.restore import covering_scopes

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


def save(folder, values, version="V2"):
    """Saves `values` with TensorFlow; returns the path."""
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=getattr(tf.train.SaverDef, version))
        return saver.save(session, str(folder / "saved.ckpt"))


@pytest.mark.parametrize("use_resource", [False, True])
def test_cast(tmp_path, session, use_resource):
    values = {
        "half": np.float32([1.5, -3e-5, np.inf, np.nan]),
        "brain": np.float32([1e38, 1 / 3]),
        "double": np.float32([0.1]),
        "int": np.int64([-5, 2**31 - 1]),
    }
    path = save(tmp_path, values)
    targets = {"half": tf.float16, "brain": tf.bfloat16, "double": tf.float64, "int": tf.int32}
    variables = {
        name: tf.get_variable(name, values[name].shape, dtype, tf.zeros_initializer(), use_resource=use_resource)
        for name, dtype in targets.items()
    }
    raises("half and 3 more differs from the model (float32 in the checkpoint, float16", checkpoint=path)
    raises("convert with --cast", checkpoint=path)
    slimft.restore(session, path, cast=True)
    for name, variable in variables.items():
        wanted = values[name].astype(targets[name].as_numpy_dtype)
        np.testing.assert_array_equal(session.run(variable).astype(np.float64), wanted.astype(np.float64))


def test_cast_of_what_does_not_fit(tmp_path, session):
    path = save(tmp_path, {"a": np.float32([1e6]), "b": np.int64([2**31]), "c": np.int64([1])})
    variables = {
        name: tf.get_variable(name, [1], dtype)
        for name, dtype in {"a": tf.float16, "b": tf.int32, "c": tf.float32}.items()
    }
    for name in "ab":
        plan = plan_restore(path, [variables[name]], cast=True)
        with pytest.raises(RestoreError, match=f"saved.ckpt: {name}: 1 of its values do not fit"):
            plan.apply(session)
    raises("int64 in the checkpoint, float32 in the model", checkpoint=path, variables=[variables["c"]], cast=True)


@pytest.mark.parametrize("use_resource", [False, True])
def test_what_is_restored_belongs_to_the_session(tmp_path, session, use_resource):
    """Variables large enough to be mapped: training them changes neither the file nor the next restore."""
    values = {"a": rng.standard_normal([512, 1024], np.float32), "b": rng.standard_normal([600, 1024], np.float32)}
    checkpoint = slimft.open_checkpoint(save(tmp_path, values))
    assert checkpoint.is_mapped("a") and checkpoint.is_mapped("b")
    before = (tmp_path / "saved.ckpt.data-00000-of-00001").read_bytes()
    variables = {
        name: tf.get_variable(name, value.shape, use_resource=use_resource) for name, value in values.items()
    }
    train = [tf.assign_add(variable, tf.ones_like(variable)) for variable in variables.values()]
    plan = plan_restore(checkpoint)
    for _ in range(2):
        plan.apply(session)
        for name, variable in variables.items():
            np.testing.assert_array_equal(session.run(variable), values[name])
        session.run(train)
    for name, variable in variables.items():
        np.testing.assert_array_equal(session.run(variable), values[name] + 1)
        np.testing.assert_array_equal(checkpoint[name], values[name])
    assert (tmp_path / "saved.ckpt.data-00000-of-00001").read_bytes() == before


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_a_damaged_file_restores_nothing(tmp_path, session, version):
    path = save(tmp_path, VALUES, version)
    file = path if version == "V1" else f"{path}.data-00000-of-00001"
    with open(file, "r+b") as stream:
        content = stream.read()
        stream.seek(content.index(VALUES["net/fc8/weights"].tobytes()) + 7)
        stream.write(b"\x55")
    build()
    session.run(tf.global_variables_initializer())
    with pytest.raises(CheckpointError, match="saved.ckpt.*checksum"):
        slimft.restore(session, path)
    assert (session.run("net/fc8/weights:0") == 1).all()


def test_an_object_based_checkpoint_restores_by_full_name(tmp_path, session):
    with tf.Graph().as_default(), tf.Session() as other:
        kernel = tf.get_variable("net/fc8/weights", initializer=VALUES["net/fc8/weights"], use_resource=True)
        other.run(kernel.initializer)
        path = tf.train.Checkpoint(layer=kernel).save(str(tmp_path / "objects"), session=other)
    assert "net/fc8/weights" not in slimft.open_checkpoint(path)
    (variable,) = build({"net/fc8/weights": VALUES["net/fc8/weights"].shape}).values()
    plan = slimft.restore(session, path)
    assert plan.restored["net/fc8/weights"].startswith("layer/.ATTRIBUTES")
    np.testing.assert_array_equal(session.run(variable), VALUES["net/fc8/weights"])


def test_a_partitioned_variable_restores_whole(tmp_path, session):
    value = rng.standard_normal([7, 5], np.float32)
    with tf.Graph().as_default(), tf.Session() as other:
        partitioner = tf.fixed_size_partitioner(3)
        tf.get_variable(
            "w",
            [7, 5],
            initializer=lambda shape, dtype, partition_info: tf.constant(value)[partition_info.var_offset[0] :][
                : shape[0]
            ],
            partitioner=partitioner,
        )
        other.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(other, str(tmp_path / "parts"))
    variable = tf.get_variable("w", [7, 5])
    slimft.restore(session, path)
    np.testing.assert_array_equal(session.run(variable), value)


def test_a_checkpoint_of_another_network(path, session):
    build({"other/conv1/weights": [2]})
    raises("another network: it has net, the model other", checkpoint=path)


def test_patterns_that_match_nothing(path, session):
    build()
    with pytest.raises(PatternError, match="--exclude=fc8 matches no variable; did you mean net/fc8"):
        plan_restore(path, exclude="fc8")


def test_patterns_that_leave_nothing_to_restore(path, session):
    build()
    plan = plan_restore(path, exclude="net")
    with pytest.raises(RestoreError, match="nothing is restored, because all 5 variables are left out"):
        plan.apply(session)


def test_no_checkpoint_of_latest_checkpoint(tmp_path, session):
    build()
    for function in (plan_restore, slimft.init_fn, lambda path: slimft.restore(session, path)):
        with pytest.raises(UsageError, match="latest_checkpoint"):
            function(tf.train.latest_checkpoint(str(tmp_path)))


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
    with pytest.raises(PatternError, match="--rename=net/fc9 matches no variable; did you mean net/fc8"):
        plan_restore(path, rename={"net/fc9": "a"})


@pytest.mark.parametrize(
    "rename",
    [
        {"net/fc8": ["net/fc8", "net/copy"]},
        parse_renames(["net/fc8:net/fc8", "net/fc8/:net/copy/"]),
        lambda name: [name, name.replace("fc8", "copy")] if "fc8" in name else None,
    ],
)
def test_one_entry_feeds_several_variables(path, session, rename):
    shapes = {
        f"net/{layer}/{name}": VALUES[f"net/fc8/{name}"].shape
        for layer in ("fc8", "copy")
        for name in ("weights", "biases")
    }
    variables = build(shapes)
    plan = slimft.restore(session, path, rename=rename)
    assert plan.restored["net/copy/biases"] == plan.restored["net/fc8/biases"] == "net/fc8/biases"
    for name, variable in variables.items():
        np.testing.assert_array_equal(session.run(variable), VALUES[name.replace("copy", "fc8")])


def test_renames_on_the_command_line():
    assert parse_renames([]) == {}
    assert parse_renames(["a:b", "a:c", "d/e:f"]) == {"a": ["b", "c"], "d/e": ["f"]}
    for bad in ("a", "a:", ":b", "a:b:c", "/:b", ""):
        with pytest.raises(PatternError, match="FROM:TO"):
            parse_renames([bad])


@pytest.mark.parametrize("theirs, ours", [(1001, 1000), (1000, 1001)])
def test_a_background_class_more_or_less(tmp_path, session, theirs, ours):
    path = save(tmp_path, {"net/fc8/weights": np.ones([4, theirs], np.float32), "net/conv": np.ones(2, np.float32)})
    build({"net/fc8/weights": [4, ours], "net/conv": [2]})
    raises(f"num_classes={theirs}, or exclude with --exclude=net/fc8", checkpoint=path)
    with tf.Graph().as_default():
        build({"net/fc8/weights": [5, ours], "net/conv": [2]})
        with pytest.raises(RestoreError) as error:
            plan_restore(path).check()
        assert "num_classes" not in str(error.value)


def test_a_saver_made_before_the_optimizer(tmp_path, session):
    weights = tf.get_variable("net/weights", [2])
    early = tf.train.Saver()
    step = tf.train.get_or_create_global_step()
    tf.train.AdamOptimizer().minimize(tf.reduce_sum(weights), global_step=step)
    session.run(tf.global_variables_initializer())
    path = early.save(session, str(tmp_path / "early"))
    variables = tf.global_variables()
    raises("its Saver was made before the optimizer, so that", checkpoint=path, variables=variables)
    with pytest.raises(RestoreError) as error:
        plan_restore(path, [*variables, tf.get_variable("net/other", [2])]).check()
    assert "Saver" not in str(error.value)


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
