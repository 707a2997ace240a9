"""slim's restoring functions and slimft's, on the same graphs and files."""

import numpy as np
import pytest

import slimft
from slimft import CheckpointError, PatternError, RestoreError, UsageError
from slimft.compat import slim, tf

rng = np.random.default_rng(0)
VALUES = {
    "net/conv1/weights": rng.standard_normal([3, 3, 3, 4], np.float32),
    "net/conv1/BatchNorm/moving_mean": rng.standard_normal(4, np.float32),
    "net/fc8/weights": rng.standard_normal([1, 1, 4, 10], np.float32),
    "net/fc8/biases": rng.standard_normal(10, np.float32),
    "net/fc80/weights": rng.standard_normal([2, 2], np.float32),
    "parted": rng.standard_normal([7, 5], np.float32),
    "count": np.array(7, np.int64),
}


@pytest.fixture(scope="module", params=["V1", "V2", "npz"])
def path(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    if request.param == "npz":
        slimft.write_checkpoint(str(folder / "net.npz"), VALUES)
        return str(folder / "net.npz")
    return saved_by_tensorflow(folder, request.param)


@pytest.fixture(scope="module")
def readable(tmp_path_factory):
    """One that slim too can read."""
    return saved_by_tensorflow(tmp_path_factory.mktemp("readable"), "V2")


def saved_by_tensorflow(folder, version):
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in VALUES.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=getattr(tf.train.SaverDef, version))
        return saver.save(session, str(folder / "net.ckpt"))


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def build(use_resource=False, names=None, **shapes):
    """Variables of VALUES' shapes and others, all 1; `parted` in three parts."""
    variables = {}
    with tf.variable_scope("", use_resource=use_resource):
        for name in names or VALUES:
            variables[name] = tf.get_variable(
                name,
                VALUES[name].shape,
                VALUES[name].dtype,
                tf.ones_initializer(),
                partitioner=tf.fixed_size_partitioner(3) if name == "parted" else None,
            )
        for name, shape in shapes.items():
            variables[name] = tf.get_variable(name, shape, initializer=tf.ones_initializer())
    return variables


def state(session):
    return {variable.op.name: session.run(variable) for variable in tf.global_variables()}


def same_state_as(session, restore, slims):
    """Checks that both leave all variables with the same bits; returns these."""
    states = []
    for function in (restore, slims):
        session.run(tf.global_variables_initializer())
        function()
        states.append(state(session))
    ours, theirs = states
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)
    return ours


@pytest.mark.parametrize(
    "include, exclude",
    [
        (None, None),
        (["net/fc8/", "net/conv1"], None),
        (["parted", "net"], ["net/conv1/BatchNorm", "count"]),
        (None, ["net/fc"]),
        (["net/.*/weights"], None),
        (["net/conv[0-9]", "parted/part_[01]"], ["net/conv1/weights:0"]),
        ([], None),
    ],
)
def test_get_variables_to_restore_is_slims(session, include, exclude):
    build()
    assert slimft.get_variables_to_restore(include, exclude) == slim.get_variables_to_restore(include, exclude)


def test_get_variables_to_restore_where_slim_is_wrong(session):
    build()
    with pytest.raises(PatternError, match="exclude: 'fc8' matches no variable; did you mean net/fc8?"):
        slimft.get_variables_to_restore(exclude=["fc8"])
    with pytest.raises(PatternError, match="the top scopes are: net, parted, count"):
        slimft.get_variables_to_restore(include=["net", "(((("])
    with pytest.raises(PatternError, match="exclude=7"):
        slimft.get_variables_to_restore(exclude=7)

    def names(**patterns):
        return {variable.op.name for variable in slimft.get_variables_to_restore(**patterns)}

    assert len(names(exclude=["net/fc8"]) & {"net/fc80/weights", "net/fc8/weights"}) == 1
    assert slimft.get_variables_to_restore(["net", "net/fc8"]) == slimft.get_variables_to_restore(["net"])
    assert names(include="net/fc8, net/conv1") == names(include=["net/fc8", "net/conv1"])
    with tf.variable_scope("net") as scope:
        assert names(include=[scope]) == names(include="net")


@pytest.mark.parametrize("use_resource", [False, True])
def test_assign_from_checkpoint(path, readable, session, use_resource):
    build(use_resource)
    variables = tf.global_variables()
    op, feeds = slimft.assign_from_checkpoint(path, variables)
    slims_op, slims_feeds = slim.assign_from_checkpoint(readable, variables)
    assert isinstance(op, tf.Operation) and len(feeds) == len(slims_feeds) == len(variables)
    restored = same_state_as(session, lambda: session.run(op, feeds), lambda: session.run(slims_op, slims_feeds))
    np.testing.assert_array_equal(restored["parted/part_1"], VALUES["parted"][3:5])
    assert restored["count"] == 7
    for function in (slimft.assign_from_checkpoint, slimft.assign_from_checkpoint_fn):
        with pytest.raises(RestoreError, match="var_list cannot be empty"):
            function(path, [])  # slim.assign_from_checkpoint does nothing, and says nothing.


def test_assign_from_checkpoint_by_names(path, readable, session):
    variables = build(other=[1, 1, 4, 10])
    var_list = {
        "net/fc8/weights": [variables["net/fc8/weights"], variables["other"]],
        "parted": list(variables["parted"]),
        "net/nothing": variables["net/fc8/biases"],
    }
    ours = slimft.assign_from_checkpoint(path, var_list, ignore_missing_vars=True)
    slims = slim.assign_from_checkpoint(readable, var_list, ignore_missing_vars=True)
    restored = same_state_as(session, lambda: session.run(*ours), lambda: session.run(*slims))
    np.testing.assert_array_equal(restored["other"], VALUES["net/fc8/weights"])
    # slim, too: a ValueError.
    for function in (slimft.assign_from_checkpoint, slim.assign_from_checkpoint):
        with pytest.raises(ValueError, match="net/nothing"):
            function(readable, var_list)


@pytest.mark.parametrize("use_resource", [False, True])
@pytest.mark.parametrize("as_dict", [False, True])
def test_assign_from_checkpoint_fn(path, readable, session, use_resource, as_dict):
    variables = build(use_resource)
    if not as_dict:
        variables = tf.global_variables()
    slims = slim.assign_from_checkpoint_fn(readable, variables)
    ops = len(session.graph.get_operations())
    restore = slimft.assign_from_checkpoint_fn(path, variables)
    same_state_as(session, lambda: restore(session), lambda: slims(session))
    assert restore(session) is None
    assert len([op for op in session.graph.get_operations()[ops:] if "init" not in op.name]) == 0


def test_ignore_missing_vars(path, readable, session, monkeypatch):
    warnings = []
    monkeypatch.setattr(tf.logging, "warning", lambda message, *values: warnings.append(message % values))
    variables = list(build(names=["net/fc8/biases"], extra=[2]).values())
    restore = slimft.assign_from_checkpoint_fn(path, variables, ignore_missing_vars=True)
    file = slimft.open_checkpoint(path).path
    assert warnings == [f"Variable extra missing in checkpoint {file}", f"{file} restores 1 variables, and 1 not"]
    slims = slim.assign_from_checkpoint_fn(readable, variables, ignore_missing_vars=True)
    restored = same_state_as(session, lambda: restore(session), lambda: slims(session))
    assert (restored["extra"] == 1).all() and restored["net/fc8/biases"][0] == VALUES["net/fc8/biases"][0]
    # Here slim returns None, which as an init_fn means to start from random weights.
    assert slim.assign_from_checkpoint_fn(readable, variables[1:], ignore_missing_vars=True) is None
    for function in (slimft.assign_from_checkpoint, slimft.assign_from_checkpoint_fn):
        with pytest.raises(RestoreError, match="has none of the 1 variables, such as extra: nothing would be"):
            function(path, variables[1:], ignore_missing_vars=True)
    with pytest.raises(RestoreError, match=r"extra is not in it; leave it out .*exclude=\['extra'\]"):
        slimft.assign_from_checkpoint_fn(path, variables)
    with pytest.raises(RestoreError, match="another network: it has net, the model extra"):
        slimft.assign_from_checkpoint_fn(path, variables[1:])


def test_parts_are_found_with_ignore_missing_vars(path, session):
    """slim looks for parted/part_0 and restores nothing; slimft finds the whole variable."""
    build(names=["parted"])
    slimft.assign_from_checkpoint_fn(path, tf.global_variables(), ignore_missing_vars=True)(session)
    np.testing.assert_array_equal(np.concatenate(list(state(session).values())), VALUES["parted"])


def test_reshape_variables(path, readable, session):
    variable = tf.get_variable("net/fc8/weights", [4, 10])
    restore = slimft.assign_from_checkpoint_fn(
        path, [variable], reshape_variables=True, ignore_unused="net/fc8/biases"
    )
    slims = slim.assign_from_checkpoint_fn(readable, [variable], reshape_variables=True)
    same_state_as(session, lambda: restore(session), lambda: slims(session))
    with pytest.raises(RestoreError, match="differs"):
        slimft.assign_from_checkpoint_fn(path, [variable])
    other = tf.get_variable("net/fc8/biases", [11])
    with pytest.raises(RestoreError, match="differs"):
        slimft.assign_from_checkpoint_fn(path, [other], reshape_variables=True)


def test_a_mismatch_names_the_variable_and_what_to_do(path, session):
    variables = build(names=["net/conv1/weights", "net/fc8/biases"])
    variables["net/fc8/weights"] = tf.get_variable("net/fc8/weights", [1, 1, 4, 5])
    for function in (slimft.assign_from_checkpoint, slimft.assign_from_checkpoint_fn):
        with pytest.raises(RestoreError) as error:
            function(path, list(variables.values()))
        said = str(error.value)
        assert "net/fc8/weights differs from the model ([1, 1, 4, 10] in the checkpoint, [1, 1, 4, 5]" in said
        assert "slimft.get_variables_to_restore(exclude=['net/fc8/weights'])" in said and "\n" not in said
    assert slimft.get_variables_to_restore(exclude=["net/fc8/weights"]) == [
        variables["net/conv1/weights"],
        variables["net/fc8/biases"],
    ]


def test_bad_arguments(path, session):
    variables = build(names=["net/fc8/biases"])
    for module in (slimft, slim):
        with pytest.raises(ValueError, match="var_list cannot be empty"):
            module.assign_from_checkpoint_fn(path, [])
    with pytest.raises(UsageError, match="latest_checkpoint"):
        slimft.assign_from_checkpoint_fn(tf.train.latest_checkpoint("nowhere"), variables)
    with pytest.raises(CheckpointError, match="nowhere"):
        slimft.assign_from_checkpoint("nowhere.ckpt", variables)
    with pytest.raises(RestoreError, match="has no net/fc9/biases for net/fc8/biases; did you mean net/fc8/biases"):
        slimft.assign_from_checkpoint_fn(path, {"net/fc9/biases": variables["net/fc8/biases"]})


def train(train_dir, steps, hooks=(), scaffold=None):
    """A run that adds 1 to `net/fc8/biases` at a step; returns its values before and after."""
    variable = tf.get_default_graph().get_tensor_by_name("net/fc8/biases:0")
    train_op = tf.get_collection("train_op")[0]
    with tf.train.MonitoredTrainingSession(
        checkpoint_dir=train_dir, hooks=hooks, scaffold=scaffold, save_checkpoint_steps=2, save_summaries_steps=None
    ) as session:
        before = session.run(variable)
        for _ in range(steps):
            session.run(train_op)
        return before, session.run(variable)


def model():
    variable = slim.model_variable("net/fc8/biases", shape=[10], initializer=tf.zeros_initializer())
    slim.model_variable("net/new", shape=[3], initializer=tf.ones_initializer())
    step = tf.train.get_or_create_global_step()
    tf.add_to_collection("train_op", tf.group(tf.assign_add(variable, tf.ones([10])), tf.assign_add(step, 1)))


@pytest.mark.parametrize("form", ["hook", "init_fn"])
def test_a_monitored_session_restores_once(path, tmp_path, form):
    """At the first start from the checkpoint, then from the run's own; also where the run ended at step 0."""

    def run(steps, exclude="net/new"):
        with tf.Graph().as_default():
            model()
            if form == "hook":
                return train(str(tmp_path), steps, hooks=[slimft.RestoreHook(path, exclude=exclude)])
            scaffold = tf.train.Scaffold(init_fn=slimft.init_fn(path, exclude=exclude))
            return train(str(tmp_path), steps, scaffold=scaffold)

    wanted = VALUES["net/fc8/biases"]
    with pytest.raises(RestoreError, match="net/new is not in it"):
        run(1, exclude=None)
    np.testing.assert_array_equal(run(0)[0], wanted)
    before, after = run(3)
    np.testing.assert_array_equal(before, wanted)
    again, _ = run(1)
    np.testing.assert_array_equal(again, after)
    assert not np.array_equal(again, wanted)


def test_a_hook_without_a_global_step_and_its_plan(path):
    with tf.Graph().as_default():
        variable = slim.model_variable("mine/fc8/biases", shape=[10])
        hook = slimft.RestoreHook(path, rename={"net/fc8": "mine/fc8"})
        with tf.train.MonitoredSession(hooks=[hook]) as session:
            np.testing.assert_array_equal(session.run(variable), VALUES["net/fc8/biases"])
        assert dict(hook.plan.restored) == {"mine/fc8/biases": "net/fc8/biases"}
    with pytest.raises(PatternError, match="regular expression"):
        slimft.RestoreHook(path, exclude="re:((")


def test_init_fn_of_slims_training(path, tmp_path, session):
    """slim.learning.train calls it with the session alone."""
    variable = slim.model_variable("net/fc8/biases", shape=[10])
    loss = tf.reduce_sum(variable)
    train_op = slim.learning.create_train_op(loss, tf.train.GradientDescentOptimizer(0.5))
    slim.learning.train(
        train_op, str(tmp_path), number_of_steps=1, init_fn=slimft.init_fn(path), save_summaries_secs=0
    )
    trained = slimft.open_checkpoint(str(tmp_path))["net/fc8/biases"]
    np.testing.assert_allclose(trained, VALUES["net/fc8/biases"] - 0.5, rtol=1e-6)


PRETRAINED = {"net/weights": np.float32([1, 2]), "global_step": np.int64(1_000_000)}


@pytest.fixture
def pretrained(tmp_path):
    """A checkpoint of a long training."""
    file = str(tmp_path / "pretrained.npz")
    slimft.write_checkpoint(file, PRETRAINED)
    return file


def training():
    """A net whose loss is the sum of its weights, and its train op."""
    weights = slim.model_variable("net/weights", shape=[2], initializer=tf.zeros_initializer())
    return slim.learning.create_train_op(tf.reduce_sum(weights), tf.train.GradientDescentOptimizer(0.5))


def test_the_steps_of_a_pretrained_network_do_not_end_the_training(pretrained, tmp_path, session):
    train_op = training()
    variables = slimft.get_variables_to_restore()
    assert [variable.op.name for variable in variables] == ["net/weights"]
    init_fn = slimft.assign_from_checkpoint_fn(pretrained, variables)
    slim.learning.train(train_op, str(tmp_path / "run"), number_of_steps=3, init_fn=init_fn, save_summaries_secs=0)
    trained = slimft.open_checkpoint(str(tmp_path / "run"))
    assert trained["global_step"] == 3
    np.testing.assert_array_equal(trained["net/weights"], PRETRAINED["net/weights"] - 1.5)


def test_the_global_step_is_restored_where_it_is_named(session):
    training()

    def names(**patterns):
        return [variable.op.name for variable in slimft.get_variables_to_restore(**patterns)]

    assert names(include=["net", "global_step"]) == names(include="*") == ["net/weights", "global_step"]
    assert names(include="global_step") == ["global_step"]
    assert names(include=["*"], exclude=["global_step"]) == ["net/weights"]
    # slim's own has it.
    assert [v.op.name for v in slim.get_variables_to_restore()] == ["net/weights", "global_step"]


def test_excluding_everything_is_an_error(session):
    training()
    with pytest.raises(PatternError, match=r"exclude=\['net'\] leaves none of 1 variables"):
        slimft.get_variables_to_restore(exclude=["net"])


@pytest.mark.parametrize("form", ["init_fn", "hook", "fn"])
def test_a_restored_global_step_is_said_where_the_graph_trains(pretrained, session, form, monkeypatch):
    """By default it is not restored, in a graph without model variables neither."""
    warnings = []
    monkeypatch.setattr(tf.logging, "warning", lambda message, *values: warnings.append(message % values))
    tf.get_variable("net/weights", [2])
    step = tf.train.get_or_create_global_step()

    def restore(variables):
        if form == "hook":
            with tf.train.MonitoredSession(hooks=[slimft.RestoreHook(pretrained, variables)]) as monitored:
                return monitored.run(step)
        session.run(tf.global_variables_initializer())
        function = slimft.init_fn if form == "init_fn" else slimft.assign_from_checkpoint_fn
        function(pretrained, variables)(session)
        return session.run(step)

    assert restore(slimft.get_variables_to_restore() if form == "fn" else None) == 0
    assert restore(tf.global_variables()) == 1_000_000
    assert warnings == []
    tf.train.GradientDescentOptimizer(0.1).minimize(tf.reduce_sum(tf.trainable_variables()[0]), step)
    assert restore(tf.global_variables()) == 1_000_000
    assert [text.partition("also ")[2] for text in warnings] == [
        "restored global_step: training goes on at step 1000000, and its learning rate and end count from there; "
        "leave it out of the variables to start at 0"
    ]
