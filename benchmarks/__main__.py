"""`python -m benchmarks`: all of them one after the other, each in a process of its own; 1 if one missed its limit."""

import subprocess
import sys

ALL = (
    ("calls per core-second over the whole path", ("benchmarks.path",)),
    ("ingest into SQLite", ("benchmarks.ingest",)),
    ("the simulated cloud", ("benchmarks.simulated_cloud", "--least", "3000")),
    ("arrivals at 500 a second", ("benchmarks.arrivals",)),
    ("500 agents that beat at one coordinator", ("benchmarks.light_agents",)),
    ("a million calls through the transport", ("benchmarks.transport_soak",)),
)


def main() -> int:
    """Run what is asked for."""
    missed = []
    for title, words in ALL:
        print(f"\n== {title}", flush=True)
        if subprocess.run([sys.executable, "-m", *words], check=False).returncode:
            missed.append(title)
    print(f"\n{'all limits hold' if not missed else 'missed: ' + '; '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
