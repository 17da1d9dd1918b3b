#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the Debian packages from the sdist and debian/: deb.sh SDIST FOLDER. Nothing else of the checkout is looked at.
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin  # Debian's Python, not one of the user's
sdist=$(realpath "$1")
folder=$(realpath "$2")
debian=$(realpath "$(dirname "$0")/../debian")
version=$(dpkg-parsechangelog -l "$debian/changelog" -S Version)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "$(basename "$sdist")" != "xenvcpu-${version%-*}.tar.gz" ]; then
    echo "deb.sh: debian/changelog is for ${version%-*}, and the sdist is $(basename "$sdist")" >&2
    exit 1
fi
if ! (cd "$debian/.." && dpkg-checkbuilddeps); then
    echo "deb.sh: to install them: apt-get build-dep ." >&2
    exit 5
fi
cp "$sdist" "$work/xenvcpu_${version%-*}.orig.tar.gz"
tar -xzf "$sdist" -C "$work"
cp -r "$debian" "$work/xenvcpu-${version%-*}/debian"
cd "$work/xenvcpu-${version%-*}"
if ! dpkg-buildpackage --unsigned-source --unsigned-changes >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
mkdir -p "$folder"
rm -f "$folder"/*xenvcpu_*
mv "$work"/*xenvcpu_* "$folder"
