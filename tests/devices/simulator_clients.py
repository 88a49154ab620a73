"""What the tests of the simulator share: one device, and clients that talk to it."""

import contextlib
import socket

import paramiko
from netmiko import ConnectHandler

from devices.simulator.fleet import SimulatedFleet
from devices.simulator.spec import SimDevice, SimLogin

OPS = SimLogin("ops", "Right-1", enable_secret="Enable-1")
TIMEOUT_S = 5


@contextlib.contextmanager
def running(platform="cisco_ios", logins=(OPS,), name="lab-1", **spec):
    """One simulated device while it runs."""
    with SimulatedFleet([SimDevice(name, platform, logins, **spec)]) as fleet:
        yield fleet.device(name)


def connect(device, password="Right-1", **more):
    """A session of Netmiko with the driver of the device's platform."""
    spec = device.spec
    driver = spec.platform + ("_telnet" if spec.transport == "telnet" else "")
    return ConnectHandler(
        device_type=more.pop("device_type", driver),
        host=device.host,
        port=device.port,
        username=more.pop("username", "ops"),
        password=password,
        **more,
    )


def paramiko_login(device, password="Right-1", username="ops", timeout=TIMEOUT_S, **more):
    """A client that is logged in; `timeout` in seconds for each step."""
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect(
        device.host,
        device.port,
        username,
        password,
        allow_agent=False,
        look_for_keys=False,
        timeout=timeout,
        auth_timeout=timeout,
        banner_timeout=timeout,
        channel_timeout=timeout,
        **more,
    )
    return client


def paramiko_transport(device):
    """A transport after the key exchange, before any authentication."""
    transport = paramiko.Transport(socket.create_connection((device.host, device.port), TIMEOUT_S))
    transport.start_client(timeout=TIMEOUT_S)
    return transport


def read_until(channel, end, timeout=TIMEOUT_S):
    """Everything that comes until it ends with `end`; an error when nothing comes for `timeout` seconds."""
    channel.settimeout(timeout)
    data = b""
    while not data.endswith(end):
        chunk = channel.recv(65536)
        assert chunk, f"closed after {data[-200:]!r}"
        data += chunk
    return data


def offered(device):
    """The offers as tuples: user name, secret, method, accepted."""
    return [(offer.username, offer.secret, offer.method, offer.accepted) for offer in device.offers]
