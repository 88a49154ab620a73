"""What the tests of the keyring and of the secrets share."""

from __future__ import annotations

import json

from django.db import connection

from credentials.grants import Grant
from credentials.models import Credential

CONTEXT = "credentials.credential:password:6f1c7a52-0000-4000-8000-000000000001"
OTHER = "credentials.credential:password:6f1c7a52-0000-4000-8000-000000000002"
PASSWORD = "hünter2 \"quoted\" \\ 'and' long"


def document_of(path):
    return json.loads(path.read_text())


def store(path, document):
    if path.exists():
        path.chmod(0o600)  # not even its owner may write to a keyring
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    path.chmod(0o600)


def everything_said(error):
    """All text that an error and the errors behind it could bring into a log."""
    texts = []
    while error is not None:
        texts += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def make(name="core", password=PASSWORD, **values):
    return Credential.objects.create(name=name, username="backup", password=password, **values)


def column(row, name="password"):
    """What the database holds, past every field."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name} FROM credentials_credential WHERE id = %s", [row.pk])
        return cursor.fetchone()[0]


def overwrite(row, token, name="password"):
    """Put a value into the database, past every field."""
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE credentials_credential SET {name} = %s WHERE id = %s", [token, row.pk])


class _AnyGrant(Grant):
    """Leave to open everything, for tests that are about something else than the audit trail."""

    __slots__ = ()

    def __init__(self) -> None:
        pass

    def require(self, context):
        pass


ANY = _AnyGrant()
