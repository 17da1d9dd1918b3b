# SPDX-License-Identifier: MIT
"""What dom0 knows of domains and vcpus, in Prometheus' text format, without pausing anybody.

Asked are XEN_SYSCTL_getdomaininfolist, XEN_DOMCTL_getvcpuinfo and xenstore. None pauses a vcpu; getvcpucontext, by
which one sees whether a vcpu is initialised, and every way to read registers do, so neither is among the metrics.

Source: do_domctl, do_sysctl, getdomaininfo (xen/common), 4.7 to 4.22. Names that other exporters have are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple, Union

from xenvcpu import keptfile
from xenvcpu.abi.domain_info import DomainInfo
from xenvcpu.abi.layout import Image
from xenvcpu.errors import HostError, NoSuchDomainError, NoSuchVcpuError
from xenvcpu.host import DOM0, Host

Number = Union[int, float]
Labels = Mapping[str, str]

_NS = 1_000_000_000
_ESCAPES = {"\\": r"\\", '"': r"\"", "\n": r"\n"}
KEPT = "xenvcpu_kept_captures"


@dataclass(frozen=True)
class Family:
    """A metric with all its samples.

    Attributes:
        name: Its name.
        kind: `gauge` or `counter`.
        about: What it says, in a line.
        samples: Labels and value of each.
    """

    name: str
    kind: str
    about: str
    samples: Tuple[Tuple[Labels, Number], ...]

    def lines(self) -> Iterator[str]:
        """The family in the text format."""
        yield f"# HELP {self.name} {self.about}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            shown = ",".join(f'{name}="{_escape(text)}"' for name, text in labels.items())
            yield f"{self.name}{{{shown}}} {value!r}" if shown else f"{self.name} {value!r}"

    def as_dict(self) -> Dict[str, Any]:
        """The family as `--json` prints it."""
        samples = [{"labels": dict(labels), "value": value} for labels, value in self.samples]
        return {"name": self.name, "type": self.kind, "help": self.about, "samples": samples}


def _escape(text: str) -> str:
    """A label's value: as the format wants it, and with nothing in it that could steer a terminal."""
    shown = (c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(_ESCAPES.get(c, c) for c in "".join(shown))


_Of = Tuple[str, str, Callable[[Any], Number]]
_INFO = ("xen_domain_info", "Always 1: the UUID and the type of a domain, to join with.")
_OF_DOMAIN: Mapping[str, _Of] = {
    "xen_domain_cpu_count": ("gauge", "Vcpus that the domain was created with.", lambda info: info.vcpu_count),
    "xen_domain_cpu_online_count": ("gauge", "Vcpus that are up.", lambda info: info.nr_online_vcpus),
    "xen_domain_cpu_time_total": ("counter", "Time that all its vcpus ran, in seconds.", lambda i: i.cpu_time / _NS),
    "xen_domain_paused": ("gauge", "1 while a toolstack holds it paused.", lambda info: int(info.is_paused)),
    "xen_domain_shutdown": (
        "gauge", "1 once its software has stopped or crashed, until it is destroyed.", lambda i: int(i.is_shutdown)
    ),
}
_OF_VCPU: Mapping[str, _Of] = {
    "xen_domain_vcpu_online": ("gauge", "1 while the vcpu is up.", lambda vcpu: int(bool(vcpu["online"]))),
    "xen_domain_vcpu_time_total": ("counter", "Time that the vcpu ran, in seconds.", lambda v: v["cpu_time"] / _NS),
}
_KEPT_ABOUT = "Captures of domains that a failed change left, and that `xenvcpu recover` has not brought back."


@dataclass(frozen=True)
class _Seen:
    labels: Labels
    info: DomainInfo
    vcpus: Tuple[Image, ...]


def _look(host: Host, *, has_vcpus: bool) -> Iterator[_Seen]:
    """Every domain; one that goes away meanwhile, or is not yet whole, counts for what it still shows."""
    deadline = host.keeper.patience.begin()
    for domain in (host.domain(DOM0), *host.domains()):
        info, vcpus = domain.info, []  # type: ignore[union-attr]  # `Host.domain` says so inside a guest only
        try:
            for vcpuid in range(info.vcpu_count if has_vcpus else 0):
                deadline.check("reading its vcpus", info.domid)
                vcpus.append(host.dom0.vcpu(info.domid, vcpuid))
        except (NoSuchDomainError, NoSuchVcpuError):
            pass
        # Two domains can have one name, and a textfile in which two samples have the same labels is refused whole.
        yield _Seen({"domain_name": domain.name or "", "domid": str(info.domid)}, info, tuple(vcpus))


def collect(host: Host, *, has_vcpus: bool = True) -> List[Family]:
    """Look at every domain, dom0 too.

    Args:
        host: A host, seen from dom0.
        has_vcpus: Whether to look at each vcpu, which costs a hypercall.

    Raises:
        HostError: The host is seen from inside a guest.
        DeadlineError: It took longer than the host's patience.
    """
    if host.is_inside:
        raise HostError("inside a guest there is nothing to measure: metrics come from dom0")
    seen = tuple(_look(host, has_vcpus=has_vcpus))
    kinds = [({**one.labels, "uuid": str(one.info.handle), "type": _type(one.info)}, 1) for one in seen]
    families = [Family(_INFO[0], "gauge", _INFO[1], tuple(kinds))]
    for name, (kind, about, of) in _OF_DOMAIN.items():
        families.append(Family(name, kind, about, tuple((one.labels, of(one.info)) for one in seen)))
    for name, (kind, about, of) in _OF_VCPU.items() if has_vcpus else ():
        samples = (
            ({**one.labels, "cpu_id": str(vcpuid)}, of(vcpu)) for one in seen for vcpuid, vcpu in enumerate(one.vcpus)
        )
        families.append(Family(name, kind, about, tuple(samples)))
    return [*families, *_kept(host)]


def _type(info: DomainInfo) -> str:
    # Xen does not tell a PVH domain from one of HVM type.
    return "hvm" if info.is_hvm else "pv"


def _kept(host: Host) -> Iterator[Family]:
    try:
        count = len(keptfile.kept(host.folders.kept))
    except HostError:
        return
    yield Family(KEPT, "gauge", _KEPT_ABOUT, (({}, count),))


def render(families: Sequence[Family]) -> str:
    """Families in Prometheus' text format, version 0.0.4."""
    return "".join(f"{line}\n" for family in families for line in family.lines())
