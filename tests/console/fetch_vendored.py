"""`make vendor`: fetches the console's third-party files by npm, and refuses what has another hash than vendor.json says."""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "connector/web/console/static/vendor"


def fetch(package: dict) -> None:
    """Fetch one package, and write its files once all have their hashes."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", package["source"].removeprefix("npm:")],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()[-1]
        with tarfile.open(Path(folder) / packed) as archive:
            bodies = {
                name: archive.extractfile(f"package/{one['from']}").read() for name, one in package["files"].items()
            }
    for name, body in bodies.items():
        if hashlib.sha256(body).hexdigest() != package["files"][name]["sha256"]:
            sys.exit(f"{package['source']} has another {name} than vendor.json says: nothing of it was written")
    for name, body in bodies.items():
        (VENDOR / name).parent.mkdir(parents=True, exist_ok=True)
        (VENDOR / name).write_bytes(body)
        sys.stdout.write(f"{package['source']}: {name}\n")


if __name__ == "__main__":
    for one in json.loads((VENDOR / "vendor.json").read_text()):
        fetch(one)
