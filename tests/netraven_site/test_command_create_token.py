"""The command create_token: the token alone on standard output, its hash alone in the database."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from netraven_site.models import ApiToken
from tests.commands import run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def user() -> User:
    return User.objects.create(username="anna")


def test_the_token_stands_alone_on_standard_output():
    done = run("create_token", "anna")
    assert done.code == 0
    token = done.out.removesuffix("\n")
    assert token.startswith("nrt_")
    assert not set(token) & set(" \n")
    assert ApiToken.objects.get().digest == ApiToken.digest_of(token)
    assert token not in done.err


def test_it_ends_when_it_was_told_to():
    run("create_token", "anna", "--name", "monitoring", "--expires-days", "90")
    row = ApiToken.objects.get()
    assert row.name == "monitoring"
    assert timedelta(days=89) < row.expires_at - timezone.now() < timedelta(days=91)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bob"], "There is no user named 'bob'"),
        (["anna", "--expires-days", "0"], "from 1 to"),
        (["anna", "--expires-days", "9999999"], "from 1 to"),
        (["anna", "--name", "n" * 101], "at most 100"),
    ],
)
def test_wrong_use_makes_no_token(arguments, words):
    done = run("create_token", *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert not ApiToken.objects.exists()


def test_a_disabled_user_gets_no_token(user):
    user.is_active = False
    user.save()
    done = run("create_token", "anna")
    assert (done.code, done.out) == (2, "")
    assert "disabled" in done.err
