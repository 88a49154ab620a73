"""NetRaven's backup job as it is used: a whole instance, its cluster, from the queue to the stored versions."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import texts
from tests.bench.fleet import USERNAME, Fleet
from tests.bench.measure import Tree
from tests.bench.play import Child, Round, Stopwatch, child, in_shell
from tests.netraven_site.instance import REPOSITORY, Instance

_INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True)
class NetRaven:
    """A new instance for each round: nothing is known of the devices when the first run begins."""

    label: str = "NetRaven"
    sessions: int | None = None
    """Over all workers; None: as an instance comes."""
    workers: int = 2
    times: int = 1
    """How often the same job is run."""
    scope: str = "central"
    checkout: Path = REPOSITORY
    variables: Mapping[str, str] = field(default_factory=dict)

    def missing(self) -> str:
        """See Contestant."""
        return ""

    def play(self, fleet: Fleet, scratch: Path) -> list[Round]:
        """See Contestant; one round a run."""
        home = scratch / "netraven"
        home.mkdir(mode=0o700)
        variables = {"NETRAVEN_WORKERS": str(self.workers), **self.variables}
        if self.sessions is not None:
            variables["NETRAVEN_THREADS"] = str(self.sessions // self.workers)
        instance = Instance(home, **variables)
        try:
            self._manage(instance, "setup", "--no-input")
            with child(in_shell(_INSIDE), instance.env | {"NETRAVEN_LOG_LEVEL": "WARNING"}, self.checkout) as inside:
                self._set_up(inside, fleet)
                with self._cluster(instance) as cluster:
                    inside.say("alive")
                    inside.hear("alive")
                    return [self._once(fleet, inside, cluster, scratch) for _ in range(self.times)]
        finally:
            shutil.rmtree(home)

    def _set_up(self, inside: Child, fleet: Fleet) -> None:
        order = {
            "devices": [[each.name, each.host, each.port] for each in fleet.addresses],
            "username": USERNAME,
            "passwords": fleet.passwords,
            "scope": self.scope,
        }
        inside.say(json.dumps(order))
        inside.hear("set_up")

    @staticmethod
    def _once(fleet: Fleet, inside: Child, cluster: int, scratch: Path) -> Round:
        # Whoever asks for the run belongs to its price, but not to the memory of the workers.
        watch = Stopwatch(fleet, [Tree(cluster), Tree(inside.pid)], memory_of=[Tree(cluster)])
        with watch.running():
            inside.say("run")
            ran = inside.hear("ran")
        watch.seconds = ran["seconds"]
        stored = scratch / "stored"
        inside.say(f"write {ran['run']} {stored}")
        inside.hear("written")
        return watch.round(_verified(stored, fleet), len(fleet.addresses))

    def _manage(self, instance: Instance, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.checkout,
            env=instance.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
        )

    @contextmanager
    def _cluster(self, instance: Instance) -> Iterator[int]:
        """The task cluster's process id."""
        log = instance.home / "worker.log"
        with log.open("wb") as output:
            cluster = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=self.checkout,
                env=instance.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield cluster.pid
        finally:
            # What a killed cluster would leave behind ends with it, see jobs.engine.linux.
            cluster.send_signal(signal.SIGTERM)
            try:
                cluster.wait(30)
            except subprocess.TimeoutExpired:
                cluster.kill()
                cluster.wait()
            said = "\n".join(line for line in log.read_text().splitlines() if " INFO " not in line)
            if said:
                sys.stderr.write(f"the workers said:\n{said[-2000:]}\n")


def _verified(stored: Path, fleet: Fleet) -> int:
    numbers = {each.name: each.number for each in fleet.addresses}
    good = 0
    with stored.open() as file:
        for line in file:
            name, text = json.loads(line)
            good += texts.same(text, numbers[name])
    stored.unlink()
    return good
