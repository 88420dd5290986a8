"""Waits for the end of the process that holds the other end of its standard input, and then deletes.

A program, started by its path: it must hold little memory for as long as a notebook lives, so it imports nothing of
the package. Its arguments are what Python is to run where the other process ended without a word.
"""

import os
import sys

if __name__ == "__main__" and not sys.stdin.buffer.read():
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606
