# SPDX-License-Identifier: MIT
"""Writes what each task came to, one JSON object a line, to the file that XENVCPU_ANSIBLE_RESULTS names."""

from __future__ import annotations

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: results
type: notification
short_description: Results of tasks as JSON lines
description: Each line has C(host), C(task), C(status) and C(result).
"""


class CallbackModule(CallbackBase):
    """The plugin, under the name that Ansible looks for."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "results"

    def _write(self, status, result):
        # ansible-core 2.19 has public names for what older ones keep behind an underscore
        host, task, found = (
            getattr(result, name, None) or getattr(result, f"_{name}") for name in ("host", "task", "result")
        )
        line = json.dumps(
            {"host": host.get_name(), "task": task.get_name(), "status": status, "result": found}, default=str
        )
        with open(os.environ["XENVCPU_ANSIBLE_RESULTS"], "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def v2_runner_on_ok(self, result):
        """A task went well."""
        self._write("ok", result)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A task failed."""
        self._write("failed", result)

    def v2_runner_on_unreachable(self, result):
        """A host cannot be reached."""
        self._write("unreachable", result)
