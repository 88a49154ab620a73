"""Whether the keyring is the one that sealed what stands in the database."""

from __future__ import annotations

from credentials import keyring
from credentials.exceptions import KeyringForeign
from credentials.fields import Secret, sealed_fields


def require_own_keyring() -> None:
    """Raise KeyringForeign when the newest sealed value of any column needs a key that the keyring lacks.

    One row a column: enough to tell another instance's keyring, and cheap enough for every start.
    """
    ring = keyring.current()
    for column in sealed_fields():
        rows = column.model._base_manager.exclude(**{f"{column.field}__isnull": True}).order_by("-pk")
        value = rows.values_list(column.field, flat=True).first()
        if value is None:
            continue
        key_id = value.key_id if isinstance(value, Secret) else ring.key_id_of(value)
        if key_id not in ring.ids:
            raise KeyringForeign(
                f"This keyring did not seal what is in the database: {column.model._meta.verbose_name} needs the key "
                f"{key_id}. Put this instance's keyring back from your backup, or name its path in NETRAVEN_KEYRING."
            )
