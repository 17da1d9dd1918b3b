# SPDX-License-Identifier: MIT
"""What is told to be wrong in Xen has a reproducer, and each reproducer a page."""

from __future__ import annotations

import re

from tests.docs.blocks import ROOT, text_of

FOLDER = ROOT / "docs/upstream"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")


def test_each_page_names_its_own_reproducer_and_each_of_them_has_a_page() -> None:
    suite = (ROOT / "integration/test_upstream.py").read_text(encoding="utf-8")
    named = [re.findall(r"`(test_\w+)`", text_of(f"docs/upstream/{page}.md")) for page in PAGES]
    assert all(len(tests) == 1 for tests in named)
    assert sorted(test for (test,) in named) == sorted(re.findall(r"^def (test_\w+)", suite, re.MULTILINE))


def test_the_list_leads_to_every_page() -> None:
    assert sorted(re.findall(r"\]\((\S+)\.md\)", text_of("docs/upstream/index.md"))) == PAGES
