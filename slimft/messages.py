"""What is said to a person."""
import sys


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
