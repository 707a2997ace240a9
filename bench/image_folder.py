"""How fast images stream from files, and in how much memory.

    python bench/image_folder.py [--side=224] [--images=2000] [--many=100000]

Images a second, 32 at a time, of 500x375 JPEG files: decoded each time; from the cache on the disk; and, in the
same run and with as many threads, by tf.data with `tf.io.decode_jpeg`, a central crop and a bilinear resize, which
is less exact than what slimft does (it looks at 4 pixels, however large the image). Each is the median of several
rounds, with the processor's time for an image; the files are in the page cache. Then `--many` small JPEG files: how
long it takes to list them, and the largest memory (VmHWM) of processes that read them all without a cache, that
build the cache, and that read from it.

Needs some 3 GB in the folder for temporary files. The caches go there too.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

BATCH = 32
ROUNDS = 5
CLASSES = 10

# What a process does with the folder argv[1] at the side argv[2]; it prints seconds, and memory in MB.
STEPS = """
import sys, time
import numpy as np
from slimft.data import load_dataset
from slimft.data.dataset import DataOptions
folder, side, step = sys.argv[1], int(sys.argv[2]), sys.argv[3]

def megabytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1000

def report(what, count=None):
    seconds = time.perf_counter() - began
    rate = "" if count is None else f", {count / seconds:,.0f} images/s"
    print(f"  {what}: {seconds:.1f} s{rate}, peak {megabytes():.0f} MB", flush=True)

print(f"  {step}, imports: peak {megabytes():.0f} MB", flush=True)
began = time.perf_counter()
splits = load_dataset("image_folder", folder, DataOptions(cache="off" if step == "stream" else "on"))
report("list")
train = splits["train"]
if step == "cache":
    began = time.perf_counter()
    train.images.prepare(side, several_passes=True, progress=False)
    report("build the cache", len(train.images))
began = time.perf_counter()
order = np.random.default_rng(0).permutation(train.num_examples)
for start in range(0, len(order), 32):
    train.read(order[start : start + 32], (side, side, 3))
report("read all, shuffled", len(order))
"""


def photos(folder: pathlib.Path, count: int, width: int, height: int, quality: int) -> list[str]:
    """Writes JPEG files, in folders of their classes; smooth with some noise, so that they take what photos do."""
    rng, paths = np.random.default_rng(0), []
    for number in range(count):
        if number % 500 == 0:
            small = rng.integers(0, 256, (max(height // 12, 2), max(width // 12, 2), 3), np.uint8)
            smooth = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.int16)
            noisy = np.clip(smooth + rng.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
        path = folder / f"class_{number % CLASSES}" / f"image_{number:07}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(noisy, number, axis=1)).save(path, quality=quality)
        paths.append(str(path))
    return paths


def per_image(read, count: int) -> tuple[float, float]:
    """Median seconds for an image, and of the processors, where `read(start)` reads a batch."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter(), time.process_time()
        for start in range(0, count, BATCH):
            read(start)
        rounds.append([time.perf_counter() - began[0], time.process_time() - began[1]])
    return tuple(np.median(rounds, axis=0) / count)


def tensorflows(paths: list[str], side: int, threads: int):
    """A function that gives the next batch of a tf.data pipeline over the files, again and again."""
    from slimft.compat import tf

    def decode(path):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        height, width = tf.unstack(tf.shape(image)[:2])
        least = tf.minimum(height, width)
        image = tf.image.crop_to_bounding_box(image, (height - least) // 2, (width - least) // 2, least, least)
        image = tf.compat.v2.image.resize(image, [side, side])
        return tf.cast(tf.round(image), tf.uint8)

    options = tf.data.Options()
    options.threading.private_threadpool_size = threads
    data = tf.data.Dataset.from_tensor_slices(paths).repeat().map(decode, num_parallel_calls=threads)
    batches = tf.data.make_one_shot_iterator(data.batch(BATCH).with_options(options)).get_next()
    session = tf.Session()
    return lambda start: session.run(batches.op)


def speed(folder: pathlib.Path, count: int, side: int) -> None:
    from slimft.data.image_files import FileSource, ImageFiles
    from slimft.data.threads import count_threads

    count -= count % BATCH
    paths = photos(folder, count, 500, 375, 90)
    threads, size = count_threads(), sum(map(os.path.getsize, paths)) / count
    print(f"{count} JPEG files, 500x375, {size / 1000:.0f} kB each, at {side}x{side}; {threads} threads:")
    files = {cache: ImageFiles([FileSource(path) for path in paths], cache) for cache in ("off", "on")}
    began = time.perf_counter(), time.process_time()
    files["on"].prepare(side, several_passes=True, progress=False)
    built = (time.perf_counter() - began[0]) / count, (time.process_time() - began[1]) / count

    def read(images):
        return lambda start: images.read(range(start, start + BATCH), side)

    found = {
        "tf.data": per_image(tensorflows(paths, side, threads), count),
        "decoded": per_image(read(files["off"]), count),
        "from the cache": per_image(read(files["on"]), count),
        "building the cache, once": built,
    }
    for what, (seconds, processors) in found.items():
        ratio = found["tf.data"][0] / seconds
        print(
            f"  {what}: {1 / seconds:,.0f} images/s, {ratio:.2f} of tf.data's; {1000 * processors:.2f} ms of a "
            "processor for an image"
        )


def memory(folder: pathlib.Path, count: int, side: int) -> None:
    photos(folder, count, 48, 40, 80)
    print(f"{count} JPEG files, 48x40, at {side}x{side}:")
    for step in ("stream", "cache"):
        subprocess.run([sys.executable, "-c", STEPS, str(folder), str(side), step], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--many_side", type=int, default=48)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = f"{scratch}/cache"
        speed(pathlib.Path(scratch, "photos"), flags.images, flags.side)
        memory(pathlib.Path(scratch, "many"), flags.many, flags.many_side)


if __name__ == "__main__":
    main()
