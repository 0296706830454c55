"""Environment checks, with given figures."""

import asyncio

import pytest
from admin.scene import make_home

from connector.checks.environment import MIB, check_environment
from connector.model.finding import Level
from connector.registry import load_config
from connector.store.person_key import key_file
from connector.store.store import Store


@pytest.fixture
def loaded(tmp_path):
    config = make_home(tmp_path)
    config.write_text(
        config.read_text().replace("ballast: 0B, free_space_floor: 0B", "ballast: 10MiB, free_space_floor: 100MiB")
    )
    return load_config(config)


def of(found, area):
    return next(one for one in found if one.area == area)


@pytest.mark.parametrize(("free", "level"), [(99, Level.FAIL), (119, Level.WARN), (121, Level.OK)])
def test_free_disk_space_is_compared_with_the_reserve_of_the_config(loaded, free, level):
    finding = of(check_environment(loaded, free=lambda _: free * MIB), "disk")
    assert (finding.level, bool(finding.cure)) == (level, level is not Level.OK)
    assert finding.text.startswith(f"{free} MiB are free")


def test_a_missing_database_directory_is_reported(loaded, tmp_path):
    config = loaded.path
    config.write_text(config.read_text().replace("path: connector.db", "path: elsewhere/connector.db"))
    finding = of(check_environment(load_config(config)), "disk")
    assert (finding.level, finding.cure.startswith("create the directory")) == (Level.FAIL, True)


@pytest.mark.parametrize(
    ("version", "level", "care"),
    [((3, 37, 2), Level.FAIL, False), ((3, 40, 1), Level.OK, True), ((3, 51, 3), Level.OK, False)],
)
def test_an_old_sqlite_is_reported(loaded, version, level, care):
    finding = of(check_environment(loaded, sqlite=version), "SQLite")
    assert finding.level is level
    assert ("let no other program write" in finding.text) is care


@pytest.mark.parametrize(("path", "found"), [("/etc/connector/connector.db", True), ("/var/lib/connector/c.db", False)])
def test_a_database_where_the_unit_may_not_write_is_reported_with_the_path_to_set(loaded, path, found):
    config = loaded.path
    config.write_text(config.read_text().replace("path: connector.db", f"path: {path}"))
    stores = [one for one in check_environment(load_config(config), free=lambda _: 999 * MIB) if one.area == "store"]
    assert [one.cure for one in stores] == (
        ["set `store: path:` to /var/lib/connector/connector.db in the config"] if found else []
    )


def test_a_missing_key_of_forgotten_people_is_reported(loaded):
    path = loaded.database
    assert "forgotten people" not in {one.area for one in check_environment(loaded)}
    asyncio.run(opened(path))
    assert of(check_environment(loaded), "forgotten people").level is Level.OK
    key_file(path).unlink()
    finding = of(check_environment(loaded), "forgotten people")
    assert (finding.level, "connector person new-key" in finding.cure) == (Level.FAIL, True)


async def opened(path):
    await Store.open(path).close()


@pytest.mark.parametrize(
    ("make", "cure"),
    [
        (lambda path: path.write_bytes(b"this is no database"), "connector restore FILE"),
        (lambda path: path.mkdir(), "name a file by `store: path:`"),
    ],
)
def test_what_is_no_database_is_reported(loaded, make, cure):
    path = loaded.database
    make(path)
    finding = of(check_environment(loaded), "store")
    assert (finding.level, cure in finding.cure) == (Level.FAIL, True)


def test_an_empty_file_and_a_database_are_no_finding(loaded):
    path = loaded.database
    path.touch()
    assert "store" not in {one.area for one in check_environment(loaded)}
    path.write_bytes(b"SQLite format 3\0" + bytes(84))
    assert "store" not in {one.area for one in check_environment(loaded)}
