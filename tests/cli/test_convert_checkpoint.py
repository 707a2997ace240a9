"""bin/convert_checkpoint: every format into every other, parts, names, dtypes; memory; nothing half-written."""

import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

import slimft
from slimft.checkpoint import view
from slimft.cli import convert_checkpoint

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def convert(capsys):
    """Runs the command, which must succeed; returns the result and what was said on standard error."""

    def run(*arguments):
        capsys.readouterr()
        status = convert_checkpoint.main(["convert_checkpoint", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert status == 0, err
        assert out.count("\n") == 1
        return json.loads(out), err

    return run


@pytest.fixture
def rejected(capsys):
    """Runs the command, which must refuse in one line with `words` and print nothing else."""

    def run(arguments, *words):
        capsys.readouterr()
        status = convert_checkpoint.main(["convert_checkpoint", *map(str, arguments)])
        out, err = capsys.readouterr()
        last = err.splitlines()[-1]
        assert (status, out) == (2, "")
        assert last.startswith("convert_checkpoint: ") and "Traceback" not in err
        for word in words:
            assert word in last
        return err

    return run


def arrays():
    """Variables of the dtypes that all formats have, and of odd shapes."""
    generator = np.random.default_rng(0)
    floats = generator.normal(size=[3, 5, 7])
    return {
        "net/float32": floats.astype(np.float32),
        "net/float16": floats.astype(np.float16),
        "net/float64": floats,
        "net/nan": np.array([0x7FC00001, 0xFF800000, 0x80000000], np.uint32).view(np.float32),
        "net/int8": generator.integers(-128, 128, size=[11]).astype(np.int8),
        "net/uint16": generator.integers(0, 2**16, size=[2, 1, 3]).astype(np.uint16),
        "net/bool": floats[0] > 0,
        "net/empty": np.zeros([0, 4], np.float32),
        "net/complex": (floats[0] + 1j * floats[1]).astype(np.complex64),
        "global_step": np.array(2**40 + 1),
    }


@pytest.fixture
def checkpoint(tmp_path):
    """The variables of `arrays` as a V2 checkpoint."""
    slimft.write_checkpoint(tmp_path / "model.ckpt", arrays())
    return tmp_path / "model.ckpt"


@pytest.fixture(scope="session")
def v1_file(tmp_path_factory):
    """The variables of `arrays`, but for the dtypes that V1 has not, as TensorFlow writes a V1 checkpoint."""
    from slimft.compat import tf

    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in arrays().items():
            tf.get_variable(name, initializer=value)
        session.run(tf.global_variables_initializer())
        folder = tmp_path_factory.mktemp("v1")
        return tf.train.Saver(write_version=1).save(session, str(folder / "v1.ckpt"), write_meta_graph=False)


def assert_same(found, expected):
    """Two mappings hold the same names, dtypes, shapes and bits."""
    assert set(found) == set(expected)
    for name in expected:
        ours, theirs = np.asarray(found[name]), np.asarray(expected[name])
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), name
        assert ours.tobytes() == theirs.tobytes(), name


def test_round_trip_through_every_format_bit_for_bit(convert, v1_file, tmp_path):
    source, expected = v1_file, arrays()
    for name in ("a.ckpt", "b.npz", "c.safetensors", "d.ckpt"):
        result, err = convert(source, tmp_path / name)
        kind = {"ckpt": "tensorflow_v2"}.get(name.split(".")[1], name.split(".")[1])
        size = sum(file.stat().st_size for file in tmp_path.glob(f"{name}*"))
        assert result == {
            "source": str(source),
            "destination": str(tmp_path / name),
            "format": kind,
            "variables": len(expected),
            "parameters": sum(value.size for value in expected.values()),
            "bytes": size,
        }
        assert f"{os.path.basename(source)}: 100%" in err
        assert_same(slimft.open_checkpoint(tmp_path / name), expected)
        source = tmp_path / name


def test_tensorflow_and_others_read_what_is_written(convert, v1_file, tmp_path):
    from safetensors.numpy import load_file

    from slimft.compat import tf

    for name in ("a.ckpt", "a.npz", "a.safetensors"):
        convert(v1_file, tmp_path / name)
    reader = tf.train.load_checkpoint(str(tmp_path / "a.ckpt"))
    assert_same({name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}, arrays())
    assert_same(np.load(tmp_path / "a.npz"), arrays())
    assert_same(load_file(tmp_path / "a.safetensors"), arrays())


def test_small_floats(convert, rejected, tmp_path):
    values = {f"w/{name}": np.arange(5).astype(getattr(ml_dtypes, name)) for name in ("bfloat16", "float8_e5m2")}
    slimft.write_checkpoint(tmp_path / "a.ckpt", values)
    convert(tmp_path / "a.ckpt", tmp_path / "b.safetensors")
    convert(tmp_path / "b.safetensors", tmp_path / "c.ckpt")
    assert_same(slimft.open_checkpoint(tmp_path / "c.ckpt"), values)
    rejected([tmp_path / "a.ckpt", tmp_path / "d.npz"], "w/bfloat16", "dtype")
    convert(tmp_path / "a.ckpt", tmp_path / "d.npz", "--dtype=float32")
    assert_same(
        slimft.open_checkpoint(tmp_path / "d.npz"), {name: np.arange(5, dtype=np.float32) for name in values}
    )


def test_keras_files(convert, tmp_path):
    import h5py

    kernel = np.random.default_rng(0).normal(size=[3, 3]).astype(np.float32)
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = kernel
        file["layers/dense/vars/1"] = np.arange(3, dtype=">f4")
    convert(tmp_path / "a.weights.h5", tmp_path / "a.ckpt", "--rename=layers/dense/vars/0:dense/kernel")
    expected = {"dense/kernel": kernel, "layers/dense/vars/1": np.arange(3, dtype=np.float32)}
    assert_same(slimft.open_checkpoint(tmp_path / "a.ckpt"), expected)


def test_frozen_graphs(convert, tmp_path):
    from slimft.compat import tf

    kernel = np.random.default_rng(0).normal(size=[3, 3]).astype(np.float32)
    with tf.Graph().as_default() as graph:
        tf.identity(tf.constant(kernel, name="net/weights"), name="net/weights/read")
        (tmp_path / "a.pb").write_bytes(graph.as_graph_def().SerializeToString())
    convert(tmp_path / "a.pb", tmp_path / "a.ckpt")
    assert_same(slimft.open_checkpoint(tmp_path / "a.ckpt"), {"net/weights": kernel})


def test_include_exclude_and_rename(convert, rejected, checkpoint, tmp_path):
    def names(*flags):
        convert(checkpoint, tmp_path / "b.npz", "--overwrite", *flags)
        return sorted(slimft.open_checkpoint(tmp_path / "b.npz"))

    assert names("--include=net/int8,global_step") == ["global_step", "net/int8"]
    assert names("--include=net/float*", "--exclude=net/float16") == ["net/float32", "net/float64"]
    assert names("--include=re:net/(float32|int8)", "--rename=net:my/net") == ["my/net/float32", "my/net/int8"]
    assert names("--include=net/int8", "--rename=net:a,net:b/c") == ["a/int8", "b/c/int8"]
    rejected([checkpoint, tmp_path / "c.npz", "--include=net/int9"], "--include=net/int9", "net/int8?")
    rejected([checkpoint, tmp_path / "c.npz", "--exclude=nets"], "--exclude=nets")
    rejected([checkpoint, tmp_path / "c.npz", "--include=net/int8", "--exclude=net"], "nothing is left")
    rejected([checkpoint, tmp_path / "c.npz", "--rename=nett:a"], "--rename=nett", "did you mean net?")
    rejected([checkpoint, tmp_path / "c.npz", "--rename=net"], "--rename=net", "FROM:TO")
    rejected([checkpoint, tmp_path / "c.npz", "--rename=net/int8:global_step"], "both renamed to global_step")
    assert not (tmp_path / "c.npz").exists()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_dtype(convert, checkpoint, tmp_path, dtype, monkeypatch):
    monkeypatch.setattr(view, "_CAST_ELEMENTS", 16)
    convert(checkpoint, tmp_path / "b.ckpt", f"--dtype={dtype}")
    target = np.dtype(getattr(ml_dtypes, dtype, dtype))
    expected = {n: v.astype(target) if v.dtype.kind == "f" else v for n, v in arrays().items()}
    assert_same(slimft.open_checkpoint(tmp_path / "b.ckpt"), expected)


def test_a_value_that_does_not_fit_is_an_error_that_names_its_variable(rejected, tmp_path):
    slimft.write_checkpoint(tmp_path / "a.ckpt", {"small": np.float32([1]), "w": np.float32([1, 7e4, np.inf])})
    flags = [tmp_path / "a.ckpt", tmp_path / "b.ckpt", "--dtype=float16"]
    rejected(flags, "w: 1 of its values do not fit into float16", "another dtype")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ckpt.data-00000-of-00001", "a.ckpt.index"]


def test_object_based_checkpoints(convert, rejected, checkpoint, object_based, tmp_path):
    kernel, step = np.float32([1, 2]), {"save_counter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(0)}
    step = {name: value for name, value in step.items() if name in slimft.open_checkpoint(object_based)}
    for suffix in ("npz", "safetensors"):
        _, err = convert(object_based, tmp_path / f"a.{suffix}")
        assert "_CHECKPOINTABLE_OBJECT_GRAPH left out" in err
        assert_same(
            slimft.open_checkpoint(tmp_path / f"a.{suffix}"), {"model/w/.ATTRIBUTES/VARIABLE_VALUE": kernel, **step}
        )
    convert(object_based, tmp_path / "copy.ckpt")
    assert slimft.open_checkpoint(tmp_path / "copy.ckpt").aliases()["dense/kernel"].startswith("model/w/")
    for name in ("full.ckpt", "full.npz"):
        _, err = convert(
            object_based, tmp_path / name, "--full_names", "--include=dense", "--rename=dense:net/dense"
        )
        assert "left out" not in err
        assert_same(slimft.open_checkpoint(tmp_path / name), {"net/dense/kernel": kernel})
    rejected([checkpoint, tmp_path / "b.npz", "--full_names"], "model.ckpt has no full names")


def test_strings(convert, rejected, tmp_path):
    values = {"w": np.zeros(3), "words": np.array([b"one", b""], object)}
    slimft.write_checkpoint(tmp_path / "a.ckpt", values)
    convert(tmp_path / "a.ckpt", tmp_path / "b.ckpt")
    assert slimft.open_checkpoint(tmp_path / "b.ckpt")["words"].tolist() == [b"one", b""]
    rejected([tmp_path / "a.ckpt", tmp_path / "c.npz"], "c.npz: words is of strings", "exclude")
    rejected([tmp_path / "a.ckpt", tmp_path / "c.safetensors"], "words is of strings", "exclude")
    convert(tmp_path / "a.ckpt", tmp_path / "c.npz", "--exclude=words")


def test_overwriting_needs_a_flag(convert, rejected, checkpoint, tmp_path):
    for name, file in (("b.npz", "b.npz"), ("b.ckpt", "b.ckpt.index")):
        (tmp_path / file).write_text("mine")
        rejected([checkpoint, tmp_path / name], file, "is there already", "--overwrite")
        assert (tmp_path / file).read_text() == "mine"
        convert(checkpoint, tmp_path / name, "--overwrite")
        assert_same(slimft.open_checkpoint(tmp_path / name), arrays())


def test_the_source_is_never_overwritten(rejected, checkpoint, tmp_path):
    rejected([checkpoint, checkpoint, "--overwrite"], "is the source itself")
    rejected([f"{checkpoint}.index", f"{tmp_path}/../{tmp_path.name}/model.ckpt", "--overwrite"], "source itself")
    slimft.write_checkpoint(tmp_path / "a.npz", arrays())
    (tmp_path / "link.npz").symlink_to("a.npz")
    rejected([tmp_path / "a.npz", tmp_path / "link.npz", "--overwrite"], "is the source itself")
    rejected([tmp_path / "link.npz", tmp_path / "a.npz", "--overwrite"], "is the source itself")


def test_bad_input(rejected, checkpoint, v1_file, tmp_path):
    rejected([], "two paths, SRC and DST, not 0")
    rejected([checkpoint], "two paths")
    rejected([checkpoint, "a", "b"], "two paths")
    rejected(["/no/such.ckpt", tmp_path / "b.npz"], "/no/such.ckpt")
    rejected([checkpoint, tmp_path / "no" / "b.npz"], f"no directory {tmp_path}/no")
    rejected([checkpoint, tmp_path], f"{tmp_path} is a directory")
    rejected([checkpoint, tmp_path / "b.h5"], "b.h5", "not written")
    rejected([checkpoint, tmp_path / "b.ckpt.index"], "b.ckpt.index", "prefix")
    rejected([checkpoint, v1_file], "v1.ckpt is a file")
    rejected([checkpoint, tmp_path / "b.npz", "--dtype=int8"], "--dtype=int8", "bfloat16")
    rejected([checkpoint, "/proc/b.npz"], "cannot write /proc/b.npz")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["b.ckpt", "b.npz", "b.safetensors"])
def test_a_damaged_source_leaves_no_file(rejected, checkpoint, tmp_path, name):
    data = tmp_path / "model.ckpt.data-00000-of-00001"
    octets = bytearray(data.read_bytes())
    octets[-1] ^= 1
    data.write_bytes(octets)
    (tmp_path / "b.npz").write_text("mine")
    rejected([checkpoint, tmp_path / name, "--overwrite"], "model.ckpt: cannot read net/", "damaged")
    assert (tmp_path / "b.npz").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["", "\0w", "\udcff", "a\0b", "__metadata__"])
def test_names_that_a_format_cannot_have(convert, rejected, tmp_path, name):
    good = {"a.ckpt": {"", "\0w"}, "a.npz": {"\0w", "\udcff", "a\0b"}, "a.safetensors": {"\udcff", "__metadata__"}}
    for file, refused in good.items():
        if name in refused:
            with pytest.raises(slimft.CheckpointError, match="cannot be a variable's name"):
                slimft.write_checkpoint(tmp_path / file, {name: np.zeros(1)})
            assert not list(tmp_path.iterdir())
        else:
            slimft.write_checkpoint(tmp_path / file, {name: np.zeros(1)})
            assert list(slimft.open_checkpoint(tmp_path / file)) == [name]
            for written in tmp_path.iterdir():
                written.unlink()


SCRIPT = [sys.executable, str(ROOT / "bin" / "convert_checkpoint")]


def test_a_full_disk_leaves_no_file(tmp_path):
    slimft.write_checkpoint(tmp_path / "a.npz", {"w": np.zeros(1_000_000)})
    for name in ("b.ckpt", "b.npz", "b.safetensors"):
        done = subprocess.run(
            [*SCRIPT, str(tmp_path / "a.npz"), str(tmp_path / name)],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20)),
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1] == f"convert_checkpoint: cannot write {tmp_path / name}: File too large"
        assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_is_ended_leaves_no_file(tmp_path, number, status):
    slimft.write_checkpoint(tmp_path / "a.npz", {str(i): np.zeros(1) for i in range(3)})
    code = (
        "import os, sys; from slimft.cli import convert_checkpoint, read_progress\n"
        "read = read_progress.ReadProgress._read\n"
        "def end(self, name):\n"
        f"    name == '2' and os.kill(os.getpid(), {int(number)})\n"
        "    return read(self, name)\n"
        "read_progress.ReadProgress._read = end\n"
        "sys.exit(convert_checkpoint.main(['convert_checkpoint', *sys.argv[1:]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.npz"), str(tmp_path / "b.ckpt")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == status and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A folder with 40 MB of variables, the largest of 8 MB, in each format."""
    folder = tmp_path_factory.mktemp("large")
    values = {f"net/w{i}": np.full([2_000_000], i, np.float32) for i in range(5)}
    for name in ("a.ckpt", "a.npz", "a.safetensors"):
        slimft.write_checkpoint(folder / name, values)
    return folder


@pytest.mark.parametrize("source", ["a.ckpt", "a.npz", "a.safetensors"])
@pytest.mark.parametrize("destination", ["b.ckpt", "b.npz", "b.safetensors"])
@pytest.mark.parametrize(("flags", "largest"), [([], 1), (["--dtype=float16"], 1.5)])
def test_memory_stays_within_the_largest_variable(convert, large, tmp_path, source, destination, flags, largest):
    convert(large / source, tmp_path / "warm.npz", "--include=net/w0", *flags)  # Imports are not what is measured.
    tracemalloc.start()
    try:
        convert(large / source, tmp_path / destination, *flags)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The variable, where it is converted the result too, and a few MB for buffers.
    assert peak < largest * 8_000_000 + (5 << 20), peak / 1e6


def test_no_tensorflow(checkpoint, tmp_path, run_python):
    for name in ("b.ckpt", "b.npz", "b.safetensors"):
        run_python(
            "import sys; from slimft.cli.convert_checkpoint import main\n"
            "assert main(['convert_checkpoint', *sys.argv[1:]]) == 0\n"
            "assert not {'tensorflow', 'keras', 'h5py'} & set(sys.modules)",
            str(checkpoint),
            str(tmp_path / name),
        )


def test_the_script_in_bin(checkpoint, tmp_path):
    assert os.access(SCRIPT[1], os.X_OK)
    done = subprocess.run([*SCRIPT, str(checkpoint), "b.npz"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["destination"] == "b.npz"
    done = subprocess.run([*SCRIPT, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "usage: convert_checkpoint SRC DST" in done.stdout


@pytest.mark.real
def test_real_checkpoints(convert, shared, tmp_path):
    for name in ("mobilenet_v1_1.0_224.ckpt", "vgg_16_hed.ckpt"):
        source = shared / "checkpoints" / name
        convert(source, tmp_path / f"{name}.npz")
        convert(tmp_path / f"{name}.npz", tmp_path / name)
        assert_same(slimft.open_checkpoint(tmp_path / name), slimft.open_checkpoint(source))
