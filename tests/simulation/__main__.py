"""Simulate many seeds by hand: `python -m tests.simulation FIRST COUNT`."""

import sys
import time
from collections import Counter

from .simulation import simulate


def main() -> int:
    """Run them, and say what they were like."""
    first, count = int(sys.argv[1]), int(sys.argv[2])
    began = time.perf_counter()
    failed, kinds = [], Counter[str]()
    for seed in range(first, first + count):
        try:
            simulation = simulate(seed)
        except AssertionError as error:
            failed.append(seed)
            if len(failed) <= 3:
                print(error)
            continue
        kinds += simulation.history.kinds
        account = simulation.history.accountings[-1]
        kinds["run: complete" if account.is_complete else "run: incomplete"] += 1
        kinds["run: undisturbed"] += simulation.is_undisturbed
        kinds["iterations"] += len(simulation.history.starts)
        kinds["lost"] += account.lost
        kinds["not run"] += account.not_run
    spent = time.perf_counter() - began
    print(f"{count} seeds in {spent:.1f} s, {len(failed)} failed: {failed[:40]}")
    for kind, number in sorted(kinds.items()):
        print(f"{number:8} {kind}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
