# SPDX-License-Identifier: MIT
"""Debian's archives are found in the machine's own apt sources."""

from pathlib import Path

import pytest

from integration.lab import aptsources
from integration.lab.aptsources import Source
from integration.lab.errors import HostCannotError

DEB822 = """\
# the archive
Types: deb deb-src
URIs: http://mirror.invalid/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.invalid/security
Suites: bookworm-security
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .

Types: deb
URIs: http://other.invalid/
Suites: trixie
Enabled: no

Types: deb-src
URIs: http://sources.invalid/
Suites: bookworm
"""


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(aptsources.MIRROR_VARIABLE, raising=False)
    monkeypatch.delenv(aptsources.SECURITY_VARIABLE, raising=False)


def test_deb822_is_read() -> None:
    """Each suite of each enabled binary stanza is a source; an inline key is apt's matter."""
    key = "/usr/share/keyrings/archive.gpg"
    assert list(aptsources.parse_deb822(DEB822)) == [
        Source("http://mirror.invalid/debian", "bookworm", key),
        Source("http://mirror.invalid/debian", "bookworm-updates", key),
        Source("http://mirror.invalid/security", "bookworm-security", ""),
    ]


def test_one_line_format_is_read() -> None:
    """Options and comments are understood, source packages left out."""
    text = "# x\ndeb [arch=amd64 signed-by=/k.gpg] http://m.invalid/d sid main\ndeb-src http://m.invalid/d sid main\n"
    assert list(aptsources.parse_list(text)) == [Source("http://m.invalid/d", "sid", "/k.gpg")]


def test_all_files_of_a_machine(tmp_path: Path) -> None:
    """sources.list and both kinds of files beside it are read."""
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://a.invalid/ bookworm main\n")
    (parts / "b.list").write_text("deb http://b.invalid/ bookworm main\n")
    (parts / "c.sources").write_text(DEB822)
    uris = [source.uri for source in aptsources.machine_sources(tmp_path)]
    assert uris[:3] == ["http://a.invalid/", "http://b.invalid/", "http://mirror.invalid/debian"]


def test_another_suite_comes_from_the_same_archives() -> None:
    """A suite that the machine does not use is looked for where its own come from."""
    sources = list(aptsources.parse_deb822(DEB822))
    option = "[signed-by=/usr/share/keyrings/archive.gpg] "
    assert aptsources.lines_for("trixie", sources) == [
        f"deb {option}http://mirror.invalid/debian trixie main",
        f"deb {option}http://mirror.invalid/debian trixie-updates main",
        "deb http://mirror.invalid/security trixie-security main",
    ]
    assert len(aptsources.lines_for("sid", sources)) == 1


def test_environment_overrides_the_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror in the environment is taken, also where apt knows none."""
    monkeypatch.setenv(aptsources.MIRROR_VARIABLE, "http://mine.invalid/debian")
    assert aptsources.lines_for("sid", []) == ["deb http://mine.invalid/debian sid main"]


def test_no_archive_is_said() -> None:
    """A machine of another distribution cannot, and is told what to set."""
    others = [Source("http://u.invalid/", "noble"), Source("http://v.invalid/", "cloud-bookworm")]
    with pytest.raises(HostCannotError, match=aptsources.MIRROR_VARIABLE):
        aptsources.lines_for("bookworm", others)
