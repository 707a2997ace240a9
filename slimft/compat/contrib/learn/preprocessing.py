"""Words, bytes and categories as numbers: tensorflow/contrib/learn/python/learn/preprocessing of TensorFlow 1.15.

`VocabularyProcessor.save` writes a pickle as TensorFlow did, with its classes' names of then, so that either reads
the other's. `restore` builds nothing but these classes, whatever a file asks for.
"""

from __future__ import annotations

import collections
import io
import itertools
import pickle
import re
import types
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from slimft.compat.v1 import tf
from slimft.errors import DataError

__all__ = ["TOKENIZER_RE", "ByteProcessor", "CategoricalProcessor", "CategoricalVocabulary", "VocabularyProcessor",
           "setup_processor_data_feeder", "tokenizer"]  # fmt: skip

# Acronyms, the parts of CamelCase, and words with their apostrophes and hyphens.
TOKENIZER_RE = re.compile(r"[A-Z]{2,}(?![a-z])|[A-Z][a-z]+(?=[A-Z])|[\'\w\-]+", re.UNICODE)
_MODULE = "tensorflow.contrib.learn.python.learn.preprocessing"


def tokenizer(iterator: Iterable[str]) -> Iterator[list[str]]:
    """The words of each text."""
    for text in iterator:
        yield TOKENIZER_RE.findall(text)


class CategoricalVocabulary:
    """Numbers for categories, from 1 in the order of their coming; 0 is what is unknown.

    Args:
        unknown_token: what 0 is reversed to.
        support_reverse: whether `reverse` works.
    """

    def __init__(self, unknown_token: str = "<UNK>", support_reverse: bool = True):
        self._unknown_token = unknown_token
        self._support_reverse = support_reverse
        self._freq: dict = collections.defaultdict(int)
        self._freeze = False
        self._clear()

    def _clear(self):
        self._mapping = {self._unknown_token: 0}
        if self._support_reverse:
            self._reverse_mapping = [self._unknown_token]

    def _append(self, category):
        self._mapping[category] = len(self._mapping)
        if self._support_reverse:
            self._reverse_mapping.append(category)

    def __len__(self) -> int:
        return len(self._mapping)

    def freeze(self, freeze: bool = True) -> None:
        """From now on new categories are unknown, or with False no longer so."""
        self._freeze = freeze

    def get(self, category) -> int:
        """The number of a category; a new one gets the next, or 0 if the vocabulary is frozen."""
        if category not in self._mapping:
            if self._freeze:
                return 0
            self._append(category)
        return self._mapping[category]

    def add(self, category, count: int = 1) -> None:
        """Counts a category, which gets a number if it has none."""
        if self.get(category) > 0:
            self._freq[category] += count

    def trim(self, min_frequency: int, max_frequency: int = -1) -> None:
        """Keeps what came more than `min_frequency` times, and below `max_frequency` times if that is positive.

        The numbers are given anew, the most frequent first, by the alphabet where two are as frequent.
        """
        by_name = sorted(self._freq.items(), key=lambda item: (isinstance(item[0], str), item[0]))
        kept = [
            (category, count)
            for category, count in sorted(by_name, key=lambda item: -item[1])
            if count > min_frequency and (max_frequency <= 0 or count < max_frequency)
        ]
        self._clear()
        for category, _ in kept:
            self._append(category)
        self._freq = collections.defaultdict(int, kept)

    def reverse(self, class_id: int):
        """The category of a number.

        Raises:
            ValueError: made without `support_reverse`.
        """
        if not self._support_reverse:
            raise ValueError("this vocabulary was made with support_reverse=False")
        return self._reverse_mapping[class_id]


class VocabularyProcessor:
    """Texts as numbers of words.

    Args:
        max_document_length: words of a text; what is longer is cut, what is shorter filled up with 0.
        min_frequency: words that come more often than this are kept; 0 keeps all.
        vocabulary: a `CategoricalVocabulary`.
        tokenizer_fn: of texts, lists of words.
    """

    def __init__(
        self,
        max_document_length: int,
        min_frequency: int = 0,
        vocabulary: CategoricalVocabulary | None = None,
        tokenizer_fn: Callable | None = None,
    ):
        self.max_document_length = max_document_length
        self.min_frequency = min_frequency
        self.vocabulary_ = vocabulary if vocabulary else CategoricalVocabulary()
        self._tokenizer = tokenizer_fn or tokenizer

    def fit(self, raw_documents: Iterable[str], unused_y=None) -> VocabularyProcessor:
        """Learns the words of texts and freezes the vocabulary; returns itself."""
        for tokens in self._tokenizer(raw_documents):
            for token in tokens:
                self.vocabulary_.add(token)
        if self.min_frequency > 0:
            self.vocabulary_.trim(self.min_frequency)
        self.vocabulary_.freeze()
        return self

    def fit_transform(self, raw_documents, unused_y=None) -> Iterator[np.ndarray]:
        """`fit`, and then `transform`."""
        self.fit(raw_documents)
        return self.transform(raw_documents)

    def transform(self, raw_documents: Iterable[str]) -> Iterator[np.ndarray]:
        """Yields int64 [max_document_length] for each text."""
        for tokens in self._tokenizer(raw_documents):
            ids = np.zeros(self.max_document_length, np.int64)
            for i, token in enumerate(itertools.islice(tokens, self.max_document_length)):
                ids[i] = self.vocabulary_.get(token)
            yield ids

    def reverse(self, documents) -> Iterator[str]:
        """Yields the words of each row of numbers, with spaces between."""
        for ids in documents:
            yield " ".join(self.vocabulary_.reverse(i) for i in ids)

    def save(self, filename: str) -> None:
        """Writes a file that `restore` reads, as does TensorFlow 1's.

        Raises:
            DataError: it has a tokenizer of the script's, which cannot be restored.
        """
        if self._tokenizer is not tokenizer:
            raise DataError(
                f"{filename}: a VocabularyProcessor with a tokenizer_fn cannot be saved; save vocabulary_"
            )
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=2).dump(self)
        with tf.gfile.Open(filename, "wb") as file:
            file.write(buffer.getvalue())

    @classmethod
    def restore(cls, filename: str) -> VocabularyProcessor:
        """What `save` wrote, or TensorFlow 1 did.

        Raises:
            DataError: the file is not that, or asks for anything else.
        """
        with tf.gfile.Open(filename, "rb") as file:
            data = file.read()
        try:
            processor = _Unpickler(io.BytesIO(data), encoding="utf-8").load()
            _check(processor)
        except Exception as error:
            raise DataError(f"{filename}: it is not a saved VocabularyProcessor: {error}") from None
        return processor


class ByteProcessor:
    """Texts as bytes, of which `max_document_length` are kept; what is shorter is filled up with 0."""

    def __init__(self, max_document_length: int):
        self.max_document_length = max_document_length

    def fit(self, x) -> None:
        """Does nothing."""

    def fit_transform(self, x) -> Iterator[np.ndarray]:
        """As `transform`."""
        return self.transform(x)

    def transform(self, x) -> Iterator[np.ndarray]:
        """Yields uint8 [max_document_length] for each text or bytes."""
        for document in x:
            data = document.encode("utf-8") if isinstance(document, str) else document
            data = np.frombuffer(memoryview(data)[: self.max_document_length], np.uint8)
            yield np.pad(data, (0, self.max_document_length - len(data)))

    def reverse(self, x) -> Iterator[str]:
        """Yields the text of each row of bytes; an empty one where it is not UTF-8."""
        for data in x:
            try:
                yield np.trim_zeros(data.astype(np.int8), trim="b").tobytes().decode("utf-8")
            except UnicodeDecodeError:
                yield ""


class CategoricalProcessor:
    """Columns of categories as numbers, each column with its vocabulary.

    Args:
        min_frequency: categories that come more often than this are kept; 0 keeps all.
        share: whether all columns have one vocabulary.
        vocabularies: a `CategoricalVocabulary` for each column.
    """

    def __init__(self, min_frequency: int = 0, share: bool = False, vocabularies=None):
        self.min_frequency = min_frequency
        self.share = share
        self.vocabularies_ = vocabularies

    def freeze(self, freeze: bool = True) -> None:
        """Freezes all vocabularies, or the opposite."""
        for vocabulary in self.vocabularies_:
            vocabulary.freeze(freeze)

    def fit(self, x, unused_y=None) -> CategoricalProcessor:
        """Learns the categories of rows; returns itself."""
        for row in x:
            if self.vocabularies_ is None:
                shared = CategoricalVocabulary()
                self.vocabularies_ = [shared if self.share else CategoricalVocabulary() for _ in row]
            for vocabulary, value in zip(self.vocabularies_, row):
                # NaN is what a table has for nothing.
                if not (isinstance(value, float) and np.isnan(value)):
                    vocabulary.add(value)
        if self.min_frequency > 0:
            for vocabulary in self.vocabularies_:
                vocabulary.trim(self.min_frequency)
        self.freeze()
        return self

    def fit_transform(self, x, unused_y=None) -> Iterator[np.ndarray]:
        """`fit`, and then `transform`."""
        self.fit(x)
        return self.transform(x)

    def transform(self, x) -> Iterator[np.ndarray]:
        """Yields int64 [columns] for each row."""
        self.freeze()
        for row in x:
            ids = np.zeros(len(row), np.int64)
            for i, (vocabulary, value) in enumerate(zip(self.vocabularies_, row)):
                if not (isinstance(value, float) and np.isnan(value)):
                    ids[i] = vocabulary.get(value)
            yield ids


def setup_processor_data_feeder(x):
    """As it is: nothing is fed by graphs any more."""
    return x


# By the names that a pickle of TensorFlow 1 has.
_PICKLED = {
    (f"{_MODULE}.text", "VocabularyProcessor"): VocabularyProcessor,
    (f"{_MODULE}.text", "tokenizer"): tokenizer,
    (f"{_MODULE}.categorical_vocabulary", "CategoricalVocabulary"): CategoricalVocabulary,
}
_PYTHON = {
    ("collections", "defaultdict"): collections.defaultdict,
    ("__builtin__", "int"): int,
    ("__builtin__", "long"): int,
    ("__builtin__", "object"): object,
    ("builtins", "int"): int,
    ("builtins", "object"): object,
}


class _Unpickler(pickle._Unpickler):
    """Python's unpickler, which makes nothing but vocabularies and sets nothing but their attributes."""

    def find_class(self, module, name):
        if (module, name) in (("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")):
            return _reconstructed
        found = {**_PICKLED, **_PYTHON}.get((module, name))
        if found is None:
            raise DataError(f"the pickle asks for {module}.{name}, which no VocabularyProcessor has")
        return found

    def load_build(self):
        if type(self.stack[-2]) not in (VocabularyProcessor, CategoricalVocabulary):
            raise DataError("the pickle sets attributes of what is no VocabularyProcessor")
        super().load_build()

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def _reconstructed(kind, base, state):
    """What copyreg._reconstructor does, for the two classes that a pickle of protocol 0 or 1 makes by it."""
    if kind not in (VocabularyProcessor, CategoricalVocabulary) or base is not object or state is not None:
        raise DataError("the pickle makes what no VocabularyProcessor has")
    return object.__new__(kind)


def _check(processor):
    """DataError unless this is a processor with the attributes of one."""
    expected = {
        VocabularyProcessor: {
            "max_document_length": int,
            "min_frequency": (int, float),
            "vocabulary_": CategoricalVocabulary,
            "_tokenizer": types.FunctionType,
        },
        CategoricalVocabulary: {
            "_unknown_token": object,
            "_mapping": dict,
            "_support_reverse": bool,
            "_reverse_mapping": list,
            "_freq": dict,
            "_freeze": bool,
        },
    }
    if type(processor) is not VocabularyProcessor:
        raise DataError(f"it holds {type(processor).__name__}")
    for part in (processor, vars(processor).get("vocabulary_")):
        kinds = expected[type(part)]
        for name, value in vars(part).items():
            if not isinstance(value, kinds.get(name, ())):
                raise DataError(f"{name} of its {type(part).__name__} is {type(value).__name__}")
        missing = set(kinds) - set(vars(part)) - {"_reverse_mapping"}
        if missing:
            raise DataError(f"its {type(part).__name__} has no {min(missing)}")


class _Pickler(pickle._Pickler):
    """Python's pickler, which names our classes as TensorFlow 1 did."""

    def save_global(self, obj, name=None):
        for (module, its_name), ours in _PICKLED.items():
            if obj is ours:
                self.write(pickle.GLOBAL + f"{module}\n{its_name}\n".encode("ascii"))
                self.memoize(obj)
                return
        super().save_global(obj, name)

    dispatch = {**pickle._Pickler.dispatch, types.FunctionType: save_global}
