# -*- coding: latin-1 -*-
import json
import os
import pickle
import cPickle
import csv
import string
import sys
import tempfile
import types

reload(sys)
sys.setdefaultencoding("utf-8")
print "".join(sorted(string.letters))[:3], string.join(["a", "b"], "-"), string.upper("x"), string.split("a b"), string.atoi("12")
print string.replace("aXa", "X", "-"), "abc".translate(None, "b"), "hello".translate(string.maketrans("el", "ip"))
print "abc".encode("hex"), "616263".decode("hex"), "abc".encode("base64").strip(), "YWJj".decode("base64")
print "abc".decode("utf-8"), u"abc".encode("utf-8"), "%s and %s" % (u"abc".encode("utf-8"), "b"), "uryyb".encode("rot13")
print "a,b".encode("utf-8").split(","), "a" + u"b".encode("utf-8") + "\n".encode("ascii").strip(), u"x".encode("utf8") == "x"
print "-".join([u"a".encode("utf-8"), "b"]), "abc".encode("utf-8").startswith("a"), unicode("abc", "utf-8")
print str(u"abc".encode("utf-8")), isinstance("a", types.StringType), type(3) is types.IntType
print len("caf\xe9"), "tab\\n".decode("string_escape") == "tab\n"
folder = tempfile.mkdtemp()
path = os.path.join(folder, "file")
with open(path, "wb") as f:
    f.write("line one\nline two\r\n\xff\n".encode("latin-1") if sys.version_info[0] > 2 else "line one\nline two\r\n\xff\n")
f = open(path)
print f.next().strip(), f.next().strip()
f.close()
print [line.strip() for line in open(path, "rU")][:2]
print [len(line) for line in file(path)]
pickle.dump({"a": [1, 2.5]}, open(path, "w"))
print pickle.load(open(path)), cPickle.load(open(path)), cPickle.load(open(path, "rb"))
cPickle.dump([1], open(path, "w"), -1)
print pickle.load(open(path, "r")), pickle.loads(pickle.dumps("x"))
json.dump({"k": 1}, open(path, "wb"))
print json.load(open(path))["k"], open(path, "rb").read().find("k")
with open(path, "w") as f:
    f.write(u"caf\u00e9".encode("utf-8") + "\n")
    f.write("plain".encode("utf-8"))
    print >>f, "printed",
print open(path).read().decode("utf-8").split(u"\n")[1]
with open(path, "wb") as f:
    writer = csv.writer(f)
    writer.writerow(["a", 1])
    print >>f, "more,2"
print list(csv.reader(open(path, "rb"))), [row["a"] for row in csv.DictReader(open(path, "rb"))]
import re
print re.split("(\\W+)?", "a cat sat."), re.split("x*", "axbc"), re.split(",", "a,b,c", 1), re.split("(,)", "a,b,c", maxsplit=1)
print sys.maxint > 2 ** 31 - 2, os.getcwdu() == os.getcwd()
execfile(os.path.join(os.path.dirname(os.path.abspath(__file__)), "true_division.py"))
