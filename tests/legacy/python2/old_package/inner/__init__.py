import deep

value = deep.value / 2
