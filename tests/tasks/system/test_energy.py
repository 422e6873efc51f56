"""Energy is estimated where it is asked for, by the real CodeCarbon."""

from __future__ import annotations

import time

import pytest

from gan_core.errors import ConfigError
from tasks.system.energy import COUNTRY, EnergyMeter
from tasks.system.spent import Meter, Spent


def test_a_training_that_asks_for_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(COUNTRY, raising=False)
    assert EnergyMeter.asked_for() is None
    assert Meter().spent().energy_kwh == 0
    monkeypatch.setenv(COUNTRY, "DEU")
    energy = EnergyMeter.asked_for()
    assert energy is not None
    try:
        until = time.process_time() + 0.5
        while time.process_time() < until:
            pass
        first = Meter(energy).spent(processes=2)
        assert first.energy_kwh > 0
        assert 0 < first.co2_kg < first.energy_kwh  # a kilowatt-hour of Germany's stands for less than a kilogram
    finally:
        energy.end()
    assert first.and_then(first).energy_kwh == 2 * first.energy_kwh
    assert Spent.of(first.as_record()) == first
    before = {key: value for key, value in first.as_record().items() if key not in ("energy_kwh", "co2_kg")}
    assert Spent.of(before).seconds == first.seconds


def test_what_is_no_country(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COUNTRY, "Germany")
    with pytest.raises(ConfigError, match="three letters of ISO 3166"):
        EnergyMeter.asked_for()
