"""Run the tour (`pickleseal tour`) from a clone. `make demo` uses this."""

import sys

from pickleseal._cli.main import main

if __name__ == "__main__":
    sys.exit(main(["tour", *sys.argv[1:]]))
