# SPDX-License-Identifier: MIT
"""`xe host-call-plugin` as far as we document it: it calls the plugin in XE_PLUGINS as XAPI does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from integration.evidence.xapi import ServerError, call_plugin


def main() -> None:
    """One call."""
    command, *words = sys.argv[1:]
    given = dict(word.split("=", 1) for word in words)
    if command != "host-call-plugin" or not given.pop("host-uuid", ""):
        sys.exit(f"xe: {command}: not known here, or no host-uuid")
    plugin, function = Path(os.environ["XE_PLUGINS"], given.pop("plugin")), given.pop("fn")
    assert all(name.startswith("args:") for name in given), given
    try:
        print(call_plugin(plugin, function, {name[len("args:") :]: value for name, value in given.items()}))
    except ServerError as error:
        print("\n".join(error.description), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
