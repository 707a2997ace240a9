"""Every public name of the modules of research/slim and tf_slim that slimft replaces is here."""

import ast
import importlib
import pathlib

import pytest
import tf_slim

# As in github.com/tensorflow/models, research/slim/nets, of 2020, its last.
RESEARCH_SLIM = {
    "alexnet": "alexnet_v2 alexnet_v2_arg_scope trunc_normal",
    "cifarnet": "cifarnet cifarnet_arg_scope trunc_normal",
    "cyclegan": "cyclegan_arg_scope cyclegan_generator_resnet cyclegan_upsample",
    "dcgan": "discriminator generator",
    "i3d": "conv3d_spatiotemporal i3d i3d_arg_scope i3d_base trunc_normal",
    "i3d_utils": """add_arg_scope center_initializer conv3d_spatiotemporal inception_block_v1_3d layers
        reduced_kernel_size_3d""",
    "inception": """inception_resnet_v2 inception_resnet_v2_arg_scope inception_resnet_v2_base inception_v1
        inception_v1_arg_scope inception_v1_base inception_v2 inception_v2_arg_scope inception_v2_base inception_v3
        inception_v3_arg_scope inception_v3_base inception_v4 inception_v4_arg_scope inception_v4_base""",
    "inception_utils": "inception_arg_scope",
    "inception_v1": "inception_v1 inception_v1_arg_scope inception_v1_base trunc_normal",
    "inception_resnet_v2": """block17 block35 block8 inception_resnet_v2 inception_resnet_v2_arg_scope
        inception_resnet_v2_base""",
    "inception_v2": "inception_v2 inception_v2_arg_scope inception_v2_base trunc_normal",
    "inception_v4": """block_inception_a block_inception_b block_inception_c block_reduction_a block_reduction_b
        inception_v4 inception_v4_arg_scope inception_v4_base""",
    "inception_v3": """inception_v3 inception_v3_arg_scope inception_v3_base trunc_normal
        _reduced_kernel_size_for_small_input""",
    "mobilenet_v1": """Conv DepthSepConv MOBILENETV1_CONV_DEFS mobilenet_v1 mobilenet_v1_025 mobilenet_v1_050
        mobilenet_v1_075 mobilenet_v1_arg_scope mobilenet_v1_base wrapped_partial _fixed_padding
        _reduced_kernel_size_for_small_input""",
    "mobilenet.conv_blocks": """expand_input_by_factor expanded_conv split_conv split_separable_conv2d
        squeeze_excite _fixed_padding _make_divisible _split_divisible _v1_compatible_scope_naming""",
    "mobilenet.mobilenet": """NoOpScope apply_activation depth_multiplier global_pool mobilenet mobilenet_base op
        safe_arg_scope training_scope _Op _fixed_padding _make_divisible _scope_all _set_arg_scope_defaults""",
    "mobilenet.mobilenet_v3": """DEFAULTS DEFAULTS_GROUP_NORM V3_EDGETPU V3_LARGE V3_LARGE_DETECTION
        V3_LARGE_MINIMALISTIC V3_SMALL V3_SMALL_DETECTION V3_SMALL_MINIMALISTIC edge_tpu edge_tpu_075 expand_input
        hard_swish large large_minimalistic lib mbv3_fused mbv3_op mbv3_op_se mobilenet mobilenet_base op ops
        reduce_to_1x1 small small_minimalistic squeeze_excite training_scope wrapped_partial
        _reduce_consecutive_layers _se4""",
    "mobilenet_v2": """V2_DEF V2_DEF_GROUP_NORM expand_input mobilenet mobilenet_base mobilenet_base_group_norm
        lib mobilenet_v2_035 mobilenet_v2_050 mobilenet_v2_140 op ops training_scope wrapped_partial""",
    "lenet": "lenet lenet_arg_scope",
    "nasnet.nasnet": """arg_scope build_nasnet_cifar build_nasnet_large build_nasnet_mobile cifar_config
        large_imagenet_config mobile_imagenet_config nasnet_cifar_arg_scope nasnet_large_arg_scope
        nasnet_mobile_arg_scope""",
    "nasnet.nasnet_utils": """CLIP_BY_VALUE_CAP DATA_FORMAT_NCHW DATA_FORMAT_NHWC INVALID NasNetABaseCell
        NasNetANormalCell NasNetAReductionCell arg_scope calc_reduction_layers drop_path factorized_reduction
        get_channel_dim get_channel_index global_avg_pool""",
    "nasnet.pnasnet": """PNasNetNormalCell arg_scope build_pnasnet_large build_pnasnet_mobile large_imagenet_config
        mobile_imagenet_config pnasnet_large_arg_scope pnasnet_mobile_arg_scope""",
    "nets_factory": "arg_scopes_map get_network_fn networks_map",
    "overfeat": "overfeat overfeat_arg_scope trunc_normal",
    "pix2pix": """Block _default_generator_blocks pix2pix_arg_scope pix2pix_discriminator pix2pix_generator
        upsample""",
    "resnet_utils": "Block conv2d_same resnet_arg_scope stack_blocks_dense subsample",
    "resnet_v1": """NoOpScope bottleneck resnet_arg_scope resnet_v1 resnet_v1_101 resnet_v1_152 resnet_v1_200
        resnet_v1_50 resnet_v1_block""",
    "resnet_v2": """bottleneck resnet_arg_scope resnet_v2 resnet_v2_101 resnet_v2_152 resnet_v2_200 resnet_v2_50
        resnet_v2_block""",
    "s3dg": """arg_scope conv3d_spatiotemporal inception_block_v1_3d s3dg s3dg_arg_scope s3dg_base self_gating
        trunc_normal""",
    "vgg": "vgg_16 vgg_19 vgg_a vgg_arg_scope vgg_d vgg_e",
}


def names_of_tf_slim(module):
    """The public names that a module of tf_slim.nets defines; it is not imported."""
    file = pathlib.Path(tf_slim.__file__).parent / "nets" / f"{module}.py"
    names = set()
    for node in ast.parse(file.read_text()).body if file.exists() else ():
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("module", RESEARCH_SLIM)
def test_public_names(module):
    here = vars(importlib.import_module(f"slimft.nets.{module}"))
    assert {*RESEARCH_SLIM[module].split(), *names_of_tf_slim(module)} <= set(here)


def test_names_of_tf_slim_are_found():
    assert {"resnet_v1_200", "resnet_v1_50", "bottleneck"} <= names_of_tf_slim("resnet_v1")
