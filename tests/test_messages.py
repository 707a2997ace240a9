"""What is printed: nothing that steers a terminal or deceives, and never an error of its own."""

import fcntl
import io
import os
import pathlib
import struct
import subprocess
import sys
import termios
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slimft.messages import _INVISIBLE, SafeStream, one_line, printable, say
from slimft.progress_bar import ProgressBar

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Escape, carriage return and line end; C1; bidi marks; zero width; byte order mark; separators; lone surrogates;
# invisible letters and marks.
BAD = "\x1b\r\n\t\x00\x07\x7f\x85\x9b\u200e\u200f\u202a\u202e\u2066\u2069\u061c\u200b\u200d\u2060\ufeff\u2028\u2029"
BAD += "\ud800\udcff\u00ad\u3164\u115f\ufe0f\u034f\u2800\U000e0041\U000e0100\u00a0"


@given(st.text() | st.text(BAD + "aé漢🎉"))
@example("\U000e0101")
def test_nothing_deceives(text):
    shown = printable(text)
    for char in shown:
        assert char == " " or unicodedata.category(char)[0] in "LMNPS" and char not in BAD
    assert printable(shown) == shown
    if not (_INVISIBLE | set(BAD)) & set(text) and text.isprintable():
        assert shown == text


def test_escapes():
    assert printable("a\x1b[31mb\u202e\ufeff\n\ud800é漢\u3164") == r"a\x1b[31mb\u202e\ufeff\n\ud800é漢\u3164"
    assert one_line(ValueError("one\n  two\x1b")) == r"one two\x1b"


def test_say_escapes_and_a_line_is_a_line(capsys):
    say("a\r\x1b[2Kb\nc", "d")
    assert capsys.readouterr().err == "a\\r\\x1b[2Kb\\nc\nd\n"


class Failing(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")

    def flush(self):
        self.write("")


@pytest.mark.parametrize("stream", [None, Failing(), "closed"])
def test_say_and_a_bar_never_fail(monkeypatch, stream):
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    say("x")
    with ProgressBar(desc="x", total=3, mininterval=0) as bar:
        say("y")
        for _ in range(3):
            bar.update()
        bar.set_postfix_str("z")


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(kept, encoding="ascii"))
    say("é漢")
    assert kept.getvalue() == b"\\xe9\\u6f22\n"


def test_standard_output_that_fails_is_named():
    for stream in (None, Failing()):
        with pytest.raises(OSError, match="standard output"):
            SafeStream(stream, "standard output").write("x")


def test_a_bar_on_a_terminal_has_messages_above_it():
    """A terminal of its own: the bar steers it, what it is of and what is said do not."""
    code = (
        "from slimft.messages import say; from slimft.progress_bar import ProgressBar\n"
        "with ProgressBar(desc='\\x1b[31mdesc', total=2, mininterval=0, ncols=60) as bar:\n"
        "    bar.set_postfix_str('\\u202epost'); bar.update(); say('said\\x1b[2J'); bar.update()\n"
    )
    here, there = os.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=there)
    os.close(there)
    shown = b""
    while True:
        try:
            shown += os.read(here, 4096)
        except OSError:  # The process is done.
            break
    os.close(here)
    assert process.wait() == 0
    assert b"\\x1b[31mdesc" in shown and b"\\u202epost" in shown and b"\rsaid\\x1b[2J\r\n" in shown
    assert b"\x1b[31m" not in shown and b"\x1b[2J" not in shown and "\u202e".encode() not in shown
    assert b"\r" in shown.replace(b"\r\n", b"")
