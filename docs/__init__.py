# SPDX-License-Identifier: MIT
"""The documentation: pages for Sphinx here, what makes the generated ones in `docs.generate`."""
