# SPDX-License-Identifier: MIT
"""The connection to an emulated dom0: the lab's command channel."""

from __future__ import annotations

import base64
import os
import shlex

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

from integration.lab.channel import ChannelError, ask

DOCUMENTATION = r"""
name: lab
short_description: Run commands in the dom0 of an emulated Xen host
description: The host is the socket that XENVCPU_LAB_COMMANDS names.
author: The xenvcpu authors
extends_documentation_fragment:
  - connection_pipelining
"""

LIMIT = 300
"""Seconds that a command may take."""


class Connection(ConnectionBase):
    """The plugin, under the name that Ansible looks for."""

    transport = "lab"
    has_pipelining = True

    def _connect(self):
        self._connected = True
        return self

    def close(self):
        """Nothing is held between two commands."""
        self._connected = False

    def exec_command(self, cmd, in_data=None, sudoable=True):
        """Run a command line; returns its exit code, its output and its errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        try:
            done = ask(
                os.environ["XENVCPU_LAB_COMMANDS"], LIMIT, run=cmd, input=base64.b64encode(in_data or b"").decode()
            )
        except ChannelError as error:
            raise AnsibleConnectionFailure(str(error)) from error
        return done["code"], base64.b64decode(done["out"]), base64.b64decode(done["err"])

    def put_file(self, in_path, out_path):
        """Copy a file into the dom0."""
        super().put_file(in_path, out_path)
        with open(in_path, "rb") as file:
            self._must(f"cat > {shlex.quote(out_path)}", file.read())

    def fetch_file(self, in_path, out_path):
        """Copy a file out of the dom0."""
        super().fetch_file(in_path, out_path)
        content = self._must(f"cat {shlex.quote(in_path)}")
        with open(out_path, "wb") as file:
            file.write(content)

    def _must(self, command, data=b""):
        code, out, err = self.exec_command(command, data)
        if code:
            raise AnsibleConnectionFailure(f"{command}: {err.decode(errors='replace')}")
        return out
