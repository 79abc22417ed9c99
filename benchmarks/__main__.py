"""`python -m benchmarks`: all of them one after the other, each in a process of its own; 1 if one missed its limit.

python -m benchmarks              path, ingest, simulated cloud, arrivals (some minutes)
python -m benchmarks --soak       and the soak of a million calls
"""

import subprocess
import sys

ALL = (
    ("calls per core-second over the whole path", ("benchmarks.path",)),
    ("ingest into SQLite", ("benchmarks.ingest",)),
    ("the simulated cloud", ("benchmarks.simulated_cloud",)),
    ("arrivals at 500 a second", ("benchmarks.arrivals",)),
)
SOAK = ("a million calls through the transport", ("benchmarks.transport_soak",))


def main() -> int:
    """Run what is asked for."""
    missed = []
    for title, words in (*ALL, SOAK) if "--soak" in sys.argv[1:] else ALL:
        print(f"\n== {title}", flush=True)
        if subprocess.run([sys.executable, "-m", *words], check=False).returncode:
            missed.append(title)
    print(f"\n{'all limits hold' if not missed else 'missed: ' + '; '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
