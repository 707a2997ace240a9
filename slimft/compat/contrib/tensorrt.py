"""tf.contrib.tensorrt, whose use is an error (TF 1.15: contrib/tensorrt/__init__.py)."""


def _gone(name):
    def use(*_, **__):
        raise NotImplementedError(
            f"no tf.contrib.tensorrt.{name}: it rewrote graphs for NVIDIA TensorRT; run the graph without it, or "
            "convert a saved model with tensorflow.experimental.tensorrt.Converter"
        )

    use.__name__ = name
    return use


create_inference_graph = _gone("create_inference_graph")
calib_graph_to_infer_graph = _gone("calib_graph_to_infer_graph")
