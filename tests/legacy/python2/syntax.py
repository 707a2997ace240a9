# -*- coding: utf-8 -*-
"""What Python 3 cannot read."""
import StringIO

print
print "one", 1, "two",
print 2
print ("a tuple", 3)
print ("alone")
print("x"), "after"
print ("%d" % 4) + "!"
out = StringIO.StringIO()
print >>out, "kept", 5
print >>out
print repr(out.getvalue())

try:
    raise ValueError, "wrong"
except ValueError, error:
    print "caught", error, error.message
print "still", error

try:
    raise IOError, (3, "no such")
except (IOError, OSError), (number, words):
    print number, words

try:
    try:
        1 / 0
    except ZeroDivisionError, inner:
        raise KeyError, inner
except KeyError, outer:
    print type(outer).__name__, len(outer.args)


def pair((a, b), c=0177):
    """A tuple among the parameters."""
    return a + b + c


print pair((1, 2)), pair((1, 2), 3)
print map(lambda (a, b): a * b, [(1, 2), (3, 4)])
print sorted({"b": 1, "a": 2}.items(), key=lambda (k, v): -v)
print `[1, "two"]`, 3 <> 4, 0777, 0xFFL, 10L ** 3, ur"\d\w"
print [x for x in 1, 2, 3]
exec "made = 7 / 2"
print made
space = {}
exec "y = 1; print y / 2; z = {1: 2}.keys()[0]" in space
print space["z"], sorted(name for name in space if name[0] != "_")
exec("w = 9 / 2", space)
print space["w"], eval("7 / 2"), eval("{1: 2}.values()")
print "\user \N", len("\u1234"), u"\u0041"


def generate():
    try:
        yield 1
    except ValueError, error:
        yield str(error)


made = generate()
print made.next(), made.throw(ValueError, "thrown")
assert (1, "always")
if 1:
	if 2:
	    print "tabs"
        print "are eight"
text = """a
	tab in a string"""
print repr(text)
