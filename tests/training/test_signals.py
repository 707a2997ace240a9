"""Signals that ask a run to stop."""

import os
import signal

import pytest

from slimft.training.signals import LAUNCHED, StopSignals


def test_the_second_signal_acts_as_ever(monkeypatch):
    monkeypatch.delenv(LAUNCHED, raising=False)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_launched_worker_is_told_twice(monkeypatch):
    monkeypatch.setenv(LAUNCHED, "0")
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
