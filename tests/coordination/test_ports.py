"""Ports are looked at before anything is made for a run."""

from __future__ import annotations

import socket

import pytest

from coordination.ports import check_free, listeners
from coordination.transport import TransportError
from coordination.zmq_transport import ZmqServer


def test_a_command_names_what_it_listens_on() -> None:
    assert listeners("tcp://127.0.0.1:5", 9100) == {
        "--address": "tcp://127.0.0.1:5",
        "--metrics-port": "tcp://127.0.0.1:9100",
    }
    assert listeners(metrics_port=0) == {}


@pytest.mark.parametrize("port", [-1, 65536, 10**9])
def test_a_port_that_there_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(TransportError, match=f"--metrics-port: expected a port from 1 to 65535, .* got {port}"):
        listeners(metrics_port=port)


def test_a_free_port_stays_free() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{holder.getsockname()[1]}"
    for _ in range(3):
        check_free({"--address": address})
    server = ZmqServer("plant", None, address)
    with pytest.raises(TransportError, match=f"--address: {address} is in use by another process"):
        check_free({"--address": address})
    server.close()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://127.0.0.1:99999", "expected a port from 1 to 65535, got 99999"),
        ("tcp://192.0.2.1:7411", "cannot listen on tcp://192.0.2.1:7411: .*; expected an address of this machine"),
    ],
)
def test_an_address_that_is_not_ours_is_refused(address: str, expected: str) -> None:
    with pytest.raises(TransportError, match=f"--address: {expected}"):
        check_free({"--address": address})


def test_what_has_no_port_yet_is_left_to_the_server() -> None:
    check_free({"--address": "tcp://127.0.0.1:*", "--other": "ipc:///nowhere/at/all"})
