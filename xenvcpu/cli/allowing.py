# SPDX-License-Identifier: MIT
"""The options by which a command does what it would refuse: one for each exception."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Callable, Mapping, TypeVar

import click

from xenvcpu.allowances import IGNORE_RULES, Allowance, Allowances
from xenvcpu.cli.options import Session
from xenvcpu.errors import ContextError

F = TypeVar("F", bound=Callable[..., Any])
FORCE = "--force"
HELP: Mapping[Allowance, str] = {
    Allowance.DEVICE_ACCESS_LOSS: "Even if it cuts off an access to an emulated device.",
    Allowance.UNBUILT: "Even if the domain has no boot vcpu yet.",
    Allowance.LAST: "Even if no vcpu is left running.",
    Allowance.FIRMWARE: "Even if hvmloader comes first.",
    Allowance.UNSEEN: "Take every vcpu for lost that was online at the capture and is down now.",
}
_RULES_HELP = "Do it although these rules refuse it, or all: Xen judges then. None that protects the host is ignored."
_RULES_METAVAR = "NAME[,NAME...]|all"


def _allow(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value and option.name is not None:
        session = context.find_root().ensure_object(Session)
        name = option.name[len("allow_") :].replace("_", "-")
        session.allow = Allowances(session.allow.granted | {Allowance(name)}, session.allow.ignored_rules)


def _ignore(context: click.Context, option: click.Parameter, text: str | None) -> None:
    if text is None:
        return
    session = context.find_root().ensure_object(Session)
    try:
        rules = Allowances.of(ignore_rules=(name.strip() for name in text.split(","))).ignored_rules
    except ContextError as error:
        raise click.BadParameter(str(error)) from error
    session.allow = Allowances(session.allow.granted, rules)


def _options_of(command: click.Command) -> Iterable[tuple[str, str]]:
    for parameter in command.params:
        name = parameter.opts[0]
        if isinstance(parameter, click.Option) and (name.startswith("--allow-") or name == IGNORE_RULES):
            yield name, parameter.help or ""


def _refuse_force(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        lines = [f"  {name}: {text}" for name, text in _options_of(context.command)]
        raise click.UsageError("\n".join((f"{FORCE} accepts nothing by itself; give what is meant:", *lines)), context)


def allow_options(*allowances: Allowance, rules: bool = True, is_listed: bool = False) -> Callable[[F], F]:
    """The options of one command; they go to the session.

    Args:
        allowances: The exceptions that it can make.
        rules: Whether it can ignore rules.
        is_listed: Whether the command gets `force` itself, and lists what it would be refused for.
    """
    def decorated(function: F) -> F:
        force_help = "Do nothing, and list which of these options it would take."
        if is_listed:
            function = click.option(FORCE, is_flag=True, help=force_help)(function)
        else:
            function = click.option(
                FORCE, is_flag=True, expose_value=False, callback=_refuse_force, help=force_help,
            )(function)
        if rules:
            function = click.option(
                IGNORE_RULES, metavar=_RULES_METAVAR, expose_value=False, callback=_ignore, help=_RULES_HELP,
            )(function)
        for allowance in reversed(allowances):
            function = click.option(
                allowance.option, is_flag=True, expose_value=False, callback=_allow, help=HELP[allowance],
            )(function)
        return function

    return decorated


def refuse_force(objections: Iterable[tuple[str, str]]) -> None:
    """End a command that `--force` was given to, with what it would have to be given instead.

    Raises:
        click.UsageError: Always, with each option that it would take, and why.
    """
    lines = [f"  {option}: {why}" for option, why in objections]
    if not lines:
        raise click.UsageError(f"{FORCE} accepts nothing, and nothing refuses this: leave it out")
    raise click.UsageError("\n".join((f"{FORCE} accepts nothing by itself; give what is meant:", *lines)))
