"""tf.contrib.predictor: a SavedModel or an estimator as a function of arrays by name.

Source: tensorflow/contrib/predictor of TensorFlow 1.15.
"""

from __future__ import annotations

import sys

from slimft.compat.v1 import tf

__all__ = ["Predictor", "from_contrib_estimator", "from_estimator", "from_saved_model"]

DEFAULT_TAGS = "serve"
_DEFAULT_KEY = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY


class Predictor:
    """A function of a dictionary of arrays, that returns another.

    Args:
        session: with the model restored.
        feed_tensors, fetch_tensors: what goes in and comes out, by name.
    """

    def __init__(self, session, feed_tensors: dict, fetch_tensors: dict):
        self._session = session
        self._feed_tensors, self._fetch_tensors = feed_tensors, fetch_tensors

    @property
    def graph(self):
        return self._session.graph

    @property
    def session(self):
        return self._session

    @property
    def feed_tensors(self) -> dict:
        return self._feed_tensors

    @property
    def fetch_tensors(self) -> dict:
        return self._fetch_tensors

    def __call__(self, input_dict: dict) -> dict:
        """The outputs for arrays by the names of `feed_tensors`.

        Raises:
            ValueError: there is an array of another name.
        """
        unknown = set(input_dict) - set(self._feed_tensors)
        if unknown:
            raise ValueError(f"no input {min(unknown)}; there are {', '.join(sorted(self._feed_tensors))}")
        feed = {self._feed_tensors[name]: value for name, value in input_dict.items()}
        return self._session.run(self._fetch_tensors, feed)

    def __repr__(self) -> str:
        return f"Predictor of {sorted(self._feed_tensors)} that returns {sorted(self._fetch_tensors)}"


def from_saved_model(
    export_dir,
    signature_def_key=None,
    signature_def=None,
    input_names=None,
    output_names=None,
    tags=None,
    graph=None,
    config=None,
) -> Predictor:
    """A predictor by a SavedModel in a folder.

    Args:
        export_dir: the folder.
        signature_def_key: which of its signatures; serving_default.
        signature_def: a SignatureDef instead.
        input_names, output_names: names of tensors by names instead.
        tags: those of the graph, with commas between; serve.
        graph: in which it is loaded; a new one.
        config: the session's ConfigProto.

    Raises:
        ValueError: several of these are given, or there is no such signature.
    """
    if (input_names is None) != (output_names is None):
        raise ValueError("give input_names and output_names, or neither")
    if sum(value is not None for value in (signature_def_key, signature_def, input_names)) > 1:
        raise ValueError("give one of signature_def_key, signature_def, and input_names with output_names")
    graph = graph or tf.Graph()
    with graph.as_default():
        session = tf.Session(graph=graph, config=config)
        tag_list = (tags or DEFAULT_TAGS).split(",")
        meta_graph = tf.saved_model.loader.load(session, tag_list, tf.compat.as_str_any(export_dir))
    if input_names is None:
        if signature_def is None:
            key = signature_def_key or _DEFAULT_KEY
            signatures = meta_graph.signature_def
            # As tf.contrib.learn named them.
            key = key if key in signatures else f"default_input_alternative:{key}"
            if key not in signatures:
                raise ValueError(f"{export_dir}: no signature {signature_def_key}; it has {', '.join(signatures)}")
            signature_def = signatures[key]
        input_names = {name: info.name for name, info in signature_def.inputs.items()}
        output_names = {name: info.name for name, info in signature_def.outputs.items()}
    feed = {name: graph.get_tensor_by_name(tensor) for name, tensor in input_names.items()}
    fetch = {name: graph.get_tensor_by_name(tensor) for name, tensor in output_names.items()}
    return Predictor(session, feed, fetch)


def from_estimator(estimator, serving_input_receiver_fn, output_key=None, graph=None, config=None) -> Predictor:
    """A predictor by the latest checkpoint of an estimator.

    Args:
        estimator: of tf.estimator.
        serving_input_receiver_fn: a function that returns a ServingInputReceiver.
        output_key: which of the model's export_outputs; serving_default.
        graph: in which it is built; a new one.
        config: the session's ConfigProto.

    Raises:
        ValueError: there is no such output.
    """
    graph = graph or tf.Graph()
    with graph.as_default():
        tf.train.get_or_create_global_step()
        receiver = serving_input_receiver_fn()
        spec = estimator.model_fn(receiver.features, None, tf.estimator.ModeKeys.PREDICT, estimator.config)
        outputs = spec.export_outputs or {}
        key = output_key or _DEFAULT_KEY
        if key not in outputs and not (output_key is None and len(outputs) == 1):
            raise ValueError(f"the model has no export output {key}; it has {', '.join(outputs) or 'none'}")
        output = outputs[key] if key in outputs else next(iter(outputs.values()))
        receivers = receiver.receiver_tensors
        signature = output.as_signature_def(receivers)
        session = tf.train.MonitoredSession(
            session_creator=tf.train.ChiefSessionCreator(
                scaffold=spec.scaffold,
                checkpoint_filename_with_path=estimator.latest_checkpoint(),
                config=config,
            )
        )
        fetch = {name: graph.get_tensor_by_name(info.name) for name, info in signature.outputs.items()}
    return Predictor(session, receivers, fetch)


def from_contrib_estimator(
    estimator, prediction_input_fn, input_alternative_key=None, output_alternative_key=None, graph=None, config=None
) -> Predictor:
    """`from_estimator` of one of tf.contrib.learn, whose input function returns `InputFnOps`."""

    def receiver_fn():
        return estimator.as_receiver(prediction_input_fn())

    return from_estimator(estimator, receiver_fn, output_alternative_key, graph, config)


# The class of 1.15, by the module that it was in.
SavedModelPredictor = from_saved_model
predictor = saved_model_predictor = sys.modules[__name__]
