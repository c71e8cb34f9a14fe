"""`python -m qmpi`: the same as `qmpi`."""

from .cli.command import main

main()
