"""Trainings with Spark MLlib's implicit ALS, in one process, driver and workers together.

usage: spark_als.py TRAIN.txt.zst DIMENSIONS EPOCHS THREADS FACTORS
Prints the seconds of an iteration, (fit with 2 + EPOCHS iterations - fit with 2) / EPOCHS after a fit that warms up the
virtual machine, and those of lists of 100 items for all users, which for Spark hold what the user has. Writes the factors of
users, then of items, to FACTORS as fp32.
"""
import os
import subprocess
import sys
import tempfile
import time

import numpy
import pyspark.ml.recommendation
import pyspark.sql

SPENT_ITERATIONS = 2


def write_csv(train, csv):
    text = subprocess.run(["zstd", "-dc", train], check=True, capture_output=True, text=True).stdout
    with open(csv, "w") as file:
        for line in text.splitlines():
            user, *items = line.split()
            file.writelines(f"{user},{item}\n" for item in items)


def write_factors(frame, file):
    rows = frame.collect()
    factors = numpy.zeros((max(row.id for row in rows) + 1, len(rows[0].features)), dtype=numpy.float32)
    for row in rows:
        factors[row.id] = row.features
    file.write(factors.tobytes())


def main():
    train, dimensions, epochs, threads, factors = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        spark = (pyspark.sql.SparkSession.builder.master(f"local[{threads}]")
                 .config("spark.driver.memory", "4g").config("spark.driver.host", "127.0.0.1")
                 .config("spark.driver.bindAddress", "127.0.0.1").config("spark.ui.enabled", "false")
                 .config("spark.ui.showConsoleProgress", "false")
                 .config("spark.local.dir", directory).config("spark.sql.warehouse.dir", directory)
                 .config("spark.sql.shuffle.partitions", threads).getOrCreate())
        spark.sparkContext.setLogLevel("ERROR")
        csv = os.path.join(directory, "train.csv")
        write_csv(train, csv)
        observed = spark.read.csv(csv, schema="user INT, item INT").selectExpr("*", "1.0F AS rating").cache()
        observed.count()

        def fit(iterations):
            als = pyspark.ml.recommendation.ALS(
                rank=int(dimensions), maxIter=iterations, implicitPrefs=True, regParam=0.01, alpha=10, seed=1)
            begin = time.monotonic()
            return als.fit(observed), time.monotonic() - begin

        fit(SPENT_ITERATIONS)
        _, spent = fit(SPENT_ITERATIONS)
        model, seconds = fit(SPENT_ITERATIONS + int(epochs))
        begin = time.monotonic()
        model.recommendForAllUsers(100).write.format("noop").mode("overwrite").save()
        lists = time.monotonic() - begin
        with open(factors, "wb") as file:
            write_factors(model.userFactors, file)
            write_factors(model.itemFactors, file)
        spark.stop()
    print((seconds - spent) / int(epochs), lists)


main()
