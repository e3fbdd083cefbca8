import pytest

from porelay_kit.settings import Settings
from porelay_schemas.errors import BadInput


def test_a_setting_comes_from_the_environment_and_an_option_wins():
    settings = Settings.from_env({"PORELAY_WORKERS": "3", "PORELAY_MAX_MEMORY_BYTES": "4GiB"}, workers=5)
    assert settings.workers == 5
    assert settings.max_memory_bytes == 4 * 2**30


def test_a_misspelt_variable_is_an_error_that_names_the_nearest():
    with pytest.raises(BadInput, match=r"PORELAY_WORKRES is not a setting. Did you mean 'PORELAY_WORKERS'\?"):
        Settings.from_env({"PORELAY_WORKRES": "3"})


def test_a_value_out_of_bounds_is_refused():
    with pytest.raises(BadInput, match="workers"):
        Settings.from_env({"PORELAY_WORKERS": "0"})
    with pytest.raises(BadInput, match="settings"):
        Settings.from_env({"PORELAY_MAX_MEMORY_BYTES": "much"})


def test_variables_of_the_tests_and_of_others_are_left_alone():
    Settings.from_env({"PORELAY_TEST_DATA": "x", "HOME": "/"})


def test_the_images_of_servers_that_compose_and_tests_read_are_left_alone() -> None:
    Settings.from_env({"PORELAY_RABBITMQ_IMAGE": "rabbitmq:4-management", "PORELAY_S3_IMAGE": "ceph"})


def test_a_secret_comes_from_a_file_and_is_never_printed(tmp_path):
    (tmp_path / "url").write_text("amqp://me:hidden@broker\n")
    settings = Settings.from_env({"PORELAY_AMQP_URL_FILE": str(tmp_path / "url")})
    assert settings.amqp_url.get_secret_value() == "amqp://me:hidden@broker"
    assert "hidden" not in f"{settings} {settings!r} {settings.model_dump(mode='json')}"
    with pytest.raises(BadInput, match=r"PORELAY_AMQP_URL_FILE.*cannot be read"):
        Settings.from_env({"PORELAY_AMQP_URL_FILE": str(tmp_path / "nothing")})
    with pytest.raises(BadInput, match="PORELAY_WORKERS_FILE is not a setting"):
        Settings.from_env({"PORELAY_WORKERS_FILE": "x"})
