"""What scripts expect of older libraries: it is there for them, is right, is said, and is there for nobody else."""

import collections
import inspect
import itertools
import pathlib
import pickle
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

import slimft.compat
from slimft.errors import UsageError
from slimft.legacy import ages
from slimft.legacy.ages import scipy_misc


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A function that installs what stands for old names, and imports a module of these lines."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)

    def imported(*lines, name="of_2016", **options):
        (tmp_path / f"{name}.py").write_text("\n".join(lines) + "\n")
        ages.install([str(tmp_path)], **options)
        sys.modules.pop(name, None)
        return __import__(name)

    yield imported
    ages.uninstall()
    for name in ("of_2016", "helper_of_2016"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("np.float, np.int, np.object, np.str, np.complex", (float, int, object, str, complex)),
        ("np.float_, np.unicode_, np.bool8", (np.float64, np.str_, np.bool_)),
        ("np.isnan(np.NaN), np.Inf, np.NINF", (True, np.inf, -np.inf)),
        ("np.product([2, 3]), np.alltrue([1, 0]), np.sometrue([1, 0])", (6, False, True)),
        ("np.in1d([[1, 2], [3, 4]], [2, 4]).tolist()", [False, True, False, True]),
        ("np.msort(np.array([[2, 1], [1, 2]])).tolist()", [[1, 1], [2, 2]]),
        ("np.asscalar(np.array([3])), np.rank([[1]])", (3, 2)),
        ("np.asfarray([1, 2]).dtype, np.asfarray([1, 2], np.float32).dtype", (np.float64, np.float32)),
        ("np.fromstring(b'\\x01\\x00\\x02\\x00', np.int16).tolist()", [1, 2]),
        ("np.fromstring('1 2', sep=' ').tolist()", [1.0, 2.0]),
        ("np.reshape([1, 2], newshape=(2, 1)).shape", (2, 1)),
        ("np.array(list(zip(np.zeros((3, 5)), np.zeros((3, 2))))).shape", (3, 2)),
        ("np.set_printoptions(threshold=np.nan), np.get_printoptions()['threshold']", (None, sys.maxsize)),
        ("np.histogram([1, 1, 3], 2, normed=True)[0].tolist()", [2 / 3, 1 / 3]),
        ("np.vstack(map(list, ['ab', 'cd'])).shape, np.hstack(iter([[1], [2]])).tolist()", ((2, 2), [1, 2])),
        ("np.array([1, 2], copy=False).tolist(), np.lib.pad([1], 1, 'constant').tolist()", ([1, 2], [0, 1, 0])),
        ("np.fromstring('1 2', float, -1, ' ').tolist()", [1.0, 2.0]),
        ("np.find_common_type(['f4', 'f4', 'i4'], ['c8'])", np.dtype("complex128")),
        ("np.find_common_type(['f4'], ['i8'])", np.dtype("float32")),
        ("np.cast['float32']([1]).dtype, np.issubsctype(np.zeros(2), np.floating)", (np.float32, True)),
        ("issubclass(np.VisibleDeprecationWarning, UserWarning)", True),
        ("np.alen([1, 2]), np.alen(3), np.obj2sctype('f4'), np.cfloat", (2, 1, np.float32, np.complex128)),
        (
            "np.float32 in np.sctypes['float'], np.core.umath.add is np.add, np.core.float_",
            (True, True, np.float64),
        ),
        ("np.array([3, 1, 9]).ptp(), np.arange(6).reshape(2, 3).ptp(axis=1).tolist()", (8, [2, 2])),
        ("np.array([1], '<i2').newbyteorder().tolist()", [256]),
        ("np.int16(1).tostring(), np.int16(1).newbyteorder(), np.int16(1).ptp()", (b"\x01\x00", 256, 0)),
    ],
)
def test_numpy(script, expression, expected):
    with np.printoptions():
        found = script("import numpy as np", f"found = {expression}").found
    assert found == expected or found is expected


def test_arrays_as_numbers_and_bytes(script, capsys):
    of_2016 = script(
        "import numpy as np",
        "def sample(weights):",
        "    return int(np.searchsorted(np.cumsum(weights), np.random.rand(1) * 0 + 0.5))",
        "found = sample([0.2, 0.6]), float(np.array([[2.5]])), int('7'), int(3.9), int(), int('ff', 16)",
        "data = np.array([1, 2], np.int16).tostring()",
        "class Own:",
        "    def tostring(self): return 'own'",
        "own = Own().tostring(), isinstance(3, int), (lambda int: int(2))(lambda x: x * 10)",
    )
    assert of_2016.found == (1, 2.5, 7, 3, 0, 255)
    assert of_2016.data == b"\x01\x00\x02\x00" and of_2016.own == ("own", True, 20)
    assert "int of an array of one element" in capsys.readouterr().err
    with pytest.raises(TypeError):
        script("import numpy as np", "int(np.array([1, 2]))")
    of_2016 = script(
        "import numpy as np",
        "a = np.zeros((2, 2)); a.itemset(1, 5); a.itemset((1, 0), 7); a.itemset(1, 1, 8)",
        "class Own:",
        "    ptp = 3",
        "    def itemset(self, *values, **named): return values, named",
        "own = Own().itemset(1, b=2), Own.ptp",
    )
    assert of_2016.a.tolist() == [[0, 5], [7, 8]] and of_2016.own == (((1,), {"b": 2}), 3)


def test_a_rewritten_module_keeps_its_lines(script):
    with pytest.raises(ZeroDivisionError) as caught:
        script("import numpy as np", "def f(x):", "    return float(x) / 0", "", "f(np.ones(1))")
    assert [entry.lineno + 1 for entry in caught.traceback[-2:]] == [5, 3]


def test_the_standard_library(script):
    of_2016 = script(
        "from collections import Iterable, Mapping, OrderedDict",
        "import collections, inspect, itertools, string, sys, time, urllib, fractions",
        "def f(a, b=2, *c, **d): pass",
        "spec = inspect.getargspec(f)",
        "pairs = list(itertools.izip([1], [2])), list(itertools.izip_longest([1], []))",
        "rest = string.letters[:2], string.join(['a', 'b'], '-'), fractions.gcd(4, 6), sys.maxint > 2**31",
        "clock = time.clock() <= time.clock()",
        "quoted = urllib.quote('a b'), urllib.urlencode({'a': 1})",
        "has = isinstance([], collections.Sequence)",
    )
    assert of_2016.Iterable is collections.abc.Iterable and of_2016.has and of_2016.clock
    assert tuple(of_2016.spec) == (["a", "b"], "c", "d", (2,))
    assert of_2016.pairs == ([(1, 2)], [(1, None)])
    assert of_2016.rest == ("ab", "a-b", 2, True)
    assert of_2016.quoted == ("a%20b", "a=1")


def test_builtins_of_all_the_scripts_modules(script, tmp_path, capsys):
    (tmp_path / "helper_of_2016.py").write_text("def total(xs): return reduce(lambda a, b: a + b, xs)\n")
    of_2016 = script(
        "from helper_of_2016 import total",
        "found = total(list(xrange(4))), unicode('a'), long(3), unichr(97), cmp(1, 2), isinstance('a', basestring)",
    )
    assert of_2016.found == (6, "a", 3, "a", -1, True)
    assert not hasattr(of_2016, "raw_input")
    said = capsys.readouterr().err
    assert "xrange (of_2016.py): range stands for it; --without=builtins turns this off" in said
    assert "reduce (helper_of_2016.py)" in said


def test_files_of_python_2(script, tmp_path):
    (tmp_path / "settings.txt").write_text("rate = 0.5\n")
    path = str(tmp_path / "settings.txt")
    of_2016 = script(f"execfile({path!r})", f"with file({path!r}) as opened: text = opened.read()", "apart = {}",
                     f"def f(): execfile({path!r}, apart)", "f()")  # fmt: skip
    assert of_2016.rate == of_2016.apart["rate"] == 0.5 and of_2016.text == "rate = 0.5\n"


def test_builtins_that_the_script_has_itself_are_its_own(script, capsys):
    of_2016 = script(
        "import numpy as np",
        "from functools import reduce",
        "xrange = range",
        "def total(): return np.add.reduce([1, 2]), reduce(max, xrange(3))",
        "found = total()",
    )
    assert of_2016.found == (3, 2) and capsys.readouterr().err == ""


def test_a_file_of_python_2s_string_io_takes_what_comes(script):
    of_2016 = script(
        "from StringIO import StringIO",
        "from PIL import Image",
        "image, text, empty = StringIO(), StringIO(), StringIO()",
        "Image.new('L', (2, 2)).save(image, format='png')",
        "text.write('a\\nb'); text.seek(0)",
        "found = image.getvalue()[1:4], list(text), empty.getvalue(), empty.read(), StringIO(b'ab').read(1)",
    )
    assert of_2016.found == (b"PNG", ["a\n", "b"], "", "", b"a")


def test_a_module_beside_the_script_comes_first(script, tmp_path):
    (tmp_path / "commands.py").write_text("mine = True\n")
    try:
        assert script("import commands", "found = commands.mine").found
    finally:
        sys.modules.pop("commands", None)


@pytest.mark.parametrize("how", ["PYTHONPATH", "sys.path"])
def test_folders_that_the_script_names_are_its_own(script, tmp_path_factory, monkeypatch, how):
    other = tmp_path_factory.mktemp("other")
    (other / "helper_of_2016.py").write_text("import numpy as np\nfound = np.float\n")
    if how == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(other))
        monkeypatch.syspath_prepend(other)
        lines = []
    else:
        monkeypatch.setattr(sys, "path", list(sys.path))
        lines = ["import sys", f"sys.path.insert(0, {str(other)!r})"]
    assert script(*lines, "from helper_of_2016 import found").found is float


def test_what_is_installed_is_not_the_scripts(tmp_path):
    of_2016 = ages.install([str(tmp_path), str(pathlib.Path(ages.__file__).parents[3])])
    assert of_2016.owns(str(tmp_path / "train.py"))
    assert not of_2016.owns(str(tmp_path / "venv" / "lib" / "site-packages" / "six.py"))
    assert not of_2016.owns(ages.__file__)
    ages.uninstall()


def test_modules_that_moved(script, tmp_path):
    data = b"\x80\x02U\x02\xe9aq\x00."  # Two bytes, as Python 2 pickled a str.
    (tmp_path / "old.pkl").write_bytes(data)
    of_2016 = script(
        "import Image, ImageDraw",
        "image = Image.new('L', (1, 1)).size, ImageDraw.__name__",
        "import cPickle, Queue, ConfigParser, urlparse, urllib2, StringIO, imp",
        "from cStringIO import StringIO as C",
        "text = cPickle.load(open('%s', 'rb'))" % (tmp_path / "old.pkl"),
        f"again = cPickle.loads({data!r})",
        "parser = ConfigParser.SafeConfigParser(); parser.readfp(StringIO.StringIO('[a]\\nb = 1\\n'))",
        "value = parser.getint('a', 'b')",
        "both = C(b'a').read(), StringIO.StringIO('a').read()",
        "queue = Queue.Queue(); parts = urlparse.urlparse('http://a/b').path; request = urllib2.Request",
        "made = imp.new_module('made').__name__",
    )
    assert of_2016.text == of_2016.again == "\xe9a"
    assert of_2016.both == (b"a", "a") and of_2016.parts == "/b" and of_2016.made == "made"
    assert of_2016.value == 1 and of_2016.image == ((1, 1), "PIL.ImageDraw")
    assert of_2016.cPickle.dumps is pickle.dumps


def test_pickled_arrays_only_where_they_are_allowed(script, tmp_path):
    path = str(tmp_path / "a.npy")
    np.save(path, np.array([{1: 2}], dtype=object))
    lines = ("import numpy as np", f"found = np.load({path!r})")
    with pytest.raises(ValueError, match="can run any code.*--allow_pickle"):
        script(*lines)
    assert script(*lines, allow_pickle=True).found[0] == {1: 2}
    archive = str(tmp_path / "a.npz")
    np.savez(archive, plain=[1], objects=np.array([{1: 2}], dtype=object))
    lines_of_archive = (
        "import numpy as np",
        f"data = np.load({archive!r})",
        "one = data['plain']",
        "found = data['objects']",
    )
    with pytest.raises(ValueError, match="'objects' of .*a.npz holds pickled.*--allow_pickle"):
        script(*lines_of_archive)
    assert script(*lines_of_archive, allow_pickle=True).found[0] == {1: 2}
    with pytest.raises(ValueError, match="allow_pickle=False"):
        np.load(archive)["objects"]
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(path)  # Others have to ask for themselves.


def test_yaml_and_pillow(script):
    pytest.importorskip("yaml")
    of_2016 = script(
        "import yaml",
        "from PIL import Image, ImageDraw",
        "found = yaml.load('a: [1]'), Image.ANTIALIAS",
        "width, height = ImageDraw.Draw(Image.new('L', (9, 9))).textsize('ab')",
        "try: unsafe = yaml.load('!!python/object/apply:os.getcwd []')",
        "except yaml.YAMLError: unsafe = None",
    )
    assert of_2016.found == ({"a": [1]}, Image.Resampling.LANCZOS)
    assert of_2016.width > of_2016.height > 0 and of_2016.unsafe is None


def test_scipys_names(script):
    pytest.importorskip("scipy")
    of_2016 = script(
        "import scipy, scipy.misc, scipy.signal, scipy.ndimage",
        "from scipy.misc import imread, logsumexp, comb",
        "found = scipy.interp(0.5, [0, 1], [0, 2]), comb(4, 2), scipy.signal.hann(3).tolist()",
        "from scipy.misc.pilutil import imread as third",
        "same = scipy.ndimage.imread is imread is scipy.misc.imread is third",
    )
    assert of_2016.found == (1.0, 6.0, [0.0, 1.0, 0.0]) and of_2016.same
    of_2016 = script(
        "import scipy, scipy.integrate, scipy.linalg",
        "from scipy.sparse.linalg.eigen.arpack import eigsh, ArpackNoConvergence",
        "import scipy.sparse.linalg.eigen.arpack as arpack",
        "from scipy.integrate import simps",
        "found = scipy.sqrt(4), scipy.array([1]).tolist(), simps([0, 1, 4]), scipy.linalg.pinv2([[2.0]]).tolist()",
        "largest = float(eigsh(scipy.diag([1.0, 2.0, 5.0]), 1, return_eigenvectors=False)[0])",
    )
    assert of_2016.found == (2.0, [1], pytest.approx(8 / 3), [[0.5]])
    assert of_2016.largest == pytest.approx(5) and of_2016.arpack.eigsh is of_2016.eigsh


def test_bytescale_and_images():
    np.testing.assert_array_equal(scipy_misc.bytescale([0.0, 0.5, 1.0]), [0, 128, 255])
    np.testing.assert_array_equal(scipy_misc.bytescale([-1, 3], cmin=0, cmax=2), [0, 255])
    np.testing.assert_array_equal(scipy_misc.bytescale([0, 10], high=200, low=100), [100, 200])
    np.testing.assert_array_equal(scipy_misc.bytescale([7, 7]), [0, 0])
    kept = np.array([[3, 4]], np.uint8)
    assert scipy_misc.bytescale(kept) is kept
    with pytest.raises(ValueError, match="cmax"):
        scipy_misc.bytescale([1, 2], cmin=3, cmax=1)
    with pytest.raises(ValueError, match="3 or 4 channels"):
        scipy_misc.toimage(np.zeros((2, 2, 2)))


def test_images_are_read_written_and_resized(tmp_path):
    image = np.random.RandomState(0).randint(0, 256, (6, 8, 3), np.uint8)
    path = str(tmp_path / "image.png")
    scipy_misc.imsave(path, image)
    np.testing.assert_array_equal(scipy_misc.imread(path), image)
    gray = scipy_misc.imread(path, flatten=True)
    np.testing.assert_allclose(gray, image @ [0.299, 0.587, 0.114], atol=0.51)
    assert gray.dtype == np.float32
    # Floats are stretched to 0 to 255 first, as they were.
    np.testing.assert_array_equal(scipy_misc.imresize([[0.0, 1.0]], (2, 2), "nearest"), [[0, 255], [0, 255]])
    for size, shape in ((50, (3, 4, 3)), (0.5, (3, 4, 3)), (1.5, (9, 12, 3)), ((2, 5), (2, 5, 3))):
        assert scipy_misc.imresize(image, size).shape == shape
    expected = np.array(Image.fromarray(image).resize((4, 3), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(scipy_misc.imresize(image, (3, 4), "cubic"), expected)
    np.testing.assert_array_equal(scipy_misc.imrotate(image[:6, :6], 90), np.rot90(image[:6, :6]))
    blurred = np.array(Image.fromarray(image).filter(ImageFilter.BLUR))
    np.testing.assert_array_equal(scipy_misc.imfilter(image, "blur"), blurred)
    with pytest.raises(ValueError, match="'median' is none of blur, contour"):
        scipy_misc.imfilter(image, "median")
    floats = np.array([[0.25, 7.5]], np.float32)
    np.testing.assert_array_equal(scipy_misc.imresize(floats, 100, "nearest", mode="F"), floats)
    np.testing.assert_array_equal(scipy_misc.fromimage(scipy_misc.toimage(np.moveaxis(image, 2, 0))), image)


@pytest.fixture
def tensorflow_of_then():
    slimft.compat.install()
    yield
    slimft.compat.uninstall()


@pytest.mark.parametrize(
    "lines",
    [
        "import keras; layers, backend = keras.layers, keras.backend",
        "import keras.layers as layers, keras.backend as backend",
        "import os, keras.layers, keras.backend; layers, backend = keras.layers, keras.backend",
        "import keras.layers.core as layers; from keras import backend",
        "from tensorflow.python import keras; layers = keras.layers; from tensorflow.python.keras import backend",
        "from tensorflow.contrib import keras, slim; layers, backend = keras.layers, keras.backend; slim.arg_scope",
    ],
)
@pytest.mark.parametrize("where", ["module", "function"])
def test_keras_is_keras_2(script, tensorflow_of_then, lines, where):
    keras = pytest.importorskip("tf_keras.api._v1.keras")
    found = "found = layers.Dense, backend.get_session"
    if where == "module":
        of_2016 = script(*lines.split("; "), found)
    else:
        body = [f"    {line}" for line in (*lines.split("; "), found, "return found")]
        of_2016 = script("def f():", *body, "found = f()")
    assert of_2016.found == (keras.layers.Dense, keras.backend.get_session)


def test_all_names_of_keras_are_keras_2s(script, tensorflow_of_then):
    keras = pytest.importorskip("tf_keras.api._v1.keras")
    of_2016 = script("from keras.layers.core import *", "from keras.backend.tensorflow_backend import *")
    assert of_2016.Flatten is keras.layers.Flatten and of_2016.get_session is keras.backend.get_session


def test_keras_is_left_alone(script, tensorflow_of_then, tmp_path, capsys):
    pytest.importorskip("tf_keras")
    today = __import__("keras")
    assert script("import keras", without=["keras"]).keras is today
    assert script("import keras").keras is not today
    assert "import keras (of_2016.py, line" in capsys.readouterr().err
    # What only TensorFlow's private copy has is not touched.
    from tensorflow.python.keras.layers.legacy_rnn import rnn_cell_impl

    line = "from tensorflow.python.keras.layers.legacy_rnn import rnn_cell_impl as found"
    assert script(line).found is rnn_cell_impl
    sys.modules.pop("keras")
    (tmp_path / "keras.py").write_text("own = True\n")
    try:
        assert script("import keras").keras.own
    finally:
        sys.modules["keras"] = today


def test_modules_that_were_given_are_taken_back(script):
    import scipy
    import scipy.sparse.linalg

    eigen = scipy.sparse.linalg.eigen
    before = vars(scipy).get("misc"), set(vars(eigen))
    script("import scipy.misc, scipy.sparse.linalg.eigen.arpack", "scipy.misc.imresize")
    ages.uninstall()
    assert vars(scipy).get("misc") is before[0] and set(vars(eigen)) == before[1]
    assert "scipy.sparse.linalg.eigen.arpack" not in sys.modules


def test_modules_that_left_with_python_3_12_and_3_13(script, tmp_path):
    (tmp_path / "helper_of_2016.py").write_text("import numpy as np\nfound = list(xrange(2)), int(np.zeros(1))\n")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))
    of_2016 = script(
        "import cgi, imghdr, imp, os, pipes",
        "import distutils.spawn",
        "from distutils.dir_util import copy_tree, mkpath",
        "from distutils.util import strtobool",
        "from distutils.version import LooseVersion, StrictVersion",
        "import xml.etree.cElementTree as ET",
        "here = os.path.dirname(os.path.abspath(__file__))",
        "helper = imp.load_source('loaded_of_2016', os.path.join(here, 'helper_of_2016.py'))",
        "again = imp.load_module('again_of_2016', *imp.find_module('helper_of_2016', [here]))",
        "texts = pipes.quote('a b'), cgi.escape('<\"'), cgi.escape('<\"', True), ET.fromstring('<a/>').tag",
        "newer = LooseVersion('1.10.0') > LooseVersion('1.9'), LooseVersion('1.2.0-rc1') < '1.3'",
        "strict = StrictVersion('1.0a1') < StrictVersion('1.0') < StrictVersion('1.0.1'), str(LooseVersion('1.2'))",
        "is_true = strtobool('Yes'), strtobool('off')",
        "shell = distutils.spawn.find_executable('sh')",
        "kinds = imghdr.what(os.path.join(here, 'a.png')), imghdr.what('', b'GIF89a'), imghdr.what('', b'text')",
    )
    assert of_2016.helper.found == of_2016.again.found == ([0, 1], 0)
    assert of_2016.helper is sys.modules["loaded_of_2016"]
    assert of_2016.texts == ("'a b'", '&lt;"', "&lt;&quot;", "a")
    assert of_2016.newer == (True, True) and of_2016.strict == (True, "1.2")
    assert of_2016.is_true == (1, 0) and of_2016.shell.endswith("sh")
    assert of_2016.kinds == ("png", "gif", None)
    for name in ("loaded_of_2016", "again_of_2016"):
        del sys.modules[name]


def test_calls_of_the_standard_library(script, tmp_path, capsys):
    of_2016 = script(
        "import base64, configparser, errno, locale, os, platform, random, threading, unittest",
        "alive = threading.Thread(target=print).isAlive()",
        "drawn = random.randint(3.0, 3), random.randrange(1.0), sorted(random.sample({1, 2}, 2))",
        "cards = [1, 2, 3]",
        "random.shuffle(cards, lambda: 0.0)",
        "texts = base64.encodestring(b'a'), base64.decodestring(b'YQ=='), locale.format('%d', 3)",
        "has = os.errno is errno, platform.linux_distribution()",
        "class Case(unittest.TestCase):",
        "    def runTest(self):",
        "        self.assertEquals(1, 1)",
        "        self.assertItemsEqual([1, 2], [2, 1])",
        "        self.assertRaisesRegexp(ValueError, 'invalid', int, 'x')",
        "result = Case().run()",
        "parser = configparser.SafeConfigParser()",
    )
    assert not of_2016.alive and of_2016.drawn == (3, 0, [1, 2]) and of_2016.cards == [2, 3, 1]
    assert of_2016.texts == (b"YQ==\n", b"a", "3") and of_2016.has == (True, ("", "", ""))
    assert of_2016.result.wasSuccessful() and of_2016.parser.sections() == []
    assert "Thread.isAlive (of_2016.py, line 2): is_alive stands for it" in capsys.readouterr().err
    with pytest.raises((TypeError, ValueError)):
        script("import random", "random.randint(0, 2.5)")


def test_nobody_else_sees_any_of_it(script):
    script("import numpy as np", "found = np.float")
    assert not hasattr(np, "float") and not hasattr(collections, "Iterable") and not hasattr(itertools, "izip")
    assert hasattr(inspect, "getargspec") == (sys.version_info < (3, 11))  # Python 3.10's own.
    with pytest.raises(ValueError, match="inhomogeneous"):
        np.array([[1], [1, 2]])
    with pytest.raises(ImportError):
        __import__("urllib2")


def test_each_use_is_said_once(script, capsys):
    script("import numpy as np", "a = np.float", "b = np.float")
    said = capsys.readouterr().err
    assert said.count("np.float (of_2016.py, line 2)") == said.count("np.float") == 1
    assert "--without=numpy" in said


@pytest.mark.parametrize(
    ("without", "line", "error"),
    [
        ("numpy", "import numpy; numpy.float", AttributeError),
        ("python", "from collections import Iterable", ImportError),
        ("builtins", "xrange(3)", NameError),
        ("modules", "import cPickle", ImportError),
        ("all", "import numpy; numpy.float", AttributeError),
    ],
)
def test_each_part_can_be_left_out(script, without, line, error):
    with pytest.raises(error):
        script(line, without=[without])


def test_an_unknown_part_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--without=nunpy.*numpy, python"):
        ages.install([str(tmp_path)], without=["nunpy"])


def test_uninstall_leaves_everything_as_it_was(tmp_path):
    before = {
        name: getattr(np, name) for name in ("array", "asarray", "fromstring", "load", "reshape", "__getattr__")
    }
    finders = list(sys.meta_path)
    ages.install([str(tmp_path)])
    ages.install([str(tmp_path)])
    ages.uninstall()
    ages.uninstall()
    assert all(getattr(np, name) is value for name, value in before.items())
    assert sys.meta_path == finders
    assert "__getattr__" not in vars(collections)
