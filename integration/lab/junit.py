# SPDX-License-Identifier: MIT
"""JUnit XML of a run: a suite for each host, so one file whatever number there was."""

import re
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import List, Mapping

from integration.lab.outcome import Outcome, Verdict, has_lost_too_many

#: What XML cannot hold, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS = {"failed": "failure", "error": "error", "skipped": "skipped", "xfailed": "skipped"}
#: The tests that stand for a host on which the job did not come to its end, for its Xen, which failed, and for the
#: hosts of a run, of which too many were lost.
HOST, XEN, HOSTS = "host", "xen", "hosts"


def _clean(text: str) -> str:
    return _NOT_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _case(suite: xml.Element, host: str, verdict: Verdict) -> None:
    path, _, rest = verdict.nodeid.partition("::")
    *classes, name = rest.split("::") if "[" not in rest else [rest]
    where = ".".join([re.sub(r"\.py$", "", path).replace("/", "."), *classes])
    case = xml.SubElement(suite, "testcase", {
        "classname": f"{host}: {where}", "name": _clean(name or path), "time": f"{verdict.seconds:.3f}",
    })  # fmt: skip
    if verdict.properties:
        properties = xml.SubElement(case, "properties")
        for key, value in verdict.properties:
            xml.SubElement(properties, "property", {"name": _clean(key), "value": _clean(str(value))})
    element = _ELEMENTS.get(verdict.outcome)
    if element is not None:
        detail = _clean(verdict.detail)
        message = (detail.strip().splitlines() or [""])[-1 if element != "skipped" else 0]
        xml.SubElement(case, element, {"message": message}).text = detail


def _verdicts(host: str, outcome: Outcome) -> List[Verdict]:
    verdicts = list(outcome.tests.values())
    if outcome.trouble:
        verdicts.append(Verdict(f"{HOST}.py::{host}", "error", detail=outcome.trouble))
    if outcome.xen_failed:
        first = outcome.xen_failed.partition("\n---")[0]
        verdicts.append(Verdict(f"{XEN}.py::{host}", "failed", detail=f"{outcome.xen_failed}\n{first}"))
    return verdicts


def write(path: Path, outcomes: Mapping[str, Outcome]) -> None:
    """Writes the verdicts of all hosts, by the names of the hosts."""
    root = xml.Element("testsuites")
    listed = dict(outcomes)
    if has_lost_too_many(outcomes.values()):
        lost = "\n".join(f"{host}: {why}" for host, outcome in outcomes.items() for why in outcome.losses)
        listed[HOSTS] = Outcome(tests={HOSTS: Verdict(f"{HOSTS}.py::lost", "failed", detail=lost)})
    for host, outcome in listed.items():
        verdicts = _verdicts(host, outcome)
        suite = xml.SubElement(root, "testsuite", {
            "name": host,
            "tests": str(len(verdicts)),
            "failures": str(sum(verdict.outcome == "failed" for verdict in verdicts)),
            "errors": str(sum(verdict.outcome == "error" for verdict in verdicts)),
            "skipped": str(sum(_ELEMENTS.get(verdict.outcome) == "skipped" for verdict in verdicts)),
            "time": f"{sum(verdict.seconds for verdict in verdicts):.3f}",
        })  # fmt: skip
        xml.SubElement(xml.SubElement(suite, "properties"), "property", {
            "name": "hosts lost and retried", "value": str(len(outcome.losses)),
        })  # fmt: skip
        for verdict in verdicts:
            _case(suite, host, verdict)
    path.parent.mkdir(parents=True, exist_ok=True)
    xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
