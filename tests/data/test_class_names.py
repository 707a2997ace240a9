"""ImageNet's classes against what is known of them, and labels.txt files."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimft import DataError
from slimft.data.class_names import imagenet_class_names, imagenet_synsets, read_labels, write_labels

NAMES = ["airplane", "10:30", "", " 3:x ", "Kätzchen 🐈", "a\x85b\u2028c"]


def test_imagenets_classes_are_in_ilsvrcs_order():
    names, synsets = imagenet_class_names(), imagenet_synsets()
    assert len(names) == len(synsets) == 1000
    # The labels of ILSVRC 2012 are the synset ids in order: sorted, each once.
    assert list(synsets) == sorted(set(synsets))
    assert all(len(synset) == 9 and synset[0] == "n" and synset[1:].isdigit() for synset in synsets)
    known = {
        0: ("n01440764", "tench"), 134: ("n02012849", "crane"), 207: ("n02099601", "golden retriever"),
        263: ("n02113023", "Pembroke"), 264: ("n02113186", "Cardigan"), 281: ("n02123045", "tabby"),
        285: ("n02124075", "Egyptian cat"), 388: ("n02510455", "giant panda"), 474: ("n02963159", "cardigan"),
        504: ("n03063599", "coffee mug"), 517: ("n03126707", "crane"), 638: ("n03710637", "maillot"),
        639: ("n03710721", "maillot"), 967: ("n07920052", "espresso"), 999: ("n15075141", "toilet tissue"),
    }  # fmt: skip
    for number, (synset, word) in known.items():
        assert (synsets[number], names[number].split(", ")[0]) == (synset, word)
    assert names[639] == "maillot, tank suit"
    assert [name for name in set(names) if names.count(name) > 1] == ["crane"]
    assert all(name == name.strip() and name.isprintable() and name for name in names)


def test_labels_are_slims_format(tmp_path):
    write_labels(tmp_path, NAMES)
    expected = "0:airplane\n1:10:30\n2:\n3: 3:x \n4:Kätzchen 🐈\n5:a\x85b\u2028c\n"
    assert (tmp_path / "labels.txt").read_bytes() == expected.encode()
    assert read_labels(tmp_path / "labels.txt") == NAMES
    assert [file.name for file in tmp_path.iterdir()] == ["labels.txt"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")), min_size=1))
def test_labels_are_read_as_they_were_written(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("labels")
    write_labels(folder, names)
    assert read_labels(folder / "labels.txt") == names


@pytest.mark.parametrize("name", ["two\nlines", "carriage\rreturn", "lone \ud800"])
def test_names_that_do_not_fit_a_line(tmp_path, name):
    with pytest.raises(DataError, match="the name of class 1, "):
        write_labels(tmp_path, ["good", name])
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text, names",
    [
        ("cat\ndog\n", ["cat", "dog"]),
        ("cat\r\ndog", ["cat", "dog"]),
        ("\ufeffcat\ndog\n\n", ["cat", "dog"]),
        ("10:30\nnoon\n", ["10:30", "noon"]),
        ("1:dog\n0:cat\n", ["cat", "dog"]),
        ("0:cat\r\n1:dog\r\n", ["cat", "dog"]),
        ("  cat \n", ["cat"]),
    ],
)
def test_labels_of_others(tmp_path, text, names):
    file = tmp_path / "names"
    file.write_bytes(text.encode())
    assert read_labels(str(file)) == names


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "line 1 is empty"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"0:cat\n2:dog\n", "does not number its 2 names 0 to 1"),
        (b"0:cat\n0:dog\n", "does not number its 2 names 0 to 1"),
        (b"1:cat\n2:dog\n", "does not number"),
        (b"cat\xff", r"not text in UTF-8 \(at byte 3\)"),
    ],
)
def test_bad_labels(tmp_path, content, reason):
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=f"^{file} .*{reason}"):
        read_labels(file)
    with pytest.raises(DataError, match="nowhere cannot be read: No such file"):
        read_labels(tmp_path / "nowhere")


def test_the_names_need_no_tensorflow(run_python):
    run_python(
        "import sys; from slimft.data.class_names import imagenet_class_names as names; "
        "from slimft.data import images; assert len(names()) == 1000 and 'tensorflow' not in sys.modules"
    )


@pytest.mark.parametrize("kind", ["directory", "FIFO", "link to nothing", "too large"])
def test_labels_that_are_no_text_file(tmp_path, kind):
    file = tmp_path / "labels.txt"
    if kind == "directory":
        file.mkdir()
    elif kind == "FIFO":
        os.mkfifo(file)
    elif kind == "link to nothing":
        file.symlink_to(tmp_path / "nowhere")
    else:
        file.write_bytes(b" " * (17 << 20))
    with pytest.raises(DataError, match="labels.txt (is no|cannot be read|is not what)"):
        read_labels(file)
