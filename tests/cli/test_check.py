# SPDX-License-Identifier: MIT
"""`check`: one context, one over all releases, and many by line."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from xenvcpu.context.presets import flat32
from xenvcpu.encoding import to_cpu_record, to_vcpu_hvm_context
from xenvcpu.rules.release import KNOWN

Run = Callable[..., Any]

GOOD = ("check", "preset:flat32", "--set", "eip=0x1000", "--set", "esp=0x9000")
BAD = (*GOOD, "--set", "cs_ar=0xc93")


def test_a_good_context_is_accepted(run: Run) -> None:
    ran = run(*GOOD)
    assert (0, f"preset:flat32: accepted by Xen {KNOWN[-1]} through vcpuop\n") == (ran.code, ran.out)


def test_a_bad_context_exits_3_with_the_rule_and_the_field(run: Run) -> None:
    ran = run(*BAD, "--json", "--xen", "4.17")
    said = ran.json
    assert (3, "rejected", "EINVAL", "4.17", "vcpuop", 1) == (
        ran.code, said["verdict"], said["errno"], said["xen"], said["interface"], said["schema"]
    )
    assert ("cs_ar", "0xc93", "rejected") == tuple(said["findings"][0][key] for key in ("field", "value", "level"))


@pytest.mark.parametrize("interface", ["vcpuop", "domctl"])
def test_a_finding_names_the_key_and_the_value_that_were_written(run: Run, interface: str) -> None:
    ran = run(*GOOD, "--set", "esp=0", "--set", "cs_ar=0xc09b", "--interface", interface, "--json")
    said = [(found["rule"], found["field"], found["value"]) for found in ran.json["findings"]]
    assert [("ar-vmx-form", "cs_ar", "0xc09b"), ("no-stack", "esp", "0x0")] == said


@pytest.mark.parametrize("host, domain", [("model:pvh", "web"), ("model:pvh@web", "self")])
@pytest.mark.parametrize("word", ["0xc09b", "0xc09b00", "0xcf9b00"])
def test_attributes_of_another_form_start_32_bit_code(run: Run, host: str, domain: str, word: str) -> None:
    ran = run("--host", host, "start", domain, "1", *GOOD[1:], "--set", f"cs_ar={word}", "--dry-run", "--json")
    (vcpu,) = ran.json["vcpus"]
    held = vcpu["cpu_record"]["cs_arbytes"] if domain == "web" else vcpu["vcpu_hvm_context"]["cs_ar"]
    assert (0, "0xc9b") == (ran.code, held)
    assert f"cs_ar = {word} (in " in vcpu["findings"][0]["message"]


def test_attributes_that_could_be_of_two_forms_are_refused_with_the_words_to_write(run: Run) -> None:
    ran = run(*GOOD, "--set", "cs_ar=0xcf9b")
    assert (1, "") == (ran.code, ran.out)
    assert "cs_ar: 0xcf9b is not a 12-bit word" in ran.err and "write 0xc9b if" in ran.err


def test_xen_prints_for_its_first_refusal_only(run: Run) -> None:
    settings = ("--set", "cs_ar=0", "--set", "ss_ar=0")
    out = run("check", "preset:flat32", *settings).out
    assert (2, 1) == (out.count("rejected null-segment"), out.count("Xen would print"))
    err = run("--host", "model:pvh", "start", "web", "1", "preset:flat32", *settings).err
    assert err.count("Xen would print") <= 1


def test_a_vcpu_that_no_xen_has_is_a_usage_error(run: Run) -> None:
    assert (0, 2) == tuple(run("check", "preset:flat32", "--vcpu", number).code for number in (8191, 8192))


def test_a_fatal_context_exits_3(run: Run) -> None:
    ran = run(*GOOD, "--set", "efer=0x400", "--json")
    assert (3, True) == (ran.code, ran.json["verdict"] in ("rejected", "fatal"))


def test_all_releases_are_judged_at_once(run: Run) -> None:
    ran = run(*GOOD, "--xen", "all", "--json")
    assert [str(release) for release in KNOWN] == [verdict["xen"] for verdict in ran.json["verdicts"]]
    assert {"accepted"} == {verdict["verdict"] for verdict in ran.json["verdicts"]}
    assert 1 + len(KNOWN) == len(run(*BAD, "--xen", "all").out.splitlines())


def test_the_xen_of_the_host_that_is_given_judges_unless_another_is_named(run: Run) -> None:
    assert " by Xen 4.17 " in run("--host", "model:pvh", *GOOD).out
    assert " by Xen 4.17 " in run("--host", "model:pvh@web", *GOOD).out
    assert " by Xen 4.14 " in run("--host", "model:pvh", *GOOD, "--xen", "4.14").out


def test_the_vendor_is_that_of_the_host_where_one_is_given(run: Run) -> None:
    odd = (*GOOD, "--set", "fs_limit=0x500000")
    assert run("--host", "model:pvh", *odd).code == 3 and run("--host", "model:lab", *odd).code == 0
    assert run("--host", "model:lab", *odd, "--vendor", "intel").code == 3
    assert run("--host", "model:lab", *odd, "--xen", "4.17").code == 3


def test_what_only_dom0_can_carry_is_judged_for_dom0(run: Run) -> None:
    assert "domctl" == run(*GOOD, "--set", "gs_base=0x10", "--json").json["interface"]


def test_what_the_interface_cannot_carry_is_rejected_by_name(run: Run) -> None:
    ran = run(*GOOD, "--set", "gs_base=0x10", "--interface", "vcpuop", "--json")
    assert (3, "gs_base", "extended-field") == (
        ran.code, ran.json["findings"][0]["field"], ran.json["findings"][0]["rule"]
    )


def test_masks_that_are_not_given_are_named(run: Run) -> None:
    cr4 = (*GOOD, "--set", "cr4=0x200000", "--json")
    assert ["cr4_valid"] == run(*cr4).json["depends_on"]
    assert [] == run(*cr4, "--cr4-valid", "0x2007ff").json["depends_on"]


@pytest.mark.parametrize(
    "options",
    [["--xen", "4.5"], ["--xen", "x"], ["--cr4-valid", "x"], ["--interface", "x"], ["--set", "eip"], ["--vendor", "x"],
     ["--maxphysaddr", "7"], ["--vcpu", "-1"], ["--jsonl"]],
)
def test_a_wrong_option_is_a_usage_error(run: Run, options: list[str]) -> None:
    assert 2 == run("check", "preset:flat32", *options).code


def lines(*data: object) -> str:
    return "".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in data)


def test_lines_give_verdicts_in_order(run: Run) -> None:
    good, bad = flat32(0x1000, 0x9000), {"preset": "flat32", "cs_ar": 0xC93}
    ran = run("check", "-", "--jsonl", stdin=lines(
        {"bytes": to_vcpu_hvm_context(good).pack().hex()}, {"context": bad}, {"context": {"preset": "long64", "r8": 1}}
    ))
    said = [json.loads(line) for line in ran.out.splitlines()]
    assert (0, ["accepted", "rejected"]) == (ran.code, [line["verdict"] for line in said[:2]])
    assert {"verdict", "errno", "findings", "depends_on"} == set(said[2])


def test_bytes_for_domctl_are_a_cpu_record(run: Run) -> None:
    raw = to_cpu_record(flat32(0x1000, 0x9000)).pack()
    ran = run("check", "-", "--jsonl", "--interface", "domctl", stdin=lines({"bytes": raw.hex()}))
    assert "accepted" == json.loads(ran.out)["verdict"]


@pytest.mark.parametrize(
    "line",
    ["", "x", "[]", "{}", '{"bytes": 1}', '{"bytes": "00"}', '{"bytes": "xy"}', '{"context": 1}', '{"byte": "00"}',
     '{"context": {"eipp": 1}}', '{"context": {}, "bytes": ""}', "[" * 100000, "1" * 5000, "\x00", " " * (1 << 21)],
    ids=range(15),
)
def test_a_bad_line_is_an_error_in_its_place(run: Run, line: str) -> None:
    good = {"context": {"preset": "flat32"}}
    ran = run("check", "-", "--jsonl", stdin=lines(good, line, good))
    said = [json.loads(text) for text in ran.out.splitlines()]
    assert (1, ["verdict", "error", "verdict"]) == (ran.code, [next(iter(item)) for item in said])


@pytest.mark.parametrize("where", [(), ("--xen", "4.20"), ("--interface", "vcpuop")])
def test_with_a_domain_its_cpu_policy_is_what_it_may_set(run: Run, where: tuple[str, ...]) -> None:
    pku = (*GOOD, "--set", "cr4=0x400000", "--json", *where)
    assert run(*pku).code == 0
    ran = run("--host", "model:pvh", *pku, "--domain", "web")
    assert (3, "cr4-bit", []) == (ran.code, ran.json["findings"][0]["rule"], ran.json["depends_on"])


def test_with_a_domain_the_xen_and_the_interface_are_those_of_a_start_there(run: Run) -> None:
    said = run("--host", "model:lab", *GOOD, "--domain", "nano", "--json").json
    assert ("4.17", "domctl") == (said["xen"], said["interface"])
    assert run("--host", "model:pvh@web", *GOOD, "--domain", "self", "--json").json["interface"] == "vcpuop"


def test_a_mask_that_is_given_beside_a_domain_only_narrows(run: Run) -> None:
    of_web = ("--host", "model:pvh", *GOOD, "--domain", "web")
    assert run(*of_web, "--set", "cr4=0x20", "--cr4-valid", "0x10").code == 3
    assert run(*of_web, "--set", "cr4=0x400000", "--cr4-valid", "0x400000").code == 3
    assert run(*of_web, "--set", "cr4=0x20", "--cr4-valid", "0x400020").code == 0
