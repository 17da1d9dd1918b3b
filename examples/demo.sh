#!/bin/sh
# SPDX-License-Identifier: MIT
# Starts the secondary vcpus of a guest, on a model of Xen: no Xen, no root. `make demo` runs it.
set -eu
cd "$(dirname "$0")"
world=$(mktemp -d)/demo.json
trap 'rm -rf "$(dirname "$world")"' EXIT

run() {
    printf '\n$ %s\n' "$*"
    "$@"
}

echo "A host with one PVH guest of four vcpus, kept in a file:"
run xenvcpu model new "$world" --domain web:4 --xen 4.17
echo
echo "Before: only the boot vcpu runs."
run xenvcpu --host "model:$world" list
echo
echo "What its other vcpus shall start with, and what Xen 4.17 will say to it:"
run cat ap.toml
run xenvcpu check ap.toml --xen 4.17
echo
echo "All of them, in one load; the boot vcpu goes on as it was."
run xenvcpu --host "model:$world" start web all ap.toml
echo
echo "After:"
run xenvcpu --host "model:$world" list
run xenvcpu --host "model:$world" show web 3
echo
echo "A mistake is refused by name, before Xen is asked (exit code 3):"
run xenvcpu --host "model:$world" stop web 3
run xenvcpu --host "model:$world" start web 3 ap.toml --set cr4=0x8000 || test $? -eq 3
