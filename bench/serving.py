"""bin/serve under load: images a second, and how long a request takes, beside bin/predict's classifier.

    python bench/serving.py [--rounds=3] [--seconds=10] [--json FILE]

Each process classifies the same JPEGs of 640x480 with MobileNet V1 at 224x224 (random weights, which take as long).
``direct`` is `Classifier.classify_files`, with batches of 32 and of one image; ``clients`` is bin/serve, to which
that many threads of another process post one image at a time, over connections that stay open. The clients need
some of the same processors.
"""

from __future__ import annotations

import concurrent.futures
import http.client
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import rounds

CLIENTS = (1, 8, 32)
_PICTURES = 64
_SIZE = (640, 480)


def make_pictures(folder):
    """Writes JPEGs as a camera has them: coarse shapes, and a little noise."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for number in range(_PICTURES):
        coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8)).resize(_SIZE, Image.BICUBIC)
        noise = generator.normal(0, 6, (*_SIZE[::-1], 3))
        pixels = np.clip(np.asarray(coarse) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


def network(flags):
    return ["--model=mobilenet_v1", f"--checkpoint={flags.checkpoint}"]


def direct(flags):
    """Images a second of the classifier, without a server."""
    from slimft.prediction import Classifier

    paths = sorted(map(str, pathlib.Path(flags.pictures).iterdir()))
    with Classifier("mobilenet_v1", flags.checkpoint) as classifier:

        def once():
            began = time.perf_counter()
            for _ in classifier.classify_files(paths, flags.batch):
                pass
            return time.perf_counter() - began

        once()
        seconds, began = [], time.perf_counter()
        while not seconds or time.perf_counter() - began < flags.seconds:
            seconds.append(once())
    rounds.print_figures(images_per_second=len(paths) / statistics.median(seconds))


def served(flags):
    """Images a second of bin/serve, and how long a request takes."""
    command = [sys.executable, rounds.ROOT / "bin" / "serve", *network(flags), "--port=0"]
    pictures = [path.read_bytes() for path in sorted(pathlib.Path(flags.pictures).iterdir())]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = next(
                int(found[1]) for line in server.stderr if (found := re.search(r"at http://.*:(\d+)/", line))
            )
            load(port, flags.clients, pictures, 2)
            began = time.perf_counter()
            taken = load(port, flags.clients, pictures, flags.seconds)
            seconds = time.perf_counter() - began
        finally:
            server.terminate()
    twentieths = statistics.quantiles(taken, n=20)
    rounds.print_figures(
        images_per_second=len(taken) / seconds,
        median_ms=1e3 * statistics.median(taken),
        p95_ms=1e3 * twentieths[-1],
    )


def load(port, clients, pictures, seconds):
    """The seconds that each request took, of so many clients that post one after the other."""
    end = time.perf_counter() + seconds

    def post(first):
        taken, number = [], first
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            began = time.perf_counter()
            body = pictures[number % len(pictures)]
            connection.request("POST", "/classify", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            taken.append(time.perf_counter() - began)
            number += 1
        connection.close()
        return taken

    with concurrent.futures.ThreadPoolExecutor(clients) as threads:
        return [one for taken in threads.map(post, range(clients)) for one in taken]


def main():
    parser = rounds.parser(__doc__, 3)
    parser.add_argument("--seconds", type=float, default=10, help="how long each process measures")
    parser.add_argument("--worker", choices=("direct", "served"), help="to be one of the processes")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--checkpoint")
    parser.add_argument("--pictures")
    flags = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if flags.worker:
        {"direct": direct, "served": served}[flags.worker](flags)
        return
    here = pathlib.Path(__file__).resolve()
    with tempfile.TemporaryDirectory() as folder:
        pictures, checkpoint = pathlib.Path(folder, "pictures"), f"{folder}/mobilenet_v1.ckpt"
        pictures.mkdir()
        make_pictures(pictures)
        of = ["--model=mobilenet_v1", "--size=224", "--classes=1001", f"--checkpoint={checkpoint}"]
        rounds.run([here.with_name("worker.py"), "slimft", "checkpoint", *of])
        common = [here, f"--seconds={flags.seconds}", f"--checkpoint={checkpoint}", f"--pictures={pictures}"]
        commands = {f"direct {batch}": [*common, "--worker=direct", f"--batch={batch}"] for batch in (1, 32)}
        commands |= {f"clients {count}": [*common, "--worker=served", f"--clients={count}"] for count in CLIENTS}
        found = rounds.alternate(commands, flags.rounds)
    speed = rounds.spreads(found, "images_per_second")
    rows = []
    for name in commands:
        peer = speed["direct 1" if name.endswith(" 1") else "direct 32"].median
        waits = ["", ""]
        if name.startswith("clients"):
            waits = [rounds.Spread.of([one[key] for one in found[name]]).show(2) for key in ("median_ms", "p95_ms")]
        rows.append([name, speed[name].show(), f"{speed[name].median / peer:.2f}", *waits])
    head = ("MobileNet V1, 640x480 JPEGs", "images/s", "/ direct", "median ms", "95% within ms")
    rounds.finish(flags, {"speed": speed, "found": found}, rounds.table(head, rows))


if __name__ == "__main__":
    main()
