"""bin/inspect_checkpoint: the listing, figures of values, damage, differences, what fits a network."""

import json
import os
import pathlib
import subprocess
import sys
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

import slimft
from slimft.cli import inspect_checkpoint, variable_values
from slimft.cli.variable_values import Difference, difference, statistics

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def inspect(capsys):
    """Runs the command; returns its exit status, standard output and standard error."""

    def run(*arguments):
        capsys.readouterr()
        status = inspect_checkpoint.main(["inspect_checkpoint", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def inspect_json(inspect):
    """Runs the command with --json; returns its exit status and the document, which has to be strict JSON."""

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    def run(*arguments):
        status, out, _ = inspect(*arguments, "--json")
        assert out.count("\n") == 1
        return status, json.loads(out, parse_constant=refuse)

    return run


@pytest.fixture
def rejected(inspect):
    """Runs the command, which must refuse in one line with `words`."""

    def run(arguments, *words):
        status, out, err = inspect(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("inspect_checkpoint: ") and err.count("\n") == 1
        for word in words:
            assert word in err

    return run


def arrays():
    """Some variables in the scopes of a network, and `global_step`."""
    generator = np.random.default_rng(0)
    return {
        "net/conv1/weights": generator.normal(size=[3, 3, 3, 64]).astype(np.float32),
        "net/conv1/biases": np.zeros(64, np.float32),
        "net/fc/weights": generator.normal(size=[500, 1001]).astype(np.float32),
        "net/fc/biases": np.arange(1001, dtype=np.float32),
        "global_step": np.int64(7),
    }


@pytest.fixture
def checkpoint(tmp_path):
    """The variables of `arrays` as a V2 checkpoint."""
    slimft.write_checkpoint(tmp_path / "model.ckpt", arrays())
    return tmp_path / "model.ckpt"


@pytest.fixture(scope="session")
def v1_file(tmp_path_factory):
    """A V1 checkpoint that TensorFlow wrote."""
    from slimft.compat import tf

    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in arrays().items():
            tf.get_variable(name, initializer=value)
        session.run(tf.global_variables_initializer())
        folder = tmp_path_factory.mktemp("v1")
        return tf.train.Saver(write_version=1).save(session, str(folder / "v1.ckpt"), write_meta_graph=False)


def damage(file, at):
    """Flips a bit of the byte at a position, from the end on if negative."""
    octets = bytearray(file.read_bytes())
    octets[at] ^= 1
    file.write_bytes(octets)


LISTING = """\
name               shape     dtype    parameters     MB   share
-----------------  --------  -------  ----------  -----  ------
global_step        scalar    int64             1  0.000   0.00%
net/conv1/biases   64        float32          64  0.000   0.01%
net/conv1/weights  3x3x3x64  float32       1,728  0.007   0.34%
net/fc/biases      1001      float32       1,001  0.004   0.20%
net/fc/weights     500x1001  float32     500,500  2.002  99.44%

scope        variables  parameters     MB    share
-----------  ---------  ----------  -----  -------
global_step          1           1  0.000    0.00%
net                  4     503,293  2.013  100.00%
net/conv1            2       1,792  0.007    0.36%
net/fc               2     501,501  2.006   99.64%

{path}: {format}, 5 variables, 503,294 parameters, 2.013 MB
"""


def test_the_listing(inspect, checkpoint, v1_file):
    assert inspect(checkpoint) == (0, LISTING.format(path=checkpoint, format="tensorflow_v2"), "")
    assert inspect(v1_file) == (0, LISTING.format(path=v1_file, format="tensorflow_v1"), "")


def test_a_path_may_be_a_directory_or_one_of_the_files(inspect, checkpoint):
    for path in (checkpoint.parent, f"{checkpoint}.index", f"{checkpoint}.data-00000-of-00001"):
        assert inspect(path)[1] == LISTING.format(path=checkpoint, format="tensorflow_v2")


def test_several_paths_have_headings(inspect, inspect_json, checkpoint, v1_file):
    status, out, _ = inspect(checkpoint, v1_file)
    assert status == 0
    assert out.startswith(f"{checkpoint} (tensorflow_v2)\n\nname ")
    assert f"2.013 MB\n\n{v1_file} (tensorflow_v1)\n\nname " in out
    status, document = inspect_json(checkpoint, v1_file)
    assert [one["format"] for one in document] == ["tensorflow_v2", "tensorflow_v1"]


def test_the_listing_reads_no_values(inspect, checkpoint):
    os.truncate(f"{checkpoint}.data-00000-of-00001", 0)
    assert inspect(checkpoint)[0] == 0
    status, _, err = inspect(checkpoint, "--stats")
    assert status == 2
    assert "model.ckpt: cannot read" in err.splitlines()[-1]


def test_match(inspect, rejected, checkpoint):
    _, out, _ = inspect(checkpoint, "--match=net/conv1,*/biases")
    assert [line.split()[0] for line in out.splitlines()[2:5]] == [
        "net/conv1/biases",
        "net/conv1/weights",
        "net/fc/biases",
    ]
    assert out.endswith("3 variables, 2,793 parameters, 0.011172 MB, of 5 variables in it\n")
    # A comma inside of a regular expression does not part it.
    assert "2 variables, 501,501" in inspect(checkpoint, "--match=re:net/f[c,d]/.{1,99}")[1]
    rejected([checkpoint, "--match=fc"], "--match=fc matches no variable", "did you mean net/fc?")
    rejected([checkpoint, "--match=re:("], "re:(", "regular expression")


def scopes(out):
    """The scopes in the second table of a listing."""
    return [line.split()[0] for line in out.split("\n\n")[1].splitlines()[2:]]


def test_depth(inspect, checkpoint, tmp_path):
    assert scopes(inspect(checkpoint, "--depth=1")[1]) == ["global_step", "net"]
    many = {f"tower_{i:02}/{part}/w": np.zeros(3) for i in range(20) for part in "ab"}
    slimft.write_checkpoint(tmp_path / "many.npz", many)
    assert scopes(inspect(tmp_path / "many.npz")[1]) == [f"tower_{i:02}" for i in range(20)]
    assert len(scopes(inspect(tmp_path / "many.npz", "--depth=2")[1])) == 60
    # Totals that would only repeat the listing are not printed.
    slimft.write_checkpoint(tmp_path / "flat.npz", {"w": np.zeros(3), "b": np.zeros(3)})
    assert "scope" not in inspect(tmp_path / "flat.npz")[1]


def test_scopes_hold_together_where_names_are_not_sorted(inspect, tmp_path):
    names = ["b/x/1", "a/x/1", "b/y/1", "a/x/2", "b/x/2"]
    slimft.write_checkpoint(tmp_path / "a.npz", {name: np.zeros(1) for name in names})
    assert scopes(inspect(tmp_path / "a.npz", "--depth=2")[1]) == ["b", "b/x", "b/y", "a", "a/x"]


def test_object_based_checkpoints_show_full_names(inspect, inspect_json, object_based, tmp_path):
    _, out, _ = inspect(object_based)
    line = next(line for line in out.splitlines() if line.startswith("model/w/.ATTRIBUTES/VARIABLE_VALUE "))
    assert line.split()[1] == "dense/kernel"
    string = next(line for line in out.splitlines() if line.startswith("_CHECKPOINTABLE_OBJECT_GRAPH "))
    assert string.split()[1:] == ["scalar", "string", "-", "-", "-"]
    assert "1 variable, 2 parameters" in inspect(object_based, "--match=dense/kernel")[1]
    [row] = inspect_json(object_based, "--match=dense")[1][0]["variables"]
    assert (row["full_name"], row["parameters"]) == ("dense/kernel", 2)


def test_names_that_would_break_the_table_are_escaped(inspect, inspect_json, tmp_path):
    names = ["a\nb", "red\x1b[31m", "\udcff.w", "Ω/ω"]
    slimft.write_checkpoint(tmp_path / "odd.ckpt", {name: np.float32(0) for name in names})
    _, out, _ = inspect(tmp_path / "odd.ckpt")
    shown = {line.split()[0] for line in out.splitlines()[2:6]}
    assert shown == {r"\udcff.w", r"a\nb", r"red\x1b[31m", "Ω/ω"}
    _, document = inspect_json(tmp_path / "odd.ckpt")
    assert {row["name"] for row in document[0]["variables"]} == set(names)


def test_stats(inspect, inspect_json, tmp_path):
    values = {
        "a": np.array([1, 2, np.nan, np.inf, -np.inf, 3], np.float32),
        "b": np.array([2**63, 1], np.uint64),
        "c": np.array([b"one", b"two"], object),
        "d": np.array([1, 2], ml_dtypes.bfloat16),
        "e": np.array([np.nan], np.float64),
    }
    slimft.write_checkpoint(tmp_path / "v.ckpt", values)
    status, out, err = inspect(tmp_path / "v.ckpt", "--stats")
    assert status == 0
    assert "v.ckpt: 100%" in err
    cells = [line.split()[1:] for line in out.splitlines()[2:7]]
    assert out.splitlines()[0].split()[-6:] == ["mean", "std", "min", "max", "NaN", "Inf"]
    assert cells[0][-6:] == ["2", "0.8165", "1", "3", "1", "2"]
    assert cells[1][-6:] == ["4.612e+18", "4.612e+18", "1", "9,223,372,036,854,775,808", "0", "0"]
    assert cells[2][1:] == ["string", *"-" * 9]
    assert cells[3][1] == "bfloat16" and cells[3][-6:] == ["1.5", "0.5", "1", "2", "0", "0"]
    assert cells[4][-6:] == [*"----", "1", "0"]
    rows = inspect_json(tmp_path / "v.ckpt", "--stats")[1][0]["variables"]
    assert rows[0]["stats"] == {"mean": 2.0, "std": np.sqrt(2 / 3), "min": 1.0, "max": 3.0, "nan": 1, "inf": 2}
    assert rows[1]["stats"]["max"] == 2**63
    assert rows[2]["stats"] is None
    assert rows[4]["stats"]["mean"] is None


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "uint16", "bool"])
@pytest.mark.parametrize("shape", [[], [0], [7], [100, 3, 5]])
def test_statistics_are_numpys(dtype, shape, monkeypatch):
    monkeypatch.setattr(variable_values, "_CHUNK", 64)
    array = np.array(np.random.default_rng(1).normal(3, 50, size=shape) * 1, "float64").astype(dtype)
    found = statistics(array)
    if not array.size:
        assert (found.mean, found.std, found.min, found.max) == (None, None, None, None)
        return
    wide = array.astype(np.float64)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-12)
    assert found.std == pytest.approx(wide.std(), rel=1e-12)
    assert (found.min, found.max) == (wide.min(), wide.max())


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e4m3b11fnuz", "float8_e5m2fnuz"]
)
def test_statistics_of_small_floats(dtype):
    array = np.array([1, -2, 0.5, np.nan], getattr(ml_dtypes, dtype))
    found = statistics(array)
    assert (found.min, found.max, found.nan, found.inf) == (-2, 1, 1, 0)
    assert found.mean == pytest.approx(-1 / 6)


def test_statistics_of_other_dtypes():
    assert statistics(np.array([-3, 4], ml_dtypes.int4)).min == -3
    quantized = statistics(np.array([(-5,), (9,)], [("qint8", "i1")]))
    assert (quantized.min, quantized.max) == (-5, 9)
    assert statistics(np.array([1j])) is None
    # In Fortran's order, of both bytes' orders, and near the largest float.
    assert statistics(np.arange(6.0).reshape(2, 3).T).max == 5
    assert statistics(np.arange(6, dtype=">f4")).mean == 2.5
    assert statistics(np.full(3, 3e38, np.float32)).mean == pytest.approx(3e38)


def test_difference():
    one = np.array([1, 2, np.nan, np.inf, 0], np.float32)
    assert difference(one, one.copy()) == Difference(5, 0, 0)
    payload = one.copy().view(np.uint32)
    payload[2] ^= 1
    assert difference(one, payload.view(np.float32)).differing == 0
    assert difference(one, np.array([1, 2.5, np.nan, np.inf, 0], np.float32)) == Difference(5, 1, 0.5)
    assert difference(one, np.array([1, 2, 3, np.inf, -0.0], np.float32)) == Difference(5, 2, np.inf)
    assert difference(np.array([-(2**63), 0]), np.array([2**63 - 1, 0])) == Difference(2, 1, 2**64 - 1)
    assert difference(np.array([True, False]), np.array([False, False])) == Difference(2, 1, 1)
    assert difference(np.array([1 + 1j, 5]), np.array([4 + 5j, 5])) == Difference(2, 1, 5)
    assert difference(np.array([b"a", b"b"], object), np.array([b"a", b"c"], object)) == Difference(2, 1, None)
    small = np.array([1, 2], ml_dtypes.bfloat16)
    assert difference(small, np.array([1, 4], ml_dtypes.bfloat16)) == Difference(2, 1, 2)
    assert difference(np.array([[(1,)]], [("qint8", "i1")]), np.array([[(3,)]], [("qint8", "i1")])).largest == 2
    assert difference(np.array(3), np.array(5)) == Difference(1, 1, 2)
    assert difference(np.zeros([0, 3]), np.zeros([0, 3])) == Difference(0, 0, 0)


def test_a_difference_in_any_chunk_is_found(monkeypatch):
    monkeypatch.setattr(variable_values, "_CHUNK", 8)
    for dtype in ("float32", "complex128", "int8"):
        array = np.arange(50).astype(dtype)
        for place in range(50):
            other = array.copy()
            other[place] += 3
            assert difference(array, other) == Difference(50, 1, 3)


def test_diff(inspect, inspect_json, rejected, checkpoint, v1_file, tmp_path):
    status, out, _ = inspect(checkpoint, f"--diff={v1_file}")
    assert (status, out) == (0, f"{checkpoint} and {v1_file} are identical: 5 variables\n")
    other = arrays()
    del other["net/conv1/biases"]
    other["net/fc/biases"] = np.zeros(10, np.float32)
    other["global_step"] = np.int32(7)
    other["net/fc/weights"] = other["net/fc/weights"].copy()
    other["net/fc/weights"][3, :2] += 0.25
    other["net/more"] = np.zeros([2, 3])
    slimft.write_checkpoint(tmp_path / "other.npz", other)
    path = tmp_path / "other.npz"
    status, out, _ = inspect(checkpoint, f"--diff={path}")
    assert status == 1
    found = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()[2:7]}
    assert found == {
        "net/conv1/biases": f"only in {checkpoint} 64 float32",
        "net/more": f"only in {path} 2x3 float64",
        "global_step": "dtype differs scalar int64 against scalar int32",
        "net/fc/biases": "shape differs 1001 float32 against 10 float32",
        "net/fc/weights": "values differ 2 of 500,500, by up to 0.25",
    }
    assert out.endswith(f"{checkpoint} and {path}: 5 of 6 variables differ\n")
    status, document = inspect_json(checkpoint, f"--diff={path}")
    told = document[0]["diff"]
    assert (status, told["identical"], told["same"]) == (1, False, 1)
    assert told["only_here"] == ["net/conv1/biases"] and told["only_in_other"] == ["net/more"]
    assert told["values_differ"] == [
        {"name": "net/fc/weights", "elements": 500500, "differing": 2, "largest": pytest.approx(0.25)}
    ]
    assert inspect(checkpoint, f"--diff={path}", "--match=net/conv1/weights")[0] == 0
    assert inspect(checkpoint, f"--diff={path}", "--match=net/more")[0] == 1
    rejected([checkpoint, f"--diff={path}", "--match=net/most"], "--match=net/most", "net/more?")
    rejected([checkpoint, "--diff=/no/such"], "/no/such")


def test_a_nan_against_a_number_is_json(inspect_json, tmp_path):
    slimft.write_checkpoint(tmp_path / "a.npz", {"w": np.array([np.nan])})
    slimft.write_checkpoint(tmp_path / "b.npz", {"w": np.array([0.0])})
    status, document = inspect_json(tmp_path / "a.npz", f"--diff={tmp_path / 'b.npz'}")
    assert document[0]["diff"]["values_differ"][0]["largest"] == "Infinity"


def test_verify(inspect, inspect_json, checkpoint):
    status, out, err = inspect(checkpoint, "--verify")
    assert (status, out) == (0, f"{checkpoint}: 5 variables, 2.013 MB: every checksum matches\n")
    assert "model.ckpt: 100%" in err
    damage(checkpoint.with_name("model.ckpt.data-00000-of-00001"), -1)
    status, out, _ = inspect(checkpoint, "--verify")
    assert status == 1
    assert out.splitlines() == [
        "damaged: net/fc/weights: its checksum does not match: the file is damaged",
        f"{checkpoint}: 1 of 5 variables is damaged",
    ]
    assert inspect(checkpoint, "--verify", "--match=net/conv1")[0] == 0
    status, document = inspect_json(checkpoint, "--verify")
    assert (status, document[0]["verify"]["damaged"][0]["name"]) == (1, "net/fc/weights")


def test_verify_of_a_v1_file(inspect, tmp_path, v1_file):
    copy = tmp_path / "v1.ckpt"
    copy.write_bytes(pathlib.Path(v1_file).read_bytes())
    assert inspect(copy, "--verify")[0] == 0
    damage(copy, 1_000_000)
    status, out, _ = inspect(copy, "--verify")
    assert status == 1 and "damaged: net/fc/weights: a block's checksum does not match" in out
    status, out, err = inspect(copy, "--stats", "--match=net/fc/weights")
    assert (status, out) == (2, "")
    assert "cannot read net/fc/weights" in err.splitlines()[-1]


def test_verify_of_formats_with_and_without_checksums(inspect, rejected, tmp_path):
    for suffix in ("npz", "safetensors"):
        slimft.write_checkpoint(tmp_path / f"a.{suffix}", {"w": np.zeros(1000)})
    assert inspect(tmp_path / "a.npz", "--verify")[1].endswith("every array's CRC-32 matches\n")
    assert "no checksums" in inspect(tmp_path / "a.safetensors", "--verify")[1]
    damage(tmp_path / "a.npz", 4000)
    status, out, _ = inspect(tmp_path / "a.npz", "--verify")
    assert status == 1 and "damaged: w: " in out
    os.truncate(tmp_path / "a.safetensors", 5000)
    rejected([tmp_path / "a.safetensors", "--verify"], "a.safetensors is not a good checkpoint")


def test_model(inspect, inspect_json, tiny, tmp_path):
    from slimft.compat import tf
    from slimft.nets import get_network

    with tf.Graph().as_default(), tf.Session() as session:
        get_network(tiny).build(tf.placeholder(tf.float32, [1, 32, 32, 3]), 10, is_training=False)
        session.run(tf.global_variables_initializer())
        path = tf.train.Saver().save(session, str(tmp_path / "tiny.ckpt"), write_meta_graph=False)
    status, out, err = inspect(path, "--model=tiny")
    assert status == 2
    assert "tiny/logits/weights" in out and "mismatched: [8, 8, 16, 10] in the checkpoint" in out
    assert err.count("\n") == 1 and err.startswith("inspect_checkpoint: ") and "--exclude=tiny/logits" in err
    assert inspect(path, "--model=tiny", "--exclude=tiny/logits")[0] == 0
    assert inspect(path, "--model=tiny", "--num_classes=10")[0] == 0
    assert inspect(path, "--model=tiny", "--include=tiny/conv1,tiny/conv2/weights")[0] == 0
    status, document = inspect_json(path, "--model=tiny")
    plan = document[0]["plan"]
    assert status == 2 and not plan["restores"] and "--exclude=tiny/logits" in plan["error"]
    assert plan["restored"]["tiny/conv1/weights"] == "tiny/conv1/weights"
    assert plan["mismatched"][1] == {
        "name": "tiny/logits/biases",
        "model": {"shape": [1000], "dtype": "float32"},
        "checkpoint": {"shape": [10], "dtype": "float32"},
    }
    renamed = {f"old/{name}": slimft.open_checkpoint(path)[name] for name in slimft.open_checkpoint(path)}
    slimft.write_checkpoint(tmp_path / "old.npz", renamed)
    assert inspect(tmp_path / "old.npz", "--model=tiny", "--num_classes=10")[0] == 2
    status, out, _ = inspect(tmp_path / "old.npz", "--model=tiny", "--num_classes=10", "--rename=old/tiny:tiny")
    assert status == 0 and "restored from old/tiny/conv1/weights" in out


def test_bad_input(rejected, checkpoint, tmp_path):
    rejected([], "name a checkpoint")
    rejected(["/no/such.ckpt"], "/no/such.ckpt")
    rejected([checkpoint, "/no/such.ckpt"], "/no/such.ckpt")
    rejected([checkpoint, "--verfy"], "verfy")
    rejected([checkpoint, "--depth=0"], "--depth=0")
    rejected([checkpoint, "--verify", f"--diff={checkpoint}"], "--verify and --diff do not go together")
    rejected([checkpoint, "--verify", "--stats"], "--stats", "--verify")
    rejected([checkpoint, "--exclude=net"], "--exclude", "--model")
    rejected([checkpoint, "--model=vgg_17"], "--model=vgg_17", "did you mean vgg_1")
    rejected([checkpoint, "--model=vgg_16", "--match=net"], "--match", "--exclude")
    text = tmp_path / "text.ckpt"
    text.write_text("no checkpoint" * 100)
    rejected([text], str(text), "not a checkpoint")
    damage(checkpoint.with_name("model.ckpt.index"), 30)
    rejected([checkpoint, "--verify"], "model.ckpt", "checksum")


def test_a_damaged_object_graph_costs_only_the_full_names(inspect, tmp_path):
    values = {"_CHECKPOINTABLE_OBJECT_GRAPH": np.array(b"\x0a\xff"), "w": np.zeros(3)}
    slimft.write_checkpoint(tmp_path / "a.ckpt", values)
    status, out, err = inspect(tmp_path / "a.ckpt")
    assert status == 0 and "w " in out
    assert "without full names" in err and err.count("\n") == 1


@pytest.mark.parametrize(("flags", "arrays_at_once"), [(["--stats"], 1), (["--verify"], 1), (["--diff=PATH"], 2)])
@pytest.mark.parametrize("name", ["a.ckpt", "a.npz", "a.safetensors"])
def test_memory_stays_within_the_largest_variable(inspect, tmp_path, name, flags, arrays_at_once):
    path = tmp_path / name
    slimft.write_checkpoint(path, {f"net/w{i}": np.full([2_000_000], i, np.float32) for i in range(3)})
    flags = [flag.replace("PATH", str(path)) for flag in flags]
    inspect(path, *flags, "--match=net/w0")  # Imports are not what is measured.
    tracemalloc.start()
    try:
        assert inspect(path, *flags)[0] == 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < arrays_at_once * 8_000_000 + (5 << 20), peak / 1e6


def test_a_closed_pipe_is_no_error(tmp_path):
    names = [f"{'scope' * 20}/{i}" for i in range(5000)]
    slimft.write_checkpoint(tmp_path / "many.ckpt", {name: np.float32(0) for name in names})
    command = f"'{sys.executable}' bin/inspect_checkpoint '{tmp_path / 'many.ckpt'}' | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name ")
    command = f"'{sys.executable}' bin/inspect_checkpoint '{tmp_path / 'many.ckpt'}' > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("inspect_checkpoint: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("flags", [[], ["--stats"], ["--verify"], ["--diff=PATH"], ["--help"]])
def test_only_the_model_needs_tensorflow(flags, checkpoint, run_python):
    flags = [flag.replace("PATH", str(checkpoint)) for flag in flags]
    run_python(
        "import sys; from slimft.cli.inspect_checkpoint import main\n"
        "assert main(['inspect_checkpoint', *sys.argv[1:]]) == 0\n"
        "heavy = {'tensorflow', 'keras', 'h5py', *([] if sys.argv[2:] else ['tqdm', 'ml_dtypes'])}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)",
        str(checkpoint),
        *flags,
    )


def test_the_script_in_bin(checkpoint):
    script = ROOT / "bin" / "inspect_checkpoint"
    assert os.access(script, os.X_OK)
    done = subprocess.run([sys.executable, script, checkpoint], capture_output=True, text=True, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == LISTING.format(path=checkpoint, format="tensorflow_v2")


@pytest.mark.real
def test_real_checkpoints(inspect, shared):
    folder = shared / "checkpoints"
    _, out, _ = inspect(folder / "mobilenet_v1_1.0_224.ckpt")
    assert out.endswith("tensorflow_v2, 138 variables, 4,254,890 parameters, 17.020 MB\n")
    status, out, _ = inspect(folder / "vgg_16_hed.ckpt", "--verify")
    assert (status, out.endswith("every checksum matches\n")) == (0, True)
