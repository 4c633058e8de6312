"""Compare methods on the same pictures, with the same metrics, on the same device: `fgbg-zoo benchmark` by its path."""

import sys

from fgbg_zoo.cli.app import run

if __name__ == "__main__":
    sys.exit(run(["benchmark", *sys.argv[1:]]))
