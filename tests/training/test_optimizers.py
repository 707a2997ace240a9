"""Schedules, optimizers, sums of gradients and moving averages, against NumPy and TensorFlow's own classes."""

import math

import numpy as np
import pytest

from slimft.compat import tf
from slimft.training import Settings, optimizers


def rates(settings, total, per_epoch=10.0, initial=0.5):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = optimizers.learning_rate(settings, initial, step, total, per_epoch)
        return [float(session.run(rate, {step: number})) for number in range(total)]


def test_warm_up_rises_to_the_rate_that_cosine_starts_with():
    found = rates(Settings(model="tiny", warmup_epochs=0.5), 45)
    wanted = [0.5 * (step + 1) / 5 for step in range(5)]
    wanted += [0.25 * (1 + math.cos(math.pi * step / 40)) for step in range(40)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_warm_up_before_the_other_schedules():
    found = rates(Settings(model="tiny", warmup_epochs=1, schedule="fixed"), 14)
    np.testing.assert_allclose(found, [*np.linspace(0.05, 0.5, 10), 0.5, 0.5, 0.5, 0.5], rtol=1e-6)
    exponential = Settings(model="tiny", warmup_epochs=1, schedule="exponential", decay_epochs=1, decay_factor=0.5)
    found = rates(exponential, 31)
    np.testing.assert_allclose(found[10:], [0.5] * 10 + [0.25] * 10 + [0.125], rtol=1e-6)


def test_steps_between_decays_are_rounded_to_the_nearest():
    """Of 2.9 batches an epoch, research/slim's script decays after int(2.9) = 2 steps."""
    settings = Settings(model="tiny", warmup_epochs=0.0, schedule="exponential", decay_epochs=1, decay_factor=0.5)
    np.testing.assert_allclose(rates(settings, 7, per_epoch=2.9), [0.5] * 3 + [0.25] * 3 + [0.125], rtol=1e-6)


def test_adams_epsilon_is_tensorflows_and_not_that_of_slims_script():
    """With a gradient of 1e-4 the first step is all of the rate; with an epsilon of 1, a ten thousandth of it."""
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable("a", initializer=0.0)
        train_op = optimizers.optimizer(Settings(model="tiny", optimizer="adam"), 0.01).minimize(1e-4 * variable)
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        assert session.run(variable) == pytest.approx(-0.01, rel=0.01)


def test_a_warm_up_longer_than_the_run_ends_with_it():
    found = rates(Settings(model="tiny", warmup_epochs=100), 5)
    np.testing.assert_allclose(found, [0.125, 0.25, 0.375, 0.5, 0.5], rtol=1e-6)


@pytest.mark.parametrize("name", ["momentum", "sgd", "adam", "rmsprop"])
def test_a_factor_multiplies_the_learning_rate(name):
    """Three steps on two variables, one at ten times the rate, equal TensorFlow's optimizer at each rate."""
    own = {
        "momentum": lambda rate: tf.train.MomentumOptimizer(rate, 0.9),
        "sgd": tf.train.GradientDescentOptimizer,
        "adam": tf.train.AdamOptimizer,
        "rmsprop": lambda rate: tf.train.RMSPropOptimizer(rate, decay=0.9, momentum=0.9, epsilon=1.0),
    }[name]
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(n, initializer=[1.0, 2.0]) for n in "abcd"]
        losses = [tf.reduce_sum(tf.square(variable)) for variable in variables]
        gradients = tf.gradients(losses, variables)
        settings = Settings(model="tiny", optimizer=name)
        op, made = optimizers.apply_gradients(settings, 0.01, gradients[:2], variables[:2], [1.0, 10.0])
        reference = [own(r).apply_gradients([(gradients[i], variables[i])]) for i, r in ((2, 0.01), (3, 0.1))]
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run([op, *reference])
        a, b, c, d = session.run(variables)
        np.testing.assert_allclose(a, c, rtol=1e-6)
        np.testing.assert_allclose(b, d, rtol=1e-6)
        assert not np.allclose(a, b)
        assert all(variable not in variables for variable in made)
        slots = {"momentum": 2, "sgd": 0, "adam": 8, "rmsprop": 4}
        assert len(made) == slots[name]


def test_gradients_are_clipped_together():
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable("a", initializer=[0.0, 0.0]), tf.get_variable("b", initializer=[0.0])]
        gradients = [tf.constant([3.0, 0.0]), tf.constant([4.0])]
        settings = Settings(model="tiny", optimizer="sgd", clip_norm=1.0)
        op, _ = optimizers.apply_gradients(settings, 1.0, gradients, variables, [1.0, 1.0])
        session.run(tf.global_variables_initializer())
        session.run(op)
        a, b = session.run(variables)
        np.testing.assert_allclose([*a, *b], [-0.6, 0, -0.8], rtol=1e-6)


def test_sums_of_gradients():
    with tf.Graph().as_default(), tf.Session() as session:
        gradient = tf.placeholder(tf.float32, [2])
        add, (total,) = optimizers.sum_up([gradient])
        session.run(tf.local_variables_initializer())
        for value in ([1, 2], [3, 4]):
            session.run(add, {gradient: value})
        np.testing.assert_array_equal(session.run(total), [4, 6])
        assert not tf.global_variables()


@pytest.mark.parametrize("resource", [False, True])
def test_moving_averages_are_tensorflows(resource):
    """The same names and values as tf.train.ExponentialMovingAverage with num_updates, over 30 steps."""

    def run(make):
        with tf.Graph().as_default(), tf.Session() as session:
            step = tf.train.get_or_create_global_step()
            with tf.variable_scope("net", use_resource=resource):
                weights = tf.get_variable("weights", initializer=[1.0, -2.0])
            start, average, update = make(weights, step)
            with tf.control_dependencies([tf.assign(weights, weights * 0.9 + 0.3).op]):
                op = update()
            with tf.control_dependencies([op]):
                following = tf.assign_add(step, 1)
            session.run(tf.global_variables_initializer())
            session.run(start())
            values = []
            for _ in range(30):
                session.run(following)
                values.append(session.run(average()))
            return values, sorted(variable.op.name for variable in tf.global_variables())

    def ours(weights, step):
        averages = optimizers.MovingAverages(0.6, [weights])
        return (
            lambda: list(averages.start.values()),
            lambda: averages.average(weights),
            lambda: averages.update(step.read_value()),
        )

    def tensorflows(weights, step):
        averages = tf.train.ExponentialMovingAverage(0.6, num_updates=step)
        return tf.no_op, lambda: averages.average(weights), lambda: averages.apply([weights])

    (values, names), (wanted, wanted_names) = run(ours), run(tensorflows)
    np.testing.assert_allclose(values, wanted, rtol=1e-5)
    assert names == wanted_names
    assert not np.allclose(values[0], values[1])
