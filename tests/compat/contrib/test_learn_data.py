"""tf.contrib.learn.preprocessing and datasets, and the MNIST tutorial's data and network."""

import gzip
import pickle
import struct

import numpy as np
import pytest

import slimft.compat
from slimft.compat import tf
from slimft.compat.examples.tutorials.mnist import input_data, mnist
from slimft.errors import DataError

learn = tf.contrib.learn
preprocessing = learn.preprocessing


def test_vocabulary_processor_of_the_documentation():
    """The numbers by hand: in the order of coming, cut and filled up; unknown words are 0."""
    processor = preprocessing.VocabularyProcessor(4)
    texts = ["I'm the parsers of e-mail", "the parrot"]
    assert list(preprocessing.tokenizer(texts))[0] == ["I'm", "the", "parsers", "of", "e-mail"]
    assert list(preprocessing.tokenizer(["NASA TensorFlow ABc"]))[0] == ["NASA", "Tensor", "Flow", "ABc"]
    np.testing.assert_array_equal(list(processor.fit_transform(texts)), [[1, 2, 3, 4], [2, 6, 0, 0]])
    assert len(processor.vocabulary_) == 7
    assert next(processor.transform(["parrot is the one"])).tolist() == [6, 0, 2, 0]
    assert list(processor.reverse([[1, 2, 0]])) == ["I'm the <UNK>"]
    processor.vocabulary_.freeze(False)
    assert next(processor.transform(["new"])).tolist() == [7, 0, 0, 0]


def test_rare_words_are_trimmed_and_numbers_given_by_frequency():
    processor = preprocessing.VocabularyProcessor(3, min_frequency=1)
    processor.fit(["b b a a a c", "b b d c e e"])
    words = [processor.vocabulary_.reverse(i) for i in range(len(processor.vocabulary_))]
    assert words == ["<UNK>", "b", "a", "c", "e"]
    vocabulary = preprocessing.CategoricalVocabulary(support_reverse=False)
    for word in "aaab":
        vocabulary.add(word)
    vocabulary.trim(0, max_frequency=3)
    assert (vocabulary.get("b"), len(vocabulary)) == (1, 2)
    with pytest.raises(ValueError, match="support_reverse"):
        vocabulary.reverse(1)


def test_vocabulary_is_saved_under_the_names_of_tensorflow_1(tmp_path):
    processor = preprocessing.VocabularyProcessor(5, min_frequency=0)
    expected = list(processor.fit_transform(["ä b c", "c d"]))
    path = str(tmp_path / "vocab")
    processor.save(path)
    text = (tmp_path / "vocab").read_bytes()
    assert b"tensorflow.contrib.learn.python.learn.preprocessing.text\nVocabularyProcessor" in text
    assert b"slimft" not in text
    restored = learn.preprocessing.VocabularyProcessor.restore(path)
    np.testing.assert_array_equal(list(restored.transform(["ä b c", "c d"])), expected)
    assert vars(restored.vocabulary_) == vars(processor.vocabulary_)
    # As TensorFlow 1 wrote it: a script sees these classes under these names.
    slimft.compat.install()
    try:
        from tensorflow.contrib.learn.python.learn.preprocessing import text as module

        assert module.VocabularyProcessor is preprocessing.VocabularyProcessor
        for protocol in range(5):
            plain = pickle.dumps(processor, protocol).replace(b"slimft.compat.contrib.learn.preprocessing", b"%s")
            assert b"slimft" not in plain
    finally:
        slimft.compat.uninstall()
    with pytest.raises(DataError, match="tokenizer_fn"):
        preprocessing.VocabularyProcessor(3, tokenizer_fn=lambda texts: map(str.split, texts)).save(path)


class Evil:
    def __reduce__(self):
        return print, ("evil",)


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()),
        pickle.dumps({"no": "processor"}),
        b"no pickle",
        # Sets an attribute of the class.
        b"\x80\x02ctensorflow.contrib.learn.python.learn.preprocessing.text\nVocabularyProcessor\nN}X\x07\x00\x00\x00"
        b"restorecbuiltins\nint\ns\x86b.",
        # A processor whose method is replaced.
        b"\x80\x02ctensorflow.contrib.learn.python.learn.preprocessing.text\nVocabularyProcessor\n)\x81}X\x09\x00\x00"
        b"\x00transformcbuiltins\nint\nsb.",
    ],
)
def test_a_pickle_that_asks_for_more_is_refused(tmp_path, data, capsys):
    (tmp_path / "vocab").write_bytes(data)
    restore = preprocessing.VocabularyProcessor.restore
    with pytest.raises(DataError, match="not a saved VocabularyProcessor"):
        restore(str(tmp_path / "vocab"))
    assert capsys.readouterr().out == ""
    assert preprocessing.VocabularyProcessor.restore == restore


def test_bytes_and_categories():
    processor = preprocessing.ByteProcessor(5)
    rows = np.array(list(processor.fit_transform(["añ", b"abcdefg"])))
    assert rows.tolist() == [[97, 195, 177, 0, 0], [97, 98, 99, 100, 101]]
    assert list(processor.reverse(rows)) == ["añ", "abcde"]
    categories = preprocessing.CategoricalProcessor(min_frequency=0)
    table = [["x", 3], ["y", 3], ["x", float("nan")]]
    assert np.array(list(categories.fit_transform(table))).tolist() == [[1, 1], [2, 1], [1, 0]]
    shared = preprocessing.CategoricalProcessor(share=True).fit([["x", "y"], ["y", "z"]])
    assert next(shared.transform([["z", "x"]])).tolist() == [3, 1]


def test_tables(tmp_path):
    (tmp_path / "t.csv").write_text("2,2,a,b\n1.5,2,0\n3,4,1\n")
    table = learn.datasets.base.load_csv_with_header(str(tmp_path / "t.csv"), np.int32, np.float32)
    assert table.data.tolist() == [[1.5, 2], [3, 4]]
    assert table.target.tolist() == [0, 1]
    assert (table.data.dtype, table.target.dtype) == (np.float32, np.int32)
    (tmp_path / "plain.csv").write_text("7,1.5\n8,2.5\n")
    plain = learn.datasets.base.load_csv_without_header(str(tmp_path / "plain.csv"), int, float, target_column=0)
    assert (plain.target.tolist(), plain.data.tolist()) == ([7, 8], [[1.5], [2.5]])
    for text, message in (
        ("a,b\n", "first line"),
        ("1000000000000,4\n1,2,3,4,0\n", "by its first line"),
        ("2,2\n1,2,0\n1,0\n", "1 features in row 2"),
        ("1,2\n1,x,0\n", "row 1"),
    ):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            learn.datasets.base.load_csv_with_header(str(tmp_path / "bad.csv"), int, float)
    (tmp_path / "iris.csv").write_text("1,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n")
    assert learn.datasets.load_iris(str(tmp_path / "iris.csv")).data.shape == (1, 4)


def test_iris_is_that_of_tensorflow():
    pytest.importorskip("sklearn")
    iris = learn.datasets.load_dataset("iris")
    assert iris.data.shape == (150, 4)
    assert np.bincount(iris.target).tolist() == [50, 50, 50]
    # Sums of the columns of TensorFlow's file.
    np.testing.assert_allclose(iris.data.sum(0), [876.5, 458.1, 563.8, 179.8])


def idx(array):
    kind = 2051 if array.ndim == 3 else 2049
    return struct.pack(f">{1 + array.ndim}I", kind, *array.shape) + array.tobytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with MNIST's four files: 20 training and 6 test images of 28 x 28."""
    folder = tmp_path_factory.mktemp("mnist")
    random = np.random.RandomState(0)
    for name, count in (("train", 20), ("t10k", 6)):
        images = random.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    return folder


def test_mnist(folder):
    data = input_data.read_data_sets(str(folder), one_hot=True, validation_size=4)
    assert (data.train.num_examples, data.validation.num_examples, data.test.num_examples) == (16, 4, 6)
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (20, 28, 28)).astype(np.uint8).reshape(20, 784)
    np.testing.assert_array_equal(data.validation.images, pixels[:4].astype(np.float32) * np.float32(1 / 255))
    assert data.train.labels.tolist() == np.eye(10)[np.arange(4, 20) % 10].tolist()
    raw = input_data.read_data_sets(str(folder), dtype=tf.uint8, reshape=False, validation_size=0)
    assert (raw.train.images.dtype, raw.train.images.shape) == (np.uint8, (20, 28, 28, 1))
    assert raw.train.labels.dtype == np.uint8
    fake = input_data.read_data_sets("", fake_data=True, one_hot=True).train.next_batch(2, fake_data=True)
    assert fake == ([[1] * 784] * 2, [[1] + [0] * 9] * 2)
    with pytest.raises(ValueError, match="validation_size is 21"):
        input_data.read_data_sets(str(folder), validation_size=21)


def test_batches_are_in_the_order_of_tensorflow_1(folder):
    """NumPy's global random numbers shuffle at the first batch, and then at the end of each epoch."""
    data = input_data.read_data_sets(str(folder), validation_size=0, dtype=tf.uint8)
    np.random.seed(7)
    batches = [data.train.next_batch(8) for _ in range(5)]
    random = np.random.RandomState(7)
    labels, expected = np.arange(20) % 10, []
    for _ in range(2):
        order = np.arange(20)
        random.shuffle(order)
        labels = labels[order]
        expected.extend(labels)
    assert np.concatenate([batch for _, batch in batches]).tolist() == expected
    assert data.train.epochs_completed == 1
    plain = input_data.read_data_sets(str(folder), validation_size=0)
    in_order = np.concatenate([plain.train.next_batch(8, shuffle=False)[1] for _ in range(5)])
    np.testing.assert_array_equal(in_order, np.tile(np.arange(20) % 10, 2))


def test_a_seed_gives_the_same_batches(folder):
    """Making a data set seeds NumPy: with `seed`, or else with the graph's."""

    def first(**options):
        return input_data.read_data_sets(str(folder), validation_size=0, **options).train.next_batch(20)[1].tolist()

    assert first(seed=3) == first(seed=3) != first(seed=4)
    with tf.Graph().as_default():
        tf.set_random_seed(5)
        order = np.arange(20)
        np.random.RandomState(5).shuffle(order)
        assert first() == (order % 10).tolist()


def test_mnist_that_is_not_there_or_not_mnist(folder, tmp_path):
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz, .* downloads nothing; put MNIST's files"):
        input_data.read_data_sets(str(tmp_path))

    def read(contents):
        path = tmp_path / "train-images-idx3-ubyte.gz"
        path.write_bytes(contents)
        with path.open("rb") as file:
            return input_data.extract_images(file)

    good = idx(np.zeros([2, 28, 28], np.uint8))
    assert read(gzip.compress(good)).shape == (2, 28, 28, 1)
    for contents, message in (
        (gzip.compress(good[:-1]), "it ends after 1567 of 1568 bytes"),
        (gzip.compress(good)[:-12], "not a whole gzip file|ends after"),
        (good, "not a whole gzip file"),
        (gzip.compress(struct.pack(">2I", 2049, 3) + bytes(20)), "begins with 2049, MNIST's images with 2051"),
        (gzip.compress(struct.pack(">4I", 2051, 2**32 - 1, 2**31, 2**31)), "more than a file of"),
        (gzip.compress(b"x"), "within its first 16 bytes"),
    ):
        with pytest.raises(DataError, match=message) as error:
            read(contents)
        assert str(tmp_path) in str(error.value)
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(np.array([3, 11], np.uint8))))
    with path.open("rb") as file, pytest.raises(DataError, match="label 11 where there are 10"):
        input_data.extract_labels(file, one_hot=True)


def test_network_of_the_tutorial(folder):
    data = input_data.read_data_sets(str(folder), validation_size=0)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        images, labels = tf.constant(data.train.images), tf.constant(data.train.labels.astype(np.int32))
        logits = mnist.inference(images, 32, 16)
        loss = mnist.loss(logits, labels)
        train_op, correct = mnist.training(loss, 0.1), mnist.evaluation(logits, labels)
        session.run(tf.global_variables_initializer())
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.trainable_variables()}
        before = session.run([loss, correct])
        for _ in range(150):
            session.run(train_op)
        after = session.run([loss, correct])
    assert shapes == {
        "hidden1/weights": [784, 32],
        "hidden1/biases": [32],
        "hidden2/weights": [32, 16],
        "hidden2/biases": [16],
        "softmax_linear/weights": [16, 10],
        "softmax_linear/biases": [10],
    }
    assert after[0] < before[0]
    assert before[1] < after[1] <= 20
