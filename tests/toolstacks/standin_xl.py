# SPDX-License-Identifier: MIT
"""A program that does for a world file what `xl` does for a host: create, domid, unpause, destroy.

Environment: XL_WORLD is the world file; XL_LOG a file that gets each command line; XL_FAIL the commands that fail,
XL_SLOW one that takes two seconds; XL_FORMAT=sxp prints a configuration as xl does when xl.conf says so.
"""

from __future__ import annotations

import contextlib
import getopt
import json
import os
import subprocess
import sys
import time
from typing import Any, Dict, Iterator, List


def parse(text: str) -> Dict[str, str]:
    """`key = value` lines."""
    found = {}
    for line in text.replace(";", "\n").splitlines():
        key, equals, value = line.partition("=")
        if equals:
            found[key.strip()] = value.strip().strip("\"'")
        elif line.strip():
            sys.exit(f"config parsing error near `{line.strip()}'")
    return found


def printed(config: Dict[str, str]) -> str:
    """The configuration as `xl create -n` prints it."""
    if os.environ.get("XL_FORMAT") == "sxp":
        kind = config.get("type", "pv")
        image = {"hvm": "\t\t(hvm\n\t\t)\n", "pv": "\t\t(linux 0)\n"}.get(kind, "")
        return (
            f"(domain\n\t(domid -1)\n\t(create_info)\n\t(hvm {kind == 'hvm':d})\n\t(name {config['name']})\n"
            f"\t(build_info)\n\t(image\n{image}\t)\n)"
        )
    build: Dict[str, object] = {}
    create = {"type": config.get("type", "pv"), "name": config["name"]}
    if "hap" in config:
        create["hap"] = str(config["hap"] == "1")
    if config.get("cpuid", "").startswith("host,pku=0"):
        build["cpuid"] = {"cpuid": [{"leaf": 7, "subleaf": 0, "ecx": "x" * 28 + "0xxx"}], "msr": []}
    if "vcpus" in config:
        build["avail_vcpus"] = list(range(int(config["vcpus"])))
        build["max_vcpus"] = max(int(config.get("maxvcpus", "0")), int(config["vcpus"]))
    if "device_model_version" in config:
        build["device_model_version"] = config["device_model_version"]
    return json.dumps({"c_info": create, "b_info": build})


def find(which: str) -> int:
    """A domain by its domid or name."""
    with open(os.environ["XL_WORLD"], encoding="utf-8") as file:
        domains = json.load(file)["domains"]
    for domain in domains:
        if which in (domain["name"], str(domain["domid"])):
            return int(domain["domid"])
    sys.exit(f"{which} is an invalid domain identifier (rc=-6)")


@contextlib.contextmanager
def changing() -> Iterator[Any]:
    """The host in the world file, to be changed while nobody else does."""
    from xenvcpu.model.worlds import open_world

    with open_world(os.environ["XL_WORLD"]) as libraries:
        libraries.before_call()
        try:
            yield libraries.host
            libraries.host.changes += 1
        finally:
            libraries.after_call()


def create(arguments: List[str]) -> None:
    """`xl create`."""
    flags, words = getopt.gnu_getopt(arguments, "AFVcdef:inpqh")
    given = dict(flags)
    path = given["-f"]
    if "-q" not in given:
        print(f"Parsing config from {path}", file=sys.stderr)
    text = "" if path == "/dev/null" else open(path, encoding="utf-8").read()
    config = parse("\n".join([text, *words]))
    if "-n" in given:
        print(printed(config))
        return
    with changing() as host:
        if any(domain.name == config["name"] for domain in host.domains.values()):
            sys.exit(f"libxl: error: Domain with name \"{config['name']}\" already exists.")
        from xenvcpu.model.build import add_domain
        from xenvcpu.model.domain import Kind

        online = int(config.get("vcpus", "1"))
        add_domain(
            host, config["name"], max(int(config.get("maxvcpus", "0")), online), kind=Kind(config.get("type", "pv")),
            paused="-p" in given, available=online,
        )
    # As the real one leaves a process behind that watches the domain.
    subprocess.Popen(["sleep", "2"], stdin=subprocess.DEVNULL)


def main() -> None:
    """One command."""
    command, *arguments = sys.argv[1:]
    with open(os.environ["XL_LOG"], "a", encoding="utf-8") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    is_try = command == "create" and "-n" in arguments
    if command in os.environ.get("XL_FAIL", "").split() and not is_try:
        print(f"libxl: error: {command} failed on purpose", file=sys.stderr)
        sys.exit(1)
    if command == os.environ.get("XL_SLOW") and not is_try:
        time.sleep(2)
    if command == "create":
        create(arguments)
    elif command == "domid":
        print(find(arguments[-1]))
    elif command == "unpause":
        with changing() as host:
            host.domains[find(arguments[0])].pause_count = 0
    elif command == "destroy":
        with changing() as host:
            del host.domains[find(arguments[0])]


if __name__ == "__main__":
    main()
