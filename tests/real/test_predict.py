"""bin/predict with the official MobileNet V1 on scikit-image's photographs, of which it is known what they show."""

import json
import subprocess

import pytest

pytestmark = pytest.mark.real


@pytest.fixture
def predict(shared, warm_python):
    """Runs the command; returns what `subprocess.run` does."""

    def predict(*arguments):
        checkpoint = f"--checkpoint={shared}/checkpoints/mobilenet_v1_1.0_224.ckpt"
        command = [warm_python, "bin/predict", "--model=mobilenet_v1", checkpoint, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    return predict


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with a cat and a cup of coffee, each as PNG and as a JPEG of twice the size."""
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    folder = tmp_path_factory.mktemp("photos")
    for name in ("cat", "coffee"):
        picture = Image.fromarray(getattr(data, name)())
        picture.save(folder / f"{name}.png")
        picture.resize((2 * picture.width, 2 * picture.height)).save(folder / f"{name}.jpg", quality=90)
    return folder


def test_a_cat_and_a_coffee(predict, photos):
    done = predict(photos, "--json")
    assert done.returncode == 0 and done.stderr == ""
    found = {one["path"]: one["predictions"] for one in map(json.loads, done.stdout.splitlines())}
    assert list(found) == [str(photos / name) for name in ("cat.jpg", "cat.png", "coffee.jpg", "coffee.png")]
    # What another program computes of the central square, resized to 224 x 224.
    cat, coffee = found[str(photos / "cat.png")][0], found[str(photos / "coffee.png")][0]
    assert (cat["imagenet_class"], cat["class"], cat["synset"]) == (285, 286, "n02124075")
    assert cat["name"] == "Egyptian cat" and cat["probability"] == pytest.approx(0.54, abs=0.02)
    assert (coffee["imagenet_class"], coffee["name"]) == (967, "espresso")
    assert coffee["probability"] == pytest.approx(0.97, abs=0.02)
    for name in ("cat", "coffee"):
        assert found[str(photos / f"{name}.jpg")][0]["class"] == found[str(photos / f"{name}.png")][0]["class"]


def test_a_table_and_a_broken_file(predict, photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((photos / "coffee.jpg").read_bytes()[:5000])
    done = predict(broken, photos / "coffee.png", "--top=2", "--crop=0.875", "--precision=bfloat16")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"predict: {broken} cannot be read: ")
    lines = done.stdout.splitlines()
    assert lines[0] == str(photos / "coffee.png") and lines[2].endswith("968  espresso") and len(lines) == 4
