"""tf.contrib.lookup: what TensorFlow holds of it (TF 1.15: contrib/lookup/lookup_ops.py)."""

from tensorflow.python.ops import lookup_ops
from tensorflow.python.ops.lookup_ops import (
    FastHashSpec,
    HasherSpec,
    IdTableWithHashBuckets,
    InitializableLookupTableBase,
    KeyValueTensorInitializer,
    LookupInterface,
    MutableHashTable,
    StrongHashSpec,
    TableInitializerBase,
    TextFileIdTableInitializer,
    TextFileIndex,
    TextFileInitializer,
    TextFileStringTableInitializer,
    index_table_from_file,
    index_to_string_table_from_file,
)

from slimft.compat import tf

MutableDenseHashTable = lookup_ops.DenseHashTable

__all__ = [
    "FastHashSpec", "HashTable", "HasherSpec", "IdTableWithHashBuckets", "InitializableLookupTableBase",
    "KeyValueTensorInitializer",
    "LookupInterface", "MutableDenseHashTable", "MutableHashTable", "StrongHashSpec", "TextFileIdTableInitializer",
    "TextFileIndex", "TextFileInitializer", "TextFileStringTableInitializer", "index_table_from_file",
    "index_table_from_tensor", "index_to_string", "index_to_string_table_from_file",
    "index_to_string_table_from_tensor", "string_to_index", "string_to_index_table_from_file",
    "string_to_index_table_from_tensor", "TableInitializerBase",
]  # fmt: skip


class HashTable(lookup_ops.StaticHashTableV1):
    """A table that is filled once; `init`, the op that fills it, is today's `initializer`."""

    @property
    def init(self):
        return self.initializer


def index_table_from_tensor(
    mapping, num_oov_buckets=0, default_value=-1, hasher_spec=FastHashSpec, dtype=tf.string, name=None
):
    """A table from the elements of `mapping` to their positions in it."""
    return lookup_ops.index_table_from_tensor(mapping, num_oov_buckets, default_value, hasher_spec, dtype, name)


def string_to_index_table_from_tensor(
    mapping, num_oov_buckets=0, default_value=-1, hasher_spec=FastHashSpec, name="string_to_index"
):
    """`index_table_from_tensor` of strings, as it was called first."""
    return index_table_from_tensor(mapping, num_oov_buckets, default_value, hasher_spec, name=name)


def string_to_index_table_from_file(
    vocabulary_file=None, num_oov_buckets=0, vocab_size=None, default_value=-1, hasher_spec=FastHashSpec,
    name="string_to_index",
):  # fmt: skip
    """`index_table_from_file`, as it was called first."""
    return index_table_from_file(
        vocabulary_file, num_oov_buckets, vocab_size, default_value, hasher_spec, name=name
    )


def index_to_string_table_from_tensor(mapping, default_value="UNK", name=None):
    """A table from positions in `mapping`, int64, to the strings there."""
    return lookup_ops.index_to_string_table_from_tensor(mapping, default_value, name)


def string_to_index(tensor, mapping, default_value=-1, name=None):
    """The positions in `mapping` of the strings in `tensor`, int64, after `tf.tables_initializer`."""
    return index_table_from_tensor(mapping, default_value=default_value, name=name).lookup(tensor)


def index_to_string(tensor, mapping, default_value="UNK", name=None):
    """The strings of `mapping` at the positions in `tensor`, int64, after `tf.tables_initializer`."""
    return index_to_string_table_from_tensor(mapping, default_value, name).lookup(tensor)
