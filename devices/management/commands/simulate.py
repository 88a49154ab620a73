"""Run a fleet of simulated devices in the foreground."""

from __future__ import annotations

import importlib.util
import json
import shlex
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.simulator.demo import DemoCredential
from devices.simulator.generate import (
    MIXED,
    Wishes,
    make_credentials,
    make_fleet,
    read_credentials,
    with_ports,
    write_credentials,
    write_inventory,
)
from devices.simulator.processes import FleetProcesses
from devices.simulator.spec import PLATFORMS, Fault, PortTakenError, SimDevice, SimulatorError


class Command(BaseCommand):
    """`simulate`: devices that answer on loopback until Ctrl-C."""

    help = (
        "Run simulated network devices on loopback, over real SSH, until Ctrl-C or SIGTERM. Writes their "
        "inventory (for import_devices) once every port answers, and their made-up credentials. "
        "Exit code 1: could not start, or a process died; 2: wrong use."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Which devices, where, and what to write."""
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--devices", type=int, metavar="N", help="make up N devices")
        which.add_argument("--fleet", type=Path, metavar="FILE", help="the devices of a JSON file, a list")
        parser.add_argument("--inventory", type=Path, metavar="FILE", help="write the inventory here, as CSV")
        parser.add_argument(
            "--credentials",
            type=Path,
            metavar="FILE",
            help="the credentials of the made-up devices, JSON, mode 0600; used again when the file exists "
            "(default: beside the inventory)",
        )
        parser.add_argument("--base-port", type=int, metavar="P", help="ports from P upwards (default: free ones)")
        parser.add_argument("--processes", type=int, default=1, metavar="K", help="share the work among K processes")
        parser.add_argument(
            "--record", type=Path, metavar="FILE", help="append every secret that is offered, as JSON lines"
        )
        parser.add_argument(
            "--state", type=Path, metavar="DIR", help="keep host keys here, and listen for SimulatorControl"
        )
        made_up = parser.add_argument_group("made-up devices")
        made_up.add_argument(
            "--platforms",
            default=",".join(dict.fromkeys(MIXED)),
            metavar="A,B",
            help=f"platforms in turn, of {', '.join(PLATFORMS)}",
        )
        made_up.add_argument("--config-kb", type=int, default=15, metavar="K", help="size of a configuration")
        made_up.add_argument("--latency", type=float, default=0.0, metavar="S", help="round trip in seconds")
        made_up.add_argument(
            "--command-delay", type=float, default=0.0, metavar="S", help="time that a configuration takes"
        )
        made_up.add_argument(
            "--reject-delay", type=float, default=0.0, metavar="S", help="time that a wrong password takes"
        )
        made_up.add_argument(
            "--second-percent",
            type=float,
            default=0.0,
            metavar="N",
            help="N devices in a hundred refuse the first credential and take the second",
        )
        made_up.add_argument("--steady", action="store_true", help="every dump of a device is the same to the byte")
        made_up.add_argument(
            "--group14",
            action="store_true",
            help="devices offer no key exchange but diffie-hellman-group14-sha256",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Start, say where things are, wait, stop."""
        if importlib.util.find_spec("asyncssh") is None:
            raise CommandError(
                "asyncssh is not installed; it comes with requirements-dev.txt: pip install -r requirements-dev.txt",
                returncode=2,
            )
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: stop.set())
        try:
            _check_places(options)
            devices, credentials = self._devices(options)
            fleet = FleetProcesses(
                _placed(devices, options["base_port"]),
                processes=options["processes"],
                state=options["state"],
                record=options["record"],
            )
            with fleet:
                self._report(fleet.devices, credentials, options)
                while not stop.wait(1.0):
                    if (code := fleet.dead()) is not None:
                        raise SimulatorError(f"a process of the fleet ended by itself (exit code {code})")
        except PortTakenError as error:
            raise CommandError(f"{error}; choose other ports with --base-port") from None
        except (SimulatorError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write("Stopped.")

    def _devices(self, options: dict[str, Any]) -> tuple[list[SimDevice], list[DemoCredential]]:
        if options["fleet"] is not None:
            try:
                data = json.loads(options["fleet"].read_text(encoding="utf-8"))
                return [SimDevice.from_json(item) for item in data], []
            except OSError as error:
                raise CommandError(f"{options['fleet']} cannot be read: {error.strerror}.", returncode=2) from None
            except (ValueError, TypeError) as error:
                raise CommandError(f"{options['fleet']} is no list of devices: {error}", returncode=2) from None
        wishes = _wishes(options)
        file = self._credentials_file(options)
        credentials = read_credentials(file) if file is not None else None
        if credentials is None or len(credentials) < 2:
            credentials = make_credentials()
        if file is not None:
            write_credentials(file, credentials)
        return make_fleet(wishes, credentials), credentials

    @staticmethod
    def _credentials_file(options: dict[str, Any]) -> Path | None:
        if options["credentials"] is not None:
            return Path(options["credentials"])
        if options["inventory"] is not None:
            return Path(options["inventory"]).with_suffix(".credentials.json")
        return None

    def _report(
        self, devices: Sequence[SimDevice], credentials: Sequence[DemoCredential], options: dict[str, Any]
    ) -> None:
        running = [device for device in devices if device.started]
        ports = [device.port for device in running]
        span = f"ports {min(ports)} to {max(ports)}" if ports else "no port"
        self.stdout.write(f"{len(running)} of {len(devices)} devices answer on {span}.")
        if options["inventory"] is not None:
            write_inventory(options["inventory"], devices)
            self.stdout.write(f"Inventory: {options['inventory']}")
            self.stdout.write(f"  ./manage.py import_devices {shlex.quote(str(options['inventory']))}")
        file = self._credentials_file(options)
        if credentials and file is not None:
            self.stdout.write(f"Credentials: {file}")
            for number, item in enumerate(credentials):
                self.stdout.write(f"  {_how_to_add(file, number, item)}")
        elif credentials:
            self.stdout.write("The credentials were not written; name a file with --credentials.")
        self.stdout.write("Ctrl-C stops them.")
        self.stdout.flush()


def _check_places(options: dict[str, Any]) -> None:
    """A CommandError names the option whose file would have no folder to lie in."""
    for name in ("inventory", "credentials", "record"):
        path = options[name]
        if path is None:
            continue
        if path.is_dir():
            raise CommandError(f"--{name}: {path} is a folder; name a file.", returncode=2)
        if not path.parent.is_dir():
            raise CommandError(f"--{name}: there is no folder {path.parent}.", returncode=2)


def _placed(devices: list[SimDevice], base_port: int | None) -> list[SimDevice]:
    try:
        return with_ports(devices, base_port)
    except SimulatorError:
        last = 65535 - len(devices) + 1
        fits = f"choose one from 1 to {last}" if last > 0 else f"there is no room for {len(devices)} devices"
        raise CommandError(
            f"--base-port {base_port}: {len(devices)} devices need as many ports, up to 65535; {fits}.", returncode=2
        ) from None


def _how_to_add(file: Path, number: int, item: DemoCredential) -> str:
    """A command line that adds a credential without showing its secrets."""
    read = (
        f"import json, sys; c = json.load(open(sys.argv[1]))[{number}]; "
        "print(c['password'], c['enable_secret'], sep='\\n')"
    )
    return (
        f'python3 -c "{read}" {shlex.quote(str(file))} | ./manage.py add_credential '
        f"--name {shlex.quote(item.name)} --username {item.username} --password-stdin --enable-secret-stdin "
        f"--tags {','.join(item.tags)} --priority {item.priority} --scope {item.scope}"
    )


def _wishes(options: dict[str, Any]) -> Wishes:
    """The options that describe made-up devices; a CommandError names the one that is wrong."""
    platforms = [name.strip() for name in options["platforms"].split(",") if name.strip()]
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise CommandError(f"--platforms: choose among {', '.join(PLATFORMS)}", returncode=2)
    for name, least in (
        ("devices", 1),
        ("processes", 1),
        ("config_kb", 5),
        ("latency", 0),
        ("command_delay", 0),
        ("reject_delay", 0),
        ("second_percent", 0),
    ):
        if options[name] < least:
            raise CommandError(f"--{name.replace('_', '-')} is at least {least}", returncode=2)
    if options["second_percent"] > 100:
        raise CommandError("--second-percent is at most 100", returncode=2)
    same_order = set(platforms) == set(MIXED)
    return Wishes(
        devices=options["devices"],
        platforms=MIXED if same_order else platforms,
        config_kb=options["config_kb"],
        latency_s=options["latency"],
        command_delay_s=options["command_delay"],
        reject_delay_s=options["reject_delay"],
        second_percent=options["second_percent"],
        steady=options["steady"],
        faults=frozenset({Fault.GROUP14_ONLY} if options["group14"] else ()),
    )
