"""Key exchange over finite fields at a bearable price.

paramiko computes it with Python's `pow`, under the interpreter lock and with exponents longer than the keys need:
22 ms a login for group 14, during which no other session of the worker moves. Here GMP computes it, in time that
does not depend on the secret exponent, and the exponent has the length that OpenSSH chooses: twice the 256 bits
of the strongest cipher, which is what the group is good for at the most.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from paramiko.kex_gex import KexGex, KexGexSHA256
from paramiko.kex_group1 import KexGroup1
from paramiko.kex_group14 import KexGroup14, KexGroup14SHA256
from paramiko.kex_group16 import KexGroup16SHA512
from paramiko.ssh_exception import SSHException

Power = Callable[[int, int, int], int]
_EXPONENT_BITS = 512

power: Power = pow
try:
    import gmpy2
except ImportError:  # a machine without a wheel of it: slower, and as right
    pass
else:

    def _power(base: int, exponent: int, modulus: int) -> int:
        # powmod_sec is the one whose time and memory accesses do not tell the exponent; it wants an odd modulus.
        return int(gmpy2.powmod_sec(base, exponent, modulus))

    power = _power


class _Base(int):
    """A number whose modular powers are computed by `power`; paramiko's code says `pow(base, x, p)`."""

    def __pow__(self, exponent: int, modulus: int | None = None) -> Any:
        if modulus is None:
            return int(self) ** exponent
        return power(int(self), exponent, modulus)


class _Exchange:
    """Before one of paramiko's classes: whatever it raises to a power is one of our numbers."""

    def _generate_x(self) -> None:
        modulus: int = getattr(self, "p", None) or self.P  # type: ignore[attr-defined]
        if modulus % 2 == 0:
            raise SSHException("the device chose an even modulus")
        # As long as twice the strength of the keys, and below half the order of the group.
        bits = min(_EXPONENT_BITS, modulus.bit_length() - 2)
        self.x = secrets.randbits(bits) | 1 << (bits - 1)

    def __setattr__(self, name: str, value: Any) -> None:
        # g: the generator, chosen by the server in a group exchange; f: the server's public number.
        super().__setattr__(name, _Base(value) if name in ("g", "f") and isinstance(value, int) else value)


def _fast(kind: type) -> type:
    members = {"G": _Base(kind.G)} if hasattr(kind, "G") else {}
    return type(f"Fast{kind.__name__}", (_Exchange, kind), members)


FINITE_FIELD: dict[str, type] = {
    kind.name: _fast(kind) for kind in (KexGroup1, KexGroup14, KexGroup14SHA256, KexGroup16SHA512, KexGex, KexGexSHA256)
}
