"""`connector sandbox`: what it says when it cannot serve."""

import socket

from click.testing import CliRunner

from connector.cli.main import cli


def test_a_port_in_use_is_cured_by_the_option_of_the_command():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = CliRunner().invoke(cli, ["sandbox", "webhook", "--secret", "whsec_c2FtcGxl", "--port", str(port)])
    assert done.exit_code == 2
    assert (
        f"port {port} is in use: stop the other program, or name another by --port (0 uses a free one)" in done.stderr
    )
