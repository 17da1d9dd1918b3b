# SPDX-License-Identifier: MIT
"""Puts the checkout last on the path: an installed xenvcpu is what is tested; `cbind` and `integration` are found."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
