"""bin/serve as a person meets it: the line with the address, its end, one clear line for what is wrong."""

import http.client
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("starlette", reason="needs pip install 'slimft[serve]'")

from slimft.cli import finetune, serve  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def rejects(capsys, arguments, *words):
    """The command exits with 2, prints nothing, and says `words` in one line."""
    assert serve.main(["serve", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("serve: ")
    assert "Traceback" not in captured.err
    for word in words:
        assert word in captured.err.splitlines()[-1]
    return captured.err


@pytest.fixture
def run(tiny, tmp_path, plain_charts, capsys):
    """A run of two steps on digits at 16x16."""
    flags = ["--model=tiny", "--dataset=digits", "--steps=2", "--batch_size=64", "--image_size=16"]
    assert finetune.main(["finetune", *flags, f"--train_dir={tmp_path / 'run'}"]) == 0
    capsys.readouterr()
    return tmp_path / "run"


@pytest.fixture
def started(tiny_script, tmp_path, warm_python):
    """Starts bin/serve, which knows `tiny`, as a process; gives it and the line with its address."""
    script = tmp_path / "serve"
    script.write_text(tiny_script.read_text().replace("slimft.cli.finetune", "slimft.cli.serve"))
    processes = []

    def begin(*flags):
        command = [warm_python, str(script), "--port=0", *map(str, flags)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "listening" in line:
                return process, lines
        raise AssertionError(lines)

    yield begin
    for process in processes:
        process.kill()
        process.wait(60)
        process.stderr.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_serves_a_run_until_a_signal(run, started, number, status):
    process, lines = started(run)
    assert "tiny, image size 16, head linear, 10 classes" in "".join(lines)
    port = int(re.fullmatch(r"serve: listening at http://127\.0\.0\.1:([0-9]+)/\n", lines[-1])[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    image = next((ROOT / "docs" / "images").glob("*.png"), None) or ROOT / "README.md"
    connection.request("POST", "/classify?top=3", image.read_bytes(), {"Content-Type": "image/png"})
    answer = connection.getresponse()
    results = json.loads(answer.read())["results"]
    assert answer.status == (200 if image.suffix == ".png" else 422) and len(results) == 1
    # What clients get wrong is not said: they could fill a log.
    connection.request("POST", "/classify", b"--x\r\n\0", {"Content-Type": "multipart/form-data; boundary=x"})
    answer = connection.getresponse()
    assert answer.status == 400 and answer.read()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"no HTTP\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 400")
    process.send_signal(number)
    assert process.wait(60) == status
    assert process.stderr.read() == f"serve: stopped by {signal.Signals(number).name}\n"


def test_it_serves_a_model_and_a_checkpoint(run, started):
    process, lines = started(f"--checkpoint={run}/best", "--top=2")
    assert "listening" in lines[-1]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143


def test_it_says_that_another_address_lets_others_in(run, started):
    process, lines = started(f"--train_dir={run}", "--host=0.0.0.0")
    assert "serve: --host=0.0.0.0: whoever reaches it may use the server" in lines[-2]
    assert "http://0.0.0.0:" in lines[-1]


def test_a_port_that_is_taken(run, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = rejects(capsys, [run, f"--port={port}"], f"--port={port}", "in use", "--port=0")
    assert said.count("\n") == 1


def test_a_directory_that_cannot_be_served(tmp_path, run, capsys):
    def rejected(arguments, *words):
        assert rejects(capsys, arguments, *words).count("\n") == 1

    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    rejected([], "--model and --checkpoint")
    rejected([tmp_path / "empty"], "holds neither settings.json nor model_card.json")
    rejected([tmp_path / "nowhere"], "is not there")
    rejected([tmp_path / "file"], "is no directory")
    rejected([run, run], "one directory")
    rejected([run, f"--train_dir={run}"], "leave one of them out")
    rejected([run, "--model=vgg_16"], "--model=vgg_16", "a run of tiny")
    rejected(["--model=tiny"], "--checkpoint is missing")
    rejected(["gs://bucket/run"], "gs://bucket/run")
    (tmp_path / "empty" / "model_card.json").write_text("{}")
    rejected([tmp_path / "empty", "--model=tiny", "--labels=x"], "leave out --model and --labels")
    rejected([tmp_path / "empty", "--port=0"], "model_card.json", "image_size")


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("--port=65536", "--port=65536"),
        ("--port=-1", "--port=-1"),
        ("--port=http", "--port=http"),
        ("--host=", "--host="),
        ("--host=no.such.host.invalid", "--host=no.such.host.invalid"),
        ("--host=" + "x" * 300, "--host=x"),
        ("--host=203.0.113.77", "--host=203.0.113.77"),
        ("--crop=0", "--crop=0"),
        ("--crop=nan", "--crop=nan"),
        ("--batch_wait_ms=nan", "--batch_wait_ms=nan"),
        ("--batch_wait_ms=-1", "--batch_wait_ms=-1"),
        ("--timeout=nan", "--timeout=nan"),
        ("--timeout=0", "--timeout=0"),
        ("--batch_size=0", "--batch_size=0"),
        ("--top=0", "--top=0"),
        ("--max_upload_mb=0", "--max_upload_mb=0"),
        ("--max_images=0", "--max_images=0"),
    ],
)
def test_bad_flags(run, capsys, flag, words):
    assert rejects(capsys, [run, "--port=0", flag], words).count("\n") == 1


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart", "prometheus_client"])
def test_a_package_that_is_missing(run, capsys, monkeypatch, package):
    for name in [name for name in sys.modules if name.startswith(("slimft.serving.", f"{package}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    said = rejects(capsys, [run], f"the server needs the package {package}: pip install 'slimft[serve]'")
    assert said.count("\n") == 1


def test_only_serve_imports_its_packages(run_python):
    code = (
        "import sys, slimft.api, slimft.cli.predict, slimft.cli.finetune, slimft.prediction\n"
        "print([name for name in ('starlette', 'uvicorn', 'python_multipart', 'prometheus_client')"
        " if name in sys.modules])"
    )
    assert run_python(code).strip() == "[]"
