"""The variable filter: which variable names a set of include and exclude patterns selects.

A pattern names a whole scope or a whole variable:

- ``vgg_16/fc8`` selects ``vgg_16/fc8/weights`` and never ``vgg_16/fc80/weights``;
- ``*`` stands for any run of characters, slashes included (``?`` for one character):
  ``vgg_16/fc*``, ``*/BatchNorm``, ``*/moving_mean``;
- ``re:`` starts a regular expression, which must match a whole scope or a whole name:
  ``re:vgg_16/conv[12]``, ``re:.*/(weights|biases)``.

Several patterns are a list, or one string with commas between them (a ``re:`` pattern that holds a
comma has to be given in a list). A pattern that selects nothing is an error: it is nearly always a
misspelling, and slim's own ``get_variables_to_restore(exclude=['fc8'])`` passes over it in silence.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from slimft.errors import PatternError

Patterns = str | Sequence[str] | None


def split_patterns(patterns: Patterns) -> tuple[str, ...]:
    """Returns `patterns` as a tuple of non-empty strings without surrounding blanks.

    Args:
        patterns: None, a string of patterns with commas between them, or a sequence of patterns.

    >>> split_patterns("vgg_16/fc7, vgg_16/fc8")
    ('vgg_16/fc7', 'vgg_16/fc8')
    >>> split_patterns("re:vgg_16/conv[1-3]{1,2}")
    ('re:vgg_16/conv[1-3]{1,2}',)
    """
    if patterns is None:
        return ()
    if isinstance(patterns, str):
        patterns = [patterns] if patterns.startswith("re:") else patterns.split(",")
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise PatternError(f"a pattern must be a string, not {pattern!r}")
    return tuple(pattern.strip() for pattern in patterns if pattern.strip())


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Returns the regular expression that fully matches each name `pattern` selects.

    Raises:
        PatternError: `pattern` is a ``re:`` form whose expression does not compile.
    """
    if pattern.startswith("re:"):
        expression = pattern[len("re:") :]
    else:
        scope = pattern.removesuffix(":0").rstrip("/")
        expression = re.escape(scope).replace(r"\*", ".*").replace(r"\?", ".")
    try:
        # Whatever follows the scope has to start with a slash: this is what keeps fc8 from fc80.
        return re.compile(f"(?:{expression})(?:/.*)?", re.DOTALL)
    except re.error as error:
        raise PatternError(f"pattern {pattern!r} is not a regular expression: {error}") from None


def scopes_of(names: Iterable[str]) -> list[str]:
    """Returns every scope and name in `names`, each once, in order of first appearance.

    >>> scopes_of(["a/b/w", "a/c/w"])
    ['a', 'a/b', 'a/b/w', 'a/c', 'a/c/w']
    """
    scopes: dict[str, None] = {}
    for name in names:
        parts = name.split("/")
        for depth in range(1, len(parts) + 1):
            scopes["/".join(parts[:depth])] = None
    return list(scopes)


def suggest_scope(pattern: str, names: Iterable[str]) -> str | None:
    """Returns the scope or name of `names` that was probably meant by `pattern`, or None.

    >>> suggest_scope("fc8", ["vgg_16/fc7/weights", "vgg_16/fc8/weights"])
    'vgg_16/fc8'
    """
    scopes = scopes_of(names)
    wanted = pattern.removeprefix("re:").strip("/*")
    by_tail = [scope for scope in scopes if scope.endswith("/" + wanted)]
    if by_tail:
        return min(by_tail, key=len)
    close = difflib.get_close_matches(wanted, scopes, n=1, cutoff=0.6)
    if close:
        return close[0]
    # A misspelt last part ("vgg16/fc8", "logit"): compare that alone.
    tails: dict[str, str] = {}
    for scope in scopes:
        tails.setdefault(scope.rsplit("/", 1)[-1], scope)
    close = difflib.get_close_matches(wanted.rsplit("/", 1)[-1], tails, n=1, cutoff=0.6)
    return tails[close[0]] if close else None


class VariableFilter:
    """Selects names: those some include pattern selects and no exclude pattern does.

    Args:
        include: patterns of what to select; None or empty selects everything.
        exclude: patterns of what to leave out; it wins over `include`.
        include_flag, exclude_flag: the flag or argument by which the patterns were given, as errors name it.

    Raises:
        PatternError: a pattern is not a string or not a valid regular expression.

    >>> names = ["vgg_16/fc7/weights", "vgg_16/fc8/weights", "vgg_16/fc80/weights"]
    >>> VariableFilter(exclude="vgg_16/fc8").select(names)
    ['vgg_16/fc7/weights', 'vgg_16/fc80/weights']
    >>> VariableFilter(include="fc8").select(names)
    Traceback (most recent call last):
    slimft.errors.PatternError: --include=fc8 matches no variable; did you mean vgg_16/fc8?
    """

    def __init__(
        self,
        include: Patterns = None,
        exclude: Patterns = None,
        *,
        include_flag: str = "--include",
        exclude_flag: str = "--exclude",
    ):
        self.include = split_patterns(include)
        self.exclude = split_patterns(exclude)
        self._include_flag, self._exclude_flag = include_flag, exclude_flag
        self._include = [compile_pattern(pattern) for pattern in self.include]
        self._exclude = [compile_pattern(pattern) for pattern in self.exclude]

    def __repr__(self) -> str:
        return f"VariableFilter(include={list(self.include)}, exclude={list(self.exclude)})"

    def selects(self, name: str) -> bool:
        """Whether `name` is selected; unlike `select` it cannot tell whether a pattern is idle."""
        if self._include and not any(regex.fullmatch(name) for regex in self._include):
            return False
        return not any(regex.fullmatch(name) for regex in self._exclude)

    def select(self, names: Iterable[str], of: str = "variable") -> list[str]:
        """Returns the selected names, in their given order.

        Args:
            names: the names to select from.
            of: what they are the names of, in the singular, for the error.

        Raises:
            PatternError: some pattern matches none of `names`; the message suggests a scope.
        """
        names = list(names)
        for flag, patterns, regexes in (
            (self._include_flag, self.include, self._include),
            (self._exclude_flag, self.exclude, self._exclude),
        ):
            for pattern, regex in zip(patterns, regexes):
                if not any(regex.fullmatch(name) for name in names):
                    raise PatternError(_matches_nothing(flag, pattern, names, of))
        return [name for name in names if self.selects(name)]


def _matches_nothing(flag: str, pattern: str, names: Sequence[str], of: str) -> str:
    message = f"{flag}={pattern} matches no {of}"
    suggestion = suggest_scope(pattern, names)
    if suggestion:
        return f"{message}; did you mean {suggestion}?"
    tops = list(dict.fromkeys(name.split("/", 1)[0] for name in names))
    return f"{message}; the top scopes are: {', '.join(tops[:8]) or '(there are no variables)'}"
