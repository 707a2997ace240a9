import numpy as np


class Halves(object):
    def __init__(self, value):
        self.value = value

    def __div__(self, other):
        return "div %s" % other

    def __rdiv__(self, other):
        return "rdiv %s" % other


class InPlace:
    def __init__(self):
        self.__size = 9
        self.list = [9, 8, 7]

    def __idiv__(self, other):
        self.__size /= other
        return self

    def halve(self):
        self.__size /= 2
        return self.__size


calls = []


def index(i):
    calls.append(i)
    return i


print 7 / 2, -7 / 2, 7 / -2, 7L / 2, True / 2, 7 / 2.0, 7. / 2, 1 / 2 * 2.0, 2 ** 70 / 3
print Halves(1) / 3, 3 / Halves(1)
own = InPlace()
print own.halve()
own /= 2
print own.halve()
own.list[index(1)] /= 3
print own.list, calls
own.list[0] /= 2.0
print own.list
a = np.array([7, -7, 8])
print (a / 2).tolist(), (a / 2.0).tolist(), (a / a).tolist(), ([7, 9, 11] / np.array([2, 2, 2])).tolist()
b = a
b /= 2
print a.tolist(), b is a
f = np.array([1.0, 3.0])
g = f
f /= 2
print g.tolist()
f[1:] /= 3
print f.tolist()
m = np.arange(6).reshape(2, 3)
m[:, 1] /= 2
print m.tolist()
print (np.int64(7) / np.int64(2)), (np.uint8([200]) / np.uint8(3)).tolist(), np.float32(7) / 2
print 10 / 4 / 2.0, (10 / 4) / 2., 1e3 / 3 > 333
x = 9
x /= 2
print x, x / 1.0
try:
    print 1 / 0
except ZeroDivisionError as e:
    print "zero", type(e).__name__
print divmod(7, 2), 7 // 2, 7 % 3
