import old_package
from old_package import inner

print old_package.shown, inner.value, inner.__name__, inner.deep.value
