"""The words of `consent:` in the config apply to every provider."""

import pytest

from connector.admin.parse_stored import find_endpoint, providers_without_secrets
from connector.model.event import Verdict
from connector.model.problem import ProblemsFound
from connector.providers.messagecloud.gateway import ENDPOINTS
from connector.registry import load_config

CONFIG = """
consent: {{stop_words: [{word}], polite_words: [kjære dere], all_words: [rubbel og bit]}}
providers:
  strex: {{open: true}}
  sumotext: {{open: true}}
  messagecloud: {{open: true, stop_words: [Finis]}}
  onlinefundraising: {{open: true}}
crm:
  salesforce:
    url: https://acme.my.salesforce.com
    sign_in: {{client_id: a, client_secret: {{env: X}}}}
"""


def config(tmp_path, word="Basta"):
    (tmp_path / "config.yaml").write_text(CONFIG.format(word=word), encoding="utf-8")
    return load_config(tmp_path / "config.yaml")


def test_opt_out_words_of_the_config_apply_to_every_provider(tmp_path):
    providers = providers_without_secrets(config(tmp_path))
    endpoints = ["strex/mo", "sumotext/mo", "onlinefundraising/sms", *(f"messagecloud/{one}" for one in ENDPOINTS)]
    for name in endpoints:
        words = find_endpoint(providers, name).reader.words
        assert words.read("Kjære dere, BASTA!").verdict is Verdict.OPT_OUT
        assert words.read("basta rubbel og bit").scope == "provider"
        assert (words.read("finis").verdict is Verdict.OPT_OUT) is name.startswith("messagecloud")


def test_an_opt_out_word_without_a_letter_is_reported(tmp_path):
    with pytest.raises(ProblemsFound, match="there is no letter or digit in it"):
        config(tmp_path, word='"!!"')
