"""What libraries besides NumPy and SciPy had: Matplotlib, gym, protobuf's files, TensorBoard."""

import subprocess
import textwrap
from importlib.util import find_spec
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch, warm_python):
    """Runs lines as a script, with bin/run_legacy; gives what it printed and what was said."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)

    def ran(lines, *flags):
        (tmp_path / "script.py").write_text(textwrap.dedent(lines))
        command = [warm_python, str(ROOT / "bin" / "run_legacy"), *flags, "script.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if line.startswith("slimft:")]
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.split("\n")[:-1], said

    return ran


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="needs Matplotlib")
def test_plots_of_2016_on_a_machine_without_a_display(run):
    printed, said = run(
        """
        import matplotlib
        matplotlib.use("TkAgg", warn=False)
        import matplotlib.pyplot as plt
        from matplotlib import cm
        print(matplotlib.get_backend().lower(), cm.get_cmap("spectral", 3).N)
        plt.hold(True)
        heights, _, _ = plt.hist([1.0, 1.0, 2.0, 4.0], 2, normed=True)
        print(heights.tolist())
        figure = plt.figure()
        axes = figure.gca(projection="3d")
        print(axes.name, figure.gca(projection="3d") is axes)
        figure.canvas.set_window_title("old")
        plt.style.use(["seaborn-whitegrid"])
        """
    )
    # Three of four values in the first of two bins 1.5 wide: 3 / (4 * 1.5).
    assert printed == ["agg 3", "[0.5, 0.16666666666666666]", "3d True"]
    assert len(said) == 7 and "there is no display, Agg stands for it" in said[0]


def test_files_of_an_old_protoc(run, tmp_path):
    file = descriptor_pb2.FileDescriptorProto(name="shop/item.proto", package="shop")
    item = file.message_type.add(name="Item")
    item.field.add(name="price", number=1, type=5, label=1)
    item.field.add(name="kind", number=2, type=14, label=1, type_name=".shop.Kind")
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="BOOK", number=0)
    kind.value.add(name="PEN", number=7)
    text = file.SerializeToString().decode("latin1")
    (tmp_path / "item_pb2.py").write_text(
        "import sys\n"
        "_b=sys.version_info[0]<3 and (lambda x:x) or (lambda x:x.encode('latin1'))\n"
        "from google.protobuf import descriptor as _descriptor\n"
        "from google.protobuf import reflection as _reflection\n"
        f"DESCRIPTOR = _descriptor.FileDescriptor(name='shop/item.proto', serialized_pb=_b({text!r}))\n"
        "_ITEM = _descriptor.Descriptor(name='Item', full_name='shop.Item', fields=[])\n"
        "Item = _reflection.GeneratedProtocolMessageType('Item', (object,), dict(DESCRIPTOR=_ITEM))\n"
        "class Shop(object):\n"
        "    open = True\n"
    )
    printed, said = run(
        """
        import item_pb2
        item = item_pb2.Item(price=3, kind=item_pb2.PEN)
        print(item_pb2.Item.FromString(item.SerializeToString()).kind, item_pb2.Kind.Name(7), item_pb2.Shop.open)
        """
    )
    assert printed == ["7 PEN True"]
    assert len(said) == 1 and "--without=protobuf" in said[0]


# gym 0.26 is not everywhere: this one has its calls, and no more.
_GYM = """
import types
class Wrapper(object):
    def __init__(self, env):
        self.env, self.action_space = env, env.action_space
    unwrapped = property(lambda self: self.env.unwrapped)
class error: DeprecatedEnv = type("DeprecatedEnv", (Exception,), {})
envs = types.SimpleNamespace(registry={"Walk-v1": 0, "Walk-v3": 0, "Other-v9": 0})
class Walk(object):
    gravity, render_mode = 9.8, None
    action_space = types.SimpleNamespace(seed=lambda seed: None)
    unwrapped = property(lambda self: self)
    def reset(self, seed=None):
        self.place = seed or 0
        return self.place, {}
    def step(self, action):
        self.place += action
        return self.place, 1.0, False, self.place > 5, {}
def make(id, **named):
    if id != "Walk-v3": raise error.DeprecatedEnv(id)
    return Walk()
"""


def test_environments_of_gym_as_they_were_called(run, tmp_path):
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "gym.py").write_text(_GYM)
    printed, said = run(
        """
        import sys
        sys.path.insert(0, "site-packages")
        import gym
        env = gym.make("Walk-v0")
        env.seed(4)
        print(env.reset(), env.step(1), env.step(1), env.reset(), env.gravity, env.unwrapped.place)
        """
    )
    over = "{'TimeLimit.truncated': True}"
    assert printed == [f"4 (5, 1.0, False, {{}}) (6, 1.0, True, {over}) 0 9.8 0"]
    assert "Walk-v3 stands for it" in said[0] and "--without=gym" in said[1]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs TensorBoard")
def test_summaries_of_tensorboard_1(run):
    printed, said = run(
        """
        from tensorboard import summary
        from tensorboard.plugins.custom_scalar import layout_pb2
        print(summary.custom_scalar_pb(layout_pb2.Layout()).value[0].tag)
        """
    )
    assert printed == ["custom_scalars__config__"]
    assert len(said) == 1


def test_an_array_of_one_element_in_a_text(run):
    printed, said = run(
        """
        import numpy as np
        print("%.1f of %d, %s" % (np.array([2.5]), np.array([[3]]), np.array([4])), "%f" % np.float32(1))
        try:
            "%f" % np.zeros(2)
        except TypeError:
            print("refused")
        """
    )
    assert printed == ["2.5 of 3, [4] 1.000000", "refused"]
    assert len(said) == 1


def test_open_with_an_encoding_in_python_2(run):
    pytest.importorskip("fissix")
    printed, _ = run(
        """
        with open("text", "wb") as file:
            file.write(b"a\\xffb\\r\\n")
        print open("text", "r", encoding="utf-8", errors="ignore").read() == "ab\\n"
        """,
        "--python2",
    )
    assert printed == ["True"]
