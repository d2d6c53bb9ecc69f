"""The folder of stand-in weights: small networks in the layout of the published ones (tests/standins makes them)."""

from pathlib import Path

STANDINS = Path(__file__).resolve().parents[1] / "standins" / "weights"
