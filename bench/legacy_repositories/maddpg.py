"""openai/maddpg 3ceefa0ada3ff31d633dd0bde8ff95213ce99be3

Reinforcement learning of several agents, experiments/train.py on a made-up world, and again from its checkpoint.
"""

import os
import sys
import types

import driver_stages as stages
import gym
import numpy as np
import tensorflow as tf


class MultiDiscrete:
    """What maddpg asks of multiagent's space, which is a repository of its own."""


class World:
    """Two agents that want to be where they are not."""

    n = 2
    observation_space = [gym.spaces.Box(-1, 1, (3,), np.float32)] * 2
    action_space = [gym.spaces.Discrete(4), gym.spaces.Box(-1, 1, (2,), np.float32)]

    def __init__(self, *_):
        self._random = np.random.RandomState(0)

    def reset(self):
        return [self._random.rand(3) for _ in range(2)]

    def step(self, actions):
        return self.reset(), [-float(np.sum(np.square(action))) for action in actions], [False] * 2, {"n": []}


class Scenario:
    reset_world = reward = observation = None

    def make_world(self):
        return None


for name, names in {
    "multiagent": {},
    "multiagent.environment": {"MultiAgentEnv": World},
    "multiagent.scenarios": {"load": lambda _: types.SimpleNamespace(Scenario=Scenario)},
    "multiagent.multi_discrete": {"MultiDiscrete": MultiDiscrete},
}.items():
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)
sys.modules["multiagent"].scenarios = sys.modules["multiagent.scenarios"]
sys.path.insert(0, os.getcwd())
sys.modules["pyglet"] = types.ModuleType("pyglet")
flags = (
    "--save-dir=policy/", "--plots-dir=curves/", "--exp-name=made_up", "--batch-size=8", "--num-units=4",
    "--max-episode-len=4", "--save-rate=20", "--num-episodes=120",
)  # fmt: skip
os.makedirs("curves")
stages.script("experiments/train.py", *flags)
tf.reset_default_graph()
stages.script("experiments/train.py", *flags, "--restore")
stages.reached("restored")
