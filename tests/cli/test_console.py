import pytest
from admin.scene import NOW
from click.testing import CliRunner

from connector.cli.main import cli
from connector.config.passwords import is_password
from connector.store.audit import AuditEntry


def test_a_password_becomes_a_line_for_the_config():
    written = "correct horse battery"
    done = CliRunner().invoke(cli, ["console", "password"], input=f"{written}\n{written}\n")
    assert done.exit_code == 0, done.output
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("password_hash: ")]
    assert is_password(written, line.removeprefix("password_hash: "))
    assert not is_password(written.upper(), line.removeprefix("password_hash: "))


def test_a_short_password_is_refused():
    done = CliRunner().invoke(cli, ["console", "password"], input="short\nshort\n")
    assert (done.exit_code, "12 characters" in done.stderr) == (2, True)


def test_without_a_daemon_there_is_no_link_but_the_audit_log_can_be_read(home):
    home.on_the_road(lambda scene: scene.plan())
    done = home.run("console", "login")
    assert (done.exit_code, "connector run" in done.stderr) == (3, True)
    assert "the audit log is empty" in home.run("console", "audit").stdout
    assert home.json("console", "audit") == {"entries": [], "more": False}
    assert "0 sessions ended" in home.run("console", "logout", "--all").stdout


def test_the_audit_log_is_listed_in_local_time_by_pages(home):
    async def act(scene):
        for action in ("sign in by link", "show numbers"):
            await scene.store.audit.add(AuditEntry(at=NOW, who="kari", role="admin", action=action))

    home.on_the_road(act)
    done = home.run("console", "audit", "--limit", "1")
    assert "2026-11-22 13:00" in done.stdout
    assert "show numbers" in done.stdout
    assert "there are older ones: use --before 2" in done.stdout
    (older,) = home.json("console", "audit", "--before", "2")["entries"]
    assert (older["at"], older["action"]) == ("2026-11-22T12:00:00Z", "sign in by link")


@pytest.mark.parametrize("words", [(), ("--all", "--user", "kari")])
def test_signing_out_needs_a_user_or_the_option_for_all(home, words):
    done = home.run("console", "logout", *words)
    assert (done.exit_code, "--all, or --user NAME" in done.stderr) == (2, True)
