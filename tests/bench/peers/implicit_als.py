"""One training with implicit's ALS (defaults: 3 conjugate-gradient steps, fp32).

usage: implicit_als.py TRAIN.txt.zst DIMENSIONS EPOCHS THREADS FACTORS
Prints the seconds of the fastest epoch and those of lists of 100 items for all users. Writes the factors of users, then of items, to FACTORS as fp32.
"""
import subprocess
import sys
import time

import implicit.als
import numpy
import scipy.sparse


def read_matrix(path):
    users, items = [], []
    text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True, text=True).stdout
    for line in text.splitlines():
        user, *line_items = map(int, line.split())
        users += [user] * len(line_items)
        items += line_items
    return scipy.sparse.csr_matrix((numpy.ones(len(users), dtype=numpy.float32), (users, items)))


def main():
    path, dimensions, epochs, threads, factors = sys.argv[1:]
    seconds = []
    model = implicit.als.AlternatingLeastSquares(
        factors=int(dimensions), iterations=int(epochs), num_threads=int(threads), use_gpu=False, random_state=1,
        regularization=0.01, alpha=10)
    matrix = read_matrix(path)
    model.fit(matrix, show_progress=False, callback=lambda epoch, elapsed, loss: seconds.append(elapsed))
    begin = time.monotonic()
    model.recommend(numpy.arange(matrix.shape[0]), matrix, N=100)
    lists = time.monotonic() - begin
    with open(factors, "wb") as file:
        file.write(numpy.ascontiguousarray(model.user_factors, dtype=numpy.float32).tobytes())
        file.write(numpy.ascontiguousarray(model.item_factors, dtype=numpy.float32).tobytes())
    print(min(seconds), lists)


main()
