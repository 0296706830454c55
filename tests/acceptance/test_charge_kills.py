"""Charges under `kill -9`. tests/charging/kills.py does it, with as many kills as wanted."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "charging" / "kills.py"


def test_fifty_kills_charge_nobody_twice():
    command = [sys.executable, str(SCRIPT), "--kills", "50"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    assert said["kills"] == 50
    assert (said["charged_twice"], said["charged_after_opt_out"], said["forgotten"]) == ({}, 0, [])
    assert said["taken"] > 50, "the processes have charged before they were killed"
