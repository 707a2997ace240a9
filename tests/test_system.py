"""What slimft does where the system lacks calls that Linux has, and where its caches are."""

import pytest

from slimft import UsageError, system
from slimft.checkpoint import official
from slimft.data import cifar10, record_cache

# What Python leaves out of `os`, and of its modules, on other systems.
MACOS = ["preadv", "pwritev", "fdatasync", "posix_fadvise", "posix_fallocate", "sched_getaffinity"]
OTHERS = [*MACOS, "pread", "pwrite", "O_CLOEXEC", "O_NONBLOCK", "register_at_fork"]

WORK = """
import os, random, sys
import numpy as np
rng = np.random.default_rng(0)
without, folder, records = sys.argv[1].split(","), sys.argv[2], sys.argv[3]
for name in without:
    if name == "fcntl":
        sys.modules["fcntl"] = None
    elif hasattr(os, name):
        delattr(os, name)
from PIL import Image
from slimft import open_checkpoint, write_checkpoint
from slimft.data import load_dataset
from slimft.data.dataset import DataOptions

array = rng.integers(0, 256, 9 << 20, np.uint8)
write_checkpoint(folder + "/model.ckpt", {"a": array, "b": np.float32(3)})
checkpoint = open_checkpoint(folder + "/model.ckpt", memory_map=False)
assert (checkpoint["a"] == array).all() and checkpoint["b"] == 3

for name in "abcd":
    os.makedirs(f"{folder}/images/{name}")
    for number in range(10):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(f"{folder}/images/{name}/{number}.png")
for kind, place in (("image_folder", folder + "/images"), ("tfrecord", records)):
    files = {cache: load_dataset(kind, place, DataOptions(cache=cache))["train"].images for cache in ("off", "on")}
    for _ in range(2):
        assert files["on"].prepare(7, several_passes=True) is None
        indices = range(len(files["on"]))
        assert (files["on"].read(indices, 7) == files["off"].read(indices, 7)).all()
    assert files["on"]._collection.caches[7].has(np.array(indices)).any()
print("done")
"""


@pytest.mark.parametrize("without", [MACOS, OTHERS, [*OTHERS, "fcntl"]], ids=["macOS", "others", "no locks"])
def test_caches_checkpoints_and_records_without_what_linux_has(tmp_path, run_python, without, tfrecords):
    assert run_python(WORK, ",".join(without), str(tmp_path), tfrecords).strip() == "done"


@pytest.fixture
def tfrecords(tmp_path):
    """A folder with a TFRecord file that TensorFlow wrote."""
    import io

    import numpy as np
    from PIL import Image

    from slimft.compat import tf

    folder = tmp_path / "records"
    folder.mkdir()
    with tf.python_io.TFRecordWriter(str(folder / "train.tfrecord")) as writer:
        for number in range(40):
            encoded = io.BytesIO()
            Image.fromarray(np.full((9, 9, 3), number, np.uint8)).save(encoded, "png")
            features = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded.getvalue()])),
                "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return str(folder)


@pytest.mark.parametrize(
    "value, where",
    [(None, "home/.cache"), ("", "home/.cache"), ("relative/path", "home/.cache"), ("{tmp_path}/x", "x")],
)
def test_everything_below_the_home_folder_follows_xdg(tmp_path, monkeypatch, value, where):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SLIMFT_CHECKPOINTS", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if value is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", value.format(tmp_path=tmp_path))
    (tmp_path / "official.json").touch()
    monkeypatch.setattr(official, "_INSTALLED", tmp_path / "official.json")
    assert record_cache.images(224).path == tmp_path / where / "slimft/images"
    assert official.checkpoint_directory() == tmp_path / where / "slimft/checkpoints"
    asked = []
    monkeypatch.setattr("slimft.download.download_and_unpack", lambda url, md5, folder: asked.append(folder))
    cifar10._find(None)
    assert asked == [tmp_path / where / "slimft/cifar10"]


def test_without_a_home_folder(monkeypatch):
    monkeypatch.setattr(system.os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(UsageError, match="set HOME, or XDG_CACHE_HOME"):
        system.cache_folder("images")


@pytest.mark.parametrize("text, share", [(None, 8), ("", 8), ("3", 2), ("99", 1), ("0", 8), ("-1", 8), ("²", 8)])
def test_processes_of_a_run_share_the_processors(monkeypatch, text, share):
    monkeypatch.setattr(system.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.delenv(system.LOCAL_PROCESSES, raising=False)
    if text is not None:
        monkeypatch.setenv(system.LOCAL_PROCESSES, text)
    assert system.processors() == share
