"""Packaging that setup.cfg cannot say: every sub-package of the five houses, under its import name."""

from pathlib import Path

from setuptools import setup

HOUSES = ("coordinator", "agent", "common", "providers", "deploy")


def packages() -> list[str]:
    """Import names of all packages: `coordinator/store` installs as `osbench.coordinator.store`."""
    found = []
    for house in HOUSES:
        for init in sorted(Path(house).rglob("__init__.py")):
            found.append(".".join(("osbench", *init.parent.parts)))
    return found


setup(packages=packages(), package_dir={f"osbench.{house}": house for house in HOUSES})
