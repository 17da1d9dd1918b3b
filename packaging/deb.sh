#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the Debian packages from the sdist and debian/: deb.sh SDIST FOLDER. Nothing else of the checkout is looked at.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin  # Debian's Python, not one of the user's
sdist=$(realpath "$1")
folder=$(realpath "$2")
debian=$(realpath "$(dirname "$0")/../debian")

if ! command -v dpkg-checkbuilddeps >/dev/null || ! (cd "$debian/.." && dpkg-checkbuilddeps); then
    echo "deb.sh: what it needs is installed by: apt-get build-dep ." >&2
    exit 5
fi
version=$(dpkg-parsechangelog -l "$debian/changelog" -S Version)
upstream=${version%-*}
if [ "$(basename "$sdist")" != "xenvcpu-$upstream.tar.gz" ]; then
    echo "deb.sh: debian/changelog is for $upstream, and the sdist is $(basename "$sdist")" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$sdist" "$work/xenvcpu_$upstream.orig.tar.gz"
tar -xzf "$sdist" -C "$work"
cp -r "$debian" "$work/xenvcpu-$upstream/debian"
cd "$work/xenvcpu-$upstream"
if ! dpkg-buildpackage --unsigned-source --unsigned-changes >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
mkdir -p "$folder"
rm -f "$folder"/*xenvcpu_*
mv "$work"/*xenvcpu_* "$folder"
