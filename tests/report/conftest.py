"""Directories of runs, as bin/finetune leaves them: the JSON files, made here; and images with masks."""

import base64
import html.parser
import io
import json
import math

import numpy as np
import pytest
from PIL import Image


def picture(seed=0, side=96):
    """A JPEG of coloured noise as a data URL."""
    grid = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def settings(**changes):
    """What settings.json holds; `changes` differ from the defaults beside the model."""
    import dataclasses

    from slimft.runs.settings import Settings

    return json.loads(json.dumps(dataclasses.asdict(Settings(model="mobilenet_v1")))) | changes


def history(steps=400, every=50, seed=0):
    random = np.random.default_rng(seed)
    train = [
        {
            "step": step,
            "loss": 2.2 * math.exp(-step / 120) + 0.3 + 0.1 * float(random.normal()),
            "accuracy": min(1.0, 1 - 0.85 * math.exp(-step / 100) + 0.05 * float(random.normal())),
            "learning_rate": 0.01 * (1 + math.cos(math.pi * step / steps)) / 2,
            "seconds": step * 0.1,
            "images_per_second": 310.0,
        }
        for step in range(10, steps + 1, 10)
    ]
    validation = [
        {
            "step": step,
            "examples": 200,
            "macro_f1": 0.8,
            "accuracy": 0.92 - 0.7 * math.exp(-step / 90) - 0.02 * float(random.random()),
            "balanced_accuracy": 0.85 - 0.7 * math.exp(-step / 110),
            "loss": 0.5 + 2 * math.exp(-step / 90),
        }
        for step in range(every, steps + 1, every)
    ]
    return {"train": train, "validation": validation, "best_step": steps - every}


def result(names, examples=400, seed=0, mistakes=8):
    """What result.json holds: random labels, predictions that are mostly right."""
    random, data = np.random.default_rng(seed), np.random.default_rng(0)
    size = len(names)
    shares = data.dirichlet(np.full(size, 1.5))
    labels = data.choice(size, examples, p=shares)
    predicted = np.where(random.random(examples) < 0.85, labels, random.integers(0, size, examples))
    matrix = np.zeros((size, size), int)
    np.add.at(matrix, (labels, predicted), 1)
    right, of_class, called = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    wrong = matrix - np.diag(right)
    order = np.argsort(-wrong, axis=None)[:40]
    pairs = [[int(i) // size, int(i) % size, int(wrong.flat[i])] for i in order if wrong.flat[i]]
    per_class = [
        {
            "class": name,
            "examples": int(of_class[i]),
            "f1": float(2 * right[i] / (of_class[i] + called[i] or 1)),
            "precision": float(right[i] / called[i]) if called[i] else None,
            "recall": float(right[i] / of_class[i]) if of_class[i] else None,
        }
        for i, name in enumerate(names)
    ]
    accuracy = float(right.sum() / examples)
    recalls = [one["recall"] for one in per_class if one["recall"] is not None]
    bins = [
        {
            "low": i / 15,
            "high": (i + 1) / 15,
            "examples": i * i,
            "confidence": (i + 0.5) / 15 if i else None,
            "accuracy": ((i + 0.5) / 15) ** 1.3 if i else None,
        }
        for i in range(15)
    ]
    return {
        "result": {
            "model": "mobilenet_v1", "dataset": "image_folder", "split": "test", "examples": examples,
            "accuracy": accuracy, "balanced_accuracy": float(np.mean(recalls)), "macro_f1": 0.84, "loss": 0.41,
            "step": 400, "checkpoint": "run/model.ckpt-400",
        },
        "restore": "restored from mobilenet_v1_1.0_224.ckpt:\nrestored     135  MobilenetV1\nexcluded       2",
        "class_names": list(names),
        "class_counts": {
            "train": (shares * 2000).astype(int).tolist(), "validation": (shares * 200).astype(int).tolist(),
            "test": of_class.tolist(),
        },
        "confusion_matrix": matrix.tolist() if size <= 200 else None,
        "confused_pairs": pairs,
        "per_class": per_class,
        "calibration": {"ece": 0.043, "bins": bins},
        "mistakes": [
            {"name": f"test/{names[i % size]}/img_{i:04}.jpg", "label": i % size, "predicted": (i + 1) % size,
             "confidence": 0.99 - i / 50, "image": picture(i)}
            for i in range(mistakes)
        ],
        "seconds": 212.5, "images_per_second": 310.2, "device": "CPU, 2 cores",
        "versions": {"slimft": "0.1.0", "TensorFlow": "2.21.0"},
    }  # fmt: skip


WHITE_CELLS = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")
HISTORY, RESULT = history(), result(WHITE_CELLS)


class Page(html.parser.HTMLParser):
    """A page, parsed: its elements and its text; fails on tags that do not match.

    Attributes:
        elements: (tag, attributes) of each.
        text: all text but that of the style, in one string.
    """

    VOID = {"meta", "img", "br"}

    def __init__(self, source):
        super().__init__()
        self.elements, self.open, self._texts = [], [], []
        self.feed(source)
        self.close()
        assert not self.open
        self.text = " ".join(self._texts)

    def handle_starttag(self, tag, attributes):
        assert len(dict(attributes)) == len(attributes)
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert "svg" in self.open
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self._texts.append(data)

    def all(self, tag):
        """The attributes of all elements of this tag."""
        return [attributes for name, attributes in self.elements if name == tag]


PIXEL_CLASSES = ("background", "cat", "dog", "boat")


def voc_tree(folder, names=PIXEL_CLASSES, number=16):
    """Images with masks as PASCAL VOC has them: two to train on, the others to validate; one of these is large."""
    random = np.random.default_rng(1)
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    keys = [f"image{i:02}" for i in range(number)]
    for i, key in enumerate(keys):
        height, width = (300, 400) if i == 3 else (40, 48) if i % 2 else (48, 40)
        mask = np.zeros((height, width), np.uint8)
        top, left = random.integers(2, 10, 2)
        mask[top - 1 : top + 21, left - 1 : left + 21] = 255
        mask[top : top + 20, left : left + 20] = 1 + i % (len(names) - 1)
        pixels = random.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"JPEGImages/{key}.jpg")
        Image.fromarray(mask).save(folder / f"SegmentationClass/{key}.png")
    for name, part in (("train", keys[:2]), ("val", keys[2:])):
        (folder / f"ImageSets/Segmentation/{name}.txt").write_text("".join(f"{key}\n" for key in part))
    return folder


def pixel_scores(dataset, seed=0):
    """Scores of made-up predictions of a split, and these: each the mask, of which some rows are wrong."""
    from slimft.tasks.segmentation_scores import SegmentationScores

    random, size = np.random.default_rng(seed), dataset.num_classes
    scores, maps = SegmentationScores(size), []
    for index in range(dataset.num_examples):
        mask = dataset.masks.read(index)
        predicted = np.where(mask == 255, 0, mask)
        rows = int(len(mask) * (index + random.random()) / (2 * dataset.num_examples))
        predicted[:rows] = random.integers(0, size, (rows, mask.shape[1]))
        known = mask < 255
        confusion = np.zeros((size, size), np.int32)
        np.add.at(confusion, (mask[known], predicted[known]), 1)
        maps.append(predicted.astype(np.uint8))
        batch = {"confusion": confusion[None], "losses": np.float32([known.sum() / 2]), "predicted": maps[-1][None]}
        scores.add(batch, np.array([index]))
    return scores, maps


@pytest.fixture
def pixel_data(tmp_path):
    """The function that makes images with masks: `pixel_data(names)` returns the splits."""
    from slimft.data import load_dataset

    return lambda *names: load_dataset("voc", voc_tree(tmp_path / "voc", names or PIXEL_CLASSES))


@pytest.fixture
def make_pixel_scores():
    """The function `pixel_scores`."""
    return pixel_scores


@pytest.fixture
def make_pixel_result(tmp_path):
    """What result.json holds of a segmentation: `make_pixel_result(splits, seed=0, **result)`."""
    from slimft.runs.result import write_result

    def make(splits, seed=0, **changes):
        dataset = splits["validation"]
        scores, _ = pixel_scores(dataset, seed)
        told = {
            "model": "fcn_8s",
            "dataset": "voc",
            "split": "validation",
            "step": 200,
            **scores.summary(),
            **changes,
        }
        counts = {split: data.counts for split, data in splits.items()}
        write_result(
            tmp_path, told, restore="", class_names=dataset.class_names, class_counts=counts, scores=scores,
            dataset=dataset, seconds=12.5, images_per_second=28.0,
        )  # fmt: skip
        return json.loads((tmp_path / "result.json").read_text())

    return make


@pytest.fixture
def parse_page():
    """Parses a page's file; also checks what holds for all: nothing is fetched or run, ids are unique."""

    def parse(file):
        page = Page(file.read_text(encoding="utf-8"))
        metas = page.all("meta")
        policy = [one["content"] for one in metas if one.get("http-equiv") == "Content-Security-Policy"]
        assert len(policy) == 1 and policy[0].startswith("default-src 'none';") and "script" not in policy[0]
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"script", "link", "iframe", "object", "embed", "form", "base", "a", "foreignobject"}
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        for _, attributes in page.elements:
            assert not any(name.startswith("on") for name in attributes)
            for name in ("src", "href", "xlink:href", "srcset", "poster"):
                assert attributes.get(name, "data:").startswith(("data:image/jpeg;base64,", "data:", "#"))
            used = [part.split(")")[0] for value in attributes.values() for part in (value or "").split("url(")[1:]]
            used += [attributes[name] for name in ("href",) if name in attributes]
            assert all(one.startswith("#") and one[1:] in ids for one in used)
        return page

    return parse


@pytest.fixture
def make_history():
    """The function `history`."""
    return history


@pytest.fixture
def make_result():
    """The function `result`."""
    return result


@pytest.fixture
def make_run(tmp_path):
    """Writes a run's directory: `make_run(name, settings={}, history=..., result=...)`; None leaves a file out."""

    def make(name="run", changes=None, history=HISTORY, result=RESULT):
        folder = tmp_path / name
        folder.mkdir()
        told = settings(train_dir=str(folder), **(changes or {}))
        parts = {"settings": told, "history": history, "result": result}
        for part, value in parts.items():
            if value is not None:
                (folder / f"{part}.json").write_text(json.dumps(value))
        return folder

    return make
