"""The contact sheet shows what a step would get, and leaves no trace of a run."""

import numpy as np
import pytest
from PIL import Image

from slimft.cli import finetune
from slimft.compat import tf
from slimft.data.preprocessing import PREPROCESSING
from slimft.training import Settings, augmented
from slimft.training.run import prepare_alone


@pytest.mark.parametrize("mixes", [{}, {"cutmix": 1.0}, {"balance": "sampler"}])
def test_it_is_what_a_step_gets(tiny, tmp_path, monkeypatch, mixes):
    settings = Settings(
        model=tiny, dataset="digits", image_size=16, batch_size=50, augment="randaugment",
        train_dir=str(tmp_path / "run"), **mixes,
    )  # fmt: skip
    shown = []
    monkeypatch.setattr(
        augmented, "_with_mask", lambda pixels, mask: shown.append(pixels) or Image.fromarray(pixels)
    )
    monkeypatch.setattr(augmented, "_COLUMNS", 2)
    monkeypatch.setattr(augmented, "_ROWS", 3)
    file = augmented.show_augmented(settings, tmp_path / "sheet")
    assert file == tmp_path / "sheet" / "augmented.png" and not (tmp_path / "run").exists()
    width, height = Image.open(file).size
    assert width > 3 * 128 and height > 3 * 128 and len(shown) == 6

    run = prepare_alone(settings)
    examples = augmented._examples(run.splits["train"])
    assert run.splits["train"].labels[examples].tolist() == [0, 4, 9]
    places = augmented._places(run, examples)
    last = max(number for own in places.values() for number, *_ in own)
    with run.training.graph.as_default(), run.new_session() as session:
        run.start_batches(session, 0)
        batches = [session.run([run.training.images, run.training.batches.examples]) for _ in range(last + 1)]
    flat = [(example, number, row) for example in examples for number, _, row in places[example]]
    for pixels, (example, number, row) in zip(shown, flat):
        images, drawn = batches[number]
        assert drawn[row] == example
        np.testing.assert_array_equal(augmented.visible(images[row], "mean_subtraction"), pixels)


@pytest.mark.parametrize("name", [name for name in PREPROCESSING if name != "cifarnet"])
def test_preprocessing_is_taken_back(name):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    if name == "lenet":
        pixels = pixels[..., :1].repeat(3, axis=2)
    with tf.Graph().as_default(), tf.Session() as session:
        image = session.run(PREPROCESSING[name](tf.constant(pixels, tf.float32)))
    np.testing.assert_array_equal(augmented.visible(image, name), pixels)


def test_the_command_says_where_and_no_run_begins(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--model=tiny", "--dataset=digits", "--image_size=16", "--steps=2", "--show_augmented"]
    assert finetune.main(["finetune", *flags]) == 0
    assert capsys.readouterr().out == "augmented.png\n"
    assert [path.name for path in tmp_path.iterdir()] == ["augmented.png"]
    assert finetune.main(["finetune", *flags, "--train_dir=run"]) == 0
    assert finetune.main(["finetune", *flags[:-1], "--train_dir=run"]) == 0  # Which begins there.


def test_masks_lie_over_their_images(tiny, tmp_path, voc):
    settings = Settings(model="tiny_fcn", dataset="voc", data_dir=str(voc), batch_size=4, image_size=32)
    image = np.asarray(Image.open(augmented.show_augmented(settings, tmp_path)))
    # Boxes of (200, 60, 50) and (60, 190, 70), with noise, under half of PASCAL VOC's (128, 0, 0) and (0, 128, 0).
    for colour in ((164, 30, 25), (30, 159, 35)):
        assert (np.abs(image.astype(int) - colour).max(axis=2) < 25).mean() > 0.01
