"""StopIteration ends generators."""


def first(n, items):
    """Its docstring."""
    iterator = iter(items)
    for i in xrange(n):
        yield iterator.next()
    raise StopIteration
    yield None


def nested():
    def inner():
        yield 1
    try:
        for x in inner():
            yield x
    finally:
        print "finally"


class Batches(object):
    def __iter__(self):
        while True:
            yield first(2, "abc").next()
            raise StopIteration()


made = list(nested())
print made, list(first(5, [1, 2])), list(first(1, [1, 2])), list(Batches()), first.__doc__
print "a" in "abc", "z" not in "abc", "a" in ["a"], "k" in {"k": 1}
g = (x / 2 for x in range(4))
print g.next(), g.next(), list(g)


def outer():
    """Only this."""
    yield


print list(outer())


import contextlib
from contextlib import contextmanager


@contextmanager
def manager():
    yield 1


@contextlib.contextmanager
def other():
    yield 2


for made in (manager, other):
    try:
        with made() as x:
            iter([]).next()
        print "swallowed"
    except StopIteration:
        print "goes on", x


class Lines(object):
    def __init__(self, lines):
        self.lines = iter(lines)

    def __iter__(self):
        return self

    def next(self):
        return self.lines.next()


class Stripped(Lines):
    def next(self):
        return super(Stripped, self).next().strip()


class Keyed(dict):
    def keys(self):
        return sorted(super(Keyed, self).keys())


print list(Stripped([" a", "b "])), Keyed(b=1, a=2).keys()[0], map(dict.keys, [{"a": 1}])
