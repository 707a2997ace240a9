from __future__ import absolute_import, division, print_function

x = 3
x /= 2
print(x, 7 / 2, 7 // 2, end="!\n")
print({1: 2}.keys()[0], map(str, [1]))
print(eval("3 / 2"))
