"""`python -m porelay_kit` is `porelay`."""

from porelay_kit.cli import main

main()
