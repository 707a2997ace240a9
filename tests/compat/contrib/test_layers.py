"""tf.contrib.layers' feature columns, crosses and embeddings: figures and names measured with TensorFlow 1.15.5."""

from importlib.util import find_spec

import numpy as np
import pytest

import slimft.compat
from slimft.compat import tf
from slimft.compat.contrib import layers
from slimft.compat.legacy_names import resolve


def sparse(values):
    """Four values in the first and the last of three rows."""
    return tf.SparseTensor([[0, 0], [0, 1], [2, 0], [2, 2]], values, [3, 3])


def counting(column, **options):
    """An embedding of 0.1, 0.2, 0.3, ..."""
    initial = tf.constant_initializer(0.1 * np.arange(1, 2 * column.length + 1))
    return layers.embedding_column(column, 2, initializer=initial, **options)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """All columns in one graph, with what is made of them in its collections."""
    vocabulary = tmp_path_factory.mktemp("words") / "vocabulary.txt"
    vocabulary.write_text("a\nbb\nzz\n")
    with tf.Graph().as_default(), tf.Session() as session:
        h = layers.sparse_column_with_hash_bucket("h", 10)
        k = layers.sparse_column_with_keys("k", ["x", "y"], combiner="mean")
        n = layers.sparse_column_with_integerized_feature("n", 8)
        v = layers.sparse_column_with_vocabulary_file("v", str(vocabulary), num_oov_buckets=2, vocab_size=3)
        w = layers.weighted_sparse_column(n, "w")
        dn = layers.sparse_column_with_hash_bucket("dn", 5)
        r = layers.real_valued_column("r", 2, normalizer=lambda x: x / 2)
        r1 = layers.real_valued_column("r1")
        buckets = layers.bucketized_column(r1, [18, 25, 25, 60])
        b2 = layers.bucketized_column(layers.real_valued_column("r", 2), [0, 3])
        cross = layers.crossed_column([h, k], 100)
        keyed = layers.crossed_column([cross, b2], 50, hash_key=layers.SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY)
        same = layers.sparse_column_with_hash_bucket("k", 10)
        shared = layers.shared_embedding_columns(
            [h, same], 2, initializer=tf.constant_initializer(np.arange(20) * 0.1)
        )
        scattered = layers.scattered_embedding_column(
            "v", 20, 3, 7, initializer=tf.constant_initializer(np.arange(20) * 0.1)
        )
        features = {
            "h": sparse(["a", "bb", "", "q"]), "k": sparse(["x", "zz", "y", "y"]),
            "v": sparse(["a", "zz", "nope", "bb"]),
            "n": sparse(np.array([7, 12, 3, 5], np.int64)), "w": sparse(np.array([0.5, 2, 1, 0], np.float32)),
            "r": tf.constant([[1.0, 2.0], [3.0, 4.0], [-5.0, 6.0]]), "r1": tf.constant([[18.0], [25.0], [70.0]]),
            "dn": tf.constant([["a", ""], ["b", "c"], ["", ""]]),
        }  # fmt: skip
        deep = [
            counting(h), counting(k, combiner="sum", max_norm=0.4), counting(w, combiner="sqrtn"), counting(cross),
            *(layers.one_hot_column(column) for column in (v, w, k, dn)), r, r1, buckets, b2, *shared, scattered,
        ]  # fmt: skip
        outputs = {}
        layers.input_from_feature_columns(features, deep, cols_to_outs=outputs)
        wide = [h, k, n, v, w, cross, keyed, buckets, b2, r, r1, dn]
        linear, _, _ = layers.weighted_sum_from_feature_columns(features, wide, 2, scope="wide")
        joint, _, _ = layers.joint_weighted_sum_from_feature_columns(features, [h, n], 1)
        steps = {
            "h": tf.SparseTensor([[0, 0, 0], [0, 1, 0], [1, 0, 1]], ["a", "bb", "zz"], [2, 3, 2]),
            "r": tf.ones([2, 3, 2]), "s": tf.ones([2, 3]),
        }  # fmt: skip
        sequence = layers.sequence_input_from_feature_columns(
            steps, [counting(h), r, layers.real_valued_column("s")]
        )
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        for variable in tf.trainable_variables(scope="wide|joint"):
            shape = variable.shape.as_list()
            variable.load(np.arange(np.prod(shape)).reshape(shape) * 0.01, session)
        session.results = session.run(
            {
                **{f"{type(column).__name__} {column.name}": output for column, output in outputs.items()},
                "linear": linear, "joint": joint, "sequence": sequence,
                "ids": layers.transform_features(features, [keyed, cross]),
            }
        )  # fmt: skip
        session.names = [(variable.op.name, variable.shape.as_list()) for variable in tf.global_variables()]
        yield session


def test_input_layer(session):
    expected = {
        "_BucketizedColumn r1_bucketized": [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        "_BucketizedColumn r_bucketized": [[0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 0, 1]],
        "_EmbeddingColumn h_X_k_embedding": [[4.4, 4.5], [0, 0], [8.7, 8.8]],
        "_EmbeddingColumn h_embedding": [[1.2, 1.3], [0, 0], [0.7, 0.8]],
        "_EmbeddingColumn h_shared_embedding": [[1.1, 1.2], [0, 0], [0.6, 0.7]],
        "_EmbeddingColumn k_shared_embedding": [[0.2, 0.3], [0, 0], [1, 1.1]],
        "_EmbeddingColumn k_embedding": [[0.1, 0.2], [0, 0], [0.48, 0.64]],
        "_EmbeddingColumn n_weighted_by_w_embedding": [[1.23693, 1.3582], [0, 0], [0.7, 0.8]],
        "_OneHotColumn dn_one_hot": [[0, 0, 0, 0, 1], [0, 0, 2, 0, 0], [0, 0, 0, 0, 0]],
        "_OneHotColumn k_one_hot": [[1, 0], [0, 0], [0, 2]],
        "_OneHotColumn v_one_hot": [[1, 0, 1, 0, 0], [0] * 5, [0, 1, 0, 0, 1]],
        "_OneHotColumn n_weighted_by_w_one_hot": [[0, 0, 0, 0, 2, 0, 0, 0.5], [0] * 8, [0, 0, 0, 1, 0, 0, 0, 0]],
        "_RealValuedColumn r": [[0.5, 1], [1.5, 2], [-2.5, 3]],
        "_RealValuedColumn r1": [[18], [25], [70]],
        "_ScatteredEmbeddingColumn v_scattered_embedding": [[1.1, 1, 0.65], [0.2, 0.3, 0.1], [1.1, 0.75, 1.5]],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(session.results[name], values, rtol=1e-5, atol=1e-6, err_msg=name)


def test_sequences(session):
    zeros = [0, 0, 0.5, 0.5, 1]
    expected = [
        [[1.9, 2, 0.5, 0.5, 1], [0.5, 0.6, 0.5, 0.5, 1], zeros],
        [[0.5, 0.6, 0.5, 0.5, 1], zeros, zeros],
    ]
    np.testing.assert_allclose(session.results["sequence"], expected, rtol=1e-6)


def test_rows_of_crosses_are_those_of_1_15(session):
    (cross,) = (ids for column, ids in session.results["ids"].items() if column.hash_key is None)
    # The embeddings above are 0.1 * (2 * row + 1) on average over these.
    assert np.mean(cross.values[cross.indices[:, 0] == 0]) == pytest.approx(21.5)
    with tf.Graph().as_default(), tf.Session() as other:
        words = tf.constant([["a"], ["bb"]])
        numbers = tf.constant([[1, 2], [3, 4]])
        hashed = layers.sparse_feature_cross([words, numbers], True, 997)
        assert other.run(hashed.values).tolist() == [718, 719, 754, 753]
        ones = tf.constant([[5]], tf.int64), tf.constant([[7]], tf.int64)
        assert other.run(layers.sparse_feature_cross(list(ones), True).values) == [2148546192418823596]
        key = layers.SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY
        assert other.run(layers.sparse_feature_cross(list(ones), True, 1000, hash_key=key).values) == [929]
        strings = other.run(layers.sparse_feature_cross([words, numbers]).values)
        assert strings.tolist() == [b"a_X_1", b"a_X_2", b"bb_X_3", b"bb_X_4"]


def test_variables_have_the_names_of_1_15(session):
    deep, wide, joint = "input_from_feature_columns", "wide", "joint_weighted_sum_from_feature_columns"
    assert session.names == [
        (f"{deep}/h_X_k_embedding/weights", [100, 2]),
        (f"{deep}/h_embedding/weights", [10, 2]),
        (f"{deep}/h_shared_embedding/h_k_shared_embedding", [10, 2]),
        (f"{deep}/k_embedding/weights", [2, 2]),
        (f"{deep}/n_weighted_by_w_embedding/weights", [8, 2]),
        (f"{deep}/v_scattered_embedding/weights", [20]),
        (f"{wide}/r_bucketized/weights", [6, 2]),
        (f"{wide}/r1_bucketized/weights", [4, 2]),
        (f"{wide}/h_X_k_X_r_bucketized/weights", [50, 2]),
        (f"{wide}/h_X_k/weights", [100, 2]),
        (f"{wide}/r/weight", [2, 2]),
        (f"{wide}/r1/weight", [1, 2]),
        (f"{wide}/dn/weights", [5, 2]),
        (f"{wide}/h/weights", [10, 2]),
        (f"{wide}/n/weights", [8, 2]),
        (f"{wide}/k/weights", [2, 2]),
        (f"{wide}/v/weights", [5, 2]),
        (f"{wide}/n_weighted_by_w/weights", [8, 2]),
        (f"{wide}/bias_weight", [2]),
        (f"{joint}/linear_weights/weights", [18, 1]),
        (f"{joint}/bias_weight", [1]),
        (f"sequence_{deep}/h_embedding/weights", [10, 2]),
    ]


def test_encoders():
    with tf.Graph().as_default(), tf.Session() as session:
        ids = tf.constant([[1, 2, 0], [3, 0, 0], [0, 0, 0]])
        options = {"initializer": tf.constant_initializer(np.arange(10.0))}
        results = [
            layers.bow_encoder(ids, 5, 2, **options),
            layers.bow_encoder(ids, 5, 2, sparse_lookup=False, **options),
            layers.embed_sequence(ids, 5, 2, scope="w", **options),
            layers.embed_sequence(ids, unique=True, scope="w", reuse=True),
            layers.scattered_embedding_lookup(
                [tf.range(4.0), tf.range(4.0, 7.0)], tf.constant([["a", "b"], ["c", "a"]]), 3
            ),
            layers.scattered_embedding_lookup(tf.range(9.0), tf.constant([1, 5]), 2, hash_key=5),
        ]
        names = [variable.op.name for variable in tf.global_variables()]
        session.run(tf.global_variables_initializer())
        sparse_bag, bag, embedded, unique, scattered, keyed = session.run(results)
    assert names == ["bow_encoder/embeddings", "bow_encoder_1/embeddings", "w/embeddings"]
    assert sparse_bag.tolist() == [[3, 4], [6, 7], [0, 1]]
    assert bag.tolist() == [[2, 3], [2, 3], [0, 1]]
    assert embedded.tolist() == unique.tolist()
    assert embedded[0].tolist() == [[2, 3], [4, 5], [0, 1]]
    assert scattered.tolist() == [[[6, 2, 0], [0, 6, 3]], [[6, 6, 4], [6, 2, 0]]]
    assert keyed.tolist() == [[0, 2], [3, 2]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: layers.real_valued_column("x", 2, default_value=[1]), "length of default_value"),
        (lambda: layers.real_valued_column("x", 0), "greater than 0"),
        (lambda: layers.real_valued_column("x", default_value="a"), "compatible with dtype"),
        (lambda: layers.bucketized_column(layers.real_valued_column("x"), [2, 1]), "sorted"),
        (lambda: layers.crossed_column([layers.real_valued_column("x")], 10), "must be a set of"),
        (lambda: layers.input_from_feature_columns({}, [layers.real_valued_column("x")]), "doesn't contain key"),
    ],
)
def test_what_is_wrong_is_said(call, error):
    with tf.Graph().as_default(), pytest.raises((TypeError, ValueError), match=error):
        call()


def test_parsing():
    buckets = layers.bucketized_column(layers.real_valued_column("r"), [18, 25])
    words = layers.sparse_column_with_hash_bucket("h", 10)
    example = tf.train.Example()
    example.features.feature["h"].bytes_list.value.extend([b"a", b"c"])
    example.features.feature["r"].float_list.value.append(30)
    with tf.Graph().as_default(), tf.Session() as session:
        parsed = layers.parse_feature_columns_from_examples([example.SerializeToString()], [words, buckets])
        ids, bucket = session.run([parsed[words], parsed[buckets]])
    assert (ids.values.tolist(), bucket.tolist()) == ([9, 2], [[2]])
    assert sorted(layers.create_feature_spec_for_parsing([words, buckets])) == ["h", "r"]


def test_scripts_find_them():
    package = resolve("tensorflow.contrib.layers")
    assert package.feature_column.real_valued_column is layers.real_valued_column
    assert package.fully_connected is slimft.compat.slim.fully_connected
    ops = resolve("tensorflow.contrib.layers.python.ops.sparse_feature_cross_op")
    assert ops.sparse_feature_cross is layers.sparse_feature_cross


@pytest.mark.skipif(not find_spec("tensorflow_estimator"), reason="needs pip install 'slimft[estimator]'")
def test_wide_and_deep_trains(tmp_path):
    random = np.random.RandomState(0)
    ages = random.uniform(17, 80, 100).astype(np.float32)
    jobs = random.choice(["a", "b", "c"], 100)
    labels = ((ages > 40) & (jobs == "a")).astype(int)

    def input_fn():
        places = [[i, 0] for i in range(100)]
        return {"age": tf.constant(ages), "job": tf.SparseTensor(places, list(jobs), [100, 1])}, tf.constant(labels)

    age, job = layers.real_valued_column("age"), layers.sparse_column_with_hash_bucket("job", 50)
    buckets = layers.bucketized_column(age, [25, 40, 60])
    model = tf.contrib.learn.DNNLinearCombinedClassifier(
        model_dir=str(tmp_path), linear_feature_columns=[job, buckets, layers.crossed_column([job, buckets], 100)],
        dnn_feature_columns=[layers.embedding_column(job, 4), age], dnn_hidden_units=[8],
        config=tf.contrib.learn.RunConfig(tf_random_seed=1),
    )  # fmt: skip
    model.fit(input_fn=input_fn, steps=60)
    assert model.evaluate(input_fn=input_fn, steps=1)["accuracy"] > 0.95
    # Constants are one batch, and prediction comes to an end.
    assert len(list(model.predict(input_fn=input_fn))) == 100
