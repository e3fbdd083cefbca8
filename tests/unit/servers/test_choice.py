import pytest
from servers.choice import NoServer, choose

NO_ENGINE = "no Docker engine answers"


def fine() -> None:
    return None


def no_engine() -> str:
    return NO_ENGINE


def never() -> None:
    raise AssertionError("nobody need ask Docker")


@pytest.mark.parametrize("wanted", ["auto", "docker", "debian"])
def test_a_server_whose_address_is_given_is_used_and_docker_not_asked(wanted):
    assert choose(wanted, "amqp://other", never).road == "external"


def test_containers_are_used_where_there_is_no_trouble_with_them():
    assert choose("auto", None, fine).road == choose("docker", "", fine).road == "docker"


def test_without_containers_debians_servers_are_used_and_the_reason_is_kept():
    assert choose("auto", None, no_engine) == ("debian", NO_ENGINE)


def test_debians_servers_are_used_where_they_are_asked_for_and_docker_is_not_asked():
    assert choose("debian", None, never) == ("debian", "PORELAY_TEST_SERVERS=debian")


def test_containers_that_are_demanded_and_cannot_be_had_are_an_error_in_words():
    with pytest.raises(NoServer, match=f"^PORELAY_TEST_SERVERS=docker: {NO_ENGINE}. Mend that, or set .* to auto"):
        choose("docker", None, no_engine)


def test_a_road_that_nobody_knows_is_an_error_in_words():
    with pytest.raises(NoServer, match=r"^PORELAY_TEST_SERVERS: got 'podman', wanted auto, docker, debian\.$"):
        choose("podman", None, never)
