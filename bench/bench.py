# SPDX-License-Identifier: MIT
"""How fast, as ratios against something measured in the same run.

    make bench            one line a measure: what, how long, and how that compares

Times on their own say little about another machine; the ratios do.
"""

from __future__ import annotations

import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List

from xenvcpu import encoding
from xenvcpu.abi import vcpu_hvm_context
from xenvcpu.context.presets import flat32, long64
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.guard import process
from xenvcpu.guard.request import Request
from xenvcpu.host import open_host
from xenvcpu.model import worldfile
from xenvcpu.rules.check import check_context
from xenvcpu.rules.release import Release

ROUNDS = 7
XEN = Release(17)
BIN = Path(sys.executable).parent


def best(work: Callable[[], object], repeat: int = 1) -> float:
    """The median of some rounds, in seconds for one call."""
    samples: List[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(repeat):
            work()
        samples.append((time.perf_counter() - began) / repeat)
    return statistics.median(samples)


def line(what: str, seconds: float, yardstick: str, reference: float) -> None:
    """One measure: how long, how often a second, and how many times the yardstick."""
    print(f"{what:44} {seconds * 1e6:12.1f} us {1 / seconds:12.0f}/s {seconds / reference:9.1f} x {yardstick}")


def context_measures(preset: Callable[[int, int], VcpuContext]) -> Dict[str, Callable[[], object]]:
    """What is done with one context, by name."""
    context = preset(0x100000, 0x80000)
    image = encoding.to_vcpu_hvm_context(context)
    data = image.pack()
    return {
        "make and encode": lambda: encoding.to_vcpu_hvm_context(preset(0x100000, 0x80000)).pack(),
        "decode": lambda: vcpu_hvm_context.decode(data),
        "check": lambda: check_context(image, XEN),
        "to a CPU record": lambda: encoding.to_cpu_record(context, XEN).pack(),
    }


def contexts() -> None:
    """Encoding and checking one context, against a bare struct.pack of the same 128 bytes."""
    bare = struct.Struct("<16I Q 10I 8H")
    zeros = [0] * 35
    pack = best(lambda: bare.pack(*zeros), 20000)
    print(f"{'struct.pack of 35 fields (yardstick)':44} {pack * 1e6:12.1f} us {1 / pack:12.0f}/s")
    for name, preset in (("flat32", flat32), ("long64", long64)):
        for what, work in context_measures(preset).items():
            line(f"{name}: {what}", best(work, 500), "struct.pack", pack)


def start_on_model(world: str, count: int) -> float:
    """One start of `count` vcpus on the model."""
    with open_host(f"model:{world}") as host:
        domain = host.domains()[0]
        began = time.perf_counter()
        domain.start(range(1, count + 1), lambda vcpuid: flat32(0x100000, 0x80000 + 0x1000 * vcpuid))
        return time.perf_counter() - began


def save_on_model(world: str) -> float:
    """One full save of the same domain: what the model and cffi cost by themselves."""
    with open_host(f"model:{world}") as host:
        domain = host.domains()[0]
        return best(domain.state)


def starts() -> None:
    """A start on the model, against a full save of the same domain (a start contains two)."""
    for world, count in (("pvh", 3), ("big", 127)):
        seconds = statistics.median(start_on_model(world, count) for _ in range(ROUNDS))
        line(f"start of {count} vcpus on the model", seconds, "one full save", save_on_model(world))


def guarded() -> None:
    """One guard process, from its start to its first answer and its end: what a program's first change pays."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/world.json"
        worldfile.new(path)

        def whole() -> None:
            guard = process.start(f"model:{path}", folder)
            guard.ask(Request.PUT_BACK, 10.0)
            guard.close()

        interpreter = best(lambda: subprocess.run([sys.executable, "-c", ""], check=True))
        line("guard process: start, answer, end", best(whole), "bare interpreter", interpreter)


def commands() -> None:
    """The command's start-up, against a bare interpreter."""
    def run(*command: object) -> Callable[[], object]:
        return lambda: subprocess.run([str(part) for part in command], capture_output=True, check=True)

    measures: Dict[str, Callable[[], object]] = {
        "xenvcpu --version": run(BIN / "xenvcpu", "--version"),
        "xenvcpu --help": run(BIN / "xenvcpu", "--help"),
        "xenvcpu preset flat32": run(BIN / "xenvcpu", "preset", "flat32"),
        "xenvcpu --host model:pvh list": run(BIN / "xenvcpu", "--host", "model:pvh", "list"),
        "python -c 'import xenvcpu'": run(sys.executable, "-c", "import xenvcpu"),
        "python -c 'import click'": run(sys.executable, "-c", "import click"),
    }
    interpreter = best(run(sys.executable, "-c", ""))
    print(f"{'python -c pass (yardstick)':44} {interpreter * 1e6:12.1f} us")
    for what, work in measures.items():
        line(what, best(work), "bare interpreter", interpreter)


if __name__ == "__main__":
    contexts()
    starts()
    guarded()
    commands()
