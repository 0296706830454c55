"""Mappings that would lose an opt-out are rejected, with the file and the rule; the shipped ones lose none."""

import shutil

import pytest
from flow.sets import CONFIGS, copied
from flow.world import CONFIG, ROOT

from connector.consent.decide import decide
from connector.consent.ledger_state import LedgerState
from connector.model.event import Verdict
from connector.model.problem import ProblemsFound, Severity
from connector.pipeline.opt_out_check import lost_opt_outs
from connector.registry import PROVIDERS, load_config, load_rules, opt_outs

SHIPPED = ROOT / "mappings"
SUBSCRIPTION, MESSAGES, LOG, WAY_BACK = (
    "strex-subscription.yaml",
    "strex-messages.yaml",
    "strex-log.yaml",
    "salesforce-to-strex.yaml",
)
CONTACT_FLAG = """
    consent_fields:
      Contact: {flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}
"""
SALESFORCE = """
crm:
  salesforce:
    url: https://acme.my.salesforce.com
    sign_in: {client_id: app, client_secret: {env: SF_SECRET}}
"""
OTHERS = {
    "sumotext": ("  sumotext: {path_secrets: [{env: HOOK}]}\n", ["sumotext.yaml"]),
    "messagecloud": (
        "  messagecloud: {path_secrets: [{env: HOOK}]}\n",
        ["messagecloud.yaml", "salesforce-to-messagecloud.yaml"],
    ),
    "onlinefundraising": (
        "  onlinefundraising: {path_secrets: [{env: HOOK}], keywords: [STØT, TIFO]}\n",
        ["onlinefundraising.yaml"],
    ),
}


class Installation:
    """A config and its mappings, which a test breaks."""

    def __init__(self, directory, config, files):
        self.mappings = directory / "mappings"
        self.mappings.mkdir(exist_ok=True)
        for file in files:
            shutil.copy(file, self.mappings)
        self.config = directory / "config.yaml"
        self.config.write_text(config)

    def edit(self, name, old, new):
        path = self.mappings / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def cut(self, name, *, of_tests=True):
        """The file without its examples, which would find many faults by themselves."""
        path = self.mappings / name
        if of_tests:
            path.write_text(path.read_text().partition("\ntests:")[0] + "\n")

    def line(self, name, words):
        lines = (self.mappings / name).read_text().splitlines()
        return next(number for number, line in enumerate(lines, 1) if words in line)

    def load(self):
        return load_rules(load_config(self.config))

    def problems(self):
        with pytest.raises(ProblemsFound) as caught:
            self.load()
        assert {one.code for one in caught.value.problems} == {"opt-out-lost"}
        return [str(one) for one in caught.value.problems]


def plain(directory):
    config = CONFIG.format(mappings="mappings", strex="http://127.0.0.1:9", salesforce="http://127.0.0.1:9")
    return Installation(directory, config, SHIPPED.glob("*.yaml"))


def of_provider(directory, name, *, flag=CONTACT_FLAG, more=""):
    provider, files = OTHERS[name]
    config = f"providers:\n{provider}{SALESFORCE}{flag}{more}"
    return Installation(directory, config, [SHIPPED / "more" / file for file in files])


@pytest.fixture
def strex(tmp_path):
    return plain(tmp_path)


def test_the_shipped_mappings_lose_no_opt_out(strex):
    assert strex.load().warnings == ()


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_each_shipped_set_of_mappings_loses_no_opt_out(tmp_path, name):
    copied(tmp_path / "mappings", name)
    config = CONFIGS[name].format(mappings="mappings", strex="http://127.0.0.1:9", salesforce="http://127.0.0.1:9")
    assert Installation(tmp_path, config, []).load()


def test_the_shipped_matching_loses_no_opt_out(strex):
    for file in (SHIPPED / "more" / "match-by-phone").glob("*.yaml"):
        shutil.copy(file, strex.mappings)
    assert strex.load()


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_the_shipped_mappings_of_other_providers_lose_no_opt_out(tmp_path, name):
    assert of_provider(tmp_path, name).load()


@pytest.mark.parametrize("name", ["strex", *sorted(OTHERS)])
def test_every_sample_is_an_opt_out_of_a_person_by_the_providers_own_reader(tmp_path, name):
    installation = plain(tmp_path) if name == "strex" else of_provider(tmp_path, name)
    loaded = load_config(installation.config)
    samples = opt_outs(loaded).samples
    for sample in samples:
        assert sample.event.verdict is Verdict.OPT_OUT, sample.name
        assert decide(sample.event, Verdict.OPT_OUT, ledger_state=LedgerState(), ledger=()).may_set_flag, sample.name
    adapter = PROVIDERS[type(loaded.providers[name])]
    assert {shape for shape, brings in adapter.SHAPES.items() if brings} == {one.event.shape for one in samples}


def swallowed(strex, name, words, by, why):
    """The one problem, which must name the rule that takes the opt-out, and why the right one does not. Returns its place."""
    (problem,) = strex.problems()
    place, _, said = problem.partition(": ")
    taken = f"the rule `{by}` takes it in line {strex.line(name, f'- name: {by}')}"
    assert all(word in said for word in (words, taken, why)), problem
    return place


@pytest.mark.parametrize("action", ["Unsubscribed", "“Unsubscribe”", "unsubscribe_", "STOP"])
def test_an_action_that_strex_never_sends_is_reported_at_the_rule_that_loses_the_opt_out(strex, action):
    strex.cut(SUBSCRIPTION)
    strex.edit(SUBSCRIPTION, "{verdict: opt_out}", f'{{action: "{action}"}}')
    why = f"`donor opted out` in line {strex.line(SUBSCRIPTION, 'donor opted out')}: action is Unsubscribe, the rule wants"
    words = "a Strex report with SystemAction Unsubscribe and 2 other kinds of opt-outs"
    place = swallowed(strex, SUBSCRIPTION, words, "another service than subscriptions", why)
    written = f'when: {{action: "{action}"}}'
    assert place == f"{SUBSCRIPTION}:{strex.line(SUBSCRIPTION, written)}:11"


def test_an_earlier_rule_that_takes_the_opt_out_is_named(strex):
    strex.cut(SUBSCRIPTION)
    strex.edit(
        SUBSCRIPTION,
        "  # The donor is opted out at once, whatever",
        "  - name: mine\n    when: {msisdn: {missing: false}}\n    ignore: true\n\n  # The donor is opted out at once, whatever",
    )
    swallowed(
        strex,
        SUBSCRIPTION,
        "a Strex report with SystemAction Unsubscribe and 2 other kinds of opt-outs would not set the opt-out flag",
        "mine",
        "it comes after `mine`, so move it up",
    )


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("SMS_Opt_Out__c: true", "SMS_Opt_Out__c: false", "under `set:` write SMS_Opt_Out__c: true"),
        ("SMS_Opt_Out__c: true", "SMS_Keywords__c: STOP", "add SMS_Opt_Out__c under `set:`"),
        (
            "        set:\n          SMS_Opt_Out__c: true\n",
            "        create:\n          SMS_Opt_Out__c: true\n        set:\n",
            "known record",
        ),
        ("      - record: donor\n", "      - record: donor\n        when: {keyword: HEST}\n", "without a `when:`"),
        ('{SMS_Key__c: "{msisdn}"}\n', '{SMS_Key__c: "{lookup.id}"}\n    if_missing: skip\n', "if_missing: skip"),
    ],
)
def test_a_rule_for_opt_outs_that_does_not_set_the_flag_is_refused(strex, old, new, why):
    strex.cut(SUBSCRIPTION)
    strex.edit(SUBSCRIPTION, old, new)
    problems = strex.problems()
    assert all(problem.startswith(f"{SUBSCRIPTION}:") for problem in problems)
    assert any("the rule `donor opted out` takes it" in problem and why in problem for problem in problems), problems


def test_a_condition_that_some_opt_outs_do_not_meet_is_refused(strex):
    strex.cut(SUBSCRIPTION)
    strex.edit(SUBSCRIPTION, "{verdict: opt_out}", "{verdict: opt_out, result: ok}")
    problems = strex.problems()
    assert any(
        "whose confirmation is under way" in one and "result is pending, the rule wants ok" in one for one in problems
    )
    assert any("whose confirmation failed" in one for one in problems)
    assert len(problems) == 1


def test_rules_for_single_keywords_must_cover_every_opt_out(strex):
    strex.cut(MESSAGES)
    strex.edit(MESSAGES, "{verdict: opt_out}", "{verdict: opt_out, keyword: [MYKEYWORD, KATT]}")
    swallowed(strex, MESSAGES, "a text message STOP", "any other message", "keyword is missing")


def test_a_deleted_or_renamed_file_loses_its_opt_outs(strex):
    (strex.mappings / "strex-stops.yaml").unlink()
    strex.mappings.joinpath(MESSAGES).rename(strex.mappings / f"{MESSAGES}.txt")
    (problem,) = strex.problems()
    assert problem.startswith(f"{LOG}:{strex.line(LOG, '- name: everything else')}:1: a text message STOP and")
    assert "add a rule for it" in problem


def test_an_opt_out_whose_shape_no_file_reads_is_reported(strex):
    for name in (MESSAGES, LOG, "strex-stops.yaml"):
        (strex.mappings / name).unlink()
    (problem,) = strex.problems()
    assert problem.startswith("mappings: a text message STOP")
    assert "no file sees strex.message (copy a shipped file" in problem


def test_an_empty_mappings_folder_loses_every_opt_out(strex):
    for file in strex.mappings.iterdir():
        file.unlink()
    assert len(strex.problems()) == 3


def test_custom_actions_and_rules_that_widen_an_opt_out_are_accepted(strex):
    strex.edit(
        SUBSCRIPTION,
        "  # A report of a message that is still being sent.",
        """  - name: our own action
    when: {action: [LeftTheClub, Deceased]}
    do:
      - update: Contact
        key: {SMS_Key__c: "{msisdn}"}
        set: {SMS_Opt_Out__c: true}
    consent: opt_out

  # A report of a message that is still being sent.""",
    )
    assert strex.load()


def test_a_key_that_only_real_events_have_loses_no_opt_out(strex):
    strex.cut(SUBSCRIPTION)
    strex.edit(SUBSCRIPTION, 'key: {SMS_Key__c: "{msisdn}"}', 'key: {SMS_Key__c: "{properties.OurNumber}"}')
    assert strex.load()


@pytest.mark.parametrize(
    ("old", "new", "place", "why"),
    [
        (
            "command: unsubscribe",
            "command: changesubscriberprice\n        price: 1",
            "- name: opted out in Salesforce",
            "add the command",
        ),
        (
            "{record.SMS_Opt_Out__c: true}",
            '{record.SMS_Opt_Out__c: "yes"}',
            'when: {record.SMS_Opt_Out__c: "yes"}',
            "`opted out in Salesforce` in line",
        ),
    ],
)
def test_an_opt_out_of_the_crm_must_end_subscriptions(strex, old, new, place, why):
    strex.cut(WAY_BACK)
    strex.edit(WAY_BACK, old, new)
    (problem,) = strex.problems()
    assert problem.startswith(f"{WAY_BACK}:{strex.line(WAY_BACK, place)}:"), problem
    assert "an opt-out that is made in salesforce" in problem
    assert "(Contact.SMS_Opt_Out__c) would not be sent to strex" in problem
    assert why in problem


def test_if_no_file_watches_opt_outs_the_problem_names_the_file_to_copy(strex):
    (strex.mappings / WAY_BACK).unlink()
    (problem,) = strex.problems()
    cure = "copy the shipped salesforce-to-strex.yaml into your mappings, with `object: Contact` under `feed:`; or"
    assert f"no file watches Contact ({cure}" in problem
    assert "write `consent: one_way` under `crm: salesforce:` in the config" in problem


def test_the_cure_names_the_file_and_the_setting_of_the_crm(tmp_path):
    config = f"""
mappings: {tmp_path / "mappings"}
providers:
  strex: {{path_secrets: [{{env: HOOK}}], api: {{key: {{env: KEY}}}}}}
crm:
  dynamics:
    url: https://acme.crm4.dynamics.com
    sign_in: {{tenant: t, client_id: app, client_secret: {{env: SECRET}}}}
    consent_fields: {{contact: {{flag: crmc_smsoptout, phone: mobilephone}}}}
"""
    files = [one for one in (SHIPPED / "dynamics" / "plain").glob("*.yaml") if one.name != "dynamics-to-strex.yaml"]
    installation = Installation(tmp_path, config, files)
    (problem,) = installation.problems()
    assert "copy the shipped dynamics-to-strex.yaml into your mappings" in problem
    assert "write `direction: one_way` under `crm: dynamics:` in the config" in problem
    installation.edit("../config.yaml", "    url:", "    direction: one_way\n    url:")
    assert installation.load()


@pytest.mark.parametrize(("field", "kept"), [("SMS_Opt_Out__c", "MobilePhone"), ("MobilePhone", "SMS_Opt_Out__c")])
def test_a_feed_must_read_the_flag_and_the_number(strex, field, kept):
    path = strex.mappings / WAY_BACK
    path.write_text(
        "on: salesforce.change\n"
        f"feed: {{object: Contact, fields: [{kept}]}}\n"
        "rules: [{name: all, do: [{command: unsubscribe, phone: '{msisdn}', to: active_subscriptions}]}]\n"
    )
    (problem,) = strex.problems()
    assert problem.startswith(f"{WAY_BACK}: ")
    assert f"the feed does not read {field} (add {field} to `feed: fields`" in problem


def test_an_opt_out_that_reaches_one_provider_and_not_another_is_a_warning(tmp_path):
    installation = plain(tmp_path)
    text = installation.config.read_text()
    installation.config.write_text(
        text.replace("providers:\n", "providers:\n  messagecloud: {path_secrets: [{env: HOOK}]}\n")
    )
    shutil.copy(SHIPPED / "more" / "messagecloud.yaml", installation.mappings)
    rules, known = installation.load(), opt_outs(load_config(installation.config))
    (warning,) = lost_opt_outs(rules, known)
    assert (warning.severity, warning.hint) == (
        Severity.WARNING,
        "copy the shipped salesforce-to-messagecloud.yaml into your mappings",
    )
    assert "would not be sent to messagecloud" in warning.message
    shutil.copy(SHIPPED / "more" / "salesforce-to-messagecloud.yaml", installation.mappings)
    assert lost_opt_outs(installation.load(), known) == []
    (installation.mappings / "salesforce-to-messagecloud.yaml").unlink()
    (installation.mappings / WAY_BACK).unlink()
    (problem,) = installation.problems()
    assert "would not be sent to messagecloud or strex" in problem


# One way: opt-outs come from the provider alone.


def test_without_a_way_back_the_message_names_the_file_and_the_setting(tmp_path):
    installation = of_provider(tmp_path, "messagecloud", flag="")
    (installation.mappings / "salesforce-to-messagecloud.yaml").unlink()
    (problem,) = installation.problems()
    assert "no `consent_fields` name its flag" in problem
    assert "copy the shipped salesforce-to-messagecloud.yaml" in problem
    assert "`consent: one_way` under `crm: salesforce:`" in problem


@pytest.mark.parametrize("flag", ["", CONTACT_FLAG])
def test_mappings_without_a_way_back_are_accepted_with_consent_one_way(tmp_path, flag):
    installation = of_provider(tmp_path, "messagecloud", flag=flag, more="\n    consent: one_way\n")
    (installation.mappings / "salesforce-to-messagecloud.yaml").unlink()
    assert installation.load()


def test_consent_one_way_does_not_accept_a_lost_opt_out_of_a_donor(tmp_path):
    installation = of_provider(tmp_path, "messagecloud", flag="", more="\n    consent: one_way\n")
    (installation.mappings / "salesforce-to-messagecloud.yaml").unlink()
    installation.cut("messagecloud.yaml")
    installation.edit("messagecloud.yaml", "when: {verdict: opt_out}", "when: {verdict: opt_out, keyword: HEST}")
    (problem,) = installation.problems()
    assert "a MessageCloud message STOP" in problem
    assert "would be lost: the rule `any other message` takes it" in problem


def test_a_rule_that_ends_subscriptions_is_a_way_back_without_consent_fields_too(tmp_path):
    assert of_provider(tmp_path, "messagecloud", flag="").load()


@pytest.mark.parametrize(
    ("name", "file", "old", "kind"),
    [
        ("sumotext", "sumotext.yaml", "verdict: opt_out", "a Sumotext"),
        ("messagecloud", "messagecloud.yaml", "verdict: opt_out", "a MessageCloud message STOP"),
        ("onlinefundraising", "onlinefundraising.yaml", "verdict: opt_out", "an OnlineFundraising message STØT STOP"),
    ],
)
def test_a_wrong_rule_for_opt_outs_is_reported_for_each_provider(tmp_path, name, file, old, kind):
    installation = of_provider(tmp_path, name)
    installation.cut(file)
    installation.edit(file, old, "verdict: none")
    problems = installation.problems()
    assert all(problem.startswith(f"{file}:") for problem in problems)
    assert any(kind in problem for problem in problems)


def test_fewer_than_a_hundred_samples_cover_every_kind_of_opt_out(strex):
    rules, known = strex.load(), opt_outs(load_config(strex.config))
    assert lost_opt_outs(rules, known) == []
    assert len(known.samples) < 100
