"""Checkpoints of the Hugging Face Hub: commands, as they are used, against a small Hub on this machine.

The files are written by the safetensors library and by TensorFlow's Saver, and huggingface_hub itself is asked what
lies in its cache.
"""

import json
import os
import pathlib
import pickle
import re
import runpy
import signal
import string
import subprocess
import time

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from safetensors.numpy import save

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import hub_names
from slimft.compat import tf

pytest.importorskip("huggingface_hub")

_SERVER = runpy.run_path(str(pathlib.Path(__file__).with_name("hub_server.py")))
COMMIT, Hub = _SERVER["COMMIT"], _SERVER["Hub"]
ROOT = pathlib.Path(__file__).resolve().parents[2]
VALUES = {"net/weights": np.random.default_rng(0).normal(size=[500, 600]).astype(np.float32)}
SAVED = save(VALUES)


@pytest.fixture(scope="module")
def v2_files(tmp_path_factory):
    """The files, by name, of a V2 checkpoint that TensorFlow writes."""
    folder = tmp_path_factory.mktemp("saved")
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in VALUES.items():
            tf.get_variable(name, initializer=tf.constant(value))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / "net.ckpt"), write_state=False)
    return {f"saved/{path.name}": path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(v2_files):
    pickles = {"pytorch_model.bin": b"a pickle", "extra/model.pth": b"a pickle"}
    hub = Hub(
        {
            "timm/net": {"README.md": b"# net", "config.json": b"{}", "model.safetensors": SAVED, **pickles},
            "tf/net": {"README.md": b"# net", **v2_files},
            "torch/net": {"README.md": b"# net", **pickles},
            "many/net": {f"{letter}.safetensors": SAVED for letter in "abcdefghi"},
            "shards/net": {f"model-0000{shard}-of-00002.safetensors": SAVED for shard in (1, 2)}
            | {"model.safetensors.index.json": b"{}"},
        }
    )
    yield hub
    hub.close()


@pytest.fixture
def command(hub, tmp_path, warm_python):
    """Starts a command of bin/, or Python, that finds `hub` for the Hub and its cache in ``tmp_path/home``."""

    def command(name, *arguments, **env):
        program = [str(ROOT / "bin" / name)] if name != "-c" else ["-c"]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        places = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "no_proxy": "*"}
        places["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
        return subprocess.Popen(
            [warm_python, *program, *map(str, arguments)],
            env={**kept, **places, **env},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return command


@pytest.fixture
def inspect(command):
    """Runs bin/inspect_checkpoint; returns the exit status, what it found (JSON) and standard error."""

    def inspect(*arguments, **env):
        process = command("inspect_checkpoint", *arguments, "--stats", "--json", **env)
        out, err = process.communicate(timeout=120)
        return process.returncode, json.loads(out)[0] if out else None, err

    return inspect


@pytest.fixture
def refusal(inspect):
    """The one line with which bin/inspect_checkpoint refuses its arguments."""

    def refusal(*arguments, **env):
        status, found, err = inspect(*arguments, **env)
        assert (status, found) == (2, None) and "Traceback" not in err, err
        return err.splitlines()[-1]

    return refusal


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def means(found):
    return {variable["name"]: round(variable["stats"]["mean"], 6) for variable in found["variables"]}


MEANS = {name: round(float(value.mean(dtype=np.float64)), 6) for name, value in VALUES.items()}


def test_the_only_checkpoint_is_fetched_once_verified_and_where_the_library_looks(hub, inspect, command, tmp_path):
    status, found, err = inspect("hf:timm/net")
    assert status == 0 and means(found) == MEANS, err
    assert f"verified: model.safetensors of commit {COMMIT} has the SHA-256 that the Hub states" in err
    assert "model.safetensors, 1.20 MB, from" in err and "model.safetensors: 100%" in err
    gets = [path for method, path, *_ in hub.requests if method == "GET" and path.startswith("/large/")]
    assert gets == ["/large/timm/net/model.safetensors"]
    status, found, err = inspect("hf:timm/net@v1:model.safetensors")
    assert status == 0 and means(found) == MEANS and "downloading" not in err
    ask = "import huggingface_hub as h; print(h.try_to_load_from_cache('timm/net', 'model.safetensors'))"
    out, _ = command("-c", ask).communicate(timeout=60)
    path = pathlib.Path(out.strip())
    assert path.read_bytes() == SAVED and f"{path}" == found["path"]
    assert not [name for name in files_of(tmp_path / "home") if "slimft" in name or name.endswith((".bin", ".md"))]


def test_what_the_library_has_cached_is_taken_and_offline_too(hub, inspect, refusal, command, tmp_path):
    fetch = "import huggingface_hub as h; h.hf_hub_download('timm/net', 'model.safetensors')"
    assert command("-c", fetch).wait(60) == 0
    for env, words in [
        ({}, "verified: model.safetensors"),
        ({"HF_HUB_OFFLINE": "1"}, "taken from the cache, as HF_HUB_OFFLINE is set; verified: model.safetensors"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "taken from the cache, as http://127.0.0.1:9 cannot be reached ("),
    ]:
        status, found, err = inspect("hf:timm/net", **env)
        assert status == 0 and means(found) == MEANS and words in err and "downloading" not in err, err
    hub.status = 503
    assert "taken from the cache, as" in inspect("hf:timm/net")[2]
    assert "answers HTTP 503, and the cache, " in refusal("hf:tf/net")
    hub.status = 200  # With nothing in it, as a page to log in to a network.
    assert "gives no answer of a Hub (" in refusal("hf:tf/net")
    hub.status = None
    assert "HF_HUB_OFFLINE is set, and the cache, " in refusal("hf:tf/net", HF_HUB_OFFLINE="1")
    assert "there is no a.npz in" in refusal("hf:timm/net:a.npz", HF_HUB_OFFLINE="1")
    assert "cannot be reached (" in refusal("hf:tf/net", HF_ENDPOINT="http://127.0.0.1:9")


@pytest.mark.parametrize("suffix", [None, "", ".index", ".data-00000-of-00001"])
def test_a_v2_checkpoint_comes_with_all_its_files(inspect, suffix):
    status, found, err = inspect("hf:tf/net" if suffix is None else f"hf:tf/net:saved/net.ckpt{suffix}")
    assert status == 0 and means(found) == MEANS and found["format"] == "tensorflow_v2", err
    assert f"net.ckpt (2 files) of commit {COMMIT} has the SHA-256" in err
    assert not re.search(r"downloading \S+\.meta", err)


def test_python_restores_and_converts_it(command, tmp_path):
    code = (
        "import slimft; from slimft.compat import tf; tf.disable_v2_behavior()\n"
        "weights = tf.get_variable('net/weights', [500, 600])\n"
        "with tf.Session() as session:\n"
        "    slimft.plan_restore('hf:timm/net').apply(session)\n"
        "    slimft.plan_restore('hf:timm/net').apply(session)\n"
        "    print(float(session.run(weights).astype('float64').mean()))\n"
    )
    process = command("-c", code)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and round(float(out), 6) == MEANS["net/weights"], err
    assert err.count("verified: ") == 1  # Not each time it is opened.
    process = command("convert_checkpoint", "hf:tf/net", "mine.npz")
    assert process.wait(60) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "mine.npz")["net/weights"], VALUES["net/weights"])


def test_a_cut_connection_and_a_killed_process_go_on_where_they_stopped(hub, command, inspect, tmp_path):
    hub.cuts = [200_000, 300_000, 100, 100, 100, 100, 100]
    process = command("inspect_checkpoint", "hf:timm/net")
    deadline = time.monotonic() + 60
    while not any(span == "bytes=500000-" for _, _, span, _ in hub.requests):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    hub.cuts = []
    before = len(hub.requests)
    status, found, err = inspect("hf:timm/net")
    assert status == 0 and means(found) == MEANS, err
    starts = [int(span[6:-1]) for _, path, span, _ in hub.requests[before:] if span and path.startswith("/large")]
    assert len(starts) == 1 and starts[0] >= 500_000
    assert not [name for name in files_of(tmp_path / "home") if "slimft" in name]


def test_other_content_never_gets_into_the_cache(hub, refusal, inspect, tmp_path):
    changed = bytearray(SAVED)
    changed[-1] ^= 1
    hub.instead["model.safetensors"] = bytes(changed)
    message = refusal("hf:timm/net")
    assert "has the SHA-256" in message and "which the Hub states; nothing of it was kept" in message
    assert not [name for name in files_of(tmp_path / "home") if "/blobs/" in name or "/snapshots/" in name]
    hub.instead.clear()
    assert inspect("hf:timm/net")[0] == 0


@pytest.mark.parametrize("env", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_a_file_that_has_changed_in_the_cache_is_refused(hub, refusal, inspect, tmp_path, env):
    assert inspect("hf:timm/net")[0] == 0
    [blob] = [path for path in (tmp_path / "home").rglob("blobs/*")]
    with open(blob, "r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\0" if SAVED[-1] else b"\1")
    message = refusal("hf:timm/net", **env)
    assert f"{blob} has the SHA-256" in message and "delete it and run the same command again" in message
    blob.unlink()
    assert inspect("hf:timm/net")[0] == 0


def test_small_files_that_are_in_git_are_compared_with_its_hash(hub, inspect, refusal):
    hub.small.add("model.safetensors")
    hub.instead["model.safetensors"] = bytes(len(SAVED))
    assert "has the Git hash (SHA-1)" in refusal("hf:timm/net")
    hub.instead.clear()
    assert "has the Git hash (SHA-1) that the Hub states" in inspect("hf:timm/net")[2]


def test_a_cache_without_links_tells_no_digest(hub, inspect, tmp_path):
    assert inspect("hf:timm/net")[0] == 0
    [link] = [path for path in (tmp_path / "home").rglob("snapshots/*/*")]
    data = link.read_bytes()
    link.unlink()
    link.write_bytes(data)
    assert "not verified: model.safetensors of commit" in inspect("hf:timm/net", HF_HUB_OFFLINE="1")[2]
    assert f"; verified: model.safetensors of commit {COMMIT}" not in inspect("hf:timm/net", HF_HUB_OFFLINE="1")[2]
    assert f" verified: model.safetensors of commit {COMMIT} has" in inspect("hf:timm/net")[2]


@pytest.mark.parametrize(
    "name, words",
    [
        ("hf:timm/other", "has no such model, or it is private: check the name, and log in (HF_TOKEN)"),
        ("hf:timm/net@v9", "timm/net has no revision 'v9'"),
        ("hf:timm/net@v9:model.safetensors", "timm/net has no revision 'v9'"),
        ("hf:timm/net:modell.safetensors", "no modell.safetensors in timm/net at main; did you mean 'model."),
        ("hf:timm/net:config.json", "config.json is none by its name"),
        ("hf:timm/net:extra/model.pth", "extra/model.pth is a pickle by its name; reading one can run code"),
        ("hf:torch/net", "no checkpoint but pickles (pytorch_model.bin, extra/model.pth); reading one can run"),
        (
            "hf:many/net",
            "has 9 checkpoints (a.safetensors, b.safetensors, c.safetensors, d.safetensors, "
            "e.safetensors, f.safetensors and 3 more); name one, as hf:many/net:a.safetensors",
        ),
        ("hf:shards/net", "2 shards, which are not read together; each is one by its name, as hf:shards/net:"),
        ("hf:shards/net:model.safetensors.index.json", "are not read together"),
        ("hf:tf/net:saved/nets.ckpt", "did you mean 'saved/net.ckpt'?"),
        ("hf:net", "write hf:OWNER/NAME, hf:OWNER/NAME:FILE or hf:OWNER/NAME@REVISION:FILE, such as"),
        ("hf://timm/net", "write hf:OWNER/NAME"),
        ("hf:../net", "write hf:OWNER/NAME"),
        ("hf:timm/net@../../x", "write hf:OWNER/NAME"),
        ("hf:timm/net:../../x.safetensors", "is no path in a repository"),
        ("mine.ckpt", "give a path, a directory, hf:OWNER/NAME (a Hugging Face repository), hed or an official"),
    ],
)
def test_what_is_not_there_or_not_taken_is_one_line(refusal, hub, name, words):
    message = refusal(name)
    assert words in message and len(message) < 330
    assert not [path for _, path, *_ in hub.requests if path.startswith("/large/")]


@pytest.mark.parametrize("file", ["net.npz", "net.ckpt", "net.safetensors"])
def test_a_pickle_under_another_name_is_refused(hub, refusal, file):
    hub.files["timm/net"] = {file: pickle.dumps(VALUES)}
    assert "is a pickle by its content, and none is taken from the Hub" in refusal("hf:timm/net")


def test_a_shard_is_a_checkpoint_by_its_name(inspect):
    assert means(inspect("hf:shards/net:model-00002-of-00002.safetensors")[1]) == MEANS


def test_a_private_repository_is_read_with_the_token_which_no_other_server_gets(hub, inspect, refusal):
    hub.token = "hf_secret"
    assert "or it is private" in refusal("hf:timm/net")
    hub.requests.clear()
    assert inspect("hf:timm/net", HF_TOKEN="hf_secret")[0] == 0
    fetched = [(path.startswith("/large/"), token) for _, path, _, token in hub.requests if "model.saf" in path]
    assert (True, None) in fetched and set(fetched) == {(True, None), (False, "Bearer hf_secret")}


def test_a_gated_repository_and_what_is_too_large_are_refused(hub, refusal):
    hub.gated.add("timm/net")
    assert f"ask at {hub.url}/timm/net, and log in (HF_TOKEN)" in refusal("hf:timm/net")
    hub.gated.clear()
    hub.sizes["model.safetensors"] = 50 << 30
    assert "has 53,687,091,200 bytes; over 4,294,967,296 are not fetched" in refusal("hf:timm/net")
    assert not [path for _, path, *_ in hub.requests if path.startswith("/large/")]


def test_a_cache_that_cannot_be_written_is_named(refusal, tmp_path):
    (tmp_path / "home").write_bytes(b"a file")
    message = refusal("hf:timm/net")
    assert str(tmp_path / "home") in message and "HF_HOME" in message


def test_without_the_library_the_extra_is_named(command):
    code = "import sys; sys.modules['huggingface_hub'] = None; import slimft; slimft.open_checkpoint('hf:timm/net')"
    _, err = command("-c", code).communicate(timeout=60)
    assert "CheckpointError" in err and "pip install 'slimft[hub]'" in err.splitlines()[-1]


def test_a_path_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("hf:timm").mkdir()
    pathlib.Path("hf:timm/net.safetensors").write_bytes(SAVED)
    assert list(open_checkpoint("hf:timm/net.safetensors")) == list(VALUES)


TEXT = st.text(string.ascii_letters + "./:@-_\\\0 ~é", max_size=20)


@hypothesis.given(TEXT.map("hf:{}".format) | st.builds("hf:{}/{}@{}:{}".format, TEXT, TEXT, TEXT, TEXT))
@hypothesis.example("hf:a/b@refs/pr/1:c/d.npz")
def test_a_name_leads_nowhere_else(text):
    try:
        name = hub_names.parse(text)
    except CheckpointError as error:
        assert "\n" not in str(error)
        return
    assert re.fullmatch("[A-Za-z0-9_][A-Za-z0-9_.-]*/[A-Za-z0-9_][A-Za-z0-9_.-]*", name.repository)
    for path in (name.repository, name.revision, name.file or "x"):
        inside = os.path.normpath(os.path.join("/cache", path))
        assert inside == f"/cache/{path}" and "\0" not in path and "\\" not in path


PATHS = st.sampled_from(
    ["a.npz", "../b.npz", "/etc/c.npz", "model.safetensors", "x/model.safetensors", "n.ckpt", "n.ckpt-3",
     "n.ckpt.index", "n.ckpt.data-00000-of-00001", "n.ckpt.data-00000-of-00002", "n.ckpt.data-00001-of-00002",
     "v/v.index", "v/v.data-00000-of-99999", "s-00001-of-00002.safetensors", "w.bin", "saved_model.pb", ""]
)  # fmt: skip


@hypothesis.given(st.lists(PATHS, unique=True), st.none() | PATHS)
def test_only_files_of_the_repository_are_chosen(files, file):
    try:
        path, chosen = hub_names.choose(hub_names.HubName("hf:a/b", "a/b", "main", file), files)
    except CheckpointError as error:
        assert "\n" not in str(error)
        return
    assert chosen and set(chosen) <= set(files) and not any(name.startswith(("/", "..")) for name in chosen)
    assert chosen == [path] or {f"{path}.index"} < set(chosen)
    count = int(chosen[0][-5:]) if len(chosen) > 1 else 0
    assert len(chosen) == count + 1 and not any(name.endswith(".bin") for name in chosen)
