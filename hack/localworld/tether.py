"""Runs a program that the kernel ends when the program that started it ends, however that happens.

    python tether.py SIGNAL PARENT_PID PROGRAM [ARGUMENT...]

A file of its own, run before the program it becomes: Python's `preexec_fn` would do the same inside a fork of a
process with threads, which is neither safe nor, from Python 3.12 on, silent. Imports little, as it runs at every start.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for the signal, then become the program."""
    signal, parent, program = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before the request was made: nobody would send the signal any more
        sys.exit(1)
    os.execvp(program, sys.argv[3:])  # noqa: S606 - a shell between us and the program would get the signal instead


if __name__ == "__main__":
    main()
