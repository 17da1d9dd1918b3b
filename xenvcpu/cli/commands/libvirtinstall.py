# SPDX-License-Identifier: MIT
"""`xenvcpu libvirt`: what it installs on a host, and takes away."""

from __future__ import annotations

from pathlib import Path

import click

from xenvcpu.cli.examples import examples
from xenvcpu.cli.installing import served_host
from xenvcpu.cli.main import PROGRAM
from xenvcpu.cli.options import Session, global_options, pass_session
from xenvcpu.cli.output import print_json, say
from xenvcpu.cli.removing import remove
from xenvcpu.errors import HostError, LibraryMissingError
from xenvcpu.toolstacks import ownfile
from xenvcpu.toolstacks.libvirt import install

hooks_option = click.option("--folder", default=install.HOOKS, show_default=True, help="libvirt's hooks.")
units_option = click.option("--folder", default=install.UNITS, show_default=True, help="systemd's units.")


def _installed(session: Session, path: Path, text: str, mode: int, then: str) -> None:
    changed = ownfile.put(path, text, mode)
    if changed:
        session.done = f"wrote {path}"
    if session.json:
        print_json({"file": str(path), "changed": changed})
    elif not session.quiet:
        say(f"{path}: written; {then}" if changed else f"{path}: as it was")


def _folder(folder: str, whose: str) -> Path:
    """The folder, which is there or can be made in one that is.

    Raises:
        HostError: It is not: what is put into folders of one's own making nobody finds.
    """
    if not folder or not Path(folder).absolute().parent.is_dir():
        raise HostError(f"{folder or 'nothing'}: no such folder; {whose}")
    return Path(folder)


@click.command(
    "install-hook", short_help="Have libvirt start declared vcpus by itself.",
    epilog=examples("xenvcpu libvirt install-hook"),
)
@hooks_option
@click.option("--strict", is_flag=True, help="End a domain whose vcpus cannot be started.")
@global_options
@pass_session
def install_hook(session: Session, folder: str, strict: bool) -> None:
    """Install a hook that libvirt runs when it has started a domain.

    A domain whose declared vcpus cannot be started runs without them, and the system's
    log says why; with --strict libvirt ends it (seen with libvirt 9.0; older ones, up to
    about 7, may let it run on).
    """
    text = install.hook(served_host(session), strict=strict)
    path = _folder(folder, "libvirt's daemon has its hooks there: is it installed?") / install.HOOK
    _installed(session, path, text, 0o755, "libvirt finds it when its daemon is restarted")


@click.command("remove-hook", short_help="Take the hook away.", epilog=examples("xenvcpu libvirt remove-hook"))
@hooks_option
@global_options
@pass_session
def remove_hook(session: Session, folder: str) -> None:
    """Take away the hook that install-hook has made. Declarations stay."""
    remove(session, Path(folder) / install.HOOK, "libvirt forgets it when its daemon is restarted")


@click.command(
    "install-service", short_help="Install the watcher as a service of systemd.",
    epilog=examples("xenvcpu libvirt install-service"),
)
@units_option
@global_options
@pass_session
def install_service(session: Session, folder: str) -> None:
    """Install `xenvcpu libvirt watch` as a service that is ready to be enabled."""
    from xenvcpu.toolstacks.libvirt.library import library

    text = install.unit(install.this_command(served_host(session)))
    path = _folder(folder, "systemd has its units there") / install.UNIT
    then = f"systemctl daemon-reload && systemctl enable --now {install.UNIT}"
    _installed(session, path, text, 0o644, then)
    try:
        library()
    except LibraryMissingError as error:
        say(f"{PROGRAM}: the service will not run: {error}", err=True)


@click.command(
    "remove-service", short_help="Take the service away.", epilog=examples("xenvcpu libvirt remove-service"),
)
@units_option
@global_options
@pass_session
def remove_service(session: Session, folder: str) -> None:
    """Take away the unit that install-service has made. Stop and disable it first."""
    remove(session, Path(folder) / install.UNIT, f"systemctl disable --now {install.UNIT}, if it still runs")
