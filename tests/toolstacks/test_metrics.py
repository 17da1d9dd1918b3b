# SPDX-License-Identifier: MIT
"""What `xenvcpu metrics` says, that Prometheus can read it, and that nobody is paused for it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Tuple

import pytest

from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.deadline import Patience
from xenvcpu.errors import DeadlineError, HostError
from xenvcpu.host import Host
from xenvcpu.model.build import add_domain
from xenvcpu.model.libraries import ModelLibraries
from xenvcpu.model.worlds import open_world
from xenvcpu.toolstacks.metrics import collect, render

Sample = Tuple[str, FrozenSet[Tuple[str, str]]]


@pytest.fixture
def libraries() -> Iterator[ModelLibraries]:
    with open_world("busy") as opened:
        yield opened


@pytest.fixture
def host(libraries: ModelLibraries) -> Iterator[Host]:
    with Host("model", libraries) as opened:
        yield opened


def parsed(text: str) -> Dict[Sample, float]:
    """The samples, as Prometheus' own parser reads them."""
    parser = pytest.importorskip("prometheus_client.parser")
    families = list(parser.text_string_to_metric_families(text))
    found: Dict[Sample, float] = {}
    for family in families:
        assert family.documentation and family.type in ("gauge", "counter"), family.name
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, f"{key} is there twice: node_exporter would refuse the file"
            found[key] = sample.value
    return found


def of(host: Host, **labels: str) -> Callable[[str], Any]:
    """A function from a metric's name to its value under some labels."""
    found = parsed(render(collect(host)))
    return lambda name: next(
        (value for (each, at), value in found.items() if each == name and labels.items() <= dict(at).items()), None
    )


def test_a_domain_has_the_metrics_that_other_exporters_have_under_their_names(host: Host) -> None:
    web = of(host, domain_name="web")
    assert (web("xen_domain_cpu_count"), web("xen_domain_cpu_online_count")) == (4, 2)
    assert web("xen_domain_cpu_time_total") is not None


def test_each_vcpu_tells_whether_it_is_up_and_how_long_it_ran_in_seconds(
    host: Host, libraries: ModelLibraries
) -> None:
    libraries.host.named("web").vcpus[1].cpu_time = 2_500_000_000
    first, third = of(host, domain_name="web", cpu_id="1"), of(host, domain_name="web", cpu_id="3")
    assert (first("xen_domain_vcpu_online"), third("xen_domain_vcpu_online")) == (1, 0)
    assert first("xen_domain_vcpu_time_total") == 2.5


def test_dom0_is_among_the_domains(host: Host) -> None:
    assert of(host, domid="0", type="pv")("xen_domain_info") == 1


def test_a_domain_that_is_paused_is_told_as_such(host: Host) -> None:
    assert of(host, domain_name="batch")("xen_domain_paused") == 1
    assert of(host, domain_name="web")("xen_domain_paused") == 0


def test_a_domain_that_crashed_is_told_as_shut_down() -> None:
    with open_world("crashed") as libraries, Host("model", libraries) as host:
        assert of(host, domain_name="dead")("xen_domain_shutdown") == 1


@pytest.mark.parametrize("name", ['we"b', "back\\slash", "two\nlines", "ümläut", 'a\\"\\n'])
def test_a_label_says_what_the_name_is(host: Host, libraries: ModelLibraries, name: str) -> None:
    libraries.host.named("web").name = name
    assert of(host, domain_name=name)("xen_domain_cpu_count") == 4


def test_a_name_cannot_steer_a_terminal(host: Host, libraries: ModelLibraries) -> None:
    libraries.host.named("web").name = "web\x1b[2J\r"
    text = render(collect(host))
    assert "\x1b" not in text and "\r" not in text
    assert of(host, domain_name="web\\x1b[2J\\r")("xen_domain_cpu_count") == 4


def test_two_domains_of_one_name_are_told_apart(host: Host, libraries: ModelLibraries) -> None:
    libraries.host.named("batch").name = "web"
    counts = {value for (name, _), value in parsed(render(collect(host))).items() if name == "xen_domain_cpu_count"}
    assert {4, 8} <= counts


def test_a_domain_without_a_name_has_its_domid(host: Host, libraries: ModelLibraries) -> None:
    libraries.fail("xs_open", errno.ENOENT)
    assert of(host, domid="1", domain_name="")("xen_domain_cpu_count") == 4


def test_no_call_is_made_that_could_pause_a_guest(host: Host, libraries: ModelLibraries) -> None:
    """The calls as they are: whoever adds one must look up in Xen whether it pauses."""
    before = libraries.host.hypercalls.copy()
    collect(host)
    assert {name for name in libraries.counts if not name.startswith("xtl_")} == {
        "xc_interface_open", "xc_version", "xc_domain_getinfolist", "xc_domain_getinfo_single", "xc_vcpu_getinfo",
        "xs_open", "xs_read",
    }
    asked = set(libraries.host.hypercalls - before)
    assert asked == {"xen_version", "getdomaininfolist", "getdomaininfo", "getvcpuinfo"}
    assert libraries.host.changes == 0


def test_domains_only_asks_for_no_vcpu(host: Host, libraries: ModelLibraries) -> None:
    text = render(collect(host, has_vcpus=False))
    assert "xc_vcpu_getinfo" not in libraries.counts
    assert "vcpu_online" not in text and "xen_domain_cpu_online_count" in text


@pytest.mark.parametrize("number", [errno.ESRCH, errno.ENOENT])
def test_a_domain_that_goes_away_while_it_is_looked_at_hides_no_other(
    host: Host, libraries: ModelLibraries, number: int
) -> None:
    libraries.fail("xc_vcpu_getinfo", number, after=3)
    found = parsed(render(collect(host)))
    domains = {dict(at)["domain_name"] for name, at in found if name == "xen_domain_vcpu_online"}
    assert {"web", "batch", "db"} <= domains


def test_inside_a_guest_there_is_nothing_to_measure() -> None:
    with open_world("pvh", here="web") as libraries, Host("model", libraries) as host:
        with pytest.raises(HostError, match="metrics come from dom0"):
            collect(host)


def test_time_runs_out_for_metrics_too(libraries: ModelLibraries) -> None:
    with Host("model", libraries, Patience(timeout=1e-9)) as host, pytest.raises(DeadlineError):
        collect(host)


def test_many_domains_are_told_at_a_call_each_vcpu(libraries: ModelLibraries) -> None:
    for number in range(300):
        add_domain(libraries.host, f"vm{number}", 1)
    with Host("model", libraries) as host:
        found = parsed(render(collect(host)))
    assert sum(name == "xen_domain_info" for name, _ in found) == 304
    assert libraries.counts["xc_domain_getinfolist"] == 3


def test_the_type_of_a_domain_is_what_xen_tells() -> None:
    from xenvcpu.toolstacks.metrics import _type

    assert [_type(DomainInfo(1, is_hvm=flag)) for flag in (True, False)] == ["hvm", "pv"]


class TestCommand:
    """`xenvcpu metrics`."""

    def test_it_prints_the_text_format(self, run: Any, world: str) -> None:
        done = run("--host", world, "metrics")
        assert done.code == 0
        assert parsed(done.out)["xen_domain_cpu_count", frozenset({("domain_name", "web"), ("domid", "1")})] == 4

    def test_a_file_is_replaced_as_a_whole_and_readable_by_node_exporter(
        self, run: Any, world: str, tmp_path: Path
    ) -> None:
        folder = tmp_path / "textfile"
        folder.mkdir()
        path = folder / "xenvcpu.prom"
        path.write_text("old")
        was = path.stat().st_ino
        umask = os.umask(0o077)
        try:
            done = run("--host", world, "metrics", "--output", path)
        finally:
            os.umask(umask)
        assert (done.code, done.out) == (0, "")
        assert parsed(path.read_text())
        assert path.stat().st_ino != was and stat.S_IMODE(path.stat().st_mode) == 0o644
        assert os.listdir(folder) == ["xenvcpu.prom"]

    def test_a_failure_leaves_the_old_file_and_nothing_beside_it(self, run: Any, tmp_path: Path) -> None:
        folder = tmp_path / "textfile"
        folder.mkdir()
        (folder / "xenvcpu.prom").write_text("old\n")
        assert run("--host", "model:pvh@web", "metrics", "--output", folder / "xenvcpu.prom").code == 5
        assert [path.read_text() for path in folder.iterdir()] == ["old\n"]

    def test_a_file_that_cannot_be_written_is_named(self, run: Any, world: str, tmp_path: Path) -> None:
        done = run("--host", world, "metrics", "--output", tmp_path / "none" / "x.prom")
        assert done.code == 1 and "none" in done.err

    def test_json_has_the_same(self, run: Any, world: str) -> None:
        metrics: List[Any] = run("--host", world, "metrics", "--json").json["metrics"]
        assert {"labels": {"domain_name": "web", "domid": "1"}, "value": 4} in next(
            each["samples"] for each in metrics if each["name"] == "xen_domain_cpu_count"
        )
