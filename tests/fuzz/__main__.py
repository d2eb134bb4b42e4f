"""Fuzzes every decoder for a while; prints the input that breaks something, and keeps it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from .fuzzer import fuzz
from .targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=60, help="for how long each target (default: 60)"
    )
    parser.add_argument(
        "--target", choices=sorted(TARGETS), help="one target alone (default: all of them)"
    )
    parser.add_argument("--seed", type=int, default=None, help="makes a run repeatable")
    parser.add_argument("--input", type=Path, help="check the one input in this file, of --target")
    parser.add_argument("--cuts", type=int, nargs="*", default=[], help="where to cut the --input")
    parser.add_argument(
        "--processes",
        type=int,
        default=os.cpu_count() or 1,
        help="targets side by side (default: one for each core)",
    )
    given = parser.parse_args()
    if given.input is not None:
        if given.target is None:
            parser.error("--input needs --target")
        TARGETS[given.target].check(given.input.read_bytes(), given.cuts)
        return 0
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    names = [given.target] if given.target else list(TARGETS)
    clean = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.processes, mp_context=clean) as pool:
        codes = [pool.submit(fuzz, name, given.seconds, seed) for name in names]
        return max(code.result() for code in codes)


if __name__ == "__main__":
    sys.exit(main())
