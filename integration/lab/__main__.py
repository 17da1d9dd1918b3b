# SPDX-License-Identifier: MIT
"""Entry point of ``python3 -m integration.lab``."""

import sys

from integration.lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
