"""The variable filter, against plain string arithmetic and slim's own function."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimft import PatternError, VariableFilter
from slimft.filters import compile_pattern, scopes_of, split_patterns, suggest_scope

NAMES = [
    "vgg_16/conv1/conv1_1/weights",
    "vgg_16/conv1/conv1_1/biases",
    "vgg_16/conv1/conv1_2/weights",
    "vgg_16/fc8/weights",
    "vgg_16/fc8/biases",
    "vgg_16/fc80/weights",
    "resnet_v1_50/block1/unit_1/bottleneck_v1/conv1/BatchNorm/moving_mean",
    "resnet_v1_50/block1/unit_1/bottleneck_v1/conv1/weights",
    "global_step",
]

parts = st.text(st.sampled_from("ab8_."), min_size=1, max_size=3)
names = st.lists(parts, min_size=1, max_size=4).map("/".join)


def select(include=None, exclude=None):
    return VariableFilter(include, exclude).select(NAMES)


def test_without_patterns_everything_is_selected():
    assert select() == NAMES
    assert select("", []) == NAMES


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("vgg_16/fc8", NAMES[3:5]),
        ("vgg_16/fc8/", NAMES[3:5]),
        ("vgg_16/fc8/weights", NAMES[3:4]),
        ("vgg_16/fc8/weights:0", NAMES[3:4]),
        ("vgg_16", NAMES[:6]),
        ("global_step", NAMES[8:]),
        ("vgg_16/fc*", NAMES[3:6]),
        ("vgg_16/fc?", NAMES[3:5]),
        ("*/conv1", [*NAMES[:3], *NAMES[6:8]]),
        ("*/BatchNorm", NAMES[6:7]),
        ("*/weights", [NAMES[0], NAMES[2], NAMES[3], NAMES[5], NAMES[7]]),
        ("*/moving_*", NAMES[6:7]),
        ("re:vgg_16/fc[78]", NAMES[3:5]),
        ("re:.*/(weights|biases)", [*NAMES[:6], NAMES[7]]),
        ("re:.*BatchNorm", NAMES[6:7]),
        (["re:vgg_16/fc8{1,2}", "global_step"], [*NAMES[3:5], NAMES[8]]),
        ("vgg_16/fc8, global_step", [*NAMES[3:5], NAMES[8]]),
    ],
)
def test_pattern_forms(pattern, selected):
    assert select(include=pattern) == selected
    assert select(exclude=pattern) == [name for name in NAMES if name not in selected]


def test_exclude_wins_over_include():
    assert select(include="vgg_16", exclude="vgg_16/conv1,vgg_16/fc80") == NAMES[3:5]


def test_patterns_are_literal_but_for_their_wildcards():
    assert VariableFilter("a.b").select(["a.b/c", "axb/c"]) == ["a.b/c"]


@pytest.mark.parametrize(
    ("pattern", "suggestion"),
    [
        ("fc8", "vgg_16/fc8"),
        ("vgg16/fc8", "vgg_16/fc8"),
        ("vgg_16/fc9", "vgg_16/fc8"),
        ("conv1_1/weights", "vgg_16/conv1/conv1_1/weights"),
        ("*/fcc8*", "vgg_16/fc8"),
    ],
)
@pytest.mark.parametrize("side", ["include", "exclude"])
def test_a_pattern_that_selects_nothing_is_an_error_with_a_suggestion(side, pattern, suggestion):
    with pytest.raises(PatternError, match=f"{side}={re.escape(pattern)} matches no variable.*{suggestion}"):
        VariableFilter(**{side: pattern}).select(NAMES)


def test_every_pattern_has_to_select_something():
    with pytest.raises(PatternError, match="fc9"):
        select(exclude="vgg_16/fc8,vgg_16/fc9")


def test_the_error_without_any_likeness_lists_the_top_scopes():
    with pytest.raises(PatternError, match="top scopes are: vgg_16, resnet_v1_50, global_step"):
        select(include="qqq")
    with pytest.raises(PatternError, match="there are no variables"):
        VariableFilter("a").select([])


@pytest.mark.parametrize(("side", "flag"), [("include", "--trainable"), ("exclude", "--freeze")])
def test_the_error_names_the_flag_that_gave_the_pattern_and_what_it_selects_from(side, flag):
    chosen = VariableFilter(**{side: "vgg_16/fc9"}, include_flag="--trainable", exclude_flag="--freeze")
    message = f"{flag}=vgg_16/fc9 matches no variable that is trained; did you mean vgg_16/fc8?"
    with pytest.raises(PatternError, match=f"^{re.escape(message)}$"):
        chosen.select(NAMES, of="variable that is trained")


def test_bad_patterns():
    with pytest.raises(PatternError, match="regular expression"):
        VariableFilter("re:(")
    with pytest.raises(PatternError, match="string"):
        VariableFilter([3])


def test_slim_passes_over_what_this_refuses():
    """The trap: slim's exclude=['fc8'] excludes nothing, exclude=['vgg_16/fc8'] excludes too much."""
    from slimft.compat import slim, tf

    with tf.Graph().as_default():
        for name in NAMES[3:6]:
            tf.get_variable(name, [1])
        slims = [v.op.name for v in slim.get_variables_to_restore(exclude=["fc8"])]
        assert slims == NAMES[3:6]
        slims = [v.op.name for v in slim.get_variables_to_restore(exclude=["vgg_16/fc8"])]
        assert slims == []
    assert VariableFilter(exclude="vgg_16/fc8").select(NAMES[3:6]) == NAMES[5:6]


@given(st.lists(names, max_size=8), names)
def test_a_plain_pattern_is_a_prefix_of_whole_parts(candidates, pattern):
    want = [n for n in candidates if n.split("/")[: len(pattern.split("/"))] == pattern.split("/")]
    if want:
        assert VariableFilter(pattern).select(candidates) == want
    elif candidates:
        with pytest.raises(PatternError):
            VariableFilter(pattern).select(candidates)


@given(st.lists(names, min_size=1, max_size=8, unique=True), st.data())
def test_include_and_exclude_split_the_names(candidates, data):
    pattern = data.draw(st.sampled_from(scopes_of(candidates)))
    kept = VariableFilter(include=pattern).select(candidates)
    left = VariableFilter(exclude=pattern).select(candidates)
    assert sorted(kept + left) == sorted(candidates)
    assert kept


@given(st.text(max_size=12), st.lists(names, max_size=5))
def test_any_text_selects_names_or_is_a_pattern_error(text, candidates):
    try:
        selected = VariableFilter(text).select(candidates)
    except PatternError as error:
        assert str(error)
    else:
        assert set(selected) <= set(candidates)


@given(names, st.lists(names, min_size=1, max_size=6))
def test_a_suggestion_selects_something(pattern, candidates):
    suggestion = suggest_scope(pattern, candidates)
    if suggestion is not None:
        assert VariableFilter(suggestion).select(candidates)


@given(st.lists(st.text(st.sampled_from("ab /*"), max_size=4)))
def test_splitting_a_joined_list_gives_the_list(patterns):
    assert split_patterns(",".join(patterns)) == split_patterns(patterns)


def test_patterns_compile_once_and_match_names_with_newlines():
    assert compile_pattern("a*").fullmatch("a\nb/c")
