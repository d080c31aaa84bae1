"""`python -m transship` is the command line."""

from transship.cli import main

if __name__ == "__main__":
    main()
