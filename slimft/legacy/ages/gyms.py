"""How OpenAI's gym was called until 0.25: `reset` gave an observation, `step` four things, `seed` was a method.

Source of what it was: gym 0.9 to 0.21 (github.com/openai/gym). With gym 0.26, or gymnasium where there is no gym.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect

from slimft.legacy.ages.script import Script


def put_in(script: Script) -> None:
    """Gives the script the old calls, when it imports gym."""
    script.later["gym"] = lambda module: _change(module, script)
    if importlib.util.find_spec("gym") is None and importlib.util.find_spec("gymnasium") is not None:
        script.later["gymnasium"] = lambda module: _change(module, script)
        script.modules["gym"] = (lambda: importlib.import_module("gymnasium"), "gymnasium stands for it")


def _change(module, script):
    class Old(module.Wrapper):
        """An environment with the calls of then."""

        _next_seed: int | None = None

        def reset(self, **named):
            """The first observation."""
            if self._next_seed is not None:
                named["seed"], self._next_seed = self._next_seed, None
            found = self.env.reset(**named)
            return found[0] if isinstance(found, tuple) and len(found) == 2 else found

        def step(self, action):
            """Observation, reward, whether the episode has ended, and more."""
            found = self.env.step(action)
            if len(found) == 5:
                observation, reward, terminated, truncated, info = found
                if truncated and not terminated:
                    info = {**info, "TimeLimit.truncated": True}
                return observation, reward, bool(terminated or truncated), info
            return found

        def seed(self, seed=None):
            """Sets the seed of the next reset."""
            self._next_seed = seed
            self.action_space.seed(seed)
            return [seed]

        def render(self, mode="human", close=False, **named):
            """What the environment draws, or None where it draws nothing."""
            return self.env.render() if self.env.render_mode else None

        def __getattr__(self, name):
            """What the environment itself has, as `spec`, `_max_episode_steps` and physical constants."""
            if name.startswith("__"):
                raise AttributeError(name)
            environment = self.__dict__["env"]
            while True:
                if name in vars(environment) or hasattr(type(environment), name):
                    return getattr(environment, name)
                inner = vars(environment).get("env")
                if inner is None:
                    raise AttributeError(f"the environment has no {name}")
                environment = inner

    make = module.make

    @functools.wraps(make)
    def make_old(id, *arguments, **named):
        """gym.make, with the calls of then for the script, and today's version of what is gone."""
        if not script.is_calling():
            return make(id, *arguments, **named)
        place = script.place()
        environment = _made(make, module, id, script, arguments, named)
        script.say("gym", "gym.make", "its environment has the calls of before gym 0.26: reset() gives an "
                   "observation, step() four things, seed()", place)  # fmt: skip
        return Old(environment)

    script.patches.set(module, "make", make_old)


def _made(make, module, name, script, arguments, named):
    """The environment of that name, or of its newest version where its own is gone."""
    if "disable_env_checker" in inspect.signature(make).parameters:
        named.setdefault("disable_env_checker", True)  # It uses what NumPy 2 has no more.
    try:
        return make(name, *arguments, **named)
    except module.error.DeprecatedEnv:
        base = name.rpartition("-v")[0]
        registry = module.envs.registry
        versions = sorted(int(key.rpartition("-v")[2]) for key in registry if key.rpartition("-v")[0] == base)
        if not versions:
            raise
        script.say("gym", name, f"gone, {base}-v{versions[-1]} stands for it")
        return make(f"{base}-v{versions[-1]}", *arguments, **named)
