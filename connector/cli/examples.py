"""Examples of the commands, which their `--help` and the manual show. Each is a line that can be typed.

A command of one CRM or of one sandbox names its examples beside itself.
"""

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": ("connector run", "connector --config /etc/connector/config.yaml run"),
    "init": (
        "connector init",
        "connector init --provider strex --keyword 2002/KATT --org https://acme.my.salesforce.com --region NO --yes",
    ),
    "check": ("connector check", "connector check --live --strict"),
    "doctor": ("connector doctor",),
    "test": (
        "connector test",
        "connector test strex-subscription.yaml",
        "connector test -k gift",
        "connector test --coverage",
    ),
    "preview": (
        "connector preview",
        "connector preview --since 2026-11-01 --strict",
        "connector preview --events callbacks.jsonl --against ../main/mappings",
    ),
    "explain": (
        "connector explain 25",
        'connector explain "+47 900 00 001"',
        "connector explain body.json --endpoint strex/dlr",
        "connector explain 25 --as-test",
    ),
    "status": ("connector status", "connector status --json"),
    "console": ("connector console login", "connector console audit"),
    "console login": ("connector console login", "connector console login --role viewer --user kari"),
    "console logout": ("connector console logout --all", "connector console logout --user kari"),
    "console audit": ("connector console audit", "connector console audit --limit 500"),
    "console password": ("connector console password",),
    "events": ("connector events --state unmatched --since 7d", "connector events --keyword KATT --action Unsubscribe"),
    "dead": ("connector dead list", "connector dead retry 25"),
    "dead list": ("connector dead list",),
    "dead show": ("connector dead show 25",),
    "dead retry": (
        "connector dead retry 25 26",
        "connector dead retry --reason too_long",
        "connector dead retry --all",
    ),
    "dead discard": ("connector dead discard 25",),
    "parked": ("connector parked list", "connector parked release 31"),
    "parked list": ("connector parked list",),
    "parked release": ("connector parked release 31 32", "connector parked release --all"),
    "parked discard": ("connector parked discard 31",),
    "parked answer": ("connector parked answer 31 was", "connector parked answer 32 was-not"),
    "parked answers": ("connector parked answers --limit 20",),
    "notes": ("connector notes list",),
    "notes list": ("connector notes list",),
    "consents": ('connector consents show "+4790000001"',),
    "consents show": ('connector consents show "+4790000001"',),
    "consents baseline": ("connector consents baseline", "connector consents baseline --send"),
    "retention": ("connector retention",),
    "person": ('connector person show "+4790000001"', 'connector person forget "+4790000001"'),
    "person show": ('connector person show "+4790000001" --reveal',),
    "person export": ('connector person export "+4790000001" --to /root/request-12',),
    "person forget": (
        'connector person forget "+4790000001" --dry-run',
        'connector person forget "+4790000001"',
    ),
    "person new-key": ("connector person new-key",),
    "charges": ("connector charges list", "connector charges preview"),
    "charges list": ("connector charges list --state in_doubt",),
    "charges preview": ("connector charges preview",),
    "charges approve": ("connector charges approve",),
    "charges resolve": ("connector charges resolve 7 --as taken",),
    "charges show": ("connector charges show 7",),
    "charges pause": ("connector charges pause",),
    "charges resume": ("connector charges resume",),
    "reconcile": ("connector reconcile --dry-run", "connector reconcile"),
    "replay": ("connector replay 25", "connector replay --state unmatched --since 7d --dry-run"),
    "backup": ("connector backup", "connector backup /mnt/backups/connector.db"),
    "restore": ("connector restore backups/connector-20260131T021500Z.db",),
    "reload": ("connector reload --dry-run", "connector reload"),
    "notify": ("connector notify test",),
    "notify test": ("connector notify test", "connector notify test --severity critical"),
    "notify digest": ("connector notify digest", "connector notify digest --send"),
    "keywords": ("connector keywords list", "connector keywords check KATT --channel 2160"),
    "keywords list": ("connector keywords list",),
    "keywords show": ("connector keywords show KATT",),
    "keywords subkeywords": ("connector keywords subkeywords KATT",),
    "keywords check": ("connector keywords check KATT --channel 2160",),
    "keywords reserve": (
        "connector keywords reserve KATT --channel 2160",
        "connector keywords reserve KATT --sub 100 --channel 2160",
    ),
    "keywords forward": ("connector keywords forward KATT",),
    "keywords deactivate": ("connector keywords deactivate KATT",),
    "keywords reactivate": ("connector keywords reactivate KATT",),
    "keywords delete": ("connector keywords delete KATT --channel 2160",),
    "sandbox": ("connector sandbox strex", "connector sandbox salesforce --port 8090"),
    "sinks": ("connector sinks secret",),
    "sinks secret": ("connector sinks secret",),
    "schema": ("connector schema pull", "connector schema write"),
    "schema write": ("connector schema write",),
    "schema print": ("connector schema print mapping",),
    "schema pull": ("connector schema pull",),
    "completion": ("connector completion bash > /etc/bash_completion.d/connector", "connector completion zsh"),
    "manual": ("connector manual > /usr/local/share/man/man1/connector.1",),
    "demo": ("connector demo", "connector demo --keep"),
}


HEAD = "\b\nExamples:\n"  # `\b` makes click print line by line


def examples(*lines: str) -> str:
    """The epilog of a command that has these examples."""
    return HEAD + "\n".join(f"  {line}" for line in lines)


def examples_of(epilog: str | None) -> list[str]:
    """The examples that are in an epilog."""
    _, _, lines = (epilog or "").partition(HEAD)
    return [line.strip() for line in lines.splitlines()]
