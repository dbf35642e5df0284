"""`python -m mizzen` is `mizzen`."""

from mizzen.cli.main import main

main()
