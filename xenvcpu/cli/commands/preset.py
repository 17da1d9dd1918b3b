# SPDX-License-Identifier: MIT
"""`xenvcpu preset`: the built-in contexts."""

from __future__ import annotations

import inspect
from collections.abc import Mapping

import click

from xenvcpu.abi.layout import Image
from xenvcpu.cli.examples import examples
from xenvcpu.cli.options import Session, global_options, pass_session, setting_option, vcpu_option
from xenvcpu.cli.output import print_json, print_table
from xenvcpu.context.presets import PRESETS
from xenvcpu.context.vcpu_context import VcpuContext
from xenvcpu.contextfile import dump, from_mapping
from xenvcpu.contextfile.expression import VARIABLE
from xenvcpu.contextfile.writing import as_mapping, hexed


def _about(name: str) -> str:
    return inspect.getdoc(PRESETS[name]) or ""


@click.command("preset", epilog=examples(
    "xenvcpu preset",
    "xenvcpu preset flat32 --set eip=0x100000 --set esp=0x80000 > ap.toml",
))
@click.argument("name", required=False, type=click.Choice(list(PRESETS)))
@setting_option
@vcpu_option
@global_options
@pass_session
def command(session: Session, name: str | None, settings: Mapping[str, str], vcpu: int) -> None:
    """List the presets, or print one as a context file."""
    if name is None:
        if settings:
            raise click.UsageError("--set needs the NAME of a preset")
        rows = [(known, _about(known).partition("\n")[0]) for known in PRESETS]
        if session.json:
            print_json({"presets": [{"name": known, "description": about} for known, about in rows]})
        else:
            print_table(("NAME", "WHAT IT IS"), rows)
        return
    context = from_mapping({"preset": name}, settings, name=f"preset {name}").render(vcpu)
    kept = _for_any_vcpu(context, settings)
    if session.json:
        print_json({"description": _about(name).partition("\n")[0], **hexed(as_mapping(context)), **kept})
    else:
        click.echo(dump(context, comment=f"{name}: {_about(name)}", expressions=kept))


def _for_any_vcpu(context: VcpuContext | Image, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that are another value for each vcpu, which a file keeps as they are, unless it is for one vcpu."""
    if click.get_current_context().get_parameter_source("vcpu") is not click.core.ParameterSource.DEFAULT:
        return {}
    kept = {key: text for key, text in settings.items() if VARIABLE in text}
    for key in sorted(kept.keys() - as_mapping(context).keys()):
        raise click.UsageError(f"--set {key} is another value for each vcpu: say for which one with --vcpu")
    return kept
