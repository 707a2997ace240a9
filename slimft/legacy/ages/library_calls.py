"""Methods and calls of Python's own library that left with Python 3.9 to 3.13, for the script's own calls.

Which: "What's New in Python" 3.9, 3.11 and 3.12 (docs.python.org/3/whatsnew).
"""

from __future__ import annotations

import configparser
import functools
import random
import threading

from slimft.legacy.ages.script import Script

# Of unittest.TestCase, which tf.test.TestCase is as well.
_ASSERTIONS = {
    "assertAlmostEquals": "assertAlmostEqual", "assertEquals": "assertEqual",
    "assertItemsEqual": "assertCountEqual",
    "assertNotAlmostEquals": "assertNotAlmostEqual", "assertNotEquals": "assertNotEqual",
    "assertNotRegexpMatches": "assertNotRegex", "assertRaisesRegexp": "assertRaisesRegex",
    "assertRegexpMatches": "assertRegex", "assert_": "assertTrue", "failIf": "assertFalse",
    "failUnless": "assertTrue", "failUnlessEqual": "assertEqual",
}  # fmt: skip


def put_in(script: Script) -> None:
    """Gives the script these."""
    for name in ("randint", "randrange"):
        script.patches.set(random, name, _of_whole_floats(getattr(random, name), script))
    script.patches.set(random, "sample", _sample(random.sample, script))
    script.patches.set(random, "shuffle", _shuffle(random.shuffle, script))
    _add(script, threading.Thread, "isAlive", threading.Thread.is_alive, "is_alive")
    if not hasattr(configparser, "SafeConfigParser"):
        parsers = {"SafeConfigParser": (configparser.ConfigParser, "configparser.ConfigParser stands for it")}
        script.answer(configparser, "configparser", "python", parsers)
    _add(script, configparser.RawConfigParser, "readfp", readfp, "read_file")
    script.later["unittest"] = functools.partial(_assertions, script)


def _assertions(script, module):
    for old, new in _ASSERTIONS.items():
        _add(script, module.TestCase, old, getattr(module.TestCase, new), new)


def _add(script, kind, name, function, new):
    """Lets a class have a method that is gone, and says it when it is called."""
    if hasattr(kind, name):
        return

    @functools.wraps(function)
    def called(*arguments, **named):
        script.say("python", f"{kind.__name__}.{name}", f"{new} stands for it")
        return function(*arguments, **named)

    script.patches.set(kind, name, called)


def readfp(self, fp, filename=None):
    """`configparser.RawConfigParser.readfp`, until Python 3.12."""
    self.read_file(fp, source=filename)


def _of_whole_floats(function, script):
    @functools.wraps(function)
    def draw(*arguments, **named):
        """Draws a whole number, also between whole floats, as before Python 3.12."""
        if any(isinstance(one, float) and one.is_integer() for one in arguments) and script.is_calling():
            script.say("python", f"random.{function.__name__} of floats", "their whole numbers are taken")
            arguments = [int(one) if isinstance(one, float) and one.is_integer() else one for one in arguments]
        return function(*arguments, **named)

    return draw


def _sample(function, script):
    @functools.wraps(function)
    def sample(population, *arguments, **named):
        """Draws of a sequence, or of a set, as before Python 3.11."""
        if isinstance(population, (set, frozenset)) and script.is_calling():
            script.say("python", "random.sample of a set", "its elements are taken as they come")
            population = tuple(population)
        return function(population, *arguments, **named)

    return sample


def _shuffle(function, script):
    @functools.wraps(function)
    def shuffle(x, random=None):
        """Shuffles, also by a function of no arguments that draws from [0, 1), as before Python 3.11."""
        if random is None:
            return function(x)
        script.say("python", "random.shuffle(x, random)", "it is drawn as before Python 3.11")
        for i in reversed(range(1, len(x))):
            j = int(random() * (i + 1))
            x[i], x[j] = x[j], x[i]
        return None

    return shuffle
