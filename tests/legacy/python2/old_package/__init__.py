import sibling
import string
import inner.deep as deeper
from sibling import value as of_sibling
from inner import deep

shown = sibling.value / 2, of_sibling, sibling.__name__, string.value, deeper.value, deep.value
