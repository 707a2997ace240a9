import os.path, sys

value = 5 if os.path and sys else 0
