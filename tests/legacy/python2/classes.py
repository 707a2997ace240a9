class Counter:
    """An old-style class that counts."""

    def __init__(self, most):
        self.most, self.at = most, 0

    def __iter__(self):
        return self

    def next(self):
        if self.at == self.most:
            raise StopIteration
        self.at += 1
        return self.at

    def __nonzero__(self):
        return self.at > 0


class Further(Counter):
    def next(self):
        return Counter.next(self) * 10


counter = Counter(3)
print bool(counter), counter.next(), list(counter), bool(counter), "yes" if counter else "no"
print list(Further(2))


class Version(object):
    def __init__(self, *parts):
        self.parts = parts

    def __cmp__(self, other):
        return cmp(self.parts, other.parts)

    def __unicode__(self):
        return u"version %s" % (".".join(map(str, self.parts)))


print Version(1, 2) < Version(1, 10), Version(1) == Version(1), Version(2) >= Version(3), Version(1) != Version(2)
print [v.parts for v in sorted([Version(3), Version(1), Version(2)])], max(Version(1), Version(4)).parts
print unicode(Version(1, 2)), cmp(Version(2), Version(1))
print len({Version(1): 1, Version(2): 2})


class Equal(object):
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value


one = Equal(1)
print one == Equal(1), {one: "found"}[one], one != one


class Registered(type):
    names = []

    def __new__(meta, name, bases, members):
        meta.names.append(name)
        return type.__new__(meta, name, bases, members)


class Base(object):
    __metaclass__ = Registered


class Derived(Base):
    pass


print Registered.names, type(Derived).__name__


class Sliced(object):
    def __len__(self):
        return 10

    def __getslice__(self, begin, end):
        return begin, min(end, 99)

    def __getitem__(self, at):
        return "item %s" % at


s = Sliced()
print s[1:3], s[:2], s[2:], s[-3:-1], s[5]


def function(a, b=2):
    pass


print function.func_name, function.func_defaults, function.func_code.co_argcount
print Counter(1).next.im_self.most, Counter(1).next.im_func.func_name
try:
    raise ValueError("a", "b")
except ValueError, e:
    print repr(e.message), e.args
