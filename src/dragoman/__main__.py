"""`python -m dragoman` is the same program as `dragoman`."""

from dragoman.cli import main

main()
