import hashlib
import json

from connector.web.console.static_files import ROOT

VENDOR = ROOT / "vendor"


def test_vendored_files_equal_the_list():
    listed = {
        name: file["sha256"]
        for package in json.loads((VENDOR / "vendor.json").read_text())
        for name, file in package["files"].items()
    }
    there = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "vendor.json"
    }
    assert there == listed


def test_every_package_has_its_licence_beside_it():
    for package in json.loads((VENDOR / "vendor.json").read_text()):
        assert f"{package['name']}-{package['version']}/LICENSE" in package["files"]
        assert package["source"].startswith("npm:")
        assert package["source"].endswith(f"@{package['version']}")
