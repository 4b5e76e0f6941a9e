"""The faults that only a socket has: resets, and descriptors that are left behind."""

from __future__ import annotations

import pytest
from adapters.faces import FACES, Face
from faults.sockets import crowd_of_sockets, reset_clients, reset_servers, roles_of

ROLES_OF_FACES = [pytest.param(face, role, id=f"{face.name}-{role}") for face in FACES for role in roles_of(face)]


@pytest.mark.parametrize("face", FACES, ids=lambda face: face.name)
def test_a_client_whose_connection_is_reset_ends_typed(face: Face) -> None:
    assert reset_clients(face).wrong == []


@pytest.mark.parametrize(("face", "role"), ROLES_OF_FACES)
def test_a_server_whose_connections_are_reset_goes_on(face: Face, role: str) -> None:
    assert reset_servers(face, role).wrong == []


@pytest.mark.parametrize(("face", "role"), ROLES_OF_FACES)
def test_sockets_that_never_upgrade_are_gone_in_time(face: Face, role: str) -> None:
    tally = crowd_of_sockets(face, role, 30)
    assert tally.wrong == []
    assert dict(tally.ends) == {"408": 30}
