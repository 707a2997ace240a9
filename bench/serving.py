"""bin/serve under load: images a second, and how long a request takes, beside bin/predict's classifier.

    python bench/serving.py [--rounds=15] [--seconds=2] [--json FILE]

All classify the same JPEGs of 640x480 with MobileNet V1 at 224x224 (random weights, which take as long). ``direct``
is `Classifier.classify_files`, with batches of 32 and of one image, in this process; ``clients`` is bin/serve, to
which that many threads of this process post one image at a time, over connections that stay open. They take turns
every few seconds, so that what else the machine does is in both; ratios are of neighbours.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
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


@contextlib.contextmanager
def server(checkpoint):
    """The port of a server, while the block runs."""
    command = [sys.executable, rounds.ROOT / "bin" / "serve", "--model=mobilenet_v1", "--port=0"]
    path = os.pathsep.join(filter(None, [str(rounds.ROOT), os.environ.get("PYTHONPATH")]))
    with subprocess.Popen(
        [*command, f"--checkpoint={checkpoint}"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        try:
            found = (re.search(r"at http://.*:(\d+)/", line) for line in process.stderr)
            yield next(int(one[1]) for one in found if one)
        finally:
            process.terminate()


def direct(classifier, paths, batch, seconds):
    """Images a second of the classifier, without a server."""
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        chosen = [paths[(count + number) % len(paths)] for number in range(32)]
        count += sum(1 for _ in classifier.classify_files(chosen, batch))
    return count / (time.perf_counter() - began)


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
    parser = rounds.parser(__doc__, 15)
    parser.add_argument("--seconds", type=float, default=2, help="how long a turn is")
    flags = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    speed = {name: [] for name in ("direct 1", "direct 32", *(f"clients {count}" for count in CLIENTS))}
    waits = {count: [] for count in CLIENTS}
    here = pathlib.Path(__file__).resolve()
    with tempfile.TemporaryDirectory() as folder:
        pictures, checkpoint = pathlib.Path(folder, "pictures"), f"{folder}/mobilenet_v1.ckpt"
        pictures.mkdir()
        make_pictures(pictures)
        of = ["--model=mobilenet_v1", "--size=224", "--classes=1001", f"--checkpoint={checkpoint}"]
        rounds.run([here.with_name("worker.py"), "slimft", "checkpoint", *of])
        from slimft.prediction import Classifier

        paths = sorted(map(str, pictures.iterdir()))
        bodies = [pathlib.Path(path).read_bytes() for path in paths]
        with Classifier("mobilenet_v1", checkpoint) as classifier, server(checkpoint) as port:
            for number in range(-1, flags.rounds):  # The first does not count.
                for name, found in speed.items():
                    kind, count = name.split()
                    if kind == "direct":
                        found.append(direct(classifier, paths, int(count), flags.seconds))
                    else:
                        began = time.perf_counter()
                        taken = load(port, int(count), bodies, flags.seconds)
                        found.append(len(taken) / (time.perf_counter() - began))
                        waits[int(count)] += taken
                    if number < 0:
                        found.clear()
                        waits = {count: [] for count in CLIENTS}
    rows = []
    for name, found in speed.items():
        peers = speed["direct 1" if name.endswith(" 1") else "direct 32"]
        ratio = rounds.Spread.of([one / peer for one, peer in zip(found, peers)])
        row = [
            name,
            rounds.Spread.of(found).show(),
            f"{ratio.median:.2f} ({ratio.least:.2f}-{ratio.most:.2f})",
            "",
            "",
        ]
        if name.startswith("clients"):
            twentieths = statistics.quantiles(waits[int(name.split()[1])], n=20)
            row[3:] = [rounds.shortly(1e3 * twentieths[place], 2) for place in (9, 18)]
        rows.append(row)
    head = ("MobileNet V1, 640x480 JPEGs", "images/s", "/ direct", "median ms", "95% within ms")
    rounds.finish(flags, {"speed": speed}, rounds.table(head, rows))


if __name__ == "__main__":
    main()
