"""Fixtures of all tests: the material in ../shared, a network small enough to train in a test, a web server."""

import contextlib
import fcntl
import gc
import http.server
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A shell starts what it runs in the background with Ctrl-C ignored; tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """Collects garbage less often than after every 700 objects: a graph has a hundred thousand, which stay."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.fixture(scope="session", autouse=True)
def _caches_of_their_own(tmp_path_factory):
    """What the tests cache is not the user's, nor in the commands they run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def plain_charts():
    """The charts of reports are empty: they take half of the time of a short run, and are tested elsewhere."""
    from slimft.report import figures
    from slimft.report.markup import tag

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_svg", lambda figure, identity, title: tag("svg", role="img", aria_label=title))
        yield


@pytest.fixture(scope="session")
def shared():
    """The folder with real checkpoints and data; the tests that need it are skipped without it."""
    folder = pathlib.Path(os.environ.get("SLIMFT_SHARED", ROOT.parent / "shared"))
    if not (folder / "checkpoints").is_dir():
        pytest.skip(f"needs the real checkpoints and data in {folder}")
    return folder


def tiny_module():
    """A module like those of slimft.nets, with one network: convolution, batch_norm, dropout, logits."""
    from slimft.compat import slim, tf

    def tiny(inputs, num_classes=10, is_training=True, scope="tiny"):
        with tf.variable_scope(scope, "tiny", [inputs]):
            batch_norm = {"is_training": is_training, "decay": 0.9997}  # As Inception's and MobileNet's.
            normal = {"normalizer_fn": slim.batch_norm, "normalizer_params": batch_norm}
            net = slim.conv2d(inputs / 64.0, 8, [3, 3], stride=2, scope="conv1", **normal)
            net = slim.conv2d(net, 16, [3, 3], stride=2, scope="conv2", **normal)
            if not num_classes:
                return net, {}
            net = slim.dropout(net, 0.9, is_training=is_training, scope="dropout")
            size = net.shape.as_list()[1:3]
            net = slim.conv2d(net, num_classes, size, padding="VALID", activation_fn=None, scope="logits")
            return tf.squeeze(net, [1, 2], name="squeezed"), {}

    def tiny_arg_scope(weight_decay=1e-4):
        regularizer = slim.l2_regularizer(weight_decay)
        with slim.arg_scope([slim.conv2d], weights_regularizer=regularizer) as arg_scope:
            return arg_scope

    def tiny_fcn(inputs, num_classes=3, is_training=True, learn_upsampling=False, scope="tiny_fcn"):
        from slimft.nets.fcn import enlarge

        with tf.variable_scope(scope, "tiny_fcn", [inputs]):
            normal = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"is_training": is_training}}
            net = slim.conv2d(inputs / 64.0, 8, [3, 3], stride=2, scope="conv1", **normal)
            net = slim.dropout(net, 0.9, is_training=is_training, scope="dropout")
            net = slim.conv2d(net, num_classes, [1, 1], activation_fn=None, scope="score_fr")
            net = enlarge(net, 2, tf.shape(inputs)[1:3], learn_upsampling, "up")
            net.set_shape([*inputs.shape[:3], num_classes])
            return net, {}

    module = types.ModuleType("slimft.nets.tiny")
    module.tiny, module.tiny_arg_scope, module.arguments_for = tiny, tiny_arg_scope, lambda *_: {}
    module.tiny_fcn = tiny_fcn
    return module


def register_tiny():
    """Makes `tiny` a network of this process, as `--model=tiny`."""
    from slimft.nets import registry

    sys.modules["slimft.nets.tiny"] = tiny_module()
    common = {
        "module": "slimft.nets.tiny",
        "arg_scope_name": "tiny_arg_scope",
        "preprocessing": "mean_subtraction",
        "default_image_size": 32,
        "min_image_size": 8,
        "num_imagenet_classes": 1000,
        "official_checkpoint": None,
        "parameters": 0,
        "gflops": 0,
    }
    registry._specs()["tiny"] = registry.NetworkSpec(
        name="tiny", scope="tiny", logits_scopes=("tiny/logits",), top_scopes=("tiny/conv2",), **common
    )
    registry._specs()["tiny_fcn"] = registry.NetworkSpec(
        name="tiny_fcn",
        scope="tiny_fcn",
        logits_scopes=("tiny_fcn/score_fr", "tiny_fcn/up"),
        top_scopes=("tiny_fcn/conv1",),
        task="segmentation",
        options=("learn_upsampling",),
        upsampling_scopes=("tiny_fcn/up",),
        **common,
    )


@pytest.fixture
def tiny():
    """`--model=tiny`, and `tiny_fcn` for segmentation, for the length of a test; its value is the former."""
    with _registered():
        yield "tiny"


@pytest.fixture(scope="module")
def tiny_of_file():
    """As `tiny`, for the length of a file whose tests share a run."""
    with _registered():
        yield "tiny"


@contextlib.contextmanager
def _registered():
    from slimft.nets import registry

    register_tiny()
    yield
    del registry._specs()["tiny"], registry._specs()["tiny_fcn"], sys.modules["slimft.nets.tiny"]


# What classes look like in the images of `write_voc`.
COLOURS = ((40, 40, 40), (200, 60, 50), (60, 190, 70))


def write_voc(folder, train=8, val=3, test=3, classes=("ground", "red", "green"), sizes=((40, 48), (33, 47))):
    """A tiny tree like VOC2012: boxes on a ground, in their classes' colours with noise, with a void border.

    Args:
        folder: where to; is made.
        train, val, test: how many images of each split; there is no list of a split without images.
        classes: the classes' names; None for no classes.txt.
        sizes: rows and columns of the images, in turn.

    Returns:
        The folder.
    """
    import numpy as np
    from PIL import Image

    from slimft.data.masks import coloured
    from slimft.data.palette import voc_palette

    for inner in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    random, number = np.random.default_rng(3), 0
    for split, count in (("train", train), ("val", val), ("test", test)):
        names = [f"{split}_{i}" for i in range(count)]
        for name in names:
            rows, columns = sizes[number % len(sizes)]
            mask = np.zeros((rows, columns), np.uint8)
            for label in (1, 2):
                top, left = random.integers(0, rows // 2), random.integers(0, columns // 2)
                mask[top : top + rows // 3, left : left + columns // 3] = label
            pixels = np.array(COLOURS)[mask] + random.integers(-25, 26, (rows, columns, 3))
            mask[:2], mask[:, -1] = 255, 255
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "JPEGImages" / f"{name}.png")
            coloured(mask, voc_palette()).save(folder / "SegmentationClass" / f"{name}.png")
            number += 1
        if names:
            (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    if classes is not None:
        (folder / "classes.txt").write_text("\n".join(classes) + "\n")
    return folder


@pytest.fixture
def make_voc():
    """The function `write_voc`."""
    return write_voc


@pytest.fixture(scope="session")
def voc(tmp_path_factory):
    """What `write_voc` makes, which no test changes."""
    return write_voc(tmp_path_factory.mktemp("voc"))


@pytest.fixture(scope="session")
def warm_python():
    """The path of what stands for `sys.executable`, but begins with TensorFlow imported: see tests/warm.

    That saves seconds a process. Its number is another than that of the process that the test starts, and limits of
    resources and signals that are ignored are not handed on: where these count, start `sys.executable`.
    """
    if not hasattr(os, "pidfd_open"):  # Python has it on Linux.
        yield sys.executable
        return
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen(64)
        server = [sys.executable, str(ROOT / "tests/warm/server.py"), str(listener.fileno())]
        with subprocess.Popen(
            server, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()]
        ):
            client = [sys.executable, "-S", "-E", str(ROOT / "tests/warm/client.py"), f"{folder}/socket"]
            python = pathlib.Path(folder, "python")
            python.write_text(f'#!/bin/sh\nexec {shlex.join(client)} "$@"\n')
            python.chmod(0o700)
            python.with_name("python3").symlink_to(python)  # As the scripts in bin/ name it.
            yield str(python)


@pytest.fixture(scope="session")
def tiny_script(tmp_path_factory):
    """A script that is bin/finetune but knows `--model=tiny`."""
    script = tmp_path_factory.mktemp("bin") / "finetune"
    script.write_text(
        "import importlib.util, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"spec = importlib.util.spec_from_file_location('conftest', {str(pathlib.Path(__file__))!r})\n"
        "conftest = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(conftest)\n"
        "conftest.register_tiny()\n"
        "from slimft.cli.finetune import main\n"
        "sys.exit(main())\n"
    )
    return script


@pytest.fixture(scope="session")
def tiny_command(tiny_script, warm_python):
    """`tiny_script` to be run as a process of its own, which begins warm."""
    return [warm_python, str(tiny_script)]


@pytest.fixture(scope="session")
def fresh_tiny_command(tiny_script):
    """`tiny_script` to be run as a process of its own, by Python."""
    return [sys.executable, str(tiny_script)]


@pytest.fixture(scope="session")
def built_once(tmp_path_factory):
    """`built_once(name, make)`: a folder that `make(folder)` fills once for all of pytest-xdist's workers.

    The others wait meanwhile, and the last of them removes it. If `make` fails, the next that wants it tries again.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # Each has a folder there.
        base = base.parent
    folders = {}
    with contextlib.ExitStack() as stack:

        def build(name, make):
            if name not in folders:
                with contextlib.ExitStack() as lets_go:  # Of the lock, if `make` fails.
                    lock, folder = lets_go.enter_context(open(base / f"{name}.lock", "w")), base / name
                    _fill_once(lock, folder, make)
                    lets_go.callback(_remove_if_last, lock, folder)
                    stack.push(lets_go.pop_all())
                folders[name] = folder
            return folders[name]

        yield build


def _fill_once(lock, folder, make):
    """Leaves `folder` filled, and `lock` shared with all others that use it."""
    done = folder.with_suffix(".done")
    while True:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # What one has left that failed.
            folder.mkdir()
            make(folder)
            done.touch()
        fcntl.flock(lock, fcntl.LOCK_SH)
        if done.exists():  # Between the two locks another worker may have ended, and removed it.
            return


def _remove_if_last(lock, folder):
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.with_suffix(".done").unlink()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def run_python():
    """Runs Python code in a fresh process at the project's root; returns its standard output."""

    def run(code, *arguments):
        return _printed([sys.executable, "-c", code, *arguments])

    return run


@pytest.fixture(scope="session")
def run_warm_python(warm_python):
    """As `run_python`, in a process that begins with TensorFlow and slimft.compat imported."""

    def run(code, *arguments):
        return _printed([warm_python, "-c", code, *arguments])

    return run


def _printed(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def crash_points():
    """Runs tests/faulty.py; gives each call's number, the exit status and the folder as the writer left it."""

    def run(folder, kind, writer):
        command = [sys.executable, str(ROOT / "tests" / "faulty.py"), str(folder), kind, writer]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            number, status = map(int, line.split())
            yield number, status, folder.with_name(f"{folder.name}.{number}")

    return run


@pytest.fixture
def serve(monkeypatch):
    """Starts an HTTP server whose GET is `answer(handler)`; returns the URL of an archive there."""
    from slimft import download

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "_WAIT_SECONDS", 0)
    with contextlib.ExitStack() as stack:

        def start(answer, path="archive.tar.gz"):
            class Handler(http.server.BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_GET(self):
                    self.close_connection = True
                    with contextlib.suppress(ConnectionError):
                        answer(self)

                do_CONNECT = do_GET

                def log_message(self, *arguments):
                    pass

            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}/{path}"

        yield start


class RangedFile:
    """What a server answers that has one file and sends parts of it, but cuts some answers off.

    Attributes:
        data: the file.
        etag: its version, or None.
        ranges: whether parts can be had.
        cuts: after how many bytes each of the next answers is cut off.
        requests: the headers Range and If-Range of each request so far.
    """

    def __init__(self, data, etag='"1"', ranges=True, cuts=()):
        self.data, self.etag, self.ranges, self.cuts, self.requests = data, etag, ranges, list(cuts), []

    def __call__(self, handler):
        wanted, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        self.requests.append((wanted, condition))
        start, size = 0, len(self.data)
        if self.ranges and wanted and condition in (None, self.etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        handler.send_response(416 if start >= size > 0 else 206 if start else 200)
        if start:
            span = f"{start}-{size - 1}" if start < size else "*"
            handler.send_header("Content-Range", f"bytes {span}/{size}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        body = self.data[start:]
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@pytest.fixture
def ranged_file():
    """The class `RangedFile`."""
    return RangedFile
