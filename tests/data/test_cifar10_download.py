"""CIFAR-10 downloaded from a server in this process."""

import hashlib
import io
import tarfile

import pytest

from slimft import DataError
from slimft.data import cifar10, load_dataset


@pytest.fixture
def cifar10_server(serve, monkeypatch, small_batches, batches, binary_batch):
    """Makes a small CIFAR-10 the official one; returns the list of its downloads."""
    out, downloads = io.BytesIO(), []
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, batch in batches.items():
            entry, data = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin"), binary_batch(*batch)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        archive.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"))
    data = out.getvalue()

    def answer(handler):
        downloads.append(handler.path)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    monkeypatch.setattr(cifar10, "URL", serve(answer))
    monkeypatch.setattr(cifar10, "SHA256", hashlib.sha256(data).hexdigest())
    return downloads


@pytest.mark.parametrize("kind", ["empty", "new", "default", "XDG", "after a download that was killed"])
def test_cifar10_is_downloaded_once(cifar10_server, tmp_path, monkeypatch, batches, kind):
    data_dir = tmp_path if kind == "empty" else tmp_path / "new" / "folder"
    if kind in ("default", "XDG"):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere") if kind == "XDG" else "")
        data_dir = None
    elif kind.startswith("after"):
        (data_dir / ".download-x1y2z3").mkdir(parents=True)
    for _ in range(2):
        splits = load_dataset("cifar10", data_dir)
        assert splits["test"].labels.tolist() == batches["test_batch"][1]
        assert splits["test"].images.tobytes() == batches["test_batch"][0].tobytes()
    assert cifar10_server == ["/archive.tar.gz"]
    if kind in ("default", "XDG"):
        cache = tmp_path / (".cache" if kind == "default" else "elsewhere")
        assert (cache / "slimft/cifar10/cifar-10-batches-bin/test_batch.bin").is_file()


def test_cifar10_with_another_checksum_is_refused(cifar10_server, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10, "SHA256", "0" * 64)
    with pytest.raises(DataError, match=f"SHA-256 [0-9a-f]{{64}}, not {'0' * 64}"):
        load_dataset("cifar10", tmp_path)
    assert not list(tmp_path.iterdir())
