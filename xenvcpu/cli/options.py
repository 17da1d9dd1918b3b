# SPDX-License-Identifier: MIT
"""Options and arguments that several commands share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import click

from xenvcpu.allowances import NONE
from xenvcpu.cli.vcpus import LARGEST

# The rules are imported when an option needs them: `--help` does not.
if TYPE_CHECKING:
    from xenvcpu.deadline import Patience
    from xenvcpu.host import Host
    from xenvcpu.rules.features import Features
    from xenvcpu.rules.release import Release

F = TypeVar("F", bound=Callable[..., Any])
ANYWHERE = "auto"
HOST_VARIABLE = "XENVCPU_HOST"
HOST_HELP = "Where to work: auto, dom0, guest, model:NAME or model:FILE; with @DOMAIN behind it, inside that guest."


class Session:
    """What the global options say, and what is said about the domain.

    Attributes:
        host: The `--host` spec.
        json: Whether to print JSON.
        quiet: Whether to leave out what is not asked for.
        timeout: The seconds until an operation gives up; None for the usual.
        no_wait: Whether not to wait for another program that drives the domain.
        masks: What the domain's CPU policy allows, as far as it was given: attributes of `Features`.
        done: What the command has changed, in words, once it has: what fails from then on is the report alone.
        allow: What may be done although it would be refused.
    """

    def __init__(self) -> None:
        self.host = ANYWHERE
        self.json = False
        self.quiet = False
        self.timeout: float | None = None
        self.no_wait = False
        self.masks: dict[str, Any] = {}
        self.done = ""
        self.allow = NONE

    @property
    def features(self) -> Features:
        """What the domain's CPU policy allows."""
        from xenvcpu.rules.features import Features

        return Features(**self.masks)

    def judged_by(self, domain: str | None = None) -> tuple[Release, Features, str | None]:
        """What a context is judged by, where nothing else is said: a Xen, what a domain may do, its interface.

        They are those of a domain, where one is named. Else the Xen is that of `--host`, with its processor's vendor,
        where that is given; and else the newest that is known. Inside a guest the processor is what Xen shows to it,
        and does not count.
        """
        from dataclasses import replace

        from xenvcpu.rules.release import KNOWN

        if self.host == ANYWHERE and domain is None:
            return KNOWN[-1], self.features, None
        with self.open() as host:
            if domain is not None:
                found = host.domain(domain)
                return host.release, found.policy(self.features), found.interface
            if host.is_inside:
                return host.release, self.features, None
            return host.release, replace(self.features, vendor=self.features.vendor or host.dom0.vendor), None

    def open(self) -> Host:
        """The host to work on."""
        from xenvcpu.host import open_host

        return open_host(self.host, self.patience)

    @property
    def patience(self) -> Patience:
        """How long an operation may take, and whether the user is told of a wait."""
        from xenvcpu.deadline import DEFAULT, Patience

        tell = DEFAULT.tell if self.quiet or self.json else self._tell
        return Patience(self.timeout or DEFAULT.timeout, not self.no_wait, tell)

    def notes_on(self, host: Host) -> tuple[str, ...]:
        """What is to be said when something was changed on a host: nothing, where the change lasts."""
        if host.kind != "model" or host.libraries.path is not None:
            return ()
        world = self.host.partition(":")[2].partition("@")[0]
        return (
            f"the world {world} is this command's own, and forgotten now; to keep one: `xenvcpu model new FILE --world"
            f" {world}`, and --host model:FILE",
        )

    def say_notes(self, notes: Iterable[str]) -> None:
        """Say notes on stderr, unless the user wants none."""
        for note in () if self.quiet else notes:
            self._tell(note)

    @staticmethod
    def _tell(text: str) -> None:
        from xenvcpu.cli.main import PROGRAM
        from xenvcpu.cli.output import say

        say(f"{PROGRAM}: {text}", err=True)


pass_session = click.make_pass_decorator(Session, ensure=True)


def _keep_host(context: click.Context, option: click.Parameter, value: str | None) -> None:
    if value and not value.startswith("model:"):
        from xenvcpu.host import KINDS

        if value not in KINDS:
            raise click.BadParameter(f"{value!r} is none of {', '.join(KINDS)}")
    _keep(context, option, value)


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    session = context.find_root().ensure_object(Session)
    if value and option.name is not None:
        setattr(session, option.name, value)


def _mask(context: click.Context, option: click.Parameter, value: str | None) -> None:
    _feature(context, option, None if value is None else integer(value))


def _feature(context: click.Context, option: click.Parameter, value: Any) -> None:
    session = context.find_root().ensure_object(Session)
    if value is not None and option.name is not None:
        session.masks[option.name] = value


def global_options(function: F, envvar: str | None = None) -> F:
    """The global options; they may stand before or after the name of a command."""
    for option in (
        click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_keep, help="Print no notes."),
        click.option("--json", is_flag=True, expose_value=False, callback=_keep, help="Print JSON."),
        click.option(
            "--host", metavar="HOST", envvar=envvar, show_envvar=True, expose_value=False, callback=_keep_host,
            help=HOST_HELP,
        ),
    ):
        function = option(function)
    return function


def root_options(function: F) -> F:
    """The global options where they stand before the command: only there does the environment count.

    A command would else take the environment's host over the one that was given before its name.
    """
    return global_options(function, HOST_VARIABLE)


class _Seconds(click.FloatRange):
    """Seconds, above 0; not a number is beyond no bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        seconds = super().convert(value, param, ctx)
        return self.fail(f"{value!r} is not a number.", param, ctx) if math.isnan(seconds) else seconds


timeout_option = click.option(
    "--timeout", type=_Seconds(0, 3600, min_open=True), metavar="SECONDS", expose_value=False, callback=_keep,
    help="Give up after so long, before anything is touched.  [default: 30]",
)


def change_options(function: F) -> F:
    """The options of every command that changes a domain; they go to the session."""
    no_wait = click.option(
        "--no-wait", is_flag=True, expose_value=False, callback=_keep,
        help="Do not wait for another xenvcpu that drives the domain.",
    )
    return timeout_option(no_wait(function))


def complete_file(context: click.Context, argument: click.Parameter, incomplete: str) -> list[Any]:
    """What a shell completes a file with: the names of files."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def complete_context(context: click.Context, argument: click.Parameter, incomplete: str) -> list[Any]:
    """What a shell completes a context with: files and presets."""
    from xenvcpu.cli import completing

    return list(completing.context_file(context, argument, incomplete))


def complete_domain(context: click.Context, argument: click.Parameter, incomplete: str) -> list[Any]:
    """What a shell completes a domain with: the names of those that the host has."""
    from xenvcpu.cli import completing

    return list(completing.domain(context, argument, incomplete))


def complete_libvirt_domain(context: click.Context, argument: click.Parameter, incomplete: str) -> list[Any]:
    """What a shell completes a domain of libvirt with."""
    from xenvcpu.cli import completing

    return list(completing.libvirt_domain(context, argument, incomplete))


def integer(text: str) -> int:
    """An integer in any base: `0x20`, `0b11`, `48`.

    Raises:
        click.BadParameter: Not one, or it does not fit 64 bits.
    """
    try:
        number = int(text, 0)
    except ValueError as exc:
        raise click.BadParameter(f"{text!r} is not an integer") from exc
    if not 0 <= number < 1 << 64:
        raise click.BadParameter(f"{text} does not fit 64 bits")
    return number


def releases(context: click.Context, option: click.Parameter, text: str) -> tuple[Release, ...]:
    """A release of Xen, or all that are known, as an option gives them."""
    from xenvcpu.errors import ContextError
    from xenvcpu.rules.release import KNOWN, Release

    try:
        return KNOWN if text == "all" else (Release.parse(text),)
    except ContextError as exc:
        raise click.BadParameter(str(exc)) from exc


def one_release(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """A release of Xen as an option gives it, by its name; None if it does not."""
    if text == "all":
        raise click.BadParameter("one release")
    return None if text is None else str(releases(context, option, text)[0])


def _settings(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        settings[key.strip()] = value.strip()
    return settings


setting_option = click.option(
    "--set", "settings", callback=_settings, multiple=True, metavar="KEY=VALUE",
    help="Give a key of the context anew, under the same checks. Repeatable.",
)


vcpu_option = click.option(
    "--vcpu", default=1, show_default=True, metavar="N", type=click.IntRange(0, LARGEST),
    help="Which vcpu it is for.",
)


def feature_options(function: F) -> F:
    """The options that say what the domain's CPU policy allows; they go to the session."""
    for option in (
        click.option(
            "--registered-vcpu-info/--no-registered-vcpu-info", default=None, expose_value=False, callback=_feature,
            help="Whether a vcpu from number 32 on has registered its vcpu_info.",
        ),
        click.option(
            "--hap/--shadow", "is_hap", default=None, expose_value=False, callback=_feature,
            help="How the domain's memory is paged.  [default: hap]",
        ),
        click.option(
            "--vendor", type=click.Choice(["intel", "amd"]), expose_value=False, callback=_feature,
            help="Whose processor the host has.",
        ),
        click.option(
            "--maxphysaddr", type=click.IntRange(32, 52), metavar="BITS", expose_value=False, callback=_feature,
            help="Width of the domain's physical addresses.",
        ),
        click.option(
            "--efer-valid", metavar="MASK", expose_value=False, callback=_mask,
            help="The EFER bits that the domain may set.",
        ),
        click.option(
            "--cr4-valid", metavar="MASK", expose_value=False, callback=_mask,
            help="The CR4 bits that the domain may set.",
        ),
    ):
        function = option(function)
    return function
