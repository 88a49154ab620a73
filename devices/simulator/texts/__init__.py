"""The configurations that simulated devices show: made up, but complete, and the same for the same seed."""

from collections.abc import Callable

from devices.simulator.spec import SimDevice
from devices.simulator.texts import arista, cisco, fortinet, juniper, linux, mikrotik, vrp
from devices.simulator.texts.base import Maker, Text

_GENERATORS: dict[str, Callable[[Maker], list[str]]] = {
    "cisco_ios": cisco.ios,
    "cisco_xe": cisco.ios,
    "cisco_nxos": cisco.nxos,
    "arista_eos": arista.eos,
    "juniper_junos": juniper.junos,
    "linux": linux.files,
    "huawei": vrp.huawei,
    "hp_comware": vrp.comware,
    "mikrotik_routeros": mikrotik.export,
    "fortinet": fortinet.full,
}


def configuration(device: SimDevice, revision: int = 1) -> Text:
    """The configuration of a device at a revision (1, 2, ...); a revision changes a handful of real lines."""
    return Text(_GENERATORS[device.platform](Maker(device, revision)))
