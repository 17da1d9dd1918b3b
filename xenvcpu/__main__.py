# SPDX-License-Identifier: MIT
"""`python -m xenvcpu` is the command `xenvcpu`."""

from xenvcpu.cli.main import main

if __name__ == "__main__":
    main()
