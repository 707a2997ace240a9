"""Runs an exported network on images, in a process of its own, as those who get the file would.

A script: run by its path, with a request as JSON in its only argument. It imports nothing of slimft, so that what
it finds is in the file. The request:

    {"kind": ..., "path": ..., "input": ..., "output": ...,
     "images": a .npy file, uint8 or float32 [n, height, width, channels], or a folder with 0.npy, 1.npy, ...,
     "batch": how many at a time,
     "encoded": a folder with encoded images 0, 1, ... or null, for a SavedModel,
     "raw": a folder with 0.npy, 1.npy, ... of images of other sizes, or null, for a SavedModel,
     "to": a folder for the results}

Results are images.npy (or 0.npy, 1.npy, ... of a folder), encoded.npy and raw.npy; and a line of JSON on standard
output: {"milliseconds": the median time for one image, "reader": what it was read with}.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if __name__ == "__main__":
    # Python has put this folder before all others, where onnx.py is not what `import onnx` is for.
    sys.path.pop(0)
    # TensorFlow imports it, if it is there, for two fifths of its time, and runs what is exported without it.
    sys.modules["keras"] = None
import numpy as np

# Images that are timed, and before them some that are not.
_TIMED, _WARM = 10, 2


def _saved_model(request):
    import tensorflow as tf

    loaded = tf.saved_model.load(request["path"])
    output = request["output"]

    def run(name, key):
        function = loaded.signatures[name]
        return lambda images: function(**{key: tf.constant(images)})[output].numpy()

    functions = {"images": run("uint8", "images"), "encoded": run("jpeg_bytes", "image_bytes")}
    floats = run("serving_default", "images")
    functions["raw"] = lambda images: floats(images.astype(np.float32))
    return functions, f"TensorFlow {tf.__version__}"


def _frozen_graph(request):
    import tensorflow as tf

    definition = tf.compat.v1.GraphDef()
    with open(request["path"], "rb") as stream:
        definition.ParseFromString(stream.read())
    graph = tf.Graph()
    with graph.as_default():
        tf.compat.v1.import_graph_def(definition, name="")
    session = tf.compat.v1.Session(graph=graph)
    names = f"{request['output']}:0", f"{request['input']}:0"
    return {"images": lambda images: session.run(names[0], {names[1]: images})}, f"TensorFlow {tf.__version__}"


def _tflite(request):
    try:
        from ai_edge_litert.interpreter import Interpreter

        reader = "LiteRT"
    except ImportError:
        import tensorflow as tf

        Interpreter, reader = tf.lite.Interpreter, f"TensorFlow {tf.__version__}"
    interpreter = Interpreter(model_path=request["path"], num_threads=os.cpu_count())
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()
    is_of_bytes = given["dtype"] == np.uint8
    shape = None

    def one(image):
        nonlocal shape
        if shape != image.shape:
            shape = image.shape
            if list(shape) != given["shape"].tolist():
                interpreter.resize_tensor_input(given["index"], shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], image if is_of_bytes else image.astype(np.float32))
        interpreter.invoke()
        result = interpreter.get_tensor(taken["index"])
        if result.dtype != np.uint8:
            return result
        scale, zero = taken["quantization"]
        return (result.astype(np.float32) - zero) * np.float32(scale) if scale else result

    return {"images": lambda images: np.concatenate([one(image[np.newaxis]) for image in images])}, reader


def _onnx(request):
    import onnxruntime

    session = onnxruntime.InferenceSession(request["path"], providers=["CPUExecutionProvider"])

    def run(images):
        return session.run([request["output"]], {request["input"]: images.astype(np.float32)})[0]

    return {"images": run}, f"ONNX Runtime {onnxruntime.__version__}"


_READERS = {"saved_model": _saved_model, "frozen_graph": _frozen_graph, "tflite": _tflite, "onnx": _onnx}


def _numbered(folder, suffix):
    number = 0
    while os.path.exists(path := os.path.join(folder, f"{number}{suffix}")):
        yield path
        number += 1


def _of_images(run, request):
    """Runs all images, at most so many at a time; returns some of them, for the time."""
    path, to = request["images"], request["to"]
    if os.path.isdir(path):
        images = [np.load(file) for file in _numbered(path, ".npy")]
        for number, image in enumerate(images):
            np.save(os.path.join(to, f"{number}.npy"), run(image[np.newaxis])[0])
        return [image[np.newaxis] for image in images[:1]] * (_WARM + 1)
    images, batch = np.load(path, mmap_mode="r"), request["batch"]
    parts = [run(np.array(images[start : start + batch])) for start in range(0, len(images), batch)]
    np.save(os.path.join(to, "images.npy"), np.concatenate(parts))
    return [np.array(images[index % len(images)])[np.newaxis] for index in range(_WARM + _TIMED)]


def main():
    request = json.loads(sys.argv[1])
    functions, reader = _READERS[request["kind"]](request)
    timed = _of_images(functions["images"], request)
    seconds = []
    for image in timed:
        began = time.perf_counter()
        functions["images"](image)
        seconds.append(time.perf_counter() - began)
    for name, suffix in (("encoded", ""), ("raw", ".npy")):
        if request.get(name):
            results = []
            for path in _numbered(request[name], suffix):
                if suffix:
                    one = np.load(path)[np.newaxis]
                else:
                    with open(path, "rb") as stream:
                        one = np.array([stream.read()], object)
                results.append(functions[name](one)[0])
            for number, result in enumerate(results):
                np.save(os.path.join(request["to"], f"{name}{number}.npy"), result)
    print(json.dumps({"milliseconds": 1000 * statistics.median(seconds[_WARM:]), "reader": reader}))


if __name__ == "__main__":
    main()
