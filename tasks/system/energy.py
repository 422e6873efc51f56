"""What a training takes of electricity, estimated by CodeCarbon where a person asks for it; nothing is asked of other hosts for it."""

from __future__ import annotations

import os
import re
from typing import Any

from gan_core.errors import ConfigError

COUNTRY = "GANTRY_ENERGY_COUNTRY"
"""The variable that asks for it, and says whose electricity it is: three letters of ISO 3166, such as DEU."""


class EnergyMeter:
    """Estimates from now on, every 15 seconds, what this process takes of processor, memory and GPU."""

    def __init__(self, country: str) -> None:
        """Begin.

        Raises:
            ConfigError: CodeCarbon is not installed, or knows no such country.
        """
        try:
            from codecarbon import OfflineEmissionsTracker
            from codecarbon.output import BaseOutput
        except ImportError:
            raise ConfigError(f"{COUNTRY} is set, and CodeCarbon is not installed: pip install 'gantry-gan[energy]', or unset it") from None
        if not re.fullmatch("[A-Z]{3}", country):
            raise ConfigError(f"{COUNTRY}={country[:20]!r}: is no country's three letters of ISO 3166, such as DEU")
        told: list[tuple[float, float]] = [(0.0, 0.0)]

        class Kept(BaseOutput):  # type: ignore[misc]
            def out(self, total: Any, delta: Any) -> None:
                told[0] = (float(total.energy_consumed), float(total.emissions))

            live_out = out

        self._told = told
        self._tracker = OfflineEmissionsTracker(
            country_iso_code=country,
            tracking_mode="process",
            save_to_file=False,
            allow_multiple_runs=True,
            log_level="error",
            output_handlers=[Kept()],
        )
        self._tracker.start()

    @classmethod
    def asked_for(cls) -> EnergyMeter | None:
        """One, where the environment asks for it.

        Raises:
            ConfigError: as for the class.
        """
        country = os.environ.get(COUNTRY)
        return None if not country else cls(country)

    def read(self) -> tuple[float, float]:
        """Kilowatt-hours so far, and kilograms of CO2 equivalent that they stand for."""
        self._tracker.flush()
        return self._told[0]

    def end(self) -> None:
        """Measure no more."""
        self._tracker.stop()
