"""SecretField, the Secret that it yields, and the register of everything that the keyring has sealed.

A plaintext enters a row in one way, by assigning a `str` to the attribute, and is sealed at that moment. It
leaves in one way, `Secret.reveal()`. Everything between (database, forms, serialisers, migrations, copies of
the row) sees the sealed token or the `Secret` object.

A token is bound to the row's `uuid`, the model's label and the field's name. Renaming a model or a secret
field therefore needs a data migration that opens every value under the old name and seals it under the new.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, cast
from uuid import UUID

from django import forms
from django.apps import apps
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, FieldError, ImproperlyConfigured, ValidationError
from django.db import models
from django.db.models.expressions import Col
from django.db.models.query_utils import DeferredAttribute
from django.views.decorators.debug import sensitive_variables
from encrypted_model_fields import fields as raw_fields

from credentials import keyring, plaintext
from credentials.exceptions import SecretDamaged, SecretMisplaced, SecretNotWritable
from credentials.grants import Grant

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models.lookups import Lookup, Transform

    _EncryptedTextField = models.TextField["str | Secret | None", "Secret | None"]
else:
    _EncryptedTextField = raw_fields.EncryptedTextField

MASK = "<secret>"
"""What every textual form of a secret shows."""

LOGINS = "credentials.credential:"
"""How the context of every secret of a credential begins: only a worker opens these."""

_SERIALISED = "sealed:"
_Origin = Literal["assigned", "database", "fixture"]


class Secret:
    """A sealed text: carries the token, shows `<secret>`, and opens on `reveal()` alone. Immutable."""

    __slots__ = ("_context", "_origin", "_token")

    def __init__(self, token: str, context: str | None = None, origin: _Origin = "assigned") -> None:
        self._token = token
        self._context = context
        self._origin = origin

    @property
    def token(self) -> str:
        """The sealed form; safe to store, useless without the keyring."""
        return self._token

    @property
    def context(self) -> str | None:
        """The row and field that this secret was read from; None when it came from no row (`values()`)."""
        return self._context

    @property
    def key_id(self) -> str:
        """Id of the key that sealed it. Raises SecretDamaged."""
        return keyring.Keyring.key_id_of(self._token)

    def reveal(self, grant: Grant) -> str:
        """The plaintext, or an error: NotAudited, SecretDamaged, SecretMisplaced, NoWorker or a KeyringError.

        `grant` is what a committed intent of the audit trail yields (`credentials.audit.intents`).
        """
        if self._context is None:
            raise SecretMisplaced("This secret was read apart from its row: load the row itself to use it.")
        if self._context.startswith(LOGINS):
            plaintext.require_worker()
        grant.require(self._context)
        return keyring.current().open(self._token, self._context).decode("utf-8")

    # Templates call what they find; this keeps `{{ row.password.reveal }}` empty.
    reveal.alters_data = True  # type: ignore[attr-defined]

    def _bind(self, context: str) -> Secret:
        return Secret(self._token, context, self._origin)

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self._token == other._token if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._token)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __iter__(self) -> NoReturn:
        raise TypeError("A secret cannot be iterated over.")

    def __bytes__(self) -> NoReturn:
        raise TypeError("A secret cannot be turned into bytes.")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A secret is never pickled: pass the row's id and load the row where it is needed.")


class _Outgoing(str):
    """A token on its way to the database, checked against the row that it is saved with."""

    __slots__ = ()


# --- sealing for a row ---------------------------------------------------------------------------------


def context_of(row: models.Model, field_name: str) -> str:
    """The context that binds a sealed value to this field of this row. The row needs its `uuid`."""
    field = row._meta.get_field(field_name)
    # A row under construction whose uuid comes later would send Django to the database for it.
    if "uuid" in row.__dict__ or not row._state.adding:
        value = getattr(row, "uuid", None)
        with contextlib.suppress(ValueError):
            if value is not None:
                identity = value if isinstance(value, UUID) else UUID(str(value))
                return keyring.binding(field.model._meta.label_lower, field_name, identity)
    raise ImproperlyConfigured(
        f"{row._meta.label} needs a uuid, declared and set before {field_name}, to seal a secret."
    )


def seal_bytes(row: models.Model, field_name: str, plaintext: bytes) -> bytes:
    """`plaintext` sealed for a binary column of `row`; announce the column with `register_sealed`."""
    return keyring.current().seal_bytes(plaintext, context_of(row, field_name))


def open_bytes(row: models.Model, field_name: str, grant: Grant) -> bytes:
    """The plaintext of a sealed binary column. Raises NotAudited, SecretDamaged, SecretMisplaced or a KeyringError."""
    context = context_of(row, field_name)
    grant.require(context)
    return keyring.current().open(getattr(row, field_name), context)


def refuse_sealed_text(value: object) -> None:
    """Validator: raises ValidationError for a sealed value or the mask, entered as if it were a secret."""
    if isinstance(value, str) and _is_no_plaintext(value):
        raise ValidationError("This is the stored form of a secret, not the secret itself.", code="sealed")


def _is_no_plaintext(text: str) -> bool:
    return text == MASK or _is_token(text.removeprefix(_SERIALISED))


def _is_token(text: str) -> bool:
    with contextlib.suppress(SecretDamaged):
        return bool(keyring.Keyring.key_id_of(text))
    return False


# --- the field -----------------------------------------------------------------------------------------


class SecretFormField(forms.CharField):
    """Write-only input: never shows a value, not even the one just typed; blank keeps what is stored."""

    widget = forms.PasswordInput
    default_validators = [refuse_sealed_text]

    def __init__(self, **kwargs: Any) -> None:
        # Spaces at either end may belong to a secret.
        super().__init__(**{"required": False, "strip": False, **kwargs})

    def prepare_value(self, value: Any) -> str:
        """What the page shows as the value: nothing."""
        return ""

    def has_changed(self, initial: Any, data: Any) -> bool:
        """True when something was entered."""
        return bool(data)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Keep browsers from filling in a saved login of the portal itself."""
        return {**super().widget_attrs(widget), "autocomplete": "new-password", "spellcheck": "false"}


class SecretDescriptor(DeferredAttribute):
    """The attribute of a row: takes `str`, None or its own Secret; gives its own Secret or None."""

    field: SecretField

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        if isinstance(value, Secret) and value.context is None:
            value = value._bind(context_of(instance, self.field.attname))
            instance.__dict__[self.field.attname] = value
        return value

    @sensitive_variables()
    def __set__(self, instance: models.Model, value: object) -> None:
        name = self.field.attname
        if value is None or value == "":
            instance.__dict__[name] = None
        elif isinstance(value, str):
            instance.__dict__[name] = self._seal(instance, value)
        elif isinstance(value, Secret):
            self._refuse_foreign(instance, value)
            held = instance.__dict__.get(name)
            if value.context is not None and value != held:
                # Chosen on purpose, wherever it came from: the next save writes it.
                value = Secret(value.token, value.context)
            instance.__dict__[name] = held if value == held else value
        else:
            raise SecretNotWritable(f"{name} takes a text, its own Secret or None, not {type(value).__name__}.")

    @sensitive_variables()
    def _seal(self, instance: models.Model, text: str) -> Secret:
        name = self.field.attname
        if _is_no_plaintext(text):
            raise SecretNotWritable(f"{name} was given the stored form of a secret, not the secret itself.")
        plain = None
        # The encoder's error holds the whole text: it must not become the context of ours.
        with contextlib.suppress(UnicodeEncodeError):
            plain = text.encode("utf-8")
        if plain is None:
            raise SecretNotWritable(f"{name} holds characters that are not valid Unicode.")
        context = context_of(instance, name)
        plaintext.note_sealed()
        return Secret(keyring.current().seal(plain, context), context)

    def _refuse_foreign(self, instance: models.Model, secret: Secret) -> None:
        name = self.field.attname
        if secret.context is None:
            # Straight from the database or a fixture: only while Django builds the row.
            if name in instance.__dict__ or not instance._state.adding:
                raise SecretMisplaced(f"A secret that was read apart from its row cannot be assigned to {name}.")
        elif secret.context != context_of(instance, name):
            raise SecretMisplaced(
                f"The secret of {secret.context} cannot be used for {context_of(instance, name)}: enter it there."
            )


class SecretField(_EncryptedTextField):
    """A sealed text column, always optional (NULL: no secret); the model needs a `uuid` declared before it.

    Forms get a password input that never shows a value, and blank keeps what is stored; a form that takes a
    text of several lines declares a `SecretFormField` with a Textarea. Set the attribute to None to clear it.
    With `.only()`, name `uuid` as well, or each row costs a query more. `update()` can clear a secret but not
    set one, `bulk_update()` can do neither (SecretNotWritable). All lookups but `isnull` raise FieldError.
    """

    descriptor_class = SecretDescriptor
    default_validators = [refuse_sealed_text]
    description = "A text sealed with the keyring"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "null": True, "blank": True})

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        """For migrations: without the two options that are always the same."""
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {key: kwargs[key] for key in kwargs if key not in ("null", "blank")}

    # From the database: nothing is opened here, so a wrong key never stops a list of rows.

    def from_db_value(self, value: str | None, *args: Any) -> Secret | None:
        """A Secret not yet bound; the row binds it when the attribute is read."""
        return Secret(value, origin="database") if value else None

    def to_python(self, value: Any) -> Any:
        """For fixtures: restores what `value_to_string` gave; other text is sealed on assignment."""
        if value is None or value == "":
            return None
        if isinstance(value, str) and value.startswith(f"{_SERIALISED}nr1:"):
            token = value.removeprefix(_SERIALISED)
            if not _is_token(token):
                raise ValidationError("This sealed value is damaged.", code="damaged")
            return Secret(token, origin="fixture")
        if isinstance(value, str | Secret):
            return value
        raise ValidationError("A secret is a text.", code="invalid")

    def value_to_string(self, obj: models.Model) -> str:
        """For fixtures: the sealed form, which opens again in a row with the same uuid."""
        secret = self.value_from_object(obj)
        return f"{_SERIALISED}{secret.token}" if isinstance(secret, Secret) else ""

    # To the database: only what a row has sealed.

    def pre_save(self, model_instance: models.Model, add: bool) -> _Outgoing | models.F | None:
        """What the row was given; a secret that was only loaded stays as the database has it by now.

        Raises SecretMisplaced when the row's uuid changed after the secret was sealed.
        """
        secret = getattr(model_instance, self.attname)
        if secret is None:
            return None
        if secret.context != context_of(model_instance, self.attname):
            raise SecretMisplaced(
                f"The secret of {secret.context} cannot be saved in another row or under another uuid: enter it anew."
            )
        if secret._origin == "database" and not add:
            # Writing it back would undo a key rotation that came by in the meantime.
            return models.F(self.attname)
        return _Outgoing(secret.token)

    def get_prep_value(self, value: Any) -> str | None:
        """The column's value. Raises SecretNotWritable for everything that did not come through a row."""
        if value is None:
            return None
        if isinstance(value, _Outgoing):
            return str(value)
        # Fixtures are saved raw, which leaves `pre_save` out.
        if isinstance(value, Secret) and value._origin == "fixture":
            return value.token
        raise SecretNotWritable(
            f"{self.name} can only be set on a row and saved with it, "
            "not with update(), bulk_update() or an expression."
        )

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """As `get_prep_value`. Of expressions, only the column itself passes, since SQL cannot seal."""
        if isinstance(value, Col) and value.target == self:
            return value
        return self.get_prep_value(value)

    # Lookups: a comparison would put the plaintext into the SQL and find nothing.

    def get_lookup(self, lookup_name: str) -> type[Lookup[Any]] | None:
        """`isnull` alone; raises FieldError for the others."""
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is sealed and can be filtered with {self.name}__isnull only.")
        return super().get_lookup(lookup_name)

    def get_transform(self, lookup_name: str) -> type[Transform] | None:
        """None exist; raises FieldError."""
        raise FieldError(f"{self.name} is sealed and can be filtered with {self.name}__isnull only.")

    # Forms.

    def formfield(self, **kwargs: Any) -> Any:
        """A SecretFormField. A visible text area, which admins give to every text column, is not taken."""
        widget = kwargs.pop("widget", None)
        if isinstance(widget, forms.PasswordInput) or (
            isinstance(widget, type) and issubclass(widget, forms.PasswordInput)
        ):
            kwargs["widget"] = widget
        kwargs.setdefault("form_class", SecretFormField)
        kwargs.setdefault("help_text", self.help_text or "Never shown. Blank keeps the stored one.")
        return models.Field.formfield(self, **kwargs)

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        """Blank keeps, a value replaces."""
        if data not in (None, "", MASK):
            setattr(instance, self.attname, data)

    # Checks.

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """System checks credentials.E011 to E013."""
        # django-simple-history marks the models that it makes so.
        own = self._refuse_history() if hasattr(self.model, "instance_type") else self._check_uuid()
        return [*super().check(**kwargs), *own, *self._check_options()]

    def _check_uuid(self) -> list[checks.CheckMessage]:
        try:
            identity = self.model._meta.get_field("uuid")
        except FieldDoesNotExist:
            identity = None
        columns = list(self.model._meta.concrete_fields)
        if (
            isinstance(identity, models.UUIDField)
            and identity.unique
            and not identity.null
            and identity.has_default()
            and columns.index(identity) < columns.index(self)
        ):
            return []
        return [
            checks.Error(
                f"{self.model._meta.label} has nothing to bind its secrets to.",
                hint="Declare before them uuid = UUIDField(default=uuid.uuid4, unique=True, editable=False)",
                obj=self,
                id="credentials.E011",
            )
        ]

    def _check_options(self) -> list[checks.CheckMessage]:
        unusable = {
            "default": self.has_default(),
            "db_default": self.has_db_default(),
            "unique": self.unique,
            "db_index": getattr(self, "db_index", False),
            "choices": self.choices is not None,
        }
        return [
            checks.Error(
                f"A sealed column can have no {option}.",
                hint="Remove the option: equal secrets are sealed to different values.",
                obj=self,
                id="credentials.E012",
            )
            for option, used in unusable.items()
            if used
        ]

    def _refuse_history(self) -> list[checks.CheckMessage]:
        return [
            checks.Error(
                f"The history {self.model._meta.label} would keep old secrets.",
                hint=f"Name {self.name} in excluded_fields of HistoricalRecords.",
                obj=self,
                id="credentials.E013",
            )
        ]


# --- what is sealed ------------------------------------------------------------------------------------


class SealedColumn(NamedTuple):
    """One column of tokens: `text` (a SecretField) or `binary` (a BinaryField written with `seal_bytes`)."""

    model: type[models.Model]
    field: str
    kind: Literal["text", "binary"]


_registered: set[tuple[str, str]] = set()


def register_sealed(model_label: str, field_name: str) -> None:
    """Announce a BinaryField of sealed values, by `app.Model` and name, in the app's `ready()`."""
    _registered.add((model_label, field_name))


def sealed_fields() -> Iterator[SealedColumn]:
    """Every sealed column of the project, each once. Raises ImproperlyConfigured for a wrong registration."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_concrete_fields:
            if isinstance(field, SecretField):
                yield SealedColumn(model, field.attname, "text")
    for label, name in sorted(_registered):
        model = apps.get_model(label)
        fields = {field.attname: field for field in model._meta.local_concrete_fields}
        if not isinstance(fields.get(name), models.BinaryField):
            raise ImproperlyConfigured(f"{label} has no binary field {name}, though it is registered as sealed.")
        yield SealedColumn(model, name, "binary")


def raw_encrypted_fields() -> list[str]:
    """Fields of django-encrypted-model-fields without our guards, as `app.Model.field`; must be empty."""
    return [
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models(include_auto_created=True)
        for field in cast("list[models.Field[Any, Any]]", model._meta.local_concrete_fields)
        if isinstance(field, raw_fields.EncryptedMixin) and not isinstance(field, SecretField)
    ]
