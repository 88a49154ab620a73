"""What can go wrong with keys and secrets. No message ever contains a key or a secret."""

from __future__ import annotations


class CredentialsError(Exception):
    """Base of every error that this app raises on purpose; `str()` is one sentence for the operator."""


class KeyringError(CredentialsError):
    """The keyring cannot be used as it is; the message says what to do."""


class KeyringMissing(KeyringError):
    """There is no keyring file at the configured path."""


class KeyringExists(KeyringError):
    """A keyring was to be created where a file already is; nothing was overwritten."""


class KeyringUnreadable(KeyringError):
    """The operating system refuses to read or write the keyring file."""


class KeyringExposed(KeyringError):
    """Other users of the machine could read or replace the keyring."""


class KeyringMalformed(KeyringError):
    """The keyring is not a JSON document of the expected form."""


class KeyringReplaced(KeyringError):
    """The file now holds another keyring than the one this process started with."""


class KeyringForeign(KeyringError):
    """The keyring is in order, and is that of another instance."""


class KeyringReadOnly(KeyringError):
    """The keyring comes from a place that this program cannot write to."""


class WeakKey(KeyringError):
    """A key is not 32 random bytes in url-safe base64."""


class DuplicateKey(KeyringError):
    """Two entries of the keyring share an id or a key."""


class KeyInUse(KeyringError):
    """A key was to be removed that is active, or that something is sealed with."""


class KeyNotReadEverywhere(KeyringError):
    """A key was to be activated, or everything sealed with it, that some host cannot read."""


class BackupUnusable(KeyringError):
    """A backup of a keyring cannot be written, read or opened."""


class UnknownKey(KeyringError):
    """The keyring has no key with this id, not even after reading it again from disk."""


class SecretError(CredentialsError):
    """A sealed value cannot be opened or written."""


class SecretDamaged(SecretError):
    """The sealed value was altered, cut short, or sealed by another key of the same id."""


class SecretMisplaced(SecretError):
    """The sealed value belongs to another row, model or field."""


class SecretNotWritable(SecretError, TypeError):
    """Something other than a sealed value was on its way into a secret column; nothing was written."""


class NoWorker(SecretError):
    """A login was to be opened in a process that is no worker; it stayed closed."""


class CredentialChanged(CredentialsError):
    """The credential is no longer the one that a run was planned with; nothing was sent."""


class NotAudited(CredentialsError):
    """No committed row of the audit trail is behind this: nothing was opened."""


class TrailBroken(CredentialsError):
    """The audit trail is not whole, so nothing is taken away from it."""
