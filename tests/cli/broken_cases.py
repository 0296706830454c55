# ruff: noqa: E501, E741, RUF001, SIM223 - the texts are those of files, and the edits are functions on one line.
"""Broken files as people write them: what is done to a good installation, and what `connector check` must say of it.

The good installation is the folder `broken/base`. The kinds were taken from reports of other tools' users; see test_broken_files.py.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SUB, CFG = "mappings/strex-subscription.yaml", "config.yaml"
FULL_CREATE = """        create:
          LastName: {from: [lookup.lastName, lookup.companyName], default: Unknown, truncate: 80}
          FirstName: {from: lookup.firstName, truncate: 40}
        set:"""
MERGED = """        create:
          <<: *c
          FirstName: {from: lookup.firstName, truncate: 40}
        set:"""


@dataclass(frozen=True, slots=True)
class Case:
    """One broken file."""

    name: str
    file: str
    edit: Callable[[Path], object]
    expected: Sequence[tuple[str, str, str]]  # place, code and a part of the cure of each problem; none: accepted
    also: Callable[[Path], object] | None = None


def swap(old: str, new: str) -> Callable[[Path], object]:
    """Replaces a text of the file once."""

    def do(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_bytes(text.replace(old, new, 1).encode())

    return do


CASES = [
    Case(
        "tab indentation",
        SUB,
        swap("    when: {action: Unsubscribe}", "\twhen: {action: Unsubscribe}"),
        [
            (
                "mappings/strex-subscription.yaml:12:1",
                "syntax",
                "indent with spaces; set the editor to insert spaces for tabs",
            )
        ],
    ),
    Case(
        "tab after dash",
        SUB,
        swap("  - name: donor opted out", "  -\tname: donor opted out"),
        [
            (
                "mappings/strex-subscription.yaml:11:4",
                "syntax",
                "indent with spaces; set the editor to insert spaces for tabs",
            )
        ],
    ),
    Case(
        "set one blank too few",
        SUB,
        swap("        set:\n          SMS_Opt_Out__c: true", "       set:\n          SMS_Opt_Out__c: true"),
        [
            (
                "mappings/strex-subscription.yaml:20:8",
                "syntax",
                "give all lines of a block the same number of blanks: `set` in line 40 ",
            )
        ],
    ),
    Case(
        "do one blank more than when",
        SUB,
        swap("    when: {action: Unsubscribe}\n    do:", "    when: {action: Unsubscribe}\n     do:"),
        [
            (
                "mappings/strex-subscription.yaml:13:6",
                "syntax",
                "give all lines of a block the same number of blanks: `do` in line 34 h",
            )
        ],
    ),
    Case(
        "dash forgotten: upsert as mapping",
        SUB,
        swap(
            '      - upsert: Contact\n        key: {SMS_Key__c: "{msisdn}"}\n        create:\n          LastName: {from: [lookup.lastName, lookup.companyName], default: Unknown, truncate: 80}\n          FirstName: {from: lookup.firstName, truncate: 40}\n          MobilePhone: "{msisdn}"\n        set:\n          SMS_Opt_Out__c: true',
            '        upsert: Contact\n        key: {SMS_Key__c: "{msisdn}"}\n        create:\n          LastName: {from: [lookup.lastName, lookup.companyName], default: Unknown, truncate: 80}\n          FirstName: {from: lookup.firstName, truncate: 40}\n          MobilePhone: "{msisdn}"\n        set:\n          SMS_Opt_Out__c: true',
        ),
        [
            (
                "mappings/strex-subscription.yaml:14:9",
                "wrong-type",
                "put `- ` before `upsert`; begin each item of the list with `- `",
            )
        ],
    ),
    Case(
        "fields of set not indented",
        SUB,
        swap(
            "        set:\n          SMS_Opt_Out__c: true\n          SMS_Opt_Out_At__c",
            "        set:\n        SMS_Opt_Out__c: true\n        SMS_Opt_Out_At__c",
        ),
        [("mappings/strex-subscription.yaml:21:9", "syntax", "begin each line that belongs to `set:` with 10 blanks")],
    ),
    Case(
        "rule not indented under rules (dash at col 1) mixed",
        SUB,
        swap("  - name: donor opted in\n    when", "- name: donor opted in\n  when"),
        [
            (
                "mappings/strex-subscription.yaml:32:1",
                "syntax",
                "give all lines of a block the same number of blanks: `- name` in line ",
            )
        ],
    ),
    Case(
        "nbsp indentation",
        SUB,
        swap("    when: {action: Unsubscribe}", "\xa0\xa0\xa0\xa0when: {action: Unsubscribe}"),
        [("mappings/strex-subscription.yaml:12:1", "syntax", "delete it and type a blank in its place")],
    ),
    Case(
        "nbsp after colon",
        SUB,
        swap("    when: {action: Unsubscribe}", "    when:\xa0{action: Unsubscribe}"),
        [("mappings/strex-subscription.yaml:12:10", "odd-blank", "delete it and type a blank in its place")],
    ),
    Case(
        "no blank after colon",
        SUB,
        swap("    consent: opt_out\n\n  # A report", "    consent:opt_out\n\n  # A report"),
        [("mappings/strex-subscription.yaml:24:5", "syntax", "write `key: value`, with a blank behind the colon")],
    ),
    Case(
        "unquoted {msisdn}",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', "MobilePhone: {msisdn}\n        set:"),
        [("mappings/strex-subscription.yaml:19:24", "unquoted-template", 'put it in quotes: "{msisdn}"')],
    ),
    Case(
        "unquoted {msisdn} in flow key",
        SUB,
        swap('key: {SMS_Key__c: "{msisdn}"}', "key: {SMS_Key__c: {msisdn}}"),
        [("mappings/strex-subscription.yaml:15:27", "unquoted-template", 'put it in quotes: "{msisdn}"')],
    ),
    Case(
        "jinja unquoted {{ msisdn }}",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', "MobilePhone: {{ msisdn }}\n        set:"),
        [
            (
                "mappings/strex-subscription.yaml:19:24",
                "unquoted-template",
                'write one pair of braces, in quotes: "{msisdn}"',
            )
        ],
    ),
    Case(
        'jinja quoted "{{ msisdn }}"',
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "{{ msisdn }}"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "bad-path", 'write one pair of braces: "{msisdn}"')],
    ),
    Case(
        "github ${{ msisdn }}",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', "MobilePhone: ${{ msisdn }}\n        set:"),
        [("mappings/strex-subscription.yaml:19:24", "bad-path", 'write one pair of braces: "{msisdn}"')],
    ),
    Case(
        'shell "${msisdn}"',
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "${msisdn}"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "bad-path", 'write one pair of braces: "{msisdn}"')],
    ),
    Case(
        "salesforce merge {!Contact.Phone}",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "{!msisdn}"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "bad-path", 'write "{msisdn}"')],
    ),
    Case(
        "template typo {msidn}",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "{msidn}"\n        set:'),
        [
            (
                "mappings/strex-subscription.yaml:19:24",
                "bad-path",
                "did you mean `msisdn`? A property is written properties.msidn",
            )
        ],
    ),
    Case(
        'template unclosed "{msisdn"',
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "{msisdn"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "bad-path", "close it with `}`; for a literal brace write `{{`")],
    ),
    Case(
        'template blanks "{ msisdn }"',
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "{ msisdn }"\n        set:'),
        [],
    ),
    Case(
        'template word phone "{phone}"',
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "{phone}"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "bad-path", "did you mean `msisdn`?")],
    ),
    Case(
        "colon in value",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: SMS: Strex"),
        [("mappings/strex-subscription.yaml:23:37", "syntax", 'put the text in quotes: SMS_Opt_Out_Source__c: "…"')],
    ),
    Case(
        "hash in value is a comment",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: #2002 STOP"),
        [
            (
                "mappings/strex-subscription.yaml:23:33",
                "cut-text",
                "put the whole text in quotes; if it is a comment, write a blank behind",
            ),
            (
                "mappings/strex-subscription.yaml:23:33",
                "no-value",
                "write null to empty the field, or take the line out",
            ),
        ],
    ),
    Case(
        "hash after blank cuts the value",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: STOP on #2002"),
        [
            (
                "mappings/strex-subscription.yaml:23:41",
                "cut-text",
                "put the whole text in quotes; if it is a comment, write a blank behind",
            )
        ],
    ),
    Case(
        "value begins with %",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: %keyword%"),
        [("mappings/strex-subscription.yaml:23:34", "syntax", "put the whole text in quotes")],
    ),
    Case(
        "value begins with @",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: @strex"),
        [("mappings/strex-subscription.yaml:23:34", "syntax", "put the whole text in quotes")],
    ),
    Case(
        "value is * (any keyword)",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Unsubscribe, keyword: *}"),
        [("mappings/strex-subscription.yaml:12:43", "syntax", "put it in quotes")],
    ),
    Case(
        "missing closing quote",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: "Strex {keyword?}'),
        [
            (
                "mappings/strex-subscription.yaml:23:34",
                "syntax",
                "close it; a quote inside the text is written twice, or the text stands",
            )
        ],
    ),
    Case(
        "missing closing brace",
        SUB,
        swap(
            'LastName: {from: [lookup.lastName, lookup.companyName], default: Unknown, truncate: 80}\n          FirstName: {from: lookup.firstName, truncate: 40}\n          MobilePhone: "{msisdn}"\n        set:',
            'LastName: {from: [lookup.lastName, lookup.companyName], default: Unknown, truncate: 80\n          FirstName: {from: lookup.firstName, truncate: 40}\n          MobilePhone: "{msisdn}"\n        set:',
        ),
        [
            (
                "mappings/strex-subscription.yaml:17:21",
                "syntax",
                "close it with `}`; between braces put templates and paths with bracket",
            )
        ],
    ),
    Case(
        "apostrophe in single quotes",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: 'donor's wish'"),
        [
            (
                "mappings/strex-subscription.yaml:23:41",
                "syntax",
                "put the whole text in \"…\", or write a ' inside it as ''",
            )
        ],
    ),
    Case(
        "smart quotes",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', "MobilePhone: “{msisdn}”\n        set:"),
        [
            ("mappings/strex-subscription.yaml:19:24", "curly-quotes", "write straight quotes, \" or '"),
            ("mappings/strex-subscription.yaml:19:24", "wrong-kind", 'write "{msisdn}" for the number of the event'),
        ],
    ),
    Case(
        "duplicate key set",
        SUB,
        swap(
            '          SMS_Opt_Out_Source__c: "Strex {keyword?}"\n',
            '          SMS_Opt_Out_Source__c: "Strex {keyword?}"\n        set:\n          SMS_Keywords__c: x\n',
        ),
        [("mappings/strex-subscription.yaml:24:9", "duplicate-key", "remove one of the two")],
    ),
    Case(
        "duplicate field",
        SUB,
        swap("          SMS_Opt_Out__c: true\n", "          SMS_Opt_Out__c: true\n          SMS_Opt_Out__c: false\n"),
        [("mappings/strex-subscription.yaml:22:11", "duplicate-key", "remove one of the two")],
    ),
    Case(
        "duplicate rule name",
        SUB,
        swap("  - name: donor opted in\n", "  - name: donor opted out\n"),
        [("mappings/strex-subscription.yaml:32:11", "rule-twice", "give each rule its own")],
    ),
    Case(
        "anchor, alias, merge key",
        SUB,
        swap("create:\n          LastName", "create: &c\n          LastName"),
        [
            (
                "mappings/strex-subscription.yaml:16:17",
                "anchor",
                "quote a text that begins so; else write the lines out, or describe",
            ),
            (
                "mappings/strex-subscription.yaml:38:11",
                "merge-key",
                "quote a text that begins so; else write the lines out, or describe",
            ),
            (
                "mappings/strex-subscription.yaml:38:15",
                "alias",
                "quote a text that begins so; else write the lines out, or describe",
            ),
        ],
        also=lambda home: swap(FULL_CREATE, MERGED)(home / SUB),
    ),
    Case(
        "undefined alias",
        SUB,
        swap(
            "create:\n          LastName: {from: [lookup.lastName, lookup.companyName], default: Unknown, truncate: 80}\n          FirstName: {from: lookup.firstName, truncate: 40}\n        set:",
            "create: *contact\n        set:",
        ),
        [
            (
                "mappings/strex-subscription.yaml:37:17",
                "alias",
                "quote a text that begins so; else write the lines out, or describe",
            )
        ],
    ),
    Case(
        "alias to itself",
        SUB,
        swap("when: {action: Unsubscribe}", "when: &a {any: [*a]}"),
        [
            (
                "mappings/strex-subscription.yaml:12:11",
                "anchor",
                "quote a text that begins so; else write the lines out, or describe",
            ),
            (
                "mappings/strex-subscription.yaml:12:21",
                "alias",
                "quote a text that begins so; else write the lines out, or describe",
            ),
        ],
    ),
    Case(
        "multi-doc",
        SUB,
        swap("  # Joined by SMS", "---\n  # Joined by SMS"),
        [("mappings/strex-subscription.yaml:31:1", "several-documents", "make it a file of its own")],
    ),
    Case("leading ---", SUB, swap("on: strex.delivery_report", "---\non: strex.delivery_report"), []),
    Case(
        "casing When/Do",
        SUB,
        swap("    when: {action: Unsubscribe}\n    do:", "    When: {action: Unsubscribe}\n    Do:"),
        [
            ("mappings/strex-subscription.yaml:12:5", "unknown-key", "did you mean `when`?"),
            ("mappings/strex-subscription.yaml:13:5", "unknown-key", "did you mean `do`?"),
        ],
    ),
    Case(
        "wrong field name",
        SUB,
        swap("          SMS_Opt_Out__c: true", "          SMS_OptOut__c: true"),
        [
            (
                "mappings/strex-subscription.yaml:21:11",
                "no-such-field",
                "did you mean `SMS_Opt_Out__c`? If not, create it in the CRM, or show i",
            )
        ],
    ),
    Case(
        "field label instead of API name",
        SUB,
        swap("          SMS_Opt_Out__c: true", "          SMS Opt Out: true"),
        [
            (
                "mappings/strex-subscription.yaml:21:11",
                "wrong-form",
                "write the API name, of letters, digits and _, such as SMS_Opt_Out__c",
            )
        ],
    ),
    Case(
        "wrong object",
        SUB,
        swap("      - upsert: Contact\n        key", "      - upsert: Contacts\n        key"),
        [
            (
                "mappings/strex-subscription.yaml:14:17",
                "no-such-object",
                "did you mean `Contact`? If not: where salesforce has this object, read",
            )
        ],
    ),
    Case(
        "on: typo",
        SUB,
        swap("on: strex.delivery_report", "on: strex.delivery_reports"),
        [("mappings/strex-subscription.yaml:7:5", "unknown-source", "did you mean `strex.delivery_report`?")],
    ),
    Case(
        "on: provider not in config",
        SUB,
        swap("on: strex.delivery_report", "on: stex.delivery_report"),
        [("mappings/strex-subscription.yaml:7:5", "unknown-source", "did you mean `strex.delivery_report`?")],
    ),
    Case(
        "on: two in one string",
        SUB,
        swap("on: strex.delivery_report", "on: strex.delivery_report, strex.message"),
        [
            (
                "mappings/strex-subscription.yaml:7:5",
                "several-words",
                "write a list: [strex.delivery_report, strex.message]",
            )
        ],
    ),
    Case(
        "trigger: instead of on:",
        SUB,
        swap("on: strex.delivery_report", "trigger: strex.delivery_report"),
        [("mappings/strex-subscription.yaml:7:1", "unknown-key", "did you mean `on`?")],
    ),
    Case(
        "action list as string",
        SUB,
        swap("when: {action: [Subscribe, Signup], result: ok}", 'when: {action: "Subscribe, Signup", result: ok}'),
        [("mappings/strex-subscription.yaml:33:20", "several-words", "write a list: [Subscribe, Signup]")],
    ),
    Case(
        "action list without comma",
        SUB,
        swap("when: {action: [Subscribe, Signup], result: ok}", "when: {action: [Subscribe Signup], result: ok}"),
        [("mappings/strex-subscription.yaml:33:21", "several-words", "write a list: [Subscribe, Signup]")],
    ),
    Case(
        "unknown action word",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Unsubscribed}"),
        [
            (
                "mappings/strex-subscription.yaml:12:12",
                "unknown-word",
                "did you mean `Unsubscribe`? It is only right for a service that is not",
            ),
            (
                "mappings/strex-subscription.yaml:12:11",
                "opt-out-lost",
                "fix the rule that is meant for it: `donor opted out` in line 11: actio",
            ),
        ],
    ),
    Case(
        "result: success",
        SUB,
        swap("when: {action: [Subscribe, Signup], result: ok}", "when: {action: [Subscribe, Signup], result: success}"),
        [("mappings/strex-subscription.yaml:33:49", "unknown-word", "known: failed, ok, pending, reversed")],
    ),
    Case(
        "condition as expression string",
        SUB,
        swap("when: {action: Unsubscribe}", "when: action == Unsubscribe"),
        [("mappings/strex-subscription.yaml:12:11", "expression", "write when: {action: Unsubscribe}")],
    ),
    Case(
        "price: >499 (folded scalar)",
        SUB,
        swap("when: {action: Recurring, result: ok}", "when:\n      action: Recurring\n      price: >499"),
        [
            (
                "mappings/strex-subscription.yaml:55:16",
                "syntax",
                "to compare with a number write {above: 499} or {below: 499}; else put ",
            )
        ],
    ),
    Case(
        'price: {above: "499 kr"}',
        SUB,
        swap("when: {action: Recurring, result: ok}", "when: {action: Recurring, result: ok, price: {above: 499 kr}}"),
        [("mappings/strex-subscription.yaml:53:58", "wrong-type", "write digits alone, without quotes and unit: 499")],
    ),
    Case(
        "price: {greater_than: 499}",
        SUB,
        swap(
            "when: {action: Recurring, result: ok}", "when: {action: Recurring, result: ok, price: {greater_than: 499}}"
        ),
        [("mappings/strex-subscription.yaml:53:51", "unknown-key", "did you mean `above`?")],
    ),
    Case(
        "path without from",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: properties.town"),
        [("mappings/strex-subscription.yaml:43:11", "path-as-text", "write {from: properties.town} for the value")],
    ),
    Case(
        "from typo",
        SUB,
        swap("FirstName: {from: lookup.firstName, truncate: 40}", "FirstName: {from: lookup.firstname, truncate: 40}"),
        [],
    ),
    Case(
        "from property name typo",
        SUB,
        swap("properties.NewPrice]", "property.NewPrice]"),
        [
            (
                "mappings/strex-subscription.yaml:94:67",
                "bad-path",
                "did you mean `properties`? A property is written properties.NewPrice",
            )
        ],
    ),
    Case(
        "from: message (means text)",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: message, truncate: 255}"),
        [("mappings/strex-subscription.yaml:43:35", "bad-path", "did you mean `text`?")],
    ),
    Case(
        "unknown transform",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, uppercase: true}"),
        [("mappings/strex-subscription.yaml:43:44", "unknown-key", "did you mean `case: upper`?")],
    ),
    Case(
        "truncate: eighty",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, truncate: eighty}"),
        [("mappings/strex-subscription.yaml:43:54", "wrong-type", "write digits alone, without quotes and unit: 80")],
    ),
    Case(
        'truncate: "80"',
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", 'SMS_Keywords__c: {from: keyword, truncate: "80"}'),
        [],
    ),
    Case(
        "date format words",
        SUB,
        swap("date: {to: date}", "date: {to: DD.MM.YYYY}"),
        [("mappings/strex-subscription.yaml:68:63", "bad-date-form", "write dd.MM.yyyy")],
    ),
    Case(
        "map int keys",
        SUB,
        swap(
            "SMS_Keywords__c: {from: keyword, truncate: 255}",
            "SMS_Keywords__c: {from: properties.myproperty, map: {1: Children, 2: Climate}}",
        ),
        [],
    ),
    Case(
        "map NO/yes keys",
        SUB,
        swap(
            "SMS_Keywords__c: {from: keyword, truncate: 255}",
            "SMS_Keywords__c: {from: properties.country, map: {NO: Norway, SE: Sweden, DK: Denmark}}",
        ),
        [],
    ),
    Case(
        "map as list",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, map: [KATT, Cats]}"),
        [("mappings/strex-subscription.yaml:43:49", "wrong-type", "such as {KATT: Cats, HUND: Dogs}")],
    ),
    Case(
        "consent: opt-out",
        SUB,
        swap("    consent: opt_out", "    consent: opt-out"),
        [("mappings/strex-subscription.yaml:24:14", "unknown-word", "did you mean `opt_out`?")],
    ),
    Case(
        "consent: STOP",
        SUB,
        swap("    consent: opt_out", "    consent: stop"),
        [("mappings/strex-subscription.yaml:24:14", "unknown-word", "known: none, opt_in, opt_out")],
    ),
    Case(
        "upsert without key",
        SUB,
        swap(
            '      - upsert: Contact\n        key: {SMS_Key__c: "{msisdn}"}\n        create:',
            "      - upsert: Contact\n        create:",
        ),
        [("mappings/strex-subscription.yaml:14:9", "no-key", 'add key: {External_Id__c: "{msisdn}"}')],
    ),
    Case(
        "rule without do or ignore",
        SUB,
        swap(
            "  - name: another service than subscriptions\n    ignore: true",
            "  - name: another service than subscriptions",
        ),
        [("mappings/strex-subscription.yaml:110:5", "no-effect", "add `do:`, or `ignore: true`")],
    ),
    Case(
        "ignore: yes",
        SUB,
        swap(
            "  - name: another service than subscriptions\n    ignore: true",
            "  - name: another service than subscriptions\n    ignore: yes",
        ),
        [],
    ),
    Case(
        "checkbox: yes",
        SUB,
        swap("          SMS_Opt_Out__c: true", "          SMS_Opt_Out__c: yes"),
        [("mappings/strex-subscription.yaml:21:27", "wrong-kind", "write true or false, without quotes")],
    ),
    Case(
        'checkbox: "ja"',
        SUB,
        swap("          SMS_Opt_Out__c: true", "          SMS_Opt_Out__c: ja"),
        [("mappings/strex-subscription.yaml:21:27", "wrong-kind", "write true or false, without quotes")],
    ),
    Case(
        'checkbox: "true" as text', SUB, swap("          SMS_Opt_Out__c: true", '          SMS_Opt_Out__c: "true"'), []
    ),
    Case("null ~", SUB, swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: ~"), []),
    Case(
        "empty value",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c:"),
        [("mappings/strex-subscription.yaml:23:33", "no-value", "write null to empty the field, or take the line out")],
    ),
    Case(
        "unquoted date as default",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: {from: text, default: 2026-01-02}"),
        [
            (
                "mappings/strex-subscription.yaml:23:11",
                "may-be-too-long",
                "add `truncate: 80`, as in {from: text, truncate: 80}",
            )
        ],
    ),
    Case("time 12:30", SUB, swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: 12:30"), []),
    Case(
        "octal keyword 0123",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Unsubscribe, keyword: 0123}"),
        [
            (
                "mappings/strex-subscription.yaml:12:11",
                "opt-out-lost",
                "fix the rule that is meant for it: `donor opted out` in line 11: keywo",
            )
        ],
    ),
    Case(
        "short_number int in when",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Unsubscribe, short_number: 2002}"),
        [],
    ),
    Case(
        "scientific 1e3 keyword",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Unsubscribe, keyword: 1e3}"),
        [
            (
                "mappings/strex-subscription.yaml:12:11",
                "opt-out-lost",
                "fix the rule that is meant for it: `donor opted out` in line 11: keywo",
            )
        ],
    ),
    Case("emoji", SUB, swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: "🐱 {keyword?}"'), []),
    Case(
        "unreachable rule",
        SUB,
        swap(
            "  - name: donor opted in\n    when: {action: [Subscribe, Signup], result: ok}\n",
            "  - name: all\n    ignore: true\n\n  - name: donor opted in\n    when: {action: [Subscribe, Signup], result: ok}\n",
        ),
        [("mappings/strex-subscription.yaml:32:5", "unreachable", "add a `when:` to it, or move it to the end")],
    ),
    Case(
        "unreachable: same when twice",
        SUB,
        swap(
            "  - name: opt-in that did not go through\n    when: {action: [Subscribe, Signup]}",
            "  - name: opt-in that did not go through\n    when: {action: [Subscribe, Signup], result: ok}",
        ),
        [("mappings/strex-subscription.yaml:47:5", "unreachable", "move it up, or narrow the other")],
    ),
    Case(
        "TEST that fails",
        SUB,
        swap(
            'set: {MobilePhone: "+4798079008", SMS_Opt_Out__c: false}}',
            'set: {MobilePhone: "+4798079008", SMS_Opt_Out__c: true}}',
        ),
        [
            (
                "mappings/strex-subscription.yaml:149:5",
                "failing-test",
                "correct the rule or the test; `connector test` shows more",
            )
        ],
    ),
    Case(
        "TEST unknown rule name",
        SUB,
        swap("      rule: donor opted in\n      consent: opt_in", "      rule: donor opted inn\n      consent: opt_in"),
        [("mappings/strex-subscription.yaml:152:13", "unknown-rule", "did you mean `donor opted in`?")],
    ),
    Case(
        "TEST event key typo",
        SUB,
        swap(
            'event: {action: Unsubscribe, verdict: opt_out, msisdn: "+4798079008", short_number: "2002", keyword: KATT}',
            'event: {action: Unsubscribe, verdict: opt_out, phone: "+4798079008", short_number: "2002", keyword: KATT}',
        ),
        [("mappings/strex-subscription.yaml:136:52", "unknown-key", "did you mean `msisdn`?")],
    ),
    Case(
        "TEST phone without +47",
        SUB,
        swap(
            'event: {action: SubscribePreAuthFailed, msisdn: "+4798079008"}',
            "event: {action: SubscribePreAuthFailed, msisdn: 98079008}",
        ),
        [("mappings/strex-subscription.yaml:198:53", "bad-phone", 'write it with its country code: "+4790000001"')],
    ),
    Case(
        "TEST test: for tests:",
        SUB,
        swap("tests:\n", "test:\n"),
        [("mappings/strex-subscription.yaml:113:1", "unknown-key", "did you mean `tests`?")],
    ),
    Case(
        "rule: for rules:",
        SUB,
        swap("rules:\n", "rule:\n"),
        [("mappings/strex-subscription.yaml:9:1", "unknown-key", "did you mean `rules`?")],
    ),
    Case("CRLF", SUB, lambda p: p.write_bytes(p.read_bytes().replace(b"\n", b"\r\n")), []),
    Case("CR only (old Mac)", SUB, lambda p: p.write_bytes(p.read_bytes().replace(b"\n", b"\r")), []),
    Case("UTF-8 BOM", SUB, lambda p: p.write_bytes(b"\xef\xbb\xbf" + p.read_bytes()), []),
    Case(
        "Latin-1",
        SUB,
        lambda p: (
            p.write_bytes(p.read_text().encode("latin-1"))
            and next(i for i, l in enumerate(p.read_bytes().split(b"\n"), 1) if b"\xc5" in l)
        ),
        [
            (
                "mappings/strex-subscription.yaml:150:145",
                "encoding",
                "save it with the encoding UTF-8: in Notepad under Save as, Encoding",
            )
        ],
    ),
    Case(
        "UTF-16 (Notepad Unicode)",
        SUB,
        lambda p: p.write_bytes(p.read_text().encode("utf-16")),
        [
            (
                "mappings/strex-subscription.yaml:1:1",
                "encoding",
                "save it with the encoding UTF-8: in Notepad under Save as, Encoding",
            )
        ],
    ),
    Case(
        "empty file",
        SUB,
        lambda p: p.write_bytes(b""),
        [("mappings/strex-subscription.yaml", "empty-file", "copy a shipped file and edit it, or remove this one")],
    ),
    Case(
        "only comments",
        SUB,
        lambda p: p.write_bytes(b"# to do\n"),
        [("mappings/strex-subscription.yaml", "empty-file", "copy a shipped file and edit it, or remove this one")],
    ),
    Case(
        "a Word document",
        SUB,
        lambda p: p.write_bytes(b"PK\x03\x04\x14\x00\x06\x00\x08\x00" + bytes(range(256)) * 4),
        [
            (
                "mappings/strex-subscription.yaml:1:1",
                "encoding",
                "copy the text into a text editor, such as Notepad, and save it there w",
            )
        ],
    ),
    Case(
        "conflict markers of git",
        SUB,
        lambda p: (
            p.write_text(
                p.read_text().replace(
                    "    when: {action: Unsubscribe}\n",
                    "<<<<<<< HEAD\n    when: {action: Unsubscribe}\n=======\n    when: {action: Unsub}\n>>>>>>> x\n",
                    1,
                )
            )
            and 12
        ),
        [
            (
                "mappings/strex-subscription.yaml:12:1",
                "merge-marks",
                "keep one of the two versions, and delete the lines with <<<<<<<, =====",
            )
        ],
    ),
    Case(
        "yaml bomb",
        SUB,
        lambda p: (
            p.write_text(
                "a: &a [x,x,x,x,x,x,x,x,x]\n"
                + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12))
            )
            and None
        ),
        [
            (
                "mappings/strex-subscription.yaml:1:4",
                "anchor",
                "quote a text that begins so; else write the lines out, or describe",
            ),
            (
                "mappings/strex-subscription.yaml:2:4",
                "anchor",
                "quote a text that begins so; else write the lines out, or describe",
            ),
            (
                "mappings/strex-subscription.yaml:2:8",
                "alias",
                "quote a text that begins so; else write the lines out, or describe",
            ),
        ],
    ),
    Case(
        "huge file (20000 rules)",
        SUB,
        lambda p: (
            p.write_text(
                "on: strex.delivery_report\nrules:\n"
                + "".join(f"  - name: r{i}\n    when: {{keyword: K{i}}}\n    ignore: true\n" for i in range(20000))
            )
            and None
        ),
        [("mappings/strex-subscription.yaml", "too-large", "split it into several files")],
    ),
    Case(
        "deep nesting",
        SUB,
        lambda p: (
            p.write_text(
                "on: strex.delivery_report\nrules:\n  - name: x\n    when: "
                + "{not: " * 3000
                + "{action: x}"
                + "}" * 3000
                + "\n    ignore: true\n"
            )
            and None
        ),
        [("mappings/strex-subscription.yaml:4:168", "syntax", "at most 30 levels are read")],
    ),
    Case(
        "very long line",
        SUB,
        lambda p: (
            p.write_text(
                p.read_text().replace(
                    'SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: "' + "x" * 100000 + '"', 1
                )
            )
            and 23
        ),
        [("mappings/strex-subscription.yaml:23:34", "too-long", "shorten it")],
    ),
    Case("saved as .yml", SUB, lambda p: p.rename(p.with_suffix(".yml")) and None, []),
    Case(
        "saved as .yaml.txt",
        SUB,
        lambda p: p.rename(str(p) + ".txt") and None,
        [
            (
                "mappings/strex-subscription.yaml.txt",
                "unread-file",
                "rename it to strex-subscription.yaml, or take it out of the folder",
            ),
            (
                "mappings/strex-log.yaml:37:1",
                "opt-out-lost",
                "add a rule for it before this one, with `when: {verdict: opt_out}`",
            ),
            (
                "mappings/strex-log.yaml:10:1",
                "opt-out-lost",
                "add a rule for it before this one, with `when: {verdict: opt_out}`",
            ),
        ],
    ),
    Case(
        "copy beside it",
        SUB,
        lambda p: shutil.copy(p, p.with_name("strex-subscription - Copy.yaml")) and None,
        [
            (
                "mappings/strex-subscription.yaml:9:1",
                "copied-file",
                "remove one of the two: this file, or strex-subscription - Copy.yaml",
            )
        ],
    ),
    Case(
        "editor backup ~ and .swp",
        SUB,
        lambda p: (
            (
                shutil.copy(p, str(p) + "~"),
                (p.parent / ".strex-log.yaml.swp").write_bytes(b"x"),
                (p.parent / ".#strex.yaml").symlink_to("nowhere"),
            )
            and None
        ),
        [("mappings/strex-subscription.yaml~", "unread-file", "take it out of the folder")],
    ),
    Case(
        "dangling symlink",
        SUB,
        lambda p: (p.unlink(), p.symlink_to("/nonexistent/x.yaml")) and None,
        [("mappings/strex-subscription.yaml", "unreadable-file", "remove the link, or let it lead to a file")],
    ),
    Case(
        "symlink loop",
        SUB,
        lambda p: (p.unlink(), p.symlink_to(p.name)) and None,
        [("mappings/strex-subscription.yaml", "unreadable-file", "remove the link, or let it lead to a file")],
    ),
    Case(
        "directory named x.yaml",
        SUB,
        lambda p: (p.unlink(), p.mkdir()) and None,
        [("mappings/strex-subscription.yaml", "unreadable-file", "rename it, or move it to another place")],
    ),
    Case(
        "mappings folder missing",
        SUB,
        lambda p: shutil.rmtree(p.parent),
        [("mappings", "unreadable-file", "create it, let the service's user read it, or name another one by `map")],
    ),
    Case("cfg norway unquoted", CFG, swap("default_region: NO ", "default_region: NO "), []),
    Case(
        "cfg region Norway",
        CFG,
        swap("default_region: NO ", "default_region: Norway "),
        [("config.yaml:37:17", "unknown-region", "did you mean `NO`?")],
    ),
    Case(
        "cfg region 47",
        CFG,
        swap("default_region: NO ", "default_region: 47 "),
        [("config.yaml:37:17", "unknown-region", "did you mean `NO`?")],
    ),
    Case(
        "cfg timezone Oslo",
        CFG,
        swap("timezone: Europe/Oslo", "timezone: Oslo"),
        [("config.yaml:36:11", "unknown-timezone", "did you mean `Europe/Oslo`?")],
    ),
    Case(
        "cfg timezone CET",
        CFG,
        swap("timezone: Europe/Oslo", "timezone: GMT+1"),
        [("config.yaml:36:11", "unknown-timezone", "write one like Europe/Oslo or UTC")],
    ),
    Case(
        "cfg port text",
        CFG,
        swap("  port: 8080", "  port: eighty"),
        [("config.yaml:16:9", "wrong-type", "write digits alone, without quotes and unit: 8080")],
    ),
    Case("cfg port quoted", CFG, swap("  port: 8080", '  port: "8080"'), []),
    Case(
        "cfg same ports",
        CFG,
        swap("  port: 8081", "  port: 8080"),
        [("config.yaml:22:3", "same-port", "give one of the two another, such as port: 8081")],
    ),
    Case(
        "cfg provider: typo",
        CFG,
        swap("\nproviders:\n", "\nprovider:\n"),
        [("config.yaml:40:1", "unknown-key", "did you mean `providers`?")],
    ),
    Case(
        "cfg provider Strex upper case",
        CFG,
        swap("  strex:\n", "  Strex:\n"),
        [("config.yaml:41:3", "wrong-form", "use small letters, digits and _, such as strex")],
    ),
    Case(
        "cfg secret in clear",
        CFG,
        swap("key: {env: HOOK}", "key: 1234-5678-secret-api-key"),
        [
            (
                "config.yaml:51:12",
                "secret-in-clear",
                "write {credential: name}, {file: path} or {env: NAME}; replace the sec",
            )
        ],
    ),
    Case(
        "cfg path_secrets string",
        CFG,
        swap("    path_secrets:\n      - env: HOOK", "    path_secrets: mysecret"),
        [("config.yaml:44:19", "wrong-type", "write [{credential: name}]")],
    ),
    Case(
        "cfg short_number int",
        CFG,
        swap('{short_number: "2002", keyword: MYKEYWORD}', "{short_number: 2002, keyword: MYKEYWORD}"),
        [],
    ),
    Case(
        "cfg short_number octal",
        CFG,
        swap('{short_number: "2002", keyword: MYKEYWORD}', "{short_number: 02002, keyword: MYKEYWORD}"),
        [],
    ),
    Case(
        "cfg url without https",
        CFG,
        swap("url: https://acme.my.salesforce.com", "url: acme.my.salesforce.com"),
        [("config.yaml:63:10", "bad-url", "write the org's own address, from Setup, My Domain: https://acme.my.sa")],
    ),
    Case(
        "cfg lightning url",
        CFG,
        swap("url: https://acme.my.salesforce.com", "url: https://acme.lightning.force.com/lightning/page/home"),
        [("config.yaml:63:10", "bad-url", "write the org's own address, from Setup, My Domain: https://acme.my.sa")],
    ),
    Case(
        "cfg login.salesforce.com",
        CFG,
        swap("url: https://acme.my.salesforce.com", "url: https://login.salesforce.com"),
        [("config.yaml:63:10", "bad-url", "write the org's own address, from Setup, My Domain: https://acme.my.sa")],
    ),
    Case(
        "cfg retention number",
        CFG,
        swap("  # retention: {delivered: 90d}", "  retention: {delivered: 90}"),
        [("config.yaml:9:26", "bad-duration", "write its unit too: 90s, 90m, 90h or 90d")],
    ),
    Case(
        "cfg retention words",
        CFG,
        swap("  # retention: {delivered: 90d}", "  retention: {delivered: 90 days}"),
        [("config.yaml:9:26", "bad-duration", "write 90d")],
    ),
    Case(
        "cfg deadline 5 minutes",
        CFG,
        swap("  deadline: 5m", "  deadline: 5 minutes"),
        [("config.yaml:31:13", "bad-duration", "write 5m")],
    ),
    Case(
        "cfg level verbose",
        CFG,
        swap("  level: info", "  level: verbose"),
        [("config.yaml:25:10", "unknown-word", "known: debug, error, info, warning")],
    ),
    Case(
        "cfg consent field wrong",
        CFG,
        swap("flag: SMS_Opt_Out__c", "flag: HasOptedOutOfSMS"),
        [
            (
                "config.yaml:72:15",
                "no-such-field",
                "create it in the CRM, or show it to the connector's user; then `connec",
            )
        ],
    ),
    Case(
        "cfg public_url without scheme",
        CFG,
        swap("  # public_url: https://sms.example.org", "  public_url: sms.example.org"),
        [("config.yaml:17:15", "bad-url", "write it like https://sms.example.org")],
    ),
    Case(
        "cfg empty",
        CFG,
        lambda p: p.write_text(""),
        [("config.yaml", "empty-file", "copy a shipped file and edit it, or remove this one")],
    ),
    Case(
        "cfg missing",
        CFG,
        lambda p: p.unlink(),
        [("config.yaml", "unreadable-file", "`connector init` writes one; name another file by --config")],
    ),
    Case(
        "cfg pasted list",
        CFG,
        lambda p: p.write_text("- a\n- b\n") and 1,
        [("config.yaml:1:1", "wrong-type", "such as `providers:` and `crm:`, each with lines below it")],
    ),
    Case(
        "all fields of set not indented",
        SUB,
        swap(
            '        set:\n          SMS_Opt_Out__c: true\n          SMS_Opt_Out_At__c: {from: [occurred_at, received_at]}\n          SMS_Opt_Out_Source__c: "Strex {keyword?}"\n',
            '        set:\n        SMS_Opt_Out__c: true\n        SMS_Opt_Out_At__c: {from: [occurred_at, received_at]}\n        SMS_Opt_Out_Source__c: "Strex {keyword?}"\n',
        ),
        [("mappings/strex-subscription.yaml:21:9", "not-indented", "begin these 3 lines with 2 more blanks")],
    ),
    Case(
        "tab inside braces",
        SUB,
        swap("    when: {action: Unsubscribe}", "    when: {\taction: Unsubscribe}"),
        [
            (
                "mappings/strex-subscription.yaml:12:12",
                "syntax",
                "indent with spaces; set the editor to insert spaces for tabs",
            )
        ],
    ),
    Case(
        "tab in the tests",
        SUB,
        swap("      rule: donor opted in\n", "\t  rule: donor opted in\n"),
        [
            (
                "mappings/strex-subscription.yaml:152:1",
                "syntax",
                "indent with spaces; set the editor to insert spaces for tabs",
            )
        ],
    ),
    Case(
        "second rule without its dash",
        SUB,
        swap("  - name: donor opted in\n", "    name: donor opted in\n"),
        [
            (
                "mappings/strex-subscription.yaml:32:5",
                "duplicate-key",
                "remove one of the two, or put `- ` before `name` if a new item of the ",
            ),
            ("mappings/strex-subscription.yaml:33:5", "duplicate-key", "remove one of the two"),
        ],
    ),
    Case(
        "fields of a list item too deep",
        SUB,
        swap(
            '        key: {SMS_Key__c: "{msisdn}"}\n        create:',
            '          key: {SMS_Key__c: "{msisdn}"}\n        create:',
        ),
        [
            (
                "mappings/strex-subscription.yaml:15:11",
                "syntax",
                "give all lines of a block the same number of blanks: `key` in line 36 ",
            )
        ],
    ),
    Case(
        "narrow no-break space in the config",
        CFG,
        swap("timezone: Europe/Oslo", "timezone:\u202fEurope/Oslo"),
        [("config.yaml:36:10", "syntax", "delete it and type a blank in its place")],
    ),
    Case(
        "words in double quotes inside double quotes",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: "Strex "{keyword?}" stop"'),
        [
            (
                "mappings/strex-subscription.yaml:23:42",
                "syntax",
                "put the whole text in '…', or write a \" inside it as \\\"",
            )
        ],
    ),
    Case(
        "text behind a quoted template",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: "{keyword?}" of Strex'),
        [("mappings/strex-subscription.yaml:23:47", "syntax", "put all of the text inside the quotes")],
    ),
    Case(
        "two colons in a value",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', "SMS_Opt_Out_Source__c: Source: SMS: Strex"),
        [("mappings/strex-subscription.yaml:23:40", "syntax", 'put the text in quotes: SMS_Opt_Out_Source__c: "…"')],
    ),
    Case(
        "unclosed list",
        SUB,
        swap("when: {action: [Subscribe, Signup], result: ok}", "when: {action: [Subscribe, Signup, result: ok}"),
        [("mappings/strex-subscription.yaml:33:50", "syntax", "close it with `]`; put texts with `[` in quotes")],
    ),
    Case(
        "unclosed brace of when",
        SUB,
        swap("    when: {action: Unsubscribe}\n", "    when: {action: Unsubscribe\n"),
        [
            (
                "mappings/strex-subscription.yaml:12:11",
                "syntax",
                "close it with `}`; between braces put templates and paths with bracket",
            )
        ],
    ),
    Case(
        "guillemets in when",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: «Unsubscribe»}"),
        [("mappings/strex-subscription.yaml:12:20", "curly-quotes", "write straight quotes, \" or '")],
    ),
    Case(
        "single smart quotes",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', "MobilePhone: ‘{msisdn}’\n        set:"),
        [
            ("mappings/strex-subscription.yaml:19:24", "curly-quotes", "write straight quotes, \" or '"),
            ("mappings/strex-subscription.yaml:19:24", "wrong-kind", 'write "{msisdn}" for the number of the event'),
        ],
    ),
    Case(
        "a tag",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: !!str Unsubscribe}"),
        [("mappings/strex-subscription.yaml:12:20", "tag", "remove it; quotes make a value a text")],
    ),
    Case(
        "duplicate key in braces",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Unsubscribe, action: Stop}"),
        [("mappings/strex-subscription.yaml:12:33", "duplicate-key", "remove one of the two")],
    ),
    Case(
        "if for when",
        SUB,
        swap("    when: {action: Unsubscribe}", "    if: {action: Unsubscribe}"),
        [("mappings/strex-subscription.yaml:12:5", "unknown-key", "did you mean `when`?")],
    ),
    Case(
        "then for do",
        SUB,
        swap("    when: {action: Unsubscribe}\n    do:", "    when: {action: Unsubscribe}\n    then:"),
        [("mappings/strex-subscription.yaml:13:5", "unknown-key", "did you mean `do`?")],
    ),
    Case(
        "fields for set",
        SUB,
        swap("        set:\n          SMS_Opt_Out__c: true", "        fields:\n          SMS_Opt_Out__c: true"),
        [("mappings/strex-subscription.yaml:20:9", "unknown-key", "did you mean `set`?")],
    ),
    Case(
        "expected for expect",
        SUB,
        swap("    expect:\n", "    expected:\n"),
        [("mappings/strex-subscription.yaml:125:5", "unknown-key", "did you mean `expect`?")],
    ),
    Case(
        "lowercase",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, lowercase: true}"),
        [("mappings/strex-subscription.yaml:43:44", "unknown-key", "did you mean `case: lower`?")],
    ),
    Case(
        "max_length",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, max_length: 255}"),
        [("mappings/strex-subscription.yaml:43:44", "unknown-key", "did you mean `truncate`?")],
    ),
    Case(
        "format for date",
        SUB,
        swap("date: {to: date}", "format: DD.MM.YYYY"),
        [("mappings/strex-subscription.yaml:68:57", "unknown-key", "did you mean `date`?")],
    ),
    Case(
        "US date",
        SUB,
        swap("date: {to: date}", "date: {to: MM/DD/YYYY}"),
        [("mappings/strex-subscription.yaml:68:63", "bad-date-form", "write MM/dd/yyyy")],
    ),
    Case(
        "strftime",
        SUB,
        swap("date: {to: date}", 'date: {to: "%d.%m.%Y"}'),
        [("mappings/strex-subscription.yaml:68:63", "bad-date-form", "write dd.MM.yyyy")],
    ),
    Case(
        "price with its currency",
        SUB,
        swap(
            "when: {action: Recurring, result: ok}",
            'when: {action: Recurring, result: ok, price: {above: "100,50 NOK"}}',
        ),
        [
            (
                "mappings/strex-subscription.yaml:53:58",
                "wrong-type",
                "write digits alone, without quotes and unit: 100.50",
            )
        ],
    ),
    Case(
        "price as a comparison",
        SUB,
        swap("when: {action: Recurring, result: ok}", 'when: {action: Recurring, result: ok, price: ">=100"}'),
        [("mappings/strex-subscription.yaml:53:50", "comparison", "write {above: 100}")],
    ),
    Case(
        "gt",
        SUB,
        swap("when: {action: Recurring, result: ok}", "when: {action: Recurring, result: ok, price: {gt: 100}}"),
        [("mappings/strex-subscription.yaml:53:51", "unknown-key", "did you mean `above`?")],
    ),
    Case(
        "when as an assignment",
        SUB,
        swap("when: {action: Unsubscribe}", "when: keyword = KATT"),
        [("mappings/strex-subscription.yaml:12:11", "expression", "write when: {keyword: KATT}")],
    ),
    Case(
        "when with a comparison",
        SUB,
        swap("when: {action: Recurring, result: ok}", "when: price > 100"),
        [("mappings/strex-subscription.yaml:53:11", "expression", "write when: {price: {above: 100}}")],
    ),
    Case(
        "when as a list",
        SUB,
        swap("when: {action: Unsubscribe}", "when: [action, Unsubscribe]"),
        [("mappings/strex-subscription.yaml:12:11", "wrong-type", "such as {action: Unsubscribe}")],
    ),
    Case(
        "rules as a mapping",
        SUB,
        swap("rules:\n", "rules:\n  first:\n"),
        [
            (
                "mappings/strex-subscription.yaml:10:3",
                "wrong-type",
                "put `- ` before `first`; begin each item of the list with `- `",
            )
        ],
    ),
    Case(
        "truncate with its unit",
        SUB,
        swap(
            "SMS_Keywords__c: {from: keyword, truncate: 255}",
            "SMS_Keywords__c: {from: keyword, truncate: 255 characters}",
        ),
        [("mappings/strex-subscription.yaml:43:54", "wrong-type", "write digits alone, without quotes and unit: 255")],
    ),
    Case(
        "round: yes",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, round: two}"),
        [("mappings/strex-subscription.yaml:43:51", "wrong-type", "write digits alone, without quotes and unit: 2")],
    ),
    Case(
        "required: ja",
        SUB,
        swap(
            "SMS_Keywords__c: {from: keyword, truncate: 255}",
            "SMS_Keywords__c: {from: keyword, truncate: 255, required: ja}",
        ),
        [("mappings/strex-subscription.yaml:43:69", "wrong-type", "write true or false, without quotes")],
    ),
    Case(
        "map as pairs",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", "SMS_Keywords__c: {from: keyword, map: KATT=Cats}"),
        [("mappings/strex-subscription.yaml:43:49", "wrong-type", "such as {KATT: Cats, HUND: Dogs}")],
    ),
    Case(
        "action in the singular of another language",
        SUB,
        swap("when: {action: Unsubscribe}", "when: {action: Avmelding}"),
        [
            (
                "mappings/strex-subscription.yaml:12:12",
                "unknown-word",
                "known: AlreadyRegistered, AlterPrice, AlterPriceInvalid, LookupFailed,",
            ),
            (
                "mappings/strex-subscription.yaml:12:11",
                "opt-out-lost",
                "fix the rule that is meant for it: `donor opted out` in line 11: actio",
            ),
        ],
    ),
    Case(
        "actions separated by or",
        SUB,
        swap("when: {action: [Subscribe, Signup], result: ok}", "when: {action: Subscribe or Signup, result: ok}"),
        [("mappings/strex-subscription.yaml:33:20", "several-words", "write a list: [Subscribe, Signup]")],
    ),
    Case(
        "verdict in words",
        SUB,
        swap("when: {action: [Subscribe, Signup], result: ok}", "when: {action: [Subscribe, Signup], verdict: joined}"),
        [("mappings/strex-subscription.yaml:33:50", "unknown-word", "known: maybe_stop, none, opt_in, opt_out")],
    ),
    Case(
        "field without its ending",
        SUB,
        swap("          SMS_Opt_Out__c: true", "          SMS_Opt_Out: true"),
        [
            (
                "mappings/strex-subscription.yaml:21:11",
                "no-such-field",
                "did you mean `SMS_Opt_Out__c`? If not, create it in the CRM, or show i",
            )
        ],
    ),
    Case("field in lower case", SUB, swap("          SMS_Opt_Out__c: true", "          sms_opt_out__c: true"), []),
    Case(
        "object in the plural of a custom object",
        SUB,
        swap("      - upsert: Contact\n        key", "      - upsert: Kontakt\n        key"),
        [
            (
                "mappings/strex-subscription.yaml:14:17",
                "no-such-object",
                "did you mean `Contact`? If not: where salesforce has this object, read",
            )
        ],
    ),
    Case(
        "catch-all in front",
        SUB,
        swap("  - name: donor opted out\n", "  - name: everything\n    ignore: true\n\n  - name: donor opted out\n"),
        [("mappings/strex-subscription.yaml:11:5", "unreachable", "add a `when:` to it, or move it to the end")],
    ),
    Case(
        "same when with more",
        SUB,
        swap(
            "  - name: opt-in that did not go through\n    when: {action: [Subscribe, Signup]}",
            "  - name: opt-in that did not go through\n    when: {action: Signup, result: ok}",
        ),
        [("mappings/strex-subscription.yaml:47:5", "unreachable", "move it up, or narrow the other")],
    ),
    Case(
        "TEST: rule of another file",
        SUB,
        swap("      rule: donor opted in\n      consent: opt_in", "      rule: everything else\n      consent: opt_in"),
        [
            (
                "mappings/strex-subscription.yaml:152:13",
                "unknown-rule",
                "known: amount changed, another service than subscriptions, donor opted",
            )
        ],
    ),
    Case(
        "TEST: number key",
        SUB,
        swap(
            'event: {action: Unsubscribe, verdict: opt_out, msisdn: "+4798079008"',
            'event: {action: Unsubscribe, verdict: opt_out, number: "+4798079008"',
        ),
        [("mappings/strex-subscription.yaml:136:52", "unknown-key", "did you mean `msisdn`?")],
    ),
    Case(
        "TEST: msisdn without country",
        SUB,
        swap(
            'event: {action: Unsubscribe, verdict: opt_out, msisdn: "+4798079008"',
            'event: {action: Unsubscribe, verdict: opt_out, msisdn: "98079008"',
        ),
        [("mappings/strex-subscription.yaml:136:60", "bad-phone", 'write it with its country code: "+4790000001"')],
    ),
    Case(
        "ignored for ignore",
        SUB,
        swap(
            "  - name: another service than subscriptions\n    ignore: true",
            "  - name: another service than subscriptions\n    ignored: true",
        ),
        [("mappings/strex-subscription.yaml:111:5", "unknown-key", "did you mean `ignore`?")],
    ),
    Case(
        "ignore: ja",
        SUB,
        swap(
            "  - name: another service than subscriptions\n    ignore: true",
            "  - name: another service than subscriptions\n    ignore: ja",
        ),
        [("mappings/strex-subscription.yaml:111:13", "wrong-type", "write true or false, without quotes")],
    ),
    Case(
        "consent: in words",
        SUB,
        swap("    consent: opt_out", "    consent: opted out"),
        [("mappings/strex-subscription.yaml:24:14", "unknown-word", "did you mean `opt_out`?")],
    ),
    Case(
        "env-style variable",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "$msisdn"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "wrong-kind", 'write "{msisdn}" for the number of the event')],
    ),
    Case(
        "percent template",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', 'MobilePhone: "%msisdn%"\n        set:'),
        [("mappings/strex-subscription.yaml:19:24", "wrong-kind", 'write "{msisdn}" for the number of the event')],
    ),
    Case(
        "angle template",
        SUB,
        swap('MobilePhone: "{msisdn}"\n        set:', "MobilePhone: <msisdn>\n        set:"),
        [("mappings/strex-subscription.yaml:19:24", "wrong-kind", 'write "{msisdn}" for the number of the event')],
    ),
    Case(
        "template in a from",
        SUB,
        swap("SMS_Keywords__c: {from: keyword, truncate: 255}", 'SMS_Keywords__c: {from: "{keyword}", truncate: 255}'),
        [("mappings/strex-subscription.yaml:43:35", "bad-path", "write it without braces: they are for texts")],
    ),
    Case(
        "expression in a template",
        SUB,
        swap('SMS_Opt_Out_Source__c: "Strex {keyword?}"', 'SMS_Opt_Out_Source__c: "Strex {keyword | upper}"'),
        [
            (
                "mappings/strex-subscription.yaml:23:34",
                "bad-path",
                'write it like msisdn, properties.myproperty, properties["First Name"] ',
            )
        ],
    ),
    Case(
        "UTF-16 without a mark",
        SUB,
        lambda p: p.write_bytes(p.read_text().encode("utf-16-le")),
        [
            (
                "mappings/strex-subscription.yaml:1:1",
                "encoding",
                "save it with the encoding UTF-8: in Notepad under Save as, Encoding",
            )
        ],
    ),
    Case(
        "RTF",
        SUB,
        lambda p: p.write_bytes(b"{\\rtf1\\ansi on: strex.delivery_report}"),
        [
            (
                "mappings/strex-subscription.yaml:1:1",
                "encoding",
                "copy the text into a text editor, such as Notepad, and save it there w",
            )
        ],
    ),
    Case(
        "PDF",
        SUB,
        lambda p: p.write_bytes(b"%PDF-1.7\n"),
        [
            (
                "mappings/strex-subscription.yaml:1:1",
                "encoding",
                "copy the text into a text editor, such as Notepad, and save it there w",
            )
        ],
    ),
    Case(
        "web page",
        SUB,
        lambda p: p.write_bytes(b"<!DOCTYPE html>\n<html></html>"),
        [("mappings/strex-subscription.yaml:1:1", "encoding", "download the file itself: on GitHub by the button Raw")],
    ),
    Case(
        "Windows-1252 quotes",
        SUB,
        lambda p: p.write_bytes(p.read_bytes().replace(b'"Strex {keyword?}"', b"\x93Strex\x94", 1)),
        [
            (
                "mappings/strex-subscription.yaml:23:34",
                "encoding",
                "save it with the encoding UTF-8: in Notepad under Save as, Encoding",
            )
        ],
    ),
    Case(
        "marks of a merge with its base",
        SUB,
        lambda p: p.write_text(
            p.read_text().replace(
                "    when: {action: Unsubscribe}\n",
                "<<<<<<< mine\n    when: {action: Unsubscribe}\n||||||| base\n    when: {}\n=======\n    when: {action: Unsub}\n>>>>>>> x\n",
                1,
            )
        ),
        [
            (
                "mappings/strex-subscription.yaml:12:1",
                "merge-marks",
                "keep one of the two versions, and delete the lines with <<<<<<<, =====",
            )
        ],
    ),
    Case(
        "a diff",
        SUB,
        lambda p: p.write_text("\n".join("+" + l for l in p.read_text().splitlines())),
        [("mappings/strex-subscription.yaml:2:1", "syntax", "write `key: value`, with a blank behind the colon")],
    ),
    Case(
        "line numbers copied too",
        SUB,
        lambda p: p.write_text("\n".join(f"{n:>4} " + l for n, l in enumerate(p.read_text().splitlines(), 1))),
        [("mappings/strex-subscription.yaml:2:4", "syntax", "check the indentation of this line")],
    ),
    Case(
        "markdown fence",
        SUB,
        lambda p: p.write_text("```yaml\n" + p.read_text() + "```\n"),
        [("mappings/strex-subscription.yaml:1:1", "syntax", "delete this line")],
    ),
    Case(
        "saved as .yaml.bak beside",
        SUB,
        lambda p: shutil.copy(p, str(p) + ".bak"),
        [("mappings/strex-subscription.yaml.bak", "unread-file", "take it out of the folder")],
    ),
    Case(
        "saved as .YAML",
        SUB,
        lambda p: p.rename(p.with_suffix(".YAML")),
        [
            (
                "mappings/strex-subscription.YAML",
                "unread-file",
                "rename it to strex-subscription.yaml, or take it out of the folder",
            ),
            (
                "mappings/strex-log.yaml:37:1",
                "opt-out-lost",
                "add a rule for it before this one, with `when: {verdict: opt_out}`",
            ),
            (
                "mappings/strex-log.yaml:10:1",
                "opt-out-lost",
                "add a rule for it before this one, with `when: {verdict: opt_out}`",
            ),
        ],
    ),
    Case(
        "cfg timezone oslo",
        CFG,
        swap("timezone: Europe/Oslo", "timezone: oslo"),
        [("config.yaml:36:11", "unknown-timezone", "did you mean `Europe/Oslo`?")],
    ),
    Case(
        "cfg timezone misspelt",
        CFG,
        swap("timezone: Europe/Oslo", "timezone: Europe/Olso"),
        [("config.yaml:36:11", "unknown-timezone", "did you mean `Europe/Oslo`?")],
    ),
    Case(
        "cfg timezone abbreviation",
        CFG,
        swap("timezone: Europe/Oslo", "timezone: CEST"),
        [("config.yaml:36:11", "unknown-timezone", "write one like Europe/Oslo or UTC")],
    ),
    Case(
        "cfg timezone offset",
        CFG,
        swap("timezone: Europe/Oslo", "timezone: +01:00"),
        [("config.yaml:36:11", "unknown-timezone", "write one like Europe/Oslo or UTC")],
    ),
    Case(
        "cfg region Danmark",
        CFG,
        swap("default_region: NO ", "default_region: Danmark "),
        [("config.yaml:37:17", "unknown-region", "did you mean `DK`?")],
    ),
    Case(
        "cfg region United States",
        CFG,
        swap("default_region: NO ", "default_region: United States "),
        [("config.yaml:37:17", "unknown-region", "did you mean `US`?")],
    ),
    Case(
        "cfg region +46",
        CFG,
        swap("default_region: NO ", "default_region: +46 "),
        [("config.yaml:37:17", "unknown-region", "did you mean `SE`?")],
    ),
    Case(
        "cfg region NOR",
        CFG,
        swap("default_region: NO ", "default_region: NOR "),
        [("config.yaml:37:17", "unknown-region", "did you mean `NO`?")],
    ),
    Case(
        "cfg region lower",
        CFG,
        swap("default_region: NO ", "default_region: no "),
        [("config.yaml:37:17", "unknown-region", "did you mean `NO`?")],
    ),
    Case(
        "cfg region Nowhere",
        CFG,
        swap("default_region: NO ", "default_region: Nowhere "),
        [("config.yaml:37:17", "unknown-region", "write the country's two letters, such as NO, DK, SE, GB or US")],
    ),
    Case(
        "cfg port too large",
        CFG,
        swap("  port: 8080", "  port: 80800"),
        [("config.yaml:16:9", "out-of-range", "such as 8080")],
    ),
    Case(
        "cfg port with a host",
        CFG,
        swap("  port: 8080", "  port: localhost:8080"),
        [("config.yaml:16:9", "wrong-type", "write digits alone, without quotes and unit: 8080")],
    ),
    Case(
        "cfg deadline number",
        CFG,
        swap("  deadline: 5m", "  deadline: 5"),
        [("config.yaml:31:13", "bad-duration", "write its unit too: 5s, 5m, 5h or 5d")],
    ),
    Case(
        "cfg deadline hours",
        CFG,
        swap("  deadline: 5m", "  deadline: 2 hours"),
        [("config.yaml:31:13", "bad-duration", "write 2h")],
    ),
    Case(
        "cfg deadline clock",
        CFG,
        swap("  deadline: 5m", "  deadline: 00:05:00"),
        [("config.yaml:31:13", "bad-duration", "write a number and s, m, h or d: 30s, 5m, 2h, 7d")],
    ),
    Case(
        "cfg retention months",
        CFG,
        swap("  # retention: {delivered: 90d}", "  retention: {delivered: 3 months}"),
        [("config.yaml:9:26", "bad-duration", "write a number and s, m, h or d: 30s, 5m, 2h, 7d")],
    ),
    Case(
        "cfg secret as a number",
        CFG,
        swap("key: {env: HOOK}", "key: 123456"),
        [
            (
                "config.yaml:51:12",
                "secret-in-clear",
                "write {credential: name}, {file: path} or {env: NAME}; replace the sec",
            )
        ],
    ),
    Case(
        "cfg secret of another tool",
        CFG,
        swap("key: {env: HOOK}", "key: {vault: strex}"),
        [("config.yaml:51:13", "unknown-key", "known: credential, env, file")],
    ),
    Case(
        "cfg path_secrets in clear",
        CFG,
        swap("      - env: HOOK", "      - abcdefabcdef01234567"),
        [
            (
                "config.yaml:45:9",
                "secret-in-clear",
                "write {credential: name}, {file: path} or {env: NAME}; replace the sec",
            )
        ],
    ),
    Case(
        "cfg log for logs",
        CFG,
        swap("\nlogs:\n", "\nlog:\n"),
        [("config.yaml:24:1", "unknown-key", "did you mean `logs`?")],
    ),
    Case(
        "cfg level WARN",
        CFG,
        swap("  level: info", "  level: WARN"),
        [("config.yaml:25:10", "unknown-word", "did you mean `warning`?")],
    ),
    Case(
        "cfg level trace",
        CFG,
        swap("  level: info", "  level: trace"),
        [("config.yaml:25:10", "unknown-word", "known: debug, error, info, warning")],
    ),
    Case(
        "cfg flag of another channel",
        CFG,
        swap("flag: SMS_Opt_Out__c", "flag: HasOptedOutOfEmail"),
        [
            (
                "mappings/strex-subscription.yaml:11:1",
                "opt-out-lost",
                "add HasOptedOutOfEmail under `set:`, with the value that means opted o",
            ),
            (
                "mappings/strex-messages.yaml:10:1",
                "opt-out-lost",
                "add HasOptedOutOfEmail under `set:`, with the value that means opted o",
            ),
            (
                "mappings/salesforce-to-strex.yaml",
                "opt-out-lost",
                "add HasOptedOutOfEmail to `feed: fields`; or correct the name in `consent_fields:`",
            ),
        ],
    ),
    Case(
        "cfg flag misspelt",
        CFG,
        swap("flag: SMS_Opt_Out__c", "flag: SMS_OptOut__c"),
        [
            (
                "config.yaml:72:15",
                "no-such-field",
                "did you mean `SMS_Opt_Out__c`? If not, create it in the CRM, or show i",
            )
        ],
    ),
    Case(
        "cfg url of Setup",
        CFG,
        swap(
            "url: https://acme.my.salesforce.com",
            "url: https://acme.my.salesforce-setup.com/lightning/setup/SetupOneHome/home",
        ),
        [("config.yaml:63:10", "bad-url", "write the org's own address, from Setup, My Domain: https://acme.my.sa")],
    ),
    Case(
        "cfg url with blanks",
        CFG,
        swap("url: https://acme.my.salesforce.com", "url: acme my salesforce"),
        [("config.yaml:63:10", "bad-url", "write the org's own address, from Setup, My Domain: https://acme.my.sa")],
    ),
    Case(
        "cfg crms",
        CFG,
        swap("\ncrm:\n", "\nsalesforce_org:\n"),
        [
            ("config.yaml:7:1", "missing-key", "add `crm: …`"),
            (
                "config.yaml:61:1",
                "unknown-key",
                "known: admin, consent, console, crm, ",
            ),
        ],
    ),
    Case(
        "cfg provider of an unknown type",
        CFG,
        swap("  strex:\n", "  vonage:\n"),
        [
            (
                "config.yaml:41:3",
                "unknown-type",
                "write `type:` and one of strex, sumotext, onlinefundraising, messagecl",
            )
        ],
    ),
    Case(
        "cfg name with a blank",
        CFG,
        swap("  strex:\n", "  my strex:\n"),
        [("config.yaml:41:3", "wrong-form", "use small letters, digits and _, such as strex; perhaps my_strex")],
    ),
    Case(
        "cfg in UTF-16",
        CFG,
        lambda p: p.write_bytes(p.read_text().encode("utf-16")),
        [
            (
                "config.yaml:1:1",
                "encoding",
                "the file is in UTF-16 (save it with the encoding UTF-8: in Notepad under Save as, Encoding)",
            )
        ],
    ),
    Case(
        "cfg in UTF-16 without a mark",
        CFG,
        lambda p: p.write_bytes(p.read_text().encode("utf-16-le")),
        [
            (
                "config.yaml:1:1",
                "encoding",
                "the file is in UTF-16 (save it with the encoding UTF-8: in Notepad under Save as, Encoding)",
            )
        ],
    ),
    Case(
        "cfg in Latin-1",
        CFG,
        lambda p: p.write_bytes(("# på norsk\n" + p.read_text()).encode("latin-1")),
        [
            (
                "config.yaml:1:4",
                "encoding",
                "the file is not in UTF-8 (save it with the encoding UTF-8: in Notepad under Save as, Encoding)",
            )
        ],
    ),
    Case(
        "cfg is a Word document",
        CFG,
        lambda p: p.write_bytes(b"PK\x03\x04 rest"),
        [("config.yaml:1:1", "encoding", "copy the text into a text editor")],
    ),
    Case(
        "cfg is a folder",
        CFG,
        lambda p: (p.unlink(), p.mkdir()),
        [("config.yaml", "unreadable-file", "rename it, or move it to another place")],
    ),
    Case(
        "cfg is a link to nothing",
        CFG,
        lambda p: (p.unlink(), p.symlink_to("nothing.yaml")),
        [("config.yaml", "unreadable-file", "remove the link, or let it lead to a file")],
    ),
    Case(
        "cfg host with a scheme",
        CFG,
        swap("  host: 127.0.0.1", '  host: "http://127.0.0.1"'),
        [("config.yaml:15:9", "bad-host", "write the address alone, without http:// and port, such as 127.0.0.1")],
    ),
    Case(
        "cfg host with a port",
        CFG,
        swap("  host: 127.0.0.1", '  host: "127.0.0.1:8080"'),
        [("config.yaml:15:9", "bad-host", "write the address alone, without http:// and port, such as 127.0.0.1")],
    ),
    Case(
        "cfg host with a blank",
        CFG,
        swap("  host: 127.0.0.1", '  host: "127.0.0.1 "'),
        [("config.yaml:15:9", "bad-host", "write the address alone, without http:// and port, such as 127.0.0.1")],
    ),
    Case(
        "cfg host in brackets",
        CFG,
        swap("  host: 127.0.0.1", '  host: "[::1]"'),
        [("config.yaml:15:9", "bad-host", "write the address alone, without http:// and port, such as 127.0.0.1")],
    ),
    Case("cfg host of this machine", CFG, swap("  host: 127.0.0.1", '  host: "::1"'), []),
    Case("cfg host blank: all addresses", CFG, swap("  host: 127.0.0.1", '  host: ""'), []),
    Case(
        "cfg public_url with hooks",
        CFG,
        swap("  # public_url: https://sms.example.org", "  public_url: https://sms.example.org/hooks/"),
        [("config.yaml:17:15", "bad-url", "leave out /hooks and what follows: the connector adds it")],
    ),
    Case(
        "cfg public_url with a blank",
        CFG,
        swap("  # public_url: https://sms.example.org", '  public_url: "https://sms.example.org "'),
        [("config.yaml:17:15", "bad-url", "write it like https://sms.example.org")],
    ),
    Case(
        "cfg deadline too short",
        CFG,
        swap("deadline: 5m", "deadline: 0s"),
        [("config.yaml:31:13", "out-of-range", "`deadline` must be at least 10s")],
    ),
    Case(
        "cfg retention too short",
        CFG,
        swap("  # retention: {delivered: 90d}", "  retention: {delivered: 1d}"),
        [("config.yaml:9:26", "out-of-range", "`delivered` must be at least 4d")],
    ),
    Case(
        "cfg crm misspelt",
        CFG,
        swap("  salesforce:\n", "  saleforce:\n"),
        [("config.yaml:62:3", "unknown-type", "did you mean `salesforce`? Otherwise write `type:` and one of")],
    ),
    Case(
        "cfg variable with a dollar",
        CFG,
        swap("      - env: HOOK", "      - env: $HOOK"),
        [("config.yaml:45:14", "wrong-form", "write the variable's name alone, without `$` and braces")],
    ),
    Case(
        "cfg credential with a path",
        CFG,
        swap("      - env: HOOK", "      - credential: /etc/connector/credentials/hook"),
        [
            (
                "config.yaml:45:21",
                "wrong-form",
                "write the credential's name alone, such as strex-api-key; {file: path} names a file",
            )
        ],
    ),
    Case(
        "cfg quiet hours that are none",
        CFG,
        swap("timezone: Europe/Oslo", "notify: {quiet: {begin: '22:00', end: '22:00'}}\ntimezone: Europe/Oslo"),
        [("config.yaml:36:17", "no-quiet-hours", "write two different times, or leave `quiet:` out")],
    ),
    Case(
        "cfg recipient without an address",
        CFG,
        swap("timezone: Europe/Oslo", "notify: {to: [{address: {env: HOOK}}]}\ntimezone: Europe/Oslo"),
        [("config.yaml:36:25", "no-address", "write one such as mailto://user:password@example.org")],
    ),
    Case(
        "cfg phone of the consent fields misspelt",
        CFG,
        swap("phone: MobilePhone", "phone: HomePhone"),
        [
            (
                "mappings/salesforce-to-strex.yaml",
                "opt-out-lost",
                "or correct the name in `consent_fields:` of the config",
            )
        ],
    ),
]
