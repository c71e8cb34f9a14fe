"""Every rank hands a function and a class of its own to pools of processes, and prints what came back."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import qmpi

rank = qmpi.COMM_WORLD.rank


class Number:
    """Pickled by name."""

    def __init__(self, value):
        self.value = value


def add(number):
    return Number(number.value + 100 * rank)


if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    with fork.Pool(2) as pool:
        mapped = [number.value for number in pool.map(add, map(Number, range(3)))]
    with ProcessPoolExecutor(2, fork) as executor:
        submitted = executor.submit(add, Number(5)).result().value
    print(f"rank {rank}: {mapped} {submitted}\n", end="")
