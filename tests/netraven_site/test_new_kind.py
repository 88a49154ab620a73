"""A new kind of job is a class and a line in the registry: every face offers it without a change of its own."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.urls import reverse

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin
from jobs.engine.shard import run_shard
from jobs.kinds import KINDS
from jobs.kinds.base import LoginKind, Parameter, Stored
from jobs.models import Job, Run, Shard
from tests.commands import run
from tests.jobs.fleet import credential, register
from tests.netraven_site.api_helpers import ROOT, admin_client
from tests.netraven_site.pages import administrator, body

pytestmark = pytest.mark.django_db(transaction=True)


class Greeting(LoginKind):
    """Says something to each device and remembers what it said."""

    name = "greeting"
    label = "Greeting"
    description = "Says hello."
    parameters = (
        Parameter("words", "Words to say", "One sentence a line.", type="lines", required=True),
        Parameter("times", "Times", type="number", default=1, minimum=1, maximum=3),
        Parameter("tone", "Tone of voice", type="choice", choices=(("soft", "Softly"), ("loud", "Loudly"))),
    )

    def work(self, connector, context):
        said = context.parameters["words"] * context.parameters["times"]
        return lambda: Stored(data={"said": said}, detail=f"Said {len(said)} things.")


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setitem(KINDS, "greeting", Greeting())


def test_the_form_of_a_job_offers_it_with_its_parameters():
    page = body(administrator().get(reverse("admin:jobs_job_add")))
    for words in ("Greeting", "Says hello.", "Words to say", "One sentence a line.", "Tone of voice", "Loudly"):
        assert words in page


def test_a_job_of_it_is_made_with_the_form():
    client = administrator()
    form = client.get(reverse("admin:jobs_job_add")).context["adminform"].form
    typed = {
        name: value
        for name in form.fields
        if not isinstance(value := form.get_initial_for_field(form.fields[name], name), bool | type(None))
    }
    words = next(name for name in form.fields if name.endswith("words"))
    times = next(name for name in form.fields if name.endswith("times"))
    typed |= {"name": "hello", "kind": "greeting", words: "good morning\ngood night", times: "2", "all_devices": "on"}
    response = client.post(reverse("admin:jobs_job_add"), typed)
    assert response.status_code == 302, response.context["adminform"].form.errors
    assert Job.objects.get().parameters == {"words": ["good morning", "good night"], "times": 2}


def test_the_api_lists_it_and_takes_a_job_and_a_run_of_it():
    client = admin_client()
    (kind,) = [each for each in client.get(f"{ROOT}kinds/").json()["results"] if each["name"] == "greeting"]
    assert [each["name"] for each in kind["parameters"]] == ["words", "times", "tone"]
    made = client.post(
        f"{ROOT}jobs/", {"name": "hello", "kind": "greeting", "parameters": {"words": ["hi"]}}, format="json"
    )
    assert made.status_code == 201, made.content
    assert made.json()["parameters"] == {"words": ["hi"], "times": 1}
    assert [each["name"] for each in client.get(f"{ROOT}jobs/?kind=greeting").json()["results"]] == ["hello"]
    refused = client.post(
        f"{ROOT}runs/", {"kind": "greeting", "all_devices": True, "parameters": {"words": ["x"], "times": 9}}, "json"
    )
    assert refused.status_code == 400
    assert "3 at most" in refused.content.decode()


def test_the_command_explains_it_and_runs_it(monkeypatch, capsys):
    monkeypatch.setattr("jobs.services._enqueue", lambda shard: None)
    with pytest.raises(SystemExit):
        call_command("run_job", "--help")
    text = capsys.readouterr().out
    assert "greeting         Says hello." in text
    assert "words          lines, required. One sentence a line." in text
    assert "tone           soft or loud." in text
    with SimulatedFleet([SimDevice("r1", "cisco_ios", (SimLogin("ops", "x"),))]) as fleet:
        register(fleet)
        credential("right", "x")
        done = run(
            *("run_job", "--kind", "greeting", "--set", "words=good morning", "--set", "words=a=b"),
            *("--set", "times=2", "--json"),
        )
        assert done.code == 0, done.err
        for shard in Shard.objects.all():
            run_shard(shard.pk)
    row = Run.objects.get(pk=json.loads(done.out)["run"])
    assert (row.status, row.parameters["words"]) == ("succeeded", ["good morning", "a=b"])
    result = row.results.get()
    assert result.data == {"said": ["good morning", "a=b"] * 2}
    assert result.detail == "Said 4 things."


def test_its_run_has_a_page():
    Run.objects.create(
        kind="greeting",
        job_name="Greeting",
        status="succeeded",
        created_at="2026-01-01T00:00Z",
        parameters={"times": 2},
    )
    page = body(administrator().get(reverse("admin:jobs_run_page", args=[Run.objects.get().pk])))
    assert "Greeting" in page
