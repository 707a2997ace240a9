"""bin/export: each format against bin/predict, read by what others read it with; and what goes wrong."""

import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft import Classifier, get_network, network_names, write_checkpoint
from slimft.cli import export, predict
from slimft.compat import tf
from slimft.data.images import central_square, read_image, read_square
from slimft.export import consumer
from slimft.export.formats import FORMATS
from slimft.files import sha256_of
from slimft.nets.fully_connected import as_convolutions
from slimft.session import initialize

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIZE = 64


def call(*arguments):
    return export.main(["export", *map(str, arguments)])


def rejects(capsys, arguments, *words, status=2):
    """The command exits with a status, prints nothing, and says `words` in its last line."""
    assert call(*arguments) == status
    captured = capsys.readouterr()
    last = captured.err.rstrip("\n").splitlines()[-1]
    assert captured.out == "" and last.startswith("export: ")
    for word in words:
        assert word in last


@pytest.fixture(scope="module")
def photos(pictures):
    """Some files of the pictures, and what bin/predict's classifier sees of them."""
    files = sorted(map(str, pictures.rglob("*.*")))[::5]
    return files, np.stack([read_square(file, SIZE) for file in files])


@pytest.fixture(scope="module")
def predicted(run_dir, photos):
    """The probabilities that bin/predict finds for `photos`, by class."""
    files, _ = photos
    with Classifier(train_dir=run_dir) as classifier:
        found = [dict(top) for _, top in classifier.classify_files(files)]
    return np.array([[one[label] for label in range(3)] for one in found])


def test_a_saved_model_in_tensorflow_2(exported, photos, predicted, run_dir, run_python):
    """In a process that knows nothing of slimft: files, bytes and floats all give what bin/predict gives."""
    code = """
import json, sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
assert tf.executing_eagerly()
files = json.loads(sys.argv[2])
encoded = loaded.signatures["jpeg_bytes"](image_bytes=tf.constant([open(file, "rb").read() for file in files]))
pixels = [np.asarray(__import__("PIL.Image").Image.open(file).convert("RGB")) for file in files]
floats = [loaded.signatures["serving_default"](images=tf.constant(one[None], tf.float32)) for one in pixels]
octets = [loaded.signatures["uint8"](images=tf.constant(one[None])) for one in pixels]
features = loaded.signatures["features"](images=tf.constant(pixels[0][None], tf.float32))["features"]
logits = encoded["logits"].numpy()
print(json.dumps({
    "encoded": encoded["probabilities"].numpy().tolist(),
    "floats": [one["probabilities"].numpy()[0].tolist() for one in floats],
    "octets": [one["probabilities"].numpy()[0].tolist() for one in octets],
    "names": [[name.decode() for name in row] for row in encoded["top_names"].numpy()],
    "features": features.shape.as_list(),
    "softmax": tf.nn.softmax(logits).numpy().tolist(),
}))
"""
    files, _ = photos
    told = json.loads(run_python(code, str(exported.folder / "saved_model"), json.dumps(files)))
    for way in ("encoded", "softmax"):
        np.testing.assert_allclose(told[way], predicted, atol=1e-5)
    # Of pixels, bin/predict's square is that of a file that was not decoded at a fraction of its size.
    with Classifier(train_dir=run_dir) as classifier:
        squares = [np.rint(central_square(read_image(file), SIZE, 1.0)) for file in files]
        expected = [[dict(top)[label] for label in range(3)] for top in classifier.classify(np.stack(squares))]
    for way in ("floats", "octets"):
        np.testing.assert_allclose(told[way], expected, atol=1e-5)
    names = exported.card["classes"]
    assert [row[0] for row in told["names"]] == [names[label] for label in predicted.argmax(axis=1)]
    assert told["features"] == [1, 256]


def test_a_saved_model_in_tensorflow_1(exported, photos, predicted):
    files, _ = photos
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.load(session, ["serve"], str(exported.folder / "saved_model"))
        signature = loaded.signature_def["jpeg_bytes"]
        feeds = {signature.inputs["image_bytes"].name: [pathlib.Path(file).read_bytes() for file in files]}
        found = session.run(signature.outputs["probabilities"].name, feeds)
    np.testing.assert_allclose(found, predicted, atol=1e-5)


def test_a_frozen_graph_has_slims_nodes_and_opencv_reads_it(exported, photos, predicted):
    file = exported.folder / "frozen_graph.pb"
    definition = tf.GraphDef.FromString(file.read_bytes())
    nodes = {node.name: node for node in definition.node}
    assert nodes["input"].op == "Placeholder"
    assert {"MobilenetV1/Logits/SpatialSqueeze", "MobilenetV1/Predictions/Reshape_1"} <= set(nodes)
    assert not any("Variable" in node.op or node.op == "VarHandleOp" for node in definition.node)
    # Attributes that TensorFlow 1 does not know are not told where they have their default.
    depthwise = [node for node in definition.node if node.op == "DepthwiseConv2dNative"]
    assert depthwise and all("explicit_paddings" not in node.attr for node in depthwise)
    cv2 = pytest.importorskip("cv2")
    _, squares = photos
    blob = exported.card["preprocessing"]["blob"]
    net = cv2.dnn.readNetFromTensorflow(str(file))
    images = cv2.dnn.blobFromImages(list(squares[..., ::-1]), blob["scale"], mean=blob["mean"], swapRB=True)
    net.setInput(images)
    found = net.forward("MobilenetV1/Predictions/Reshape_1")
    np.testing.assert_allclose(found.reshape(predicted.shape), predicted, atol=1e-4)


def test_an_onnx_file_in_onnx_runtime(exported, photos, predicted):
    onnxruntime = pytest.importorskip("onnxruntime")
    _, squares = photos
    session = onnxruntime.InferenceSession(str(exported.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"images": squares.astype(np.float32)})
    np.testing.assert_allclose(found, predicted, atol=1e-4)


def run_tflite(interpreter, image):
    """The one output of one image."""
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["name"] == "images" and given["shape"].tolist() == list(image.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(taken["index"])


def test_tflite_files_take_pictures_and_know_their_labels(exported, photos, predicted):
    _, squares = photos
    for name, bound in (("model", 1e-4), ("model_float16", 0.05)):
        path = exported.folder / f"{name}.tflite"
        with zipfile.ZipFile(path) as archive:  # As apps look for them.
            assert archive.read("labels.txt").decode().splitlines() == exported.card["classes"]
        interpreter = tf.lite.Interpreter(model_path=str(path))
        found = [run_tflite(interpreter, square[np.newaxis].astype(np.float32))[0] for square in squares]
        np.testing.assert_allclose(found, predicted, atol=bound)
    interpreter = tf.lite.Interpreter(model_path=str(exported.folder / "model_int8.tflite"))
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["dtype"] == taken["dtype"] == np.uint8
    assert {one["dtype"] for one in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}


def test_the_metadata_are_a_flatbuffer_that_the_file_names(exported):
    """What apps look for; TensorFlow Lite Support's reader was tried by hand, as it is not to be had everywhere."""
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf((exported.folder / "model.tflite").read_bytes(), 0)
    (entry,) = [one for one in model.metadata if one.name == b"TFLITE_METADATA"]
    data = bytes(model.buffers[entry.buffer].data)
    assert data[4:8] == b"M001"
    for text in (b"mobilenet_v1_025", b"labels.txt", b"the probability of each class"):
        assert text in data


def test_the_card(exported, run_dir):
    folder, card = exported
    assert json.loads((folder / "model_card.json").read_text()) == {key: card[key] for key in card if key != "out"}
    assert (folder / "labels.txt").read_text().splitlines() == card["classes"]
    assert card["network"] == "mobilenet_v1_025" and card["image_size"] == SIZE
    assert card["run"]["metrics"] == {
        name: json.loads((run_dir / "result.json").read_text())["result"][name] for name in card["run"]["metrics"]
    }
    for one in card["checkpoint"]["files"]:
        assert sha256_of(run_dir / one["file"]) == one["sha256"]
    for one in card["formats"]:
        path = folder / one["file"]
        assert one["sha256"] == (sha256_of(path) if path.is_file() else None)
        check = one["check"]
        assert check["images"] == 7 and check["origin"] == "7 test images"
        assert 0 <= check["accuracy"] <= 1 and check["milliseconds"] > 0
        if one["bound"] if "bound" in one else check["bound"]:
            assert check["largest"] <= check["bound"]
    readme = (folder / "README.md").read_text()
    assert "a cat, dog" in readme and "MobilenetV1/Predictions/Reshape_1" in readme


def test_predict_says_the_same(exported, photos, capsys, run_dir):
    """Of a file, bin/predict prints what the card's network says."""
    files, _ = photos
    assert predict.main(["predict", f"--train_dir={run_dir}", "--json", files[0]]) == 0
    printed = json.loads(capsys.readouterr().out)["predictions"]
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.load(session, ["serve"], str(exported.folder / "saved_model"))
        signature = loaded.signature_def["jpeg_bytes"]
        names = {name: signature.outputs[name].name for name in ("top_classes", "top_probabilities")}
        feeds = {signature.inputs["image_bytes"].name: [pathlib.Path(files[0]).read_bytes()]}
        found = session.run(names, feeds)
    assert found["top_classes"][0].tolist() == [one["class"] for one in printed]
    np.testing.assert_allclose(found["top_probabilities"][0], [one["probability"] for one in printed], atol=1e-5)


def test_folded_batch_norm(run_dir, tmp_path, capsys, read_here):
    flags = [f"--train_dir={run_dir}", "--format=frozen_graph", "--fold_batch_norm", "--checked_images=3"]
    assert call(*flags, tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "27 of 27 layers of batch normalization are folded" in captured.err
    assert "3 of 7 test images, drawn with seed 0" in captured.err
    definition = tf.GraphDef.FromString((tmp_path / "out" / "frozen_graph.pb").read_bytes())
    assert not any(node.op.startswith("FusedBatchNorm") for node in definition.node)


def make_checkpoint(path, model, num_classes, size=32):
    """A checkpoint with random weights."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        spec = get_network(model)
        spec.build(tf.zeros([1, size, size, spec.channels]), num_classes, is_training=False)
        initialize(session, tf.global_variables())
        write_checkpoint(path, {variable.op.name: session.run(variable) for variable in tf.global_variables()})
    return path


def test_a_segmentation_gives_masks_of_the_images_size(tiny, tmp_path, capsys, read_here):
    checkpoint = make_checkpoint(tmp_path / "fcn.ckpt", "tiny_fcn", 3)
    out = tmp_path / "out"
    formats = "saved_model,frozen_graph,tflite"
    assert call("--model=tiny_fcn", f"--checkpoint={checkpoint}", f"--format={formats}", out) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["task"] == "segmentation" and card["image_size"] is None
    assert all(one["check"]["agreement"] > 0.99 for one in card["formats"])
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 55, 3), np.uint8)).save(stream, "PNG")
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.load(session, ["serve"], str(out / "saved_model"))
        assert set(loaded.signature_def) == {"serving_default", "uint8", "jpeg_bytes"}
        signature = loaded.signature_def["jpeg_bytes"]
        names = signature.outputs["classes"].name, signature.inputs["image_bytes"].name
        mask = session.run(names[0], {names[1]: [stream.getvalue()]})
        assert mask.shape == (1, 40, 55) and mask.dtype == np.uint8
        with pytest.raises(tf.errors.InvalidArgumentError, match="one image at a time"):
            session.run(names[0], {names[1]: [stream.getvalue()] * 2})


def test_without_a_run_it_is_tried_with_what_there_is(tmp_path, capsys, pictures, read_here):
    checkpoint = make_checkpoint(tmp_path / "lenet.ckpt", "mobilenet_v1_025", 4)
    flags = ["--model=mobilenet_v1_025", f"--checkpoint={checkpoint}", "--image_size=32", "--format=frozen_graph"]
    assert call(*flags, tmp_path / "drawn") == 0
    captured = capsys.readouterr()
    assert "tried with drawn pictures (give --images" in captured.err
    card = json.loads(captured.out)
    assert card["run"] is None and card["classes"] is None
    assert card["formats"][0]["check"]["accuracy"] is None
    assert (tmp_path / "drawn" / "labels.txt").read_text().splitlines() == ["0", "1", "2", "3"]
    assert call(*flags, f"--images={pictures}", "--checked_images=5", tmp_path / "real") == 0
    assert "tried with 5 of 42 images, drawn with seed 0" in capsys.readouterr().err


def test_images_that_cannot_be_read_are_passed_over(run_dir, tmp_path, capsys, pictures, read_here):
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copy(next(pictures.rglob("*.jpg")), folder / "good.jpg")
    (folder / "broken.jpg").write_bytes(b"no image")
    flags = [f"--train_dir={run_dir}", "--format=frozen_graph", f"--images={folder}"]
    assert call(*flags, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert re.search(r"passed over: .*broken\.jpg", said) and "tried with 1 of 2 images" in said
    (folder / "good.jpg").unlink()
    rejects(capsys, [*flags, tmp_path / "other"], "none of 1 images can be read")


def test_what_does_not_say_what_the_session_says_is_not_kept(run_dir, tmp_path, capsys, monkeypatch, read_here):
    """A frozen graph that was made of other weights."""
    from slimft.export import frozen_graph

    convert = tf.graph_util.convert_variables_to_constants

    def changed(*arguments):
        definition = convert(*arguments)
        (weights,) = [node for node in definition.node if node.name == "MobilenetV1/Logits/Conv2d_1c_1x1/biases"]
        values = tf.make_ndarray(weights.attr["value"].tensor) + np.float32([0, 0.02, 0])
        weights.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values))
        return definition

    monkeypatch.setattr(frozen_graph.tf.graph_util, "convert_variables_to_constants", changed)
    out = tmp_path / "out"
    rejects(
        capsys,
        [f"--train_dir={run_dir}", "--format=frozen_graph", out],
        "frozen_graph does not say what the session says of 7 test images",
        "(bound 0.001)",
        status=1,
    )
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_run_is_not_kept(run_dir, tmp_path, capsys, monkeypatch):
    from slimft.export import frozen_graph

    monkeypatch.setattr(frozen_graph, "leave_out_later_defaults", lambda definition: tf.GraphDef())
    arguments = [f"--train_dir={run_dir}", "--format=frozen_graph", tmp_path / "out"]
    rejects(capsys, arguments, "frozen_graph was written, but cannot be run", status=1)
    assert os.listdir(tmp_path) == []


def test_bad_input_is_one_line(run_dir, tmp_path, capsys):
    run, out = f"--train_dir={run_dir}", tmp_path / "out"
    rejects(capsys, [run, "--format=saved_modle", out], "no such format; did you mean saved_model?")
    rejects(capsys, [run, "--format=", out], "--format= is empty")
    rejects(capsys, [run], "give one OUT")
    rejects(capsys, [run, out, "another"], "give one OUT")
    rejects(capsys, [out], "is missing")
    rejects(capsys, [run, "--fold_batch_norm", out], "--fold_batch_norm is for --format=frozen_graph")
    rejects(capsys, [run, tmp_path / "no" / "out"], "there is no folder")
    rejects(capsys, [run, "gs://bucket/out"], "gs://")
    rejects(capsys, [run, ""], "OUT is empty")
    rejects(capsys, [run, tmp_path / ("x" * 300)], "File name too long")
    rejects(capsys, [run, f"{tmp_path}/a\0b"], "null")
    rejects(capsys, [run, f"--images={tmp_path / 'none'}", out], "is no folder")
    rejects(capsys, [run, f"--images={tmp_path}", out], "holds no images")
    rejects(capsys, [run, f"--data_dir={tmp_path}", out], str(tmp_path))
    rejects(capsys, [run, "--checked_images=0", out], "checked_images")
    out.mkdir()
    (out / "mine").write_text("kept")
    rejects(capsys, [run, out], "is there already")
    rejects(capsys, [run, out / "mine"], "is there already")
    assert (out / "mine").read_text() == "kept" and os.listdir(tmp_path) == ["out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(run_dir, tmp_path, capsys):
    tmp_path.chmod(0o500)
    rejects(capsys, [f"--train_dir={run_dir}", tmp_path / "out"], "cannot be written to")


def test_an_empty_folder_may_be_there(run_dir, tmp_path, capsys, read_here):
    out = tmp_path / "out"
    out.mkdir()
    assert call(f"--train_dir={run_dir}", "--format=frozen_graph", "--checked_images=2", out) == 0
    assert {"frozen_graph.pb", "labels.txt", "model_card.json", "README.md"} == set(os.listdir(out))


def test_int8_needs_images(tmp_path, capsys):
    checkpoint = make_checkpoint(tmp_path / "net.ckpt", "mobilenet_v1_025", 4)
    flags = ["--model=mobilenet_v1_025", f"--checkpoint={checkpoint}", "--image_size=32", "--format=tflite_int8"]
    rejects(capsys, [*flags, tmp_path / "out"], "--format=tflite_int8 needs images", "--images")


def test_a_checkpoint_of_other_classes(tmp_path, capsys):
    checkpoint = make_checkpoint(tmp_path / "net.ckpt", "mobilenet_v1_025", 4)
    labels = tmp_path / "labels.txt"
    labels.write_text("one\ntwo\n")
    flags = ["--model=mobilenet_v1_025", f"--checkpoint={checkpoint}", f"--labels={labels}", tmp_path / "out"]
    rejects(capsys, flags, "2 names", "4 classes")


def test_an_unfinished_run(run_dir, tmp_path, capsys, read_here):
    folder = tmp_path / "run"
    shutil.copytree(run_dir, folder)
    (folder / "result.json").unlink()
    rejects(capsys, [f"--train_dir={folder}", tmp_path / "out"], "is not finished", "--checkpoint=")
    flags = [f"--train_dir={folder}", f"--checkpoint={folder}", "--format=frozen_graph", "--checked_images=2"]
    assert call(*flags, tmp_path / "out") == 0
    card = json.loads(capsys.readouterr().out)
    assert card["run"]["metrics"] is None


def test_data_that_is_gone_is_said(run_dir, pictures, tmp_path, capsys, read_here):
    folder = tmp_path / "run"
    shutil.copytree(run_dir, folder)
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "data_dir": str(tmp_path / "gone")}))
    flags = [f"--train_dir={folder}", "--format=frozen_graph", "--checked_images=2"]
    assert call(*flags, tmp_path / "out") == 0
    assert "the run's data cannot be read, so the files are tried with drawn pictures" in capsys.readouterr().err
    rejects(capsys, [*flags[:1], "--format=tflite_int8", tmp_path / "other"], "needs images")
    assert call(*flags, f"--data_dir={pictures}", tmp_path / "found") == 0
    assert "2 of 7 test images" in capsys.readouterr().err


def test_data_that_has_changed_is_said(run_dir, pictures, tmp_path, capsys, read_here):
    """As bin/evaluate says it; the run has another name for its data, which is where it was."""
    data, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(pictures, data)
    shutil.copytree(run_dir, folder)
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "data_dir": str(data)}))
    added = next(data.rglob("1.jpg"))
    Image.fromarray(np.zeros([40, 40, 3], np.uint8)).save(added.with_name("added.jpg"))
    assert call(f"--train_dir={folder}", "--format=frozen_graph", "--checked_images=2", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "since the run trained, its data has changed" in said and "split test" in said


def test_a_half_precision_run_is_exported_in_float32_and_that_is_said(run_dir, tmp_path, capsys, read_here):
    folder = tmp_path / "run"
    shutil.copytree(run_dir, folder)
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**settings, "precision": "bfloat16"}))
    assert call(f"--train_dir={folder}", "--format=frozen_graph", "--checked_images=4", tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert re.search(
        r"the session's accuracy is [\d.]+ in float32, and [\d.]+ in bfloat16, as the run computes", said
    )


def test_the_library_does_what_the_command_does(run_dir, tmp_path, read_here):
    card = slimft.export(tmp_path / "out", "frozen_graph", train_dir=run_dir, checked_images=2)
    assert json.loads((tmp_path / "out" / "model_card.json").read_text())["formats"] == card["formats"]
    with pytest.raises(slimft.UsageError, match="is there already"):
        slimft.export(tmp_path / "out", train_dir=run_dir)


def test_a_killed_export_leaves_nothing_for_the_next(run_dir, tmp_path, read_here):
    """Whatever is under OUT's name is whole."""
    command = [sys.executable, ROOT / "bin" / "export", f"--train_dir={run_dir}", "--format=saved_model"]
    with subprocess.Popen([*command, tmp_path / "out"], stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("tried with"):
                break
        process.kill()
    assert not (tmp_path / "out").exists()
    assert len(os.listdir(tmp_path)) == 1  # Which the next writer in this place clears away.
    assert call(f"--train_dir={run_dir}", "--format=frozen_graph", "--checked_images=2", tmp_path / "out") == 0
    assert os.listdir(tmp_path) == ["out"]


def test_the_consumer_is_a_script_without_slimft():
    text = pathlib.Path(consumer.__file__).read_text()
    assert "import slimft" not in text and "from slimft" not in text


def test_every_format_is_documented():
    text = (ROOT / "docs" / "export.md").read_text()
    assert all(f"`{name}`" in text for name in FORMATS)


def test_vgg_has_slims_convolutions():
    """fc6 and fc7, which the session computes as matrix products, are what slim's graph has."""
    with tf.Graph().as_default() as graph, as_convolutions():
        images = tf.placeholder(tf.float32, [None, 224, 224, 3], "input")
        get_network("vgg_16").build(images, 10, is_training=False)
        ops = {op.name: op.type for op in graph.get_operations()}
    for layer in ("fc6", "fc7", "fc8"):
        assert ops[f"vgg_16/{layer}/Conv2D"] == "Conv2D"
    assert ops["vgg_16/fc8/squeezed"] == "Squeeze"


@pytest.mark.slow
@pytest.mark.parametrize("name", network_names())
def test_every_network(name, tmp_path, capsys):
    """Some 40 minutes. With weights of such a size that the classes differ."""
    spec = get_network(name)
    size = spec.default_image_size if spec.task == "classification" else 64
    num_classes = 21 if spec.task == "segmentation" else spec.num_imagenet_classes
    checkpoint = make_checkpoint(tmp_path / "net.ckpt", name, num_classes, size)
    formats = "saved_model,frozen_graph,tflite"
    assert call(f"--model={name}", f"--checkpoint={checkpoint}", f"--format={formats}", tmp_path / "out") == 0
    capsys.readouterr()
