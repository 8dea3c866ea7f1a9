#!/usr/bin/env python3
"""Compares `visor`'s gallery search with FAISS's flat index and prints a Markdown table.

Both search the same random directions of 512 numbers for the same probes, one at a time on one thread, taking turns. FAISS
compares 32-bit floats (inner product, the two nearest rows); Visor gives the nearest two people with five rows each.
Answers must be the same. Needs numpy < 2, faiss-cpu, and a built visor.

    python3 tests/reference/gallery.py [--visor target/release/visor] [--sizes 10000 100000]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

import faiss
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
DIMENSION, PROBES, ROUNDS = 512, 64, 3


def directions(count, seed):
    rows = np.random.default_rng(seed).standard_normal((count, DIMENSION), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def by_faiss(index, probes):
    millis, rows, scores = [], [], []
    for probe in probes:
        begun = time.thread_time()
        found, ids = index.search(probe[None], 2)
        millis.append((time.thread_time() - begun) * 1e3)
        rows.append(int(ids[0, 0]))
        scores.append(float(found[0, 0]))
    return millis, rows, scores


def by_visor(visor, file):
    out = subprocess.run([visor, "bench", "--gallery-file", file], check=True, capture_output=True, text=True).stdout
    answers = json.loads(out)
    return answers["millis"], answers["rows"], answers["scores"]


def compare(visor, size):
    rows = directions(size + PROBES, size)
    # Probes that are like a row as two pictures of one person are: a cosine of about 0.5.
    rows[size:] = rows[np.arange(PROBES) * (size // PROBES)] + 1.7 * rows[size:]
    rows[size:] /= np.linalg.norm(rows[size:], axis=1, keepdims=True)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(rows[:size])
    times = {"faiss": [], "visor": []}
    with tempfile.NamedTemporaryFile(suffix=".f32") as file:
        rows.tofile(file.name)
        for _ in range(ROUNDS):
            for name, search in (("faiss", lambda: by_faiss(index, rows[size:])), ("visor", lambda: by_visor(visor, file.name))):
                millis, found, scores = search()
                times[name] += millis
                if name == "faiss":
                    expected = found, scores
        same = sum(a == b for a, b in zip(expected[0], found))
        apart = max(abs(a - b) for a, b in zip(expected[1], scores))
    assert apart < 1e-5, f"scores differ by {apart}"
    flat, ours = statistics.median(times["faiss"]), statistics.median(times["visor"])
    return f"| {size:,} | {ours:.3g} ms | {flat:.3g} ms | {ours / flat:.2f} | {same} of {PROBES} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visor", default=str(ROOT / "target/release/visor"))
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    print(f"FAISS {faiss.__version__}, {faiss.get_compile_options().strip() or 'generic'}\n")
    print("| references | Visor | FAISS flat | ratio | same nearest row |\n|---|---|---|---|---|")
    for size in args.sizes:
        print(compare(args.visor, size), flush=True)


if __name__ == "__main__":
    main()
