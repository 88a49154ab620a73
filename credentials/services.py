"""Making and changing credentials: what the form, the API and the command all call."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from taggit.models import Tag

from credentials import audit
from credentials.choices import AccountScope
from credentials.exceptions import SecretNotWritable
from credentials.keyring_match import require_own_keyring
from credentials.models import (
    LEAST_PRIORITY,
    MOST_PRIORITY,
    SECRET_FIELDS,
    Credential,
    CredentialTag,
    RememberedRejection,
)
from credentials.querysets import tags_named

PLAIN_FIELDS = (
    "name",
    "username",
    "priority",
    "scope",
    "is_fallback",
    "allow_telnet",
    "enabled",
    "description",
)


@dataclass(frozen=True, repr=False)
class SecretsInput:
    """What a person typed. None and `""` keep what is stored; a value replaces it."""

    password: str | None = None
    enable_secret: str | None = None
    private_key: str | None = None
    passphrase: str | None = None

    def __repr__(self) -> str:
        return "<secrets input>"

    def given(self) -> dict[str, str]:
        """The secrets that were typed."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name))}


def create_credential(
    *,
    name: str,
    username: str = "",
    secrets: SecretsInput,
    tags: Sequence[str] = (),
    tag_priorities: Mapping[str, int] | None = None,
    **plain: Any,
) -> Credential:
    """Make a credential with its tags; ValidationError names each wrong field, and nothing is written."""
    return _write(Credential(), {"name": name, "username": username, **plain}, secrets, (), tags, tag_priorities)


def update_credential(
    credential: Credential,
    *,
    secrets: SecretsInput | None = None,
    clear: Collection[str] = (),
    tags: Sequence[str] | None = None,
    tag_priorities: Mapping[str, int] | None = None,
    **plain: Any,
) -> Credential:
    """Change a credential; a changed user name or secret raises its version and forgets rejections."""
    return _write(credential, plain, secrets or SecretsInput(), clear, tags, tag_priorities)


@transaction.atomic
def delete_credentials(credentials: QuerySet[Credential]) -> int:
    """Delete credentials with their secrets, for good; how many. Attempts and results stay, under their names."""
    found = list(Credential.objects.filter(pk__in=credentials.order_by().values("pk")).order_by("pk"))
    ids = {credential.pk: credential for credential in found}
    Credential.objects.filter(pk__in=ids).delete()
    with audit.collected():
        for pk, credential in ids.items():
            audit.record(
                "credential.deleted",
                credential=pk,
                credential_name=credential.name,
                username=credential.username,
                scope=credential.scope,
            )
    return len(found)


def _write(
    credential: Credential,
    plain: dict[str, Any],
    secrets: SecretsInput,
    clear: Collection[str],
    tags: Sequence[str] | None,
    tag_priorities: Mapping[str, int] | None,
) -> Credential:
    errors: dict[str, list[str]] = {}
    unknown = sorted(set(plain) - set(PLAIN_FIELDS)) + sorted(set(clear) - set(SECRET_FIELDS))
    if unknown:
        raise TypeError(f"not fields of a credential: {', '.join(unknown)}")
    require_own_keyring()
    is_new = credential.pk is None
    before = {} if is_new else _noted(credential)
    username_before = credential.username
    for field, value in plain.items():
        setattr(credential, field, value.strip() if field in {"name", "username"} and value else value)
    for field in ("name", "username"):
        if not str(getattr(credential, field)).isprintable():
            errors[field] = ["A name has no control characters."]
    given = secrets.given()
    if problem := _check_private_key(credential, given, clear):
        errors.update(problem)
    for field in clear:
        if field not in given:
            setattr(credential, field, None)
    for field, value in given.items():
        if "\x00" in value:
            errors.setdefault(field, []).append("A secret has no NUL characters.")
        elif field != "private_key" and ("\n" in value or "\r" in value):
            errors.setdefault(field, []).append("A secret is one line.")
        else:
            try:
                setattr(credential, field, value)
            except SecretNotWritable:
                errors.setdefault(field, []).append("This looks like a stored secret, not like one that was typed.")
    if not errors and not credential.has_login_secret:
        errors["password"] = ["Give a password or a private key: there is nothing to log in with."]
    if tags is None and not is_new:
        tags = list(CredentialTag.objects.filter(content_object=credential).values_list("tag__name", flat=True))
    cleaned = _clean_tags(tags, tag_priorities, errors) or []
    if not cleaned and not credential.is_fallback:
        errors["tags"] = ["Give at least one tag: without one, no device would ever get this credential."]
    try:
        credential.full_clean(exclude=list(SECRET_FIELDS))
    except ValidationError as error:
        errors.update(error.message_dict)
    if errors:
        raise ValidationError(errors)
    if not is_new and (given or clear or credential.username != username_before):
        credential.version += 1
    with transaction.atomic():
        # Runs count successes on this row meanwhile: an edit touches the fields of the form alone.
        credential.save(update_fields=None if is_new else [*PLAIN_FIELDS, *SECRET_FIELDS, "version", "updated_at"])
        set_tags(credential, cleaned, tag_priorities)
        if not is_new and (given or clear or credential.username != username_before):
            # A corrected password deserves a fresh start everywhere.
            RememberedRejection.objects.filter(credential=credential).delete()
        _record(credential, before, sorted(given), sorted(set(clear) - set(given)))
    return credential


def _noted(credential: Credential) -> dict[str, Any]:
    """What the trail says of a credential: everything but its secrets."""
    links = CredentialTag.objects.filter(content_object=credential).values_list("tag__name", "priority")
    tags = sorted(name if number is None else f"{name} = {number}" for name, number in links)
    return {**{field: getattr(credential, field) for field in PLAIN_FIELDS}, "tags": tags}


def _record(credential: Credential, before: Mapping[str, Any], given: list[str], cleared: list[str]) -> None:
    now = _noted(credential)
    secrets: dict[str, Any] = {
        name: fields for name, fields in (("secrets_set", given), ("secrets_cleared", cleared)) if fields
    }
    if not before:
        audit.record("credential.created", credential=credential, values=now, **secrets)
    elif changes := {name: [before[name], value] for name, value in now.items() if value != before[name]} | secrets:
        audit.record("credential.changed", credential=credential, version=credential.version, changes=changes)


def notes_on(credential: Credential) -> list[str]:
    """What is allowed and may not be meant, in words: shared accounts, and tags that select no device."""
    found = []
    twins = Credential.objects.filter(username=credential.username, scope=credential.scope).exclude(pk=credential.pk)
    if names := [f"'{name}'" for name in twins.order_by("priority", "id").values_list("name", flat=True)[:4]]:
        shown = [*names[:3], "others"] if len(names) > 3 else names
        both = f"{', '.join(shown[:-1])} and {shown[-1]} have" if len(shown) > 1 else f"{shown[0]} has"
        where = "Within an AAA domain" if credential.scope == AccountScope.CENTRAL else "On each device"
        found.append(
            f"{both} the same user name and scope. {where} they are one account: its rejections count together, "
            "and each is tried where the ones before it were proven wrong."
        )
    for link in credential.tag_links.select_related("tag"):
        if not _is_used_elsewhere(link.tag):
            found.append(f"Nothing else has the tag {link.tag.name} yet: it selects no device.")
    return found


def _is_used_elsewhere(tag: Tag) -> bool:
    # This app knows no devices, so it asks everything that can carry a tag.
    return any(
        relation.related_model._default_manager.filter(**{relation.field.name: tag}).exists()
        for relation in Tag._meta.related_objects
        if relation.related_model not in (Credential, CredentialTag)
    )


def set_tags(credential: Credential, names: Iterable[str], priorities: Mapping[str, int] | None = None) -> None:
    """Make these the tags of the credential; a link that stays keeps its priority unless one is given."""
    wanted = {tag.pk: tag for tag in tags_named(names)}
    by_name = {name.casefold(): number for name, number in (priorities or {}).items()}
    links = {link.tag_id: link for link in CredentialTag.objects.filter(content_object=credential)}
    CredentialTag.objects.filter(content_object=credential).exclude(tag_id__in=wanted).delete()
    for pk, tag in wanted.items():
        link = links.get(pk) or CredentialTag(content_object=credential, tag=tag)
        if priorities is not None:
            link.priority = by_name.get(tag.name.casefold())
        link.save()


def _clean_tags(
    tags: Sequence[str] | None, priorities: Mapping[str, int] | None, errors: dict[str, list[str]]
) -> list[str] | None:
    if tags is None:
        return None
    cleaned = [" ".join(tag.split()) for tag in tags]
    cleaned = [tag for tag in cleaned if tag]
    if too_long := [tag for tag in cleaned if len(tag) > 100]:
        errors.setdefault("tags", []).append(f"A tag has at most 100 characters: {too_long[0][:40]}…")
    if bad := [tag for tag in cleaned if ";" in tag or "," in tag]:
        errors.setdefault("tags", []).append(f"A tag has no comma or semicolon: {bad[0]}")
    if wrong := [name for name, n in (priorities or {}).items() if not LEAST_PRIORITY <= n <= MOST_PRIORITY]:
        errors.setdefault("tag_priorities", []).append(
            f"A priority is a whole number from {LEAST_PRIORITY:,} to {MOST_PRIORITY:,}: {wrong[0][:40]}"
        )
    lost = {name.casefold() for name in priorities or {}} - {tag.casefold() for tag in cleaned}
    if lost:
        errors.setdefault("tags", []).append(f"A priority is given for a tag that is not set: {sorted(lost)[0]}")
    return cleaned


def _check_private_key(
    credential: Credential, given: Mapping[str, str], clear: Collection[str]
) -> dict[str, list[str]]:
    """Whether a newly typed key and passphrase fit; a stored key is not opened for it."""
    text = given.get("private_key")
    if text is None:
        if given.get("passphrase") and not credential.private_key:
            return {"passphrase": ["A passphrase needs a private key."]}
        if given.get("passphrase") or "passphrase" in clear:
            return {
                "passphrase": ["Give the private key again together with its passphrase, so that both are checked."]
            }
        return {}
    passphrase = given.get("passphrase")
    secret = passphrase.encode() if passphrase else None
    loaders = (load_ssh_private_key, load_pem_private_key)
    loader = loaders[0] if "OPENSSH PRIVATE KEY" in text else loaders[1]
    try:
        key = loader(text.strip().encode() + b"\n", secret)
    except TypeError:
        if secret is None:
            return {"passphrase": ["This private key is protected: give its passphrase."]}
        return {"passphrase": ["This private key has no passphrase: leave the field empty."]}
    except UnsupportedAlgorithm:
        return {"private_key": ["This kind of private key is not supported. Use Ed25519, ECDSA or RSA."]}
    except ValueError:
        if secret is not None:
            return {"passphrase": ["The passphrase does not open this private key, or the key is damaged."]}
        return {"private_key": ["This is not a private key in OpenSSH or PEM form."]}
    if isinstance(key, dsa.DSAPrivateKey) or not isinstance(
        key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
    ):
        return {"private_key": ["This kind of private key is not supported. Use Ed25519, ECDSA or RSA."]}
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < 2048:
        return {"private_key": [f"An RSA key of {key.key_size} bits is too weak: use at least 2048."]}
    return {}
