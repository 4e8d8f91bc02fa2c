from __future__ import annotations

from feeds.live.client_ids import client_id_of, new_client_id


def test_client_ids_are_stable_and_of_one_reader() -> None:
    mine = client_id_of("mine", "mqtt:bars")
    assert mine == client_id_of("mine", "mqtt:bars")
    others = {client_id_of("yours", "mqtt:bars"), client_id_of("mine", "mqtt:other"), new_client_id(), new_client_id()}
    assert len({mine, *others}) == 5
    assert all(len(name) <= 23 and name.isalnum() for name in (mine, *others))
