"""Images with masks in PASCAL VOC's layout: lists, splits, classes, and what is said of them."""

import os
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.data import DataOptions, load_dataset, load_for_evaluation
from slimft.data.palette import VOC_CLASSES, voc_palette
from slimft.errors import DataError, UsageError


@pytest.fixture
def root(tmp_path, pairs):
    pairs.make(tmp_path)
    return tmp_path


def names(*indices):
    return [f"a_{index:02}" for index in indices]


def load(root, **options):
    return load_dataset("voc", root, DataOptions(**options))


def stems(splits):
    """Split name to the images' names, in order."""
    return {
        split: [os.path.splitext(os.path.basename(key))[0] for key in data.keys()] for split, data in splits.items()
    }


def refused(root, error=DataError, evaluated=False, **options):
    with pytest.raises(error) as caught:
        load_for_evaluation("voc", root) if evaluated else load(root, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def notes(splits):
    return "\n".join(next(iter(splits.values())).notes)


def test_the_lists_are_the_splits(root, pairs):
    pairs.write_list(root, "train", names(3, 1, 2))
    pairs.write_list(root, "val", names(5, 4))
    pairs.write_list(root, "test", names(0))
    splits = load(root)
    assert stems(splits) == {"train": names(3, 1, 2), "validation": names(5, 4), "test": names(0)}
    assert "passed over: 6 images with masks, which no list that is used names" in notes(splits)
    assert splits["train"].class_names == ("ground", "tree", "water")
    for index, name in enumerate(names(3, 1, 2)):
        mask = np.asarray(Image.open(root / f"SegmentationClass/{name}.png"))
        assert np.array_equal(splits["train"].masks.read(index), mask)
    assert stems(load_for_evaluation("voc", root)) == stems(splits)


@pytest.mark.parametrize(
    "content",
    [
        b"a_00\r\na_01\r\n",
        b"\xef\xbb\xbfa_00\na_01",
        b"\n\n a_00 \n\t\na_01\n\n",
        b"a_00\ra_01\r",
    ],
    ids=["CRLF", "BOM", "blank lines", "CR"],
)
def test_lists_as_editors_leave_them(root, pairs, content):
    pairs.write_list(root, "train", content)
    pairs.write_list(root, "val", names(2))
    assert stems(load(root))["train"] == names(0, 1)


def test_test_lists_without_masks_are_said(root, pairs):
    pairs.write_list(root, "train", names(0, 1))
    pairs.write_list(root, "val", names(2))
    for test in (["b_1", "b_2"], ["/JPEGImages/b_1.png /SegmentationClass/b_1.png"]):
        pairs.write_list(root, "test", test)
        splits = load(root)
        assert set(splits) == {"train", "validation"}
        assert f"test.txt names {len(test)} images, of which no masks are there" in notes(splits)
    pairs.write_list(root, "test", [*names(3), "b_1"])
    assert "test.txt names what is not there: JPEGImages/b_1.jpg (of 1 of 2 images with masks)" in refused(root)


def test_trainval_has_the_images_of_val(root, pairs):
    pairs.write_list(root, "train", names(*range(4)))
    pairs.write_list(root, "val", names(4, 5, 6))
    pairs.write_list(root, "trainval", names(*range(7)))
    assert "--train_list=trainval would train on that list" in notes(load(root))
    splits = load(root, train_list="trainval")
    found = stems(splits)
    assert set(found) == {"train", "validation", "test"}  # As of any data that has nothing but what trains.
    assert sorted(sum(found.values(), [])) == names(*range(7))
    assert "not used" not in notes(splits)


def test_what_trains_does_not_validate(root, pairs):
    """--train_list=val trained on the list that validates, and then there was nothing left to validate on."""
    pairs.write_list(root, "train", names(*range(4)))
    pairs.write_list(root, "val", names(4, 5, 6, 7))
    found = stems(load(root, train_list="val"))
    assert sorted(sum(found.values(), [])) == names(4, 5, 6, 7)


def test_train_aug_has_the_masks_of_both(root, pairs):
    for index in range(4):
        pairs.save(root, names(index)[0], pairs.mask(100 + index), folder="SegmentationClassAug")
    pairs.write_list(root, "train", names(0, 1))
    pairs.write_list(root, "train_aug", names(*range(4)))
    pairs.write_list(root, "val", names(5))
    splits = load(root, train_list="train_aug")
    assert stems(splits) == {"train": names(*range(4)), "validation": names(5)}
    assert np.array_equal(splits["train"].masks.read(2), pairs.mask(102))
    assert np.array_equal(splits["validation"].masks.read(0), pairs.mask(5))
    assert "train_aug, not used" in notes(load(root))


def test_lists_of_two_paths(root, pairs):
    for folder in ("x", "y"):  # Images of one name in two folders, as Cityscapes has.
        for kind in ("JPEGImages", "SegmentationClass"):
            (root / kind / folder).mkdir()
            os.link(root / kind / f"a_0{'xy'.index(folder)}.png", root / kind / folder / "one.png")
    lines = [f"/JPEGImages/{folder}/one.png /SegmentationClass/{folder}/one.png" for folder in "xy"]
    pairs.write_list(root, "train", lines)
    pairs.write_list(root, "val", ["JPEGImages/a_02.png\tSegmentationClass/a_02.png"])
    splits = load(root)
    assert splits["train"].keys() == ["JPEGImages/x/one.png", "JPEGImages/y/one.png"]
    assert np.array_equal(splits["train"].masks.read(1), pairs.mask(1))
    assert stems(splits)["validation"] == names(2)


@pytest.mark.parametrize(
    "line",
    [
        "../a.png SegmentationClass/a_00.png",
        "/../../etc/passwd /etc/passwd",
        "JPEGImages/a_00.png ..",
        "/ /",
        ". .",
    ],
)
def test_paths_do_not_lead_out(root, pairs, line):
    pairs.write_list(root, "train", [line])
    message = refused(root)
    assert "train.txt line 1" in message and "does not lead to a file in" in message


def test_absolute_paths_and_names_with_slashes_are_below_the_folder(root, pairs):
    pairs.write_list(root, "train", ["/etc/passwd /etc/passwd"])
    assert "names what is not there: etc/passwd" in refused(root)
    pairs.write_list(root, "train", ["../../etc/passwd"])
    assert "names what is not there: JPEGImages/../../etc/passwd.jpg" in refused(root)


def test_a_path_may_begin_with_dots(root, pairs):
    (root / "..a").mkdir()
    for kind in ("JPEGImages", "SegmentationClass"):
        os.link(root / kind / "a_00.png", root / "..a" / f"{kind}.png")
    pairs.write_list(root, "train", ["..a/JPEGImages.png ..a/SegmentationClass.png"])
    pairs.write_list(root, "val", names(1))
    assert load(root)["train"].keys() == ["..a/JPEGImages.png"]


def test_links_are_followed(root, pairs, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "images"
    (root / "JPEGImages").rename(elsewhere)
    (root / "JPEGImages").symlink_to(elsewhere)
    pairs.write_list(root, "train", names(0, 1))
    pairs.write_list(root, "val", names(2))
    assert load(root)["train"].num_examples == 2
    (elsewhere / "a_00.png").unlink()
    (elsewhere / "a_00.png").symlink_to("nowhere.png")
    assert "a_00.png cannot be read: No such file" in refused(root)


def test_names_with_spaces_and_accents(root, pairs):
    pairs.save(root, "an image", pairs.mask(0))
    pairs.save(root, unicodedata.normalize("NFD", "café"), pairs.mask(1))
    pairs.write_list(root, "train", ["an image", unicodedata.normalize("NFC", "café")])
    pairs.write_list(root, "val", names(1))
    assert load(root)["train"].keys() == ["JPEGImages/an image.png", "JPEGImages/café.png"]


@pytest.mark.parametrize(
    "lines, told",
    [
        (["a_00", "a_00"], "line 2 names JPEGImages/a_00.png again"),
        (
            ["a_00", "nothing"],
            "not there: JPEGImages/nothing.jpg (of 1 of 2 images with masks); add it",
        ),
        (["a_00 b c"], "line 1 is 'a_00 b c'; it has to be a name, or the paths"),
        (["x" * 9000], "line 1 has 9000 letters; no path has more than 8192"),
        ([], "names no images; add some, or remove the list"),
        (b"a_00\n\xff\xfe\n", "is not text in UTF-8 (at byte 5)"),
    ],
)
def test_a_wrong_list(root, pairs, lines, told):
    for name in ("train", "val"):
        pairs.write_list(root, name, names(1))
    pairs.write_list(root, "val", lines)
    message = refused(root)
    assert "val.txt" in message and told in message


def test_a_list_of_a_huge_size_is_refused(root, pairs, monkeypatch):
    from slimft.data import voc_lists

    monkeypatch.setattr(voc_lists, "_MOST_BYTES", 10)
    pairs.write_list(root, "train", names(0, 1, 2))
    assert "more than 10 bytes" in refused(root)


def test_the_same_image_in_two_lists_stays_in_both_until_training_takes_it_out(root, pairs):
    pairs.write_list(root, "train", names(0, 1))
    pairs.write_list(root, "val", names(1, 2))
    assert stems(load(root)) == {"train": names(0, 1), "validation": names(1, 2)}


def test_without_a_list_to_train_on(root, pairs):
    pairs.write_list(root, "trainval", names(0, 1))
    assert "has no train.txt, only trainval; choose one of these to train on (--train_list)" in refused(root)
    assert "has no nothing.txt, only trainval" in refused(root, UsageError, train_list="nothing")
    assert "no ../val.txt" in refused(root, UsageError, train_list="../val")
    pairs.write_list(root, "val", names(0, 1))
    assert "no training examples, only validation" in refused(root)
    assert stems(load_for_evaluation("voc", root)) == {"validation": names(0, 1)}


def test_a_train_list_without_lists(root):
    assert "has no lists" in refused(root, UsageError, train_list="trainval")


def test_without_lists_all_is_drawn(root):
    splits = load(root)
    assert set(splits) == {"train", "validation", "test"} and stems(load(root)) == stems(splits)
    assert sorted(sum(stems(splits).values(), [])) == names(*range(12))
    assert stems(load(root, split_seed=1)) != stems(splits)
    whole = load_for_evaluation("voc", root)
    assert stems(whole) == {"all": names(*range(12))}


def test_a_folder_without_lists_is_said(root):
    (root / "ImageSets").mkdir()
    (root / "ImageSets/Segmentation").write_text("a_00\n")
    assert "has no lists (.txt), so all images with masks count" in notes(load(root))
    (root / "ImageSets/Segmentation").unlink()
    (root / "ImageSets/Segmentation").mkdir()
    (root / "ImageSets/Segmentation/train.lst").touch()
    assert "has no lists (.txt), so all images with masks count" in notes(load(root))


def test_options(root):
    assert "--longest_side=0: one pixel is the least" in refused(root, UsageError, longest_side=0)
    for option in ({"longest_side": 99}, {"train_list": "trainval"}):
        with pytest.raises(UsageError, match="for images with masks only"):
            load_dataset("digits", None, DataOptions(**option))


def test_of_a_list_to_train_on_alone_the_others_are_drawn(root, pairs):
    pairs.write_list(root, "train", names(*range(10)))
    splits = load(root)
    assert set(splits) == {"train", "validation", "test"}
    assert sorted(sum(stems(splits).values(), [])) == names(*range(10))
    assert stems(load_for_evaluation("voc", root)) == {"all": names(*range(10))}


def test_folds(root, pairs):
    tests = [stems(load(root, folds=3, fold=fold))["test"] for fold in range(3)]
    assert sorted(sum(tests, [])) == names(*range(12)) and all(tests)
    pairs.write_list(root, "train", names(0, 1))
    pairs.write_list(root, "val", names(2))
    assert "has splits of its own" in refused(root, UsageError, folds=3)


def test_groups_stay_together(tmp_path, pairs):
    pairs.make(tmp_path, 40)
    splits = load(tmp_path, group="a_.([0-9])")
    last = {split: {name[-1] for name in found} for split, found in stems(splits).items()}
    assert len(last) == 3 and sum(map(len, last.values())) == 10
    assert "40 images are in 10 groups (--group=a_.([0-9])), none of which is divided" in notes(splits)
    pairs.write_list(tmp_path, "train", names(0, 1))
    pairs.write_list(tmp_path, "val", names(2))
    assert "has splits of its own" in refused(tmp_path, UsageError, group="a_.")


def test_training_images_can_be_fewer(root):
    assert load(root, train_examples=2)["train"].num_examples == 2
    assert "has only" in refused(root, UsageError, train_examples=99)


@pytest.mark.parametrize("depth", ["VOC2012", "VOCdevkit/VOC2012"])
def test_the_folder_may_be_further_down(tmp_path, pairs, depth):
    pairs.make(tmp_path / depth)
    assert load(tmp_path)["train"].num_classes == 3
    pairs.make(tmp_path / f"{depth[:-1]}3", 2)
    assert "several folders with JPEGImages" in refused(tmp_path)


def test_what_is_no_such_folder(tmp_path, root):
    with pytest.raises(UsageError, match="needs --data_dir"):
        load_dataset("voc")
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "is no folder" in refused(root / "classes.txt")
    (tmp_path / "empty").mkdir()
    assert "has no folder JPEGImages" in refused(tmp_path / "empty")
    (tmp_path / "empty/JPEGImages").mkdir()
    assert "no image in JPEGImages with a mask of the same name" in refused(tmp_path / "empty")


def test_what_is_passed_over_is_said(root):
    (root / "JPEGImages/alone.jpg").touch()
    (root / "SegmentationClass/lonely.png").touch()
    (root / "SegmentationClass/a_00.npy").touch()
    (root / "JPEGImages/.DS_Store").touch()
    found = notes(load(root))
    assert "1 image without a mask (JPEGImages/alone.jpg)" in found
    assert "1 mask without an image (SegmentationClass/lonely.png)" in found
    assert "1 file without an image's suffix (SegmentationClass/a_00.npy)" in found and "DS_Store" not in found


def test_two_files_of_one_name(root):
    (root / "JPEGImages/a_00.jpg").touch()
    assert "has two files of one name, a_00.jpg and a_00.png" in refused(root)


def test_masks_as_jpeg_are_refused_by_name(root, pairs):
    for index in range(12):
        name = names(index)[0]
        (root / f"SegmentationClass/{name}.png").unlink()
        Image.fromarray(pairs.mask(index)).save(root / f"SegmentationClass/{name}.jpg")
    message = refused(root)
    assert (
        "12 images or masks cannot be used" in message
        and "a_00.jpg cannot be read: a mask must be a PNG" in message
    )
    pairs.palette(pairs.mask(0)).save(root / "SegmentationClass/a_00.png")
    # The PNG counts, and the JPEG beside it is a picture of it.
    assert "11 images or masks cannot be used" in refused(root)


# Classes.


def write_classes(root, content):
    (root / "classes.txt").write_bytes(content if isinstance(content, bytes) else content.encode())


def test_without_classes_they_are_vocs(root):
    (root / "classes.txt").unlink()
    splits = load(root)
    assert splits["train"].class_names == tuple(VOC_CLASSES)
    assert "there is no classes.txt: the classes are the 20 of PASCAL VOC" not in notes(splits)
    assert "there is no classes.txt: the classes are the 21 of PASCAL VOC" in notes(splits)
    assert "no pixel of the training masks is of the classes bird, boat, bottle, bus, car and 13 more" in notes(
        splits
    )


@pytest.mark.parametrize(
    "content",
    [
        b"ground\ntree\nwater\n",
        b"\xef\xbb\xbfground\r\ntree\r\nwater",
        b"0:ground\n1:tree\n2:water\n",
        b"2:water\n0:ground\n1:tree\n",
        b" ground \ntree\t\nwater\n\n",
        b"ground 1 2 3\ntree 4, 5, 6\nwater,7,8,9\n",
    ],
)
def test_names_of_classes(root, content):
    write_classes(root, content)
    found = load(root)["train"].class_names
    assert found == ("ground", "tree", "water")


def test_names_may_be_numbers(root):
    write_classes(root, "0\n1\n2\n")
    assert load(root)["train"].class_names == ("0", "1", "2")


@pytest.mark.parametrize(
    "content, told",
    [
        ("", "empty"),
        ("ground\n\nwater\n", "line 2 is empty"),
        ("ground\n", "names 1 classes; from 2 to 254"),
        ("".join(f"c{number}\n" for number in range(300)), "names 300 classes; from 2 to 254"),
        ("ground\ntree\nground\n", "has the name 'ground' twice"),
        ("caf\u00e9\ncafe\u0301\ntree\n", "twice"),
        ("ground\ntr\x1bee\nwater\n", "a character that cannot be printed"),
        ("ground\ntree\rwater\n", "a character that cannot be printed"),
        ("0:ground\n1:\n2:water\n", "has no name for class 1"),
        ("0:ground\n2:tree\n3:water\n", "does not number its 3 names"),
        ("ground 1 2 3\ntree\nwater 4 5 6\n", "no colour for class 1, 'tree', but for others"),
        ("ground 1 2 3\ntree 4 5 256\nwater 7 8 9\n", "numbers from 0 to 255"),
        ("ground 1 2 3\ntree 1 2 3\nwater 7 8 9\n", "the classes 0 and 1 have the same colour (1, 2, 3)"),
        (b"ground\n\xff\n", "is not text in UTF-8"),
        (b"\0" * 20, "cannot be printed"),
    ],
)
def test_hostile_classes(root, content, told):
    write_classes(root, content)
    message = refused(root)
    assert "classes.txt" in message and (told in message or told == "cannot be printed")


def test_names_that_differ_in_case_only_are_said(root):
    write_classes(root, "ground\nGround\nwater\n")
    assert "classes that differ only in case" in notes(load(root))


def colour(root, pairs, palette, suffix=".png"):
    """Makes colours of all masks."""
    for index in range(12):
        pairs.palette(pairs.mask(index), palette).convert("RGB").save(
            root / f"SegmentationClass/a_{index:02}{suffix}"
        )


def test_masks_in_vocs_colours(root, pairs):
    colour(root, pairs, None)
    splits = load(root, test_share=0)
    assert "12 masks have colours in place of numbers, such as" in notes(splits)
    assert "taken as classes by the palette of PASCAL VOC" in notes(splits)
    for index, name in enumerate(stems(splits)["train"]):
        assert np.array_equal(splits["train"].masks.read(index), pairs.mask(int(name[2:])))


def test_masks_in_colours_of_classes(root, pairs):
    palette = [10, 20, 30, 40, 50, 60, 70, 80, 90]
    colour(root, pairs, [*palette, *voc_palette()[9:]])
    assert "which stands for no class" in refused(root)
    write_classes(root, "ground 10 20 30\ntree 40 50 60\nwater 70 80 90\n")
    splits = load(root, test_share=0)
    assert "by the colours in classes.txt" in notes(splits)
    for index, name in enumerate(stems(splits)["train"]):
        assert np.array_equal(splits["train"].masks.read(index), pairs.mask(int(name[2:])))


def test_where_classes_have_colours_no_others_count(root, pairs):
    """VOC's colours counted beside those of classes.txt, and stood for classes that have others."""
    write_classes(root, "ground 0 0 0\ntree 40 50 60\nwater 70 80 90\n")
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[0, 1] = 128, 0, 0  # VOC's class 1.
    Image.fromarray(pixels).save(root / "SegmentationClass/a_00.png")
    assert "row 0, column 1 has the colour (128, 0, 0), which stands for no class" in refused(root)


def test_colours_by_the_palette_of_the_first_mask(root, pairs):
    """The palette ends at the last class, and black was taken for void."""
    palette = [0, 0, 0, 9, 9, 9, 5, 5, 5]
    mask = np.array([[0, 1, 2]], np.uint8)
    for index in range(12):
        image = pairs.palette(mask, palette)
        pairs.save(root, f"a_{index:02}", image if index == 0 else image.convert("RGB"))
    splits = load(root, test_share=0)
    assert "11 masks have colours in place of numbers" in notes(splits) and "a_00.png" in notes(splits)
    assert np.array_equal(splits["validation"].masks.read(0), mask)


# What masks hold.


def test_a_mask_of_another_size(root, pairs):
    pairs.palette(pairs.mask(0, (8, 6))).save(root / "SegmentationClass/a_00.png")
    assert "a_00.png has 6x8 pixels, and its image 8x6; replace" in refused(root)


def test_turned_images(root, pairs):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(noise).save(root / "JPEGImages/a_00.png", exif=exif)
    assert "a_00.png has 8x6 pixels, and its image 6x8, turned upright as its EXIF orientation says" in refused(
        root
    )
    pairs.palette(pairs.mask(0, (8, 6))).save(root / "SegmentationClass/a_00.png")
    whole = load_for_evaluation("voc", root)["all"]
    assert "1 image is turned upright as its EXIF orientation says, such as" in "\n".join(whole.notes)
    images, masks, sizes = whole.read_batch(np.array([0]), (None, None, 3))
    assert np.array_equal(images[0], np.rot90(noise, -1)) and np.array_equal(masks[0], pairs.mask(0, (8, 6)))


def test_values_that_are_no_classes(root, pairs):
    mask = pairs.mask(0)
    mask[4, 5] = 3
    pairs.palette(mask).save(root / "SegmentationClass/a_00.png")
    message = refused(root)
    assert "a_00.png has the value 3 at row 4, column 5" in message
    assert "the classes 0 to 2 (ground, tree, water) and 255 for none" in message


def test_binary_masks_of_0_and_255(root, pairs):
    for index in range(12):
        mask = np.where(pairs.mask(index) == 1, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(root / f"SegmentationClass/a_{index:02}.png")
    message = refused(root)
    assert "one class only (ground) and void (255); two is the least. If 255 is meant to be a class" in message
    assert "one class only (ground) and void (255)" in notes(load_for_evaluation("voc", root))


def test_masks_of_one_class(root):
    for index in range(12):
        Image.new("L", (8, 6)).save(root / f"SegmentationClass/a_{index:02}.png")
    message = refused(root)
    assert "one class only (ground); two is the least" in message and "255" not in message
    assert load_for_evaluation("voc", root)["all"].num_examples == 12


def test_masks_that_are_all_void(root):
    Image.new("L", (8, 6), 255).save(root / "SegmentationClass/a_00.png")
    assert "1 mask is all void (255), and teaches nothing, such as" in notes(load(root))
    for index in range(12):
        Image.new("L", (8, 6), 255).save(root / f"SegmentationClass/a_{index:02}.png")
    assert "all pixels of the masks are void (255)" in refused(root)


def test_masks_of_several_pictures_are_said(root, pairs):
    first, second = (pairs.palette(pairs.mask(seed)) for seed in (0, 1))
    first.save(root / "SegmentationClass/a_00.png", save_all=True, append_images=[second])
    assert "1 mask holds several pictures, such as" in notes(load(root))


def test_truncated_masks_are_counted(root):
    for index in (0, 3):
        file = root / f"SegmentationClass/a_0{index}.png"
        file.write_bytes(file.read_bytes()[:-30])
    message = refused(root)
    assert (
        message.startswith("2 images or masks cannot be used: ") and "a_00.png" in message and "a_03.png" in message
    )


def test_large_images_are_scaled_and_that_is_said(root):
    assert "12 images are scaled down so that the longer side has 5 pixels" in notes(load(root, longest_side=5))


# Classes of a run.


def test_the_classes_of_a_run_in_another_order(root, pairs):
    run = ("water", "sky", "ground", "tree")
    data = load_for_evaluation("voc", root, class_names=run)["all"]
    assert data.class_names == run
    expected = np.full(256, 255, np.uint8)
    expected[:3] = 2, 3, 0
    for index in range(12):
        assert np.array_equal(data.masks.read(index), expected[pairs.mask(index)])
    counts = load_for_evaluation("voc", root)["all"].counts
    assert data.counts.tolist() == [counts[2], 0, counts[0], counts[1]]
    with pytest.raises(DataError, match="classes that the run was not trained on, or has twice: water; see"):
        load_for_evaluation("voc", root, class_names=("ground", "tree"))


def test_without_classes_those_of_a_run_count_and_that_is_said(root):
    (root / "classes.txt").unlink()
    data = load_for_evaluation("voc", root, class_names=("a", "b", "c"))["all"]
    assert data.class_names == ("a", "b", "c")
    assert "there is no classes.txt: the classes are the run's 3, in its order" in "\n".join(data.notes)


WORDS = st.sampled_from(
    [
        "a_00",
        "a_01",
        "JPEGImages/a_00.png",
        "/SegmentationClass/a_00.png",
        "..",
        "/",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\0",
        "\ufeff",
    ]
)


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.lists(st.one_of(WORDS, st.text(max_size=5))).map("".join), st.binary(max_size=40)))
def test_any_list_gives_splits_or_a_line(tmp_path_factory, pairs, content):
    root = tmp_path_factory.getbasetemp() / "lists"
    if not root.exists():
        pairs.make(root, 3)
        pairs.write_list(root, "val", names(2))
    content = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    pairs.write_list(root, "train", content)
    try:
        splits = load(root)
    except (DataError, UsageError) as error:
        assert "\n" not in str(error)
    else:
        assert set(stems(splits)["train"]) <= set(names(0, 1, 2))


@settings(deadline=None, max_examples=80)
@given(
    st.one_of(
        st.text(max_size=40), st.binary(max_size=40), st.lists(st.from_regex("[a-c] ?[0-9 ,]*")).map("\n".join)
    )
)
def test_any_classes_give_names_or_a_line(tmp_path_factory, pairs, content):
    root = tmp_path_factory.getbasetemp() / "classes"
    if not root.exists():
        pairs.make(root, 3)
    (root / "classes.txt").write_bytes(
        content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    )
    try:
        data = load_for_evaluation("voc", root)["all"]
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert len(set(data.class_names)) == data.num_classes >= 3
