"""The recipes: settings that hold together, and train the part of the network that they name."""

import dataclasses

import pytest
from absl import flags

from slimft.cli.setting_flags import define_setting_flags
from slimft.errors import UsageError
from slimft.filters import VariableFilter
from slimft.nets import HEADS, get_network, network_names
from slimft.runs.settings import Settings
from slimft.training.completion import complete, notes_on
from slimft.training.recipes import RECIPES, explain, recipe_flags

FINE_TUNING = [name for name in RECIPES if name != "scratch"]


def settings_of(name, model, head="linear", **given):
    checkpoint = {} if name == "scratch" else {"checkpoint": "model.ckpt"}
    data = {"dataset": "voc"} if is_of_maps(model) else {}
    return complete(Settings(**{"model": model, "head": head, "recipe": name, **checkpoint, **data, **given}))


def is_of_maps(model):
    return get_network(model).task == "segmentation"


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("head", HEADS)
def test_settings_hold_together_for_every_network(recipe, head):
    for model in network_names():
        if is_of_maps(model) and head != "linear":
            with pytest.raises(UsageError, match=f"--head={head}: {model} has last layers of its own"):
                settings_of(recipe, model, head)
            continue
        settings = settings_of(recipe, model, head)
        assert complete(settings) == settings


def test_recipes_are_those_of_the_flag():
    (field,) = (field for field in dataclasses.fields(Settings) if field.name == "recipe")
    assert set(field.metadata["choices"]) == set(RECIPES)


def test_unknown_recipe():
    with pytest.raises(UsageError, match="--recipe=fast: there is no such recipe; choose one of features, top"):
        recipe_flags("fast", get_network("vgg_16"))


@pytest.mark.parametrize("model", network_names())
def test_what_a_recipe_starts_from(model):
    spec = get_network(model)
    for recipe in FINE_TUNING:
        assert recipe_flags(recipe, spec).get("checkpoint") == spec.official_checkpoint
        # What scores pixels starts afresh by itself.
        assert recipe_flags(recipe, spec)["exclude"] == (() if is_of_maps(model) else spec.logits_scopes)
        assert recipe_flags(recipe, spec, "bn_mlp")["exclude"] == ("head",)
    assert not {"checkpoint", "exclude", "trainable"} & recipe_flags("scratch", spec).keys()


@pytest.mark.parametrize("head", HEADS)
def test_what_a_recipe_trains(tiny, head):
    from slimft.compat import tf

    spec = get_network(tiny)
    with tf.Graph().as_default():
        spec.build(tf.zeros([1, 16, 16, 3]), 5, is_training=True, head=head)
        names = [variable.op.name for variable in tf.trainable_variables()]
    patterns = {recipe: settings_of(recipe, tiny, head).trainable for recipe in RECIPES}
    trained = {recipe: VariableFilter(include=include).select(names) for recipe, include in patterns.items()}
    of_head = [name for name in names if name.startswith("tiny/logits" if head == "linear" else "head")]
    assert trained["features"] == of_head != []
    assert trained["top"] == [name for name in names if name.startswith("tiny/conv2")] + of_head
    assert trained["all"] == trained["scratch"] == names


@pytest.mark.parametrize("model", network_names())
def test_what_trains_more_has_no_higher_a_learning_rate(model):
    features, top, everything, scratch = (settings_of(recipe, model).learning_rate for recipe in RECIPES)
    if model in ("fcn_32s", "fcn_16s", "fcn_8s"):
        assert {features, top, everything, scratch} == {0.0001}
        return
    assert features >= top >= everything
    assert scratch >= everything


def test_networks_without_batch_normalization_train_more_slowly():
    for recipe in RECIPES:
        assert settings_of(recipe, "vgg_16").learning_rate < settings_of(recipe, "resnet_v1_50").learning_rate
        for other in ("vgg_a", "alexnet_v2"):
            assert settings_of(recipe, other).learning_rate == settings_of(recipe, "vgg_16").learning_rate


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("model, head", [("inception_v3", "linear"), ("mobilenet_v1", "mlp"), ("vgg_16", "linear")])
def test_explained_flags_set_what_the_recipe_sets(recipe, model, head):
    told = recipe_flags(recipe, get_network(model), head)
    values = flags.FlagValues()
    define_setting_flags(values)
    assert values(["finetune", *explain(told)]) == ["finetune"], "all of them are flags"
    given = {name: values[name].value for name in told}
    assert {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()} == told


def test_explained_flags_are_read_by_people():
    lines = explain(recipe_flags("features", get_network("mobilenet_v1")))
    assert "--trainable=MobilenetV1/Logits" in lines
    assert "--checkpoint=mobilenet_v1_1.0_224" in lines


@pytest.mark.parametrize("recipe", FINE_TUNING)
def test_a_network_without_official_checkpoint_needs_another(recipe):
    with pytest.raises(UsageError) as caught:
        complete(Settings(model="vgg_a", recipe=recipe))
    assert str(caught.value) == (
        f"--recipe={recipe} starts from a checkpoint, and vgg_a has no official one; give a --checkpoint"
    )


def test_the_command_takes_the_recipe_for_its_head_and_given_flags_before_it():
    from slimft.cli import finetune

    values = flags.FlagValues()
    finetune.define_flags(values)
    values(["finetune", "--recipe=top", "--model=mobilenet_v1", "--head=mlp", "--learning_rate=0.25", "--exclude="])
    given = finetune.settings_from(values)
    settings = complete(given)
    assert settings.trainable == (*get_network("mobilenet_v1").top_scopes, "head")
    assert (settings.learning_rate, settings.optimizer, settings.exclude) == (0.25, "adam", ())
    assert "--optimizer=adam" in notes_on(given, settings)[-1]


@pytest.mark.parametrize("learns", [False, True])
def test_a_recipe_knows_whether_filters_that_enlarge_scores_train(learns):
    settings = complete(Settings(model="fcn_32s", dataset="voc", recipe="top", learn_upsampling=learns))
    assert ("vgg_16/up" in settings.trainable) == learns
