"""What research/slim's `deployment` has: a model on several devices, see `model_deploy`."""
