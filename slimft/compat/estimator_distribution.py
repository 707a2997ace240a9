"""What tensorflow-estimator takes from tensorflow.python.distribute.estimator_training, which is gone.

Distribution strategies on this machine are left as they are; those across machines ran by a coordinator that has
left with TensorFlow 2.16.
Clusters without a strategy, of TF_CONFIG alone, are the package's own and need nothing of this.
"""

from slimft.errors import UsageError


def init_run_config(config, tf_config: dict) -> None:
    """Sets what a RunConfig with a distribution strategy needs.

    Raises:
        UsageError: the strategy would be one across machines.
    """
    experimental = config._experimental_distribute
    for name in ("train_distribute", "eval_distribute"):
        strategy = getattr(experimental, name, None)
        if strategy is not None:
            if getattr(config, f"_{name}") is not None:
                raise ValueError(f"both {name} and experimental_distribute.{name} are given; give one of them")
            setattr(config, f"_{name}", strategy)
    if getattr(experimental, "remote_cluster", None) or (tf_config.get("cluster") and config._train_distribute):
        raise UsageError(
            "a distribution strategy across the machines of TF_CONFIG or of remote_cluster: its coordinator left "
            "with TensorFlow 2.16; train on this machine (unset TF_CONFIG), or without a strategy"
        )
    config._distribute_coordinator_mode = None
    config._init_distributed_setting_from_environment_var(tf_config)
    config._maybe_overwrite_session_config_for_distributed_training()


def should_run_distribute_coordinator(config) -> bool:
    """False: there is no coordinator."""
    return False
