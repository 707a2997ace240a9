"""The figures of `--list_models` beside what papers state; conformance/test_graphs.py counts them in the graph."""

import pytest

from slimft.nets import get_network


# Millions of multiply-adds and of parameters: table 6 of arXiv:1704.04861 for V1, and for the others those of
# research/slim/nets/mobilenet/README.md, whose V2 1.4 is smaller than the paper's; V3 small's are those of
# mobilenet_v3.py beside it.
@pytest.mark.parametrize(
    "name, multiply_adds, parameters",
    [
        ("mobilenet_v1", 569, 4.2),
        ("mobilenet_v1_075", 325, 2.6),
        ("mobilenet_v1_050", 149, 1.3),
        ("mobilenet_v1_025", 41, 0.5),
        ("mobilenet_v2", 300, 3.47),
        ("mobilenet_v2_140", 582, 6.06),
        ("mobilenet_v2_050", 97, 1.95),
        ("mobilenet_v2_035", 59, 1.66),
        ("mobilenet_v3_large", 217, 5.4),
        ("mobilenet_v3_large_minimalistic", 209, 3.9),
        ("mobilenet_v3_small", 56.5, 2.53),
        ("mobilenet_edgetpu", 990, 4.0),
        ("mobilenet_edgetpu_075", 624, 2.9),
    ],
)
def test_mobilenets_as_their_authors_state(name, multiply_adds, parameters):
    spec = get_network(name)
    assert spec.gflops * 1e3 / 2 == pytest.approx(multiply_adds, rel=0.01)
    assert spec.parameters / 1e6 == pytest.approx(parameters, abs=0.1)


# Billions of multiply-adds by table 1 of He et al. (arXiv:1512.03385). TF-Slim needs fewer: the last unit
# of a block has its stride, and so works on the smaller map.
@pytest.mark.parametrize("name, billions", [("resnet_v1_50", 3.8), ("resnet_v1_101", 7.6), ("resnet_v1_152", 11.3)])
def test_resnets_as_their_paper_states(name, billions):
    assert 0.9 * billions < get_network(name).gflops / 2 < billions


# Millions of parameters and of connections by table 4 of Sermanet et al. (arXiv:1312.6229), of its fast model,
# which has 96 filters in place of 64 in conv1.
def test_overfeat_as_its_paper_states():
    spec = get_network("overfeat")
    assert int(spec.parameters / 1e6) == 145
    more = 32 * (11**2 * 3 * 56**2 + 5**2 * 256 * 24**2)
    assert spec.gflops * 1e3 / 2 + more / 1e6 == pytest.approx(2810, rel=0.01)


# Millions of parameters by table 2 of Simonyan and Zisserman (arXiv:1409.1556).
@pytest.mark.parametrize("name, millions", [("vgg_a", 133), ("vgg_16", 138), ("vgg_19", 144)])
def test_vggs_as_their_paper_states(name, millions):
    assert round(get_network(name).parameters / 1e6) == millions


# Millions of multiply-adds and of parameters: tables 2 and 3 of arXiv:1707.07012 and table 3 of arXiv:1712.00559.
@pytest.mark.parametrize(
    "name, multiply_adds, parameters",
    [
        ("nasnet_mobile", 564, 5.3),
        ("nasnet_large", 23_800, 88.9),
        ("pnasnet_mobile", 588, 5.1),
        ("pnasnet_large", 25_000, 86.1),
    ],
)
def test_nasnets_as_their_papers_state(name, multiply_adds, parameters):
    spec = get_network(name)
    assert spec.gflops * 1e3 / 2 == pytest.approx(multiply_adds, rel=0.01)
    assert spec.parameters / 1e6 == pytest.approx(parameters, rel=0.01)
