"""What the server answers to good requests, and to those that make a mistake."""

import concurrent.futures
import json
import math
import signal
import time

import pytest

RED, GREEN = (255, 0, 0), (0, 255, 0)


def likeliest(result):
    return result["predictions"][0]["name"]


def test_the_three_ways_to_send_images_have_the_same_answers(start, kit):
    client = start()
    red, green = kit.picture(RED), kit.picture(GREEN, kind="JPEG")
    status, by_form = client.classify(*kit.files(red, green))
    assert status == 200 and [likeliest(one) for one in by_form["results"]] == ["red", "green"]
    assert client.classify(*kit.in_json(red, green)) == (200, by_form)
    one_by_one = [client.classify(image, {"Content-Type": "image/whatever"}) for image in (red, green)]
    assert [status for status, _ in one_by_one] == [200, 200]
    assert [answer["results"][0] for _, answer in one_by_one] == by_form["results"]
    first = by_form["results"][0]["predictions"]
    assert [one["class"] for one in first] == [0, 1, 2] and set(first[0]) == {"class", "name", "probability"}
    assert sum(one["probability"] for one in first) == pytest.approx(1)


def test_how_many_classes_are_told(start, kit):
    client = start(top=2)
    red = kit.picture()

    def told(body, headers, query=""):
        status, answer = client.classify(body, headers, query)
        assert status == 200
        return len(answer["results"][0]["predictions"])

    assert told(*kit.files(red)) == 2
    assert told(*kit.files(red), "?top=1") == 1
    assert told(*kit.files(red), "?top=999999999") == 3
    assert told(*kit.in_json(red, top=1)) == 1
    with_field = kit.form(('name="top"', b"3"), ('name="a"; filename="a.png"', red))
    assert told(*with_field) == 3
    assert told(*with_field, "?top=1") == 1  # What the address says comes first.


@pytest.mark.parametrize("top", ["nan", "NaN", "0", "-1", "1.5", "", "1e2", "٣", "9" * 5000, "inf", "1 "])
def test_a_top_that_is_no_number_of_classes(start, kit, top):
    client = start()
    from urllib.parse import quote

    red = kit.picture()
    status, answer = client.classify(red, query=f"?top={quote(top)}")
    assert status == 400 and "top" in answer["error"]
    body, headers = kit.form(('name="top"', top.encode()), ('name="a"; filename="a"', red))
    assert client.classify(body, headers)[0] == 400


@pytest.mark.parametrize("top", ["NaN", "Infinity", "-1", "0", "1.0", "true", '"3"', "[1]", "9" * 5000])
def test_a_top_in_json_that_is_no_number_of_classes(start, kit, top):
    client = start()
    body, headers = kit.in_json(kit.picture())
    body = body[:-1] + f', "top": {top}}}'.encode()
    assert client.classify(body, headers)[0] == 400


def test_an_image_that_cannot_be_read_has_an_error_in_its_place(start, kit):
    client = start()
    red = kit.picture(size=(200, 200))
    status, answer = client.classify(*kit.files(red, b"no image", red[: len(red) // 2], b"", red))
    assert status == 200
    first, text, cut, empty, last = answer["results"]
    assert likeliest(first) == likeliest(last) == "red"
    assert "is no image" in text["error"] and "cannot be read" in cut["error"] and "is empty" in empty["error"]
    assert all(set(one) == {"error"} for one in (text, cut, empty))
    status, answer = client.classify(b"no image")
    assert status == 422 and "is no image" in answer["results"][0]["error"]
    assert client.metrics()["slimft_images_total", "unreadable"] == 4


@pytest.mark.parametrize(
    ("content_type", "body", "status", "word"),
    [
        ("text/plain", b"x", 415, "multipart/form-data"),
        ("application/x-www-form-urlencoded", b"x", 415, "image/..."),
        ("", b"x", 415, "images"),
        ("image/png", b"", 400, "no image"),
        ("multipart/form-data", b"x", 400, "boundary"),
        ("multipart/form-data; boundary=x", b"", 400, "damaged"),
        ("multipart/form-data; boundary=x", b"what", 400, "damaged"),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 400, "no image"),
        ("multipart/form-data; boundary=x", b"--x\r\nA: b\r\n\r\n123", 400, "cut off"),
        ("multipart/form-data; boundary=" + "x" * 900, b"--x--\r\n", 400, "damaged"),
        ("application/json", b"", 400, "no JSON"),
        ("application/json", b"[]", 400, "images"),
        ("application/json", b"3", 400, "images"),
        ("application/json", b'{"images": "abc"}', 400, "images"),
        ("application/json", b'{"images": []}', 400, "no image"),
        ("application/json", b'{"images": [], "labels": 1}', 400, "images"),
        ("application/json", b'{"images": [null]}', 400, "images[0]"),
        ("application/json", b'{"images": ["AAAA", "AAA"]}', 400, "images[1]"),
        ("application/json", b'{"images": ["AA\\nAA"]}', 400, "images[0]"),
        ("application/json", b'{"images": ["\\u00e9AAA"]}', 400, "images[0]"),
        ("application/json", '{"images": ["é"]}'.encode(), 400, "ASCII"),
        ("application/json", b'{"images": NaN}', 400, "no JSON"),
        ("application/json", b"\xff\xfe{\x00}\x00", 400, "no JSON"),
    ],
)
def test_a_request_that_makes_no_sense(start, content_type, body, status, word):
    client = start()
    found, answer = client.classify(body, {"Content-Type": content_type})
    assert found == status and word in answer["error"] and "\n" not in answer["error"]


def test_a_field_that_nobody_asked_for(start, kit):
    client = start()
    body, headers = kit.form(('name="crop"', b"0.5"), ('name="a"; filename="a"', kit.picture()))
    assert client.classify(body, headers)[0] == 400
    # What a browser sends of a field in which no file was chosen.
    body, headers = kit.form(('name="b"; filename=""', b""), ('name="a"; filename="a"', kit.picture()))
    status, answer = client.classify(body, headers)
    assert status == 200 and len(answer["results"]) == 1


def test_health_tells_what_is_served(start):
    health = start().get("/health")
    assert health == {
        "status": "ok",
        "network": "colours",
        "name": "run-7",
        "classes": 3,
        "image_size": 8,
        "max_upload_bytes": 20 << 20,
        "max_images": 32,
    }


def test_other_paths_and_methods(start):
    client = start()
    for method, path, status in (
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/health/", 404),
        ("GET", "/classify", 405),
        ("POST", "/", 405),
        ("DELETE", "/health", 405),
        ("OPTIONS", "/classify", 405),
    ):
        found, headers, body = client.ask(method, path)
        assert found == status and "error" in json.loads(body)
        assert not [name for name in headers if name.lower().startswith("access-control")]
    assert client.ask("HEAD", "/health")[0] == 200


def test_metrics_count_requests_images_and_batches(start, kit):
    client = start(batch_wait=0.2)
    client.classify(*kit.files(*[kit.picture()] * 3))
    client.ask("GET", f"/{'x' * 50}")
    found = client.metrics()
    assert found["slimft_requests_total", "/classify", "200"] == 1
    assert found["slimft_requests_total", "other", "404"] == 1
    assert found["slimft_images_total", "classified"] == 3
    assert found["slimft_batch_images_sum",] == 3 and found["slimft_batch_images_count",] == 1
    assert found["slimft_images_waiting",] == 0 and found["slimft_held_bytes",] == 0
    assert found["process_resident_memory_bytes",] > 1e6


def test_requests_that_come_together_are_classified_together(start, kit):
    colours = kit.Colours()
    client = start(colours, batch_size=4, batch_wait=0)
    colours.go.clear()
    with concurrent.futures.ThreadPoolExecutor(9) as threads:
        first = threads.submit(client.classify, *kit.files(kit.picture(RED)))
        assert colours.began.wait(60)
        # While the network has one, the next ones gather, and health answers.
        others = [threads.submit(client.classify, kit.picture(GREEN)) for _ in range(7)]
        while client.metrics()["slimft_images_waiting",] < 8:
            time.sleep(0.01)
        assert client.get("/health")["status"] == "ok" and not any(one.done() for one in (first, *others))
        colours.go.set()
        assert likeliest(first.result()[1]["results"][0]) == "red"
        assert {likeliest(one.result()[1]["results"][0]) for one in others} == {"green"}
    assert colours.batches[0] == 1 and sum(colours.batches) == 8 and max(colours.batches) == 4


def test_a_batch_is_not_larger_than_asked_and_keeps_the_order(start, kit):
    colours = kit.Colours()
    client = start(colours, batch_size=3, batch_wait=0.5)
    images = [kit.picture(RED if number % 3 else GREEN) for number in range(20)]
    status, answer = client.classify(*kit.files(*images))
    assert [likeliest(one) for one in answer["results"]] == ["red" if n % 3 else "green" for n in range(20)]
    assert max(colours.batches) <= 3 and sum(colours.batches) == 20
    assert len(colours.batches) >= math.ceil(20 / 3)


def test_a_network_that_fails_fails_its_batch_alone(start, kit, capsys):
    colours = kit.Colours()
    client = start(colours)
    colours.fault = RuntimeError("out of\nluck")
    status, answer = client.classify(kit.picture())
    assert status == 500 and "luck" not in json.dumps(answer)
    assert client.classify(kit.picture())[0] == 200
    client.stop()
    assert capsys.readouterr().err == "serve: RuntimeError: out of luck\n"


def test_what_is_in_flight_is_answered_before_the_end(start, kit):
    colours = kit.Colours()
    client = start(colours)
    colours.go.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.classify, kit.picture())
        assert colours.began.wait(60)
        client.server.handle_exit(signal.SIGTERM, None)
        with pytest.raises(OSError):  # Nobody new is let in.
            while True:
                client.get("/health")
                time.sleep(0.01)
        assert not asked.done()
        colours.go.set()
        assert asked.result()[0] == 200
    client.stop()
    assert client.server.received == signal.SIGTERM
