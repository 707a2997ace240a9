import itertools

d = {"a": 1, "b": 2, "c": 3}
keys = d.keys()
keys.sort()
print keys, sorted(d.values())[0], d.keys() + [1] == d.keys() + [1], type(d.items()).__name__
print d.has_key("a"), d.has_key("z"), sorted(d.iteritems()), sorted(d.iterkeys()), sorted(d.itervalues())
print sorted(d.viewkeys() & {"a", "b"}), len(d.viewitems())
for key in d.keys():
    if key != "a":
        del d[key]
print d


class Table(object):
    def iteritems(self):
        return iter([("own", 1)])

    def has_key(self, key):
        return key == "own"

    def keys(self):
        return "its keys"

    def sort(self, how):
        return "sorted " + how


table = Table()
print list(table.iteritems()), table.has_key("own"), table.keys(), table.sort("so")
print range(3) + [7], map(None, [1, 2], [3]), map(lambda a, b: (a, b), [1], [2, 3]), zip([1, 2], "ab")[0]
print filter(None, [0, 1, 2]), filter(lambda c: c > "a", "abca"), filter(None, (0, 1))
print reduce(lambda a, b: a * b, [1, 2, 3]), reduce(lambda a, b: a + b, [], 5)
print sorted([3, 1, 2], lambda a, b: b - a), sorted([3, 1, 2], cmp=lambda a, b: cmp(b, a))
numbers = [5, 4, 6]
numbers.sort(lambda a, b: cmp(a, b))
print numbers
numbers.sort(reverse=True)
print numbers
numbers.sort(key=lambda a: -a, reverse=True)
print numbers
mixed = [2, None, "a", 1.5, (1,), [1], {}]
print sorted(mixed)
print None < 0, None < "a", 1 < "a", "a" < (1,), [] > 5, None >= None, 3 > None
print max(None, 3), min([None, 3]), max("a", 5), max([1, 5, 3]), min(3, 1)
print cmp(1, 2), cmp("b", "a"), cmp([1, 2], [1]), cmp(None, 0)
print 1 < 2 < 3, 1 < None < 3, 0 < 2 > 1
iterator = iter([1, 2])
print iterator.next(), next(iterator)
try:
    iterator.next()
except StopIteration:
    print "stopped"
print list(itertools.izip([1], [2])), list(itertools.imap(str, [1]))
print round(2.5), round(0.5), round(-2.5), round(2.675, 2), round(1234.5, -2), round(7), round(1e300)
print round(0.49999999999999994), round(1.005, 2), round(0.1), round(-0.4), round(99.5, -2), round(5, -1)
print sum(range(4)) / 4, apply(max, (1, 2)), apply(dict, (), {"a": 1}), intern("x")
print [i / 2 for i in range(4)], dict((k, v) for k, v in zip("ab", range(2))) == {"a": 0, "b": 1}
print len(xrange(3)), ord("a"), unichr(97), isinstance(3L, (int, long)), isinstance(u"a", basestring)


class Node(object):
    def __init__(self, next=None):
        self.next = next
        self.message = "its own"


print Node(Node()).next.next, Node().message
