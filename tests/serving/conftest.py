"""A server in a thread, of a classifier that tests can hold up, and a client that sends any bytes."""

import base64
import contextlib
import http.client
import io
import json
import socket
import threading
import types
import uuid

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="needs pip install 'slimft[serve]'")

from slimft.data.class_names import ClassNames  # noqa: E402
from slimft.serving.app import Application  # noqa: E402
from slimft.serving.guard import trusted_hosts  # noqa: E402
from slimft.serving.server import Server, bind  # noqa: E402
from slimft.serving.uploads import Limits  # noqa: E402

COLOURS = ("red", "green", "blue")


class Colours:
    """Stands for a network: how much of an image is red, green and blue.

    Attributes:
        go: while it is not set, a batch waits.
        batches: how many images each batch had.
        began: is set when a batch has begun.
        fault: what the next batch raises.
    """

    network, name, image_size, grey_bits = "colours", "run-7", 8, None
    classes = ClassNames(3, COLOURS)

    def __init__(self):
        self.go, self.began, self.batches, self.fault = threading.Event(), threading.Event(), [], None
        self.go.set()

    def probabilities(self, squares):
        assert squares.dtype == np.uint8 and squares.shape[1:] == (8, 8, 3)
        self.began.set()
        assert self.go.wait(60)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        self.batches.append(len(squares))
        sums = squares.sum(axis=(1, 2), dtype=np.float32) + 1
        return (sums / sums.sum(1, keepdims=True)).astype(np.float32)

    def close(self):
        pass


def picture(colour=(255, 0, 0), size=(20, 20), kind="PNG"):
    """An encoded image of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, kind)
    return stream.getvalue()


def form(*parts, boundary=None):
    """A body and its headers: of each part its head's Content-Disposition and what is in it."""
    boundary = boundary or uuid.uuid4().hex
    pieces = [
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    ]
    body = b"".join(pieces) + f"--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def files(*images):
    """A form of images."""
    return form(*((f'name="images"; filename="{number}.png"', image) for number, image in enumerate(images)))


def in_json(*images, **more):
    """JSON of images."""
    coded = [base64.b64encode(image).decode() for image in images]
    return json.dumps({"images": coded, **more}).encode(), {"Content-Type": "application/json"}


class Client:
    """Speaks to a server at a port of this machine."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def get(self, path):
        """The JSON at a path."""
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def classify(self, body=b"", headers=None, query=""):
        """Status and JSON of POST /classify."""
        status, _, answer = self.ask("POST", f"/classify{query}", body, headers or {"Content-Type": "image/png"})
        return status, json.loads(answer)

    def metrics(self):
        """Figure by name and labels, as Prometheus' own parser reads them."""
        from prometheus_client.parser import text_string_to_metric_families

        _, _, body = self.ask("GET", "/metrics")
        samples = [one for family in text_string_to_metric_families(body.decode()) for one in family.samples]
        return {(one.name, *one.labels.values()): one.value for one in samples}

    def connect(self):
        """A socket to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)


@pytest.fixture
def start():
    """Starts a server; its arguments are those of `Application` and `Limits`."""
    with contextlib.ExitStack() as stack:

        def begin(served=None, limits=None, hosts=None, **options):
            bound = bind("127.0.0.1", 0)
            port = bound.getsockname()[1]
            hosts = hosts or trusted_hosts("127.0.0.1")
            application = Application(served or Colours(), limits or Limits(), hosts, **options)
            started = threading.Event()
            server = Server(application.asgi, started.set)
            thread = threading.Thread(target=server.serve_at, args=[bound])
            thread.start()

            def stop():
                server.should_exit = True
                thread.join(60)
                assert not thread.is_alive()

            stack.callback(stop)
            assert started.wait(60)
            client = Client(port)
            client.stop, client.server, client.application = stop, server, application
            return client

        yield begin


@pytest.fixture(scope="session")
def kit():
    """What tests make requests with: `picture`, `form`, `files`, `in_json`; and the class `Colours`."""
    return types.SimpleNamespace(picture=picture, form=form, files=files, in_json=in_json, Colours=Colours)
