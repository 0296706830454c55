# ruff: noqa: RUF001 - the characters that look like others are what these tests are about.
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.consent import opt_out_table as table
from connector.consent.opt_out_words import STANDARD, OptOutWords, Reading, keywords_by_form, normalized
from connector.model.consent import Scope
from connector.model.event import Verdict

NUMBER, PROVIDER, ONE = Scope.SHORT_NUMBER, Scope.PROVIDER, Scope.SUBSCRIPTION
KEYWORDS = keywords_by_form(["KATT", "STØT", "BLÅ BÆR", "STOP HUNGER", "END HUNGER", "❤"])
MAYBE = Verdict.MAYBE_STOP


def verdict(text, **context):
    return STANDARD.read(text, **{"keywords": KEYWORDS, **context}).verdict


def reading(text, **context):
    found = STANDARD.read(text, **{"keywords": KEYWORDS, **context})
    return found.verdict, found.scope, found.keyword


WHOLE = [
    "STOP",
    "  stopp! ",
    "\u200bStop.",
    "opt out",
    "OPT-OUT",
    "opt_out",
    "Opt.Out",
    "OPTOUT",
    "StopAll",
    "stop please",
    "Please stop",
    "PLEASE STOP!!!",
    "Stop. Thank you",
    "stop it",
    "stop it now",
    "stop this",
    "stop texting me",
    "stop sending me messages",
    "Stop sending me texts, please.",
    "please do stop now",
    "stop it at once",
    "I want to stop",
    "I would like to cancel my subscription, thanks",
    "can you please stop",
    "No. Stop",
    "STOP STOP STOP",
    "STOP 2002",
    "end",
    "END.",
    "end it",
    "END please",
    "please cancel",
    "unsubscribe me",
    "quit",
    "Revoke",
    "remove me",
    "stopp nå",
    "STOP nå takk",
    "stopp meldinger",
    "stopp abonnement",
    "Vennligst stopp abonnementet mitt",
    "Hei, vennligst avslutt abonnementet mitt. Takk!",
    "Jeg ønsker å avslutte abonnementet mitt takk",
    "jeg vil slutte",
    "SLUTT",
    "slutt nå",
    "slutt å sende meg sms",
    "meld meg av",
    "avmeld",
    "avbestill takk",
    "si opp",
    "Vær så snill og stopp",
    "stop nu",
    "venligst afmeld",
    "Afmeld mig tak",
    "FRAMELD",
    "slut",
    "vil gerne stoppe",
    "Hej! Stoppa tack",
    "sluta skicka sms",
    "Avsluta prenumerationen",
    "säg upp",
    "AVANMÄL",
    "avanmal",
    "S.T.O.P",
    "S T O P",
    "s-t-o-p",
    "STOOOP",
    "stoppppp!!",
    "ＳＴＯＰ",
    "𝐒𝐓𝐎𝐏",
    "ⓈⓉⓄⓅ",
    "S\u0336T\u0336O\u0336P\u0336",
    "STOP\x00",
    "S\u00adTOP",
    "STOP\ufffd",
    "STOP\ufe0f",
    "🛑 STOP 🛑",
    "STOP👋🏽",
    "STOP👨‍👩‍👧",
    "STOP❤️ℹ️Ⓜ️",
    "«STOP»",
    "STOP\n",
    "stop؟",
    "。stop。",
]


@pytest.mark.parametrize("text", WHOLE)
def test_a_text_that_only_asks_to_stop_is_an_opt_out(text):
    assert reading(text) == (Verdict.OPT_OUT, None, None)


@pytest.mark.parametrize(
    "text", ["STOPP ALLE", "stop all", "stop everything", "Stopp alle meldinger, takk", "ALL STOP"]
)
def test_a_stop_of_everything_is_for_the_whole_provider(text):
    assert reading(text) == (Verdict.OPT_OUT, PROVIDER, None)


@pytest.mark.parametrize(
    "text",
    [
        "KATT STOPP",
        "stop katt",
        "KATT, STOP",
        "KATT,STOP",
        "STOP: KATT",
        "KATT-STOP",
        "Katt/stopp!",
        "😢 katt 😢 stop",
        "KATT 200 STOP",
        "vennligst stopp KATT nå",
        "Hei! Jeg vil gjerne stoppe katt. Takk",
        "katt slutt",
    ],
)
def test_a_stop_that_names_a_keyword_is_for_that_keyword(text):
    assert reading(text) == (Verdict.OPT_OUT, ONE, "KATT")


def test_keywords_of_several_words_and_other_alphabets_are_recognised():
    assert reading("BLÅ BÆR stopp") == (Verdict.OPT_OUT, ONE, "BLÅ BÆR")
    assert reading(unicodedata.normalize("NFD", "stopp blå bær")) == (Verdict.OPT_OUT, ONE, "BLÅ BÆR")
    assert reading("blå stopp")[0] is MAYBE


def test_the_keyword_of_the_message_is_recognised_in_any_spelling():
    for keyword in ("BLÅ", unicodedata.normalize("NFD", "BLÅ"), "blå"):
        assert reading("BLÅ STOP", keyword=keyword) == (Verdict.OPT_OUT, ONE, keyword)


@pytest.mark.parametrize(
    "text",
    [
        "stopp KATT men ikke STØT",
        "Stop KATT, keep STØT",
        "stopp katt, fortsett med støt",
        "stopp KATT og start STØT",
    ],
)
def test_a_keyword_that_the_donor_keeps_is_not_stopped(text):
    assert reading(text) == (MAYBE, ONE, "KATT")


def test_a_stop_that_names_two_keywords_is_for_both():
    assert reading("STOP KATT STØT") == (Verdict.OPT_OUT, NUMBER, None)


@pytest.mark.parametrize("text", ["STOP HUNGER", "stop hunger!", "STOP HUNGER 200", "Stop-hunger", "end hunger now"])
def test_a_text_that_equals_a_keyword_is_no_stop(text):
    assert verdict(text) is Verdict.NONE


@pytest.mark.parametrize(
    "text", ["STOP HUNGER STOP", "stop stop hunger", "Stop hunger, avslutt", "STOP HUNGER please stop"]
)
def test_a_keyword_that_holds_a_stop_word_is_stopped_like_any_other(text):
    assert reading(text) == (Verdict.OPT_OUT, ONE, "STOP HUNGER")


@pytest.mark.parametrize("keyword", ["STOP", "stopp!", "OPT OUT", "slutt"])
def test_a_stop_word_is_a_stop_even_if_it_is_a_keyword(keyword):
    assert reading(keyword, keyword=keyword) == (Verdict.OPT_OUT, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "STOP FUGL",
        "fugl stopp",
        "we must stop",
        "stop the war",
        "Stop! In the name of love",
        "Stop Hilsen Ola Nordmann",
        "don't. Stop",
        "don't text me, stop",
        "stopp ikke send flere meldinger",
        "ask mycampaign stop",
        "the end",
        "how can I stop",
        "I want to stop smoking",
        "nå er det slutt",
        "jeg orker ikke mer sms, stopp dette",
        "KATTSTOP",
        "STOPPKATT",
        "STOP START",
        "STOP\nMed vennlig hilsen\nOla Nordmann, styreleder i Oslo og omegn velforening",
        "I moved abroad last year and have no money any longer at all. Please stop.",
        "Hei! Jeg ønsker å avslutte mitt faste bidrag. Takk for alt dere gjør. Hilsen Kari",
        "Hello there my friends. Stop. I wish you all the best with your work",
        "Stopp jeg har ikke råd lenger dessverre fordi jeg er blitt pensjonist",
        "Jeg har skrevet stopp tre ganger og får fortsatt meldinger fra dere",
        "Har sendt STOPP flere ganger",
        "I texted STOP yesterday but you still charge me",
        "This is the second time I ask you to stop and nobody listens to me",
        "jeg har ikke råd lenger og vet ikke hva jeg skal gjøre så jeg må stoppe",
        "Kan dere være så snill å stoppe KATT fra neste måned siden jeg er uten jobb",
        "After all these years I would love it if you could unsubscribe everybody here",
        "Hvordan stopper jeg dette",
        "Hvorfor stopper dere ikke?",
        "Reserver meg mot SMS",
        "ta meg av listen",
        "Hvordan melder jeg meg av?",
        "stoop",
        "stopppe",
        "ST0P denne krigen",
        "S.T.O.P. jeg er arbeidsledig",
        "STOOOP jeg er arbeidsledig",
    ],
)
def test_a_short_text_that_begins_or_ends_with_a_stop_word_waits_for_a_person(text):
    assert verdict(text) is MAYBE


def test_a_text_that_may_be_a_stop_has_the_widest_scope_that_it_may_mean():
    assert reading("KATT stopp dette tullet")[1:] == (ONE, "KATT")
    assert reading("stopp alle disse krigene")[1:] == (PROVIDER, None)
    assert reading("stopp ulven")[1:] == (NUMBER, None)


@pytest.mark.parametrize(
    "text",
    [
        "lopeta",
        "Lopeta tilaus, kiitos",
        "Haluan lopettaa",
        "PERUUTA",
        "Bissehit",
        "heaittihit",
        "stans",
        "STOGG",
        "stands",
        "vil gerne afmeldes",
        "avprenumerera",
        "ARRÊT",
        "cancelar",
        "Стоп",
        "Sei opp avtala",
        "stopp giveravtalen min",
        "revoke consent",
        "remove my number",
        "take me off your list",
        "Stopp er du snill",
        "Stopper",
        "abonnementet avsluttes",
        "Kan trekket stanses?",
        "Jeg sier herved opp min avtale",
        "Meld meg ut",
        "utmelding av medlemskapet",
        "Jeg opsiger min aftale",
        "udmeld mig",
        "jag går ur",
        "Stoppar tack",
        "irtisanominen",
        "Rezygnuję",
        "Proszę wypisać mnie",
        "proszę przestać wysylac smsy",
        "anuluj, dziękuję",
        "Bitte abmelden",
        "Kündigung",
        "darme de baja",
        "désabonnez-moi",
        "відписатися",
        "STP",
        "sto pp",
    ],
)
def test_stops_in_other_languages_and_with_words_for_donations_are_recognised(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["STOP\nSent from my iPhone", "Stopp\nSendt fra min iPhone", "Re: STOPP", "SV: stopp"])
def test_text_that_a_phone_adds_to_a_message_is_ignored(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["ST0P", "5TOP", "SТОР", "stоpp KATT", "🅂🅃🄾🄿", "🆂🆃🅾🅿", "🇸🇹🇴🇵"])
def test_look_alike_letters_and_digits_of_a_stop_word_are_a_stop(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["KATT%20STOP", "KATT%2BSTOPP", "%53TOP", "&#83;TOP", "STOP&nbsp;KATT", "STOP&#33;"])
def test_a_stop_with_escapes_that_were_written_twice_is_a_stop(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["STPO", "sotp", "STTOP"])
def test_a_misspelt_stop_word_that_is_no_other_word_is_a_stop(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize("text", ["shop", "step", "top", "stor", "500", "S0", "stol", "stpo-rt"])
def test_other_words_similar_to_a_stop_word_are_no_stop(text):
    assert verdict(text) is Verdict.NONE


@pytest.mark.parametrize(
    "text",
    [
        "Do not text me",
        "please don't text me again",
        "no more texts",
        "I do not want any more of these messages",
        "leave me alone",
        "ikke send flere meldinger",
        "Jeg vil ikke ha flere SMS",
        "ingen flere sms takk",
        "jeg ønsker ikke flere meldinger",
        "eg vil ikkje ha fleire sms",
        "vil ikke have flere beskeder",
        "Jag vill inte ha fler sms",
        "en halua enää viestejä",
        "nei takk til sms",
        "No thanks",
        "no more, please",
        "ikke mer",
        "Nej tack",
        "nie wysyłaj",
        "ta meg bort",
        "Take my number off",
        "Wrong number!",
        "Dette er feil nummer",
        "Jeg har ikke råd lenger",
        "canceled",
        "Er abonnementet mitt stoppet?",
        "Kan jeg ta en pause?",
        "Dette har jeg ikke bestilt",
        "Jeg vil ha pengene tilbake",
        "I never signed up for this",
        "trekk ikke mer",
        "jeg vil bli fjernet fra listen",
        "Jeg har fortrudt",
        "Jag ångrar mig",
        "proszę nie wysyłać więcej",
        "Hei dere. Jeg har vært giver i mange år og setter stor pris på dere. Jeg ønsker ikke å være med lenger.",
        "min mor er død",
        "STOP1",
        "stopp2002",
        "🛑",
        "⛔",
    ],
)
def test_a_refusal_without_a_stop_word_waits_for_a_person(text):
    assert reading(text) == (MAYBE, NUMBER, None)


@pytest.mark.parametrize(
    "text",
    [
        "Can't you stop texting me?",
        "Don't you stop texting?",
        "vil dere ikke slutte?",
        "kan dere ikke stoppe trekket",
        "Kan ni inte avsluta?",
    ],
)
def test_a_negated_question_that_asks_to_stop_is_a_stop(text):
    assert verdict(text) is Verdict.OPT_OUT


@pytest.mark.parametrize(
    "text",
    [
        "Ingen flere barn skal sulte",
        "ikke flere kriger",
        "No more war",
        "no more hunger please",
        "Til minne om far som døde i fjor",
        "In memory of my aunt who passed away",
        "can't you stop by?",
        "Peru 100",
    ],
)
def test_a_wish_for_the_world_is_no_refusal(text):
    assert verdict(text) is Verdict.NONE


def test_a_long_text_and_a_keyword_are_no_refusal():
    assert verdict("I told my friends that they do not text me often enough these days") is Verdict.NONE
    assert verdict("NO MORE TEXT", keyword="No more text") is Verdict.NONE
    assert verdict("STOP24", keyword="STOP24") is Verdict.NONE


@pytest.mark.parametrize(
    "text",
    [
        *("älä lopeta", "en halua lopettaa", "Jeg ønsker ikke å slutte", "nie anuluj", "Nigdy nie zrezygnuję"),
        *("nicht abmelden", "Ich kündige nicht", "no cancelar", "jeg melder meg ikke ut", "stopper ikke"),
    ],
)
def test_a_refusal_to_stop_is_no_stop(text):
    assert verdict(text) is Verdict.NONE


SENTENCES = [
    # None of them reads as a stop; those of the first part are decided without a person.
    "don't stop",
    "Don’t stop!",
    "dont stop",
    "don t stop",
    "DON`T STOP",
    "please do not stop",
    "please don't stop texting me",
    "never stop",
    "not stop",
    "I can't stop laughing 😂",
    "cant stop",
    "won't stop",
    "I will never stop",
    "I do not want to stop",
    "we must stop this bill",
    "busstop",
    "bus-stop",
    "non-stop",
    "non stop music",
    "unstoppable",
    "he stopped",
    "stop by on Friday",
    "Can you stop by?",
    "can I stop by tomorrow",
    "have a nice weekend",
    "my friend Ann",
    "endless love",
    "quite right",
    "They say the rain will not stop before Sunday",
    "The train had to stop at every single station today",
    "Stop in the name of love before you break my heart",
    "endelig",
    "Endelig fredag!",
    "ikke stopp",
    "Ikke stopp!",
    "stopp ikke",
    "stopp ikke nå",
    "kan ikke stoppe",
    "jeg vil ikke stoppe",
    "aldri stopp",
    "uten stopp",
    "stopp innom på fredag",
    "stoppested",
    "Det sluttet å regne",
    "Vi må stoppe denne krigen sammen",
    "bussen måtte stoppe tre ganger på veien hjem",
    "stop ikke",
    "stop aldrig",
    "du må ikke stoppe",
    "kig forbi, eller stop forbi",
    "jeg vil aldrig afmelde",
    "sluta inte",
    "inte sluta",
    "jag vill inte avsluta",
    "utan stopp",
    "slutligen",
    # These are short and begin or end with a stop word.
    "the end",
    "see you at the bus stop",
    "cancel culture",
    "stopp ulven",
    "God slutt",
    "allt har ett slut",
    "Stop the war",
    "will the rain stop",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_a_sentence_with_a_stop_word_in_it_is_no_opt_out(text):
    assert verdict(text) is not Verdict.OPT_OUT


@pytest.mark.parametrize("text", SENTENCES[: SENTENCES.index("the end")])
def test_a_text_that_is_clearly_no_stop_needs_no_person(text):
    assert verdict(text) is Verdict.NONE


@pytest.mark.parametrize("text", SENTENCES[SENTENCES.index("the end") :])
def test_an_unclear_text_waits_for_a_person(text):
    assert verdict(text) is MAYBE


@given(where=st.integers(0, 10), char=st.sampled_from("\u00ad\u200b\u200d\u202e\ufe0f\x00"))
def test_invisible_characters_do_not_change_the_verdict(where, char):
    for text in ("ikke stopp", "stopp ulven", "don't stop", "stop by now"):
        assert verdict(text[:where] + char + text[where:]) is verdict(text)


def test_the_list_of_example_sentences_has_at_least_sixty():
    assert len(set(SENTENCES)) >= 60


@pytest.mark.parametrize(
    "text", ["", None, " ", "\u200b", "🙏", "KATT", "KATT 200", "hei", "takk", "12,50", "e-mail me"]
)
def test_a_text_without_a_stop_word_is_no_stop(text):
    assert STANDARD.read(text, keywords=KEYWORDS) == Reading()


def test_an_unknown_word_is_a_keyword_only_if_the_provider_says_so():
    assert verdict("FUGL STOP") is verdict("STOP FUGL") is MAYBE
    assert reading("FUGL, STOP", any_keyword=True) == (Verdict.OPT_OUT, ONE, "fugl")
    assert reading("STOP fugl takk", any_keyword_behind=True) == (Verdict.OPT_OUT, ONE, "fugl")
    assert reading("fugl stop", any_keyword_behind=True)[0] is MAYBE
    assert reading("don't stop", any_keyword=True)[0] is Verdict.NONE
    assert reading("stop by", any_keyword=True)[0] is Verdict.NONE
    assert reading("stop the war", any_keyword=True)[0] is MAYBE


def test_words_of_the_config_are_added_to_the_built_in_ones():
    words = OptOutWords().with_more(
        stop=["Basta!", "Geh weg", "slutt nå da"], polite=["per favore"], everything=["tutto"]
    )
    for text in ("basta", "BASTA per favore 😡", "geh-weg", "Slutt nå da", "STOP"):
        assert words.read(text).verdict is Verdict.OPT_OUT
    assert words.read("basta tutto").scope is PROVIDER
    assert STANDARD.read("basta").verdict is Verdict.NONE
    assert words.with_more(stop=["finis"]).read("basta finis").verdict is Verdict.OPT_OUT


def test_texts_that_differ_only_in_courtesies_and_decoration_are_one_question():
    one = STANDARD.question("Stop the WAR!")
    assert one == STANDARD.question("please stop 🙏 the war, thanks") == "stop the war"
    assert one != STANDARD.question("stop this war")


def test_refusals_of_courtesies_alone_are_questions_of_their_own():
    assert len({STANDARD.question(text) for text in ("No thanks", "no more", "nei takk", "🛑", "✋", "⛔")}) == 6
    assert STANDARD.question("No thanks!") == STANDARD.question("no, thanks 🙏")


def test_words_of_the_tables_are_written_in_the_compared_form():
    for languages in (
        table.STOP_WORDS,
        table.WEAK_STOP_WORDS,
        table.ALL_WORDS,
        table.POLITE_WORDS,
        table.SUBJECT_WORDS,
        table.FILLER_WORDS,
        table.NEGATIONS,
        table.REFUSALS,
        table.REFUSALS_ALONE,
    ):
        assert set(languages) >= {"en", "no", "da", "sv"}
        for written in ",".join(languages.values()).split(","):
            plain = unicodedata.normalize("NFD", written.strip())
            assert normalized(written) == written.strip() == plain.casefold(), written


def test_no_word_means_both_stop_and_start():
    assert all(verdict(word) is not Verdict.OPT_OUT for word in table.START_WORDS)


def test_keywords_without_a_letter_are_ignored():
    assert keywords_by_form(["❤", "KATT", "Ⅷ"]) == {"katt": "KATT", "viii": "Ⅷ"}
    assert verdict("❤ STOP") is Verdict.OPT_OUT


# Property tests.

STOP_PHRASES = [
    word.strip() for words in (*table.STOP_WORDS.values(), *table.WEAK_STOP_WORDS.values()) for word in words.split(",")
]
INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202c\u202d\u2060\u2066\u2069\ufeff\ufe0e\ufe0f\U000e0020\x00\x07\x1b\x7f"
EMOJI = "😢👍🛑🙏❤☎⛔🇳🇴🏽👩👨‍✋™©®ℹⓂ㊙🅰\ufffd"
PUNCTUATION = ".,;:!?\"'«»„“”‘’´`()[]{}<>-_*/\\|~^+=#&%@$€§°…–—―‐‑·•¡¿‹›、。！？؟،؛।"
decoration = st.text(
    st.one_of(
        st.sampled_from(INVISIBLE + EMOJI + PUNCTUATION),
        st.characters(categories=["Cf", "Po", "Ps", "Pe", "Pi", "Pf", "Pd", "Pc", "Sm", "Sc", "Sk", "So"]),
    ),
    max_size=4,
)


@given(
    phrase=st.sampled_from(STOP_PHRASES),
    outer=st.tuples(decoration, decoration),
    blanks=st.lists(st.sampled_from([" ", "  ", "\t", "\n", " \u200b ", "\u00a0"]), min_size=2, max_size=2),
    capital=st.booleans(),
    form=st.sampled_from(["NFC", "NFD"]),
)
def test_any_decoration_beside_a_stop_word_does_not_matter(phrase, outer, blanks, capital, form):
    text = outer[0] + (blanks[0] if outer[0] else "") + phrase + (blanks[1] if outer[1] else "") + outer[1]
    text = unicodedata.normalize(form, text.upper() if capital else text)
    assert STANDARD.read(text).verdict is Verdict.OPT_OUT


@given(phrase=st.sampled_from(STOP_PHRASES), outer=st.tuples(decoration, decoration))
def test_any_decoration_that_touches_a_stop_word_does_not_matter(phrase, outer):
    assert STANDARD.read(outer[0] + phrase + outer[1]).verdict is Verdict.OPT_OUT


@given(
    word=st.sampled_from([one for one in STOP_PHRASES if " " not in one]),
    between=st.lists(decoration, min_size=20, max_size=20),
)
def test_any_decoration_between_the_letters_of_a_stop_word_does_not_matter(word, between):
    text = "".join(letter + around for letter, around in zip(word, between, strict=False))
    assert STANDARD.read(text).verdict is Verdict.OPT_OUT


@given(
    keyword=st.sampled_from(["KATT", "BLÅ BÆR"]),
    stop=st.sampled_from(STOP_PHRASES),
    around=st.lists(decoration, min_size=3, max_size=3),
    turned=st.booleans(),
)
def test_any_decoration_between_a_keyword_and_a_stop_word_does_not_matter(keyword, stop, around, turned):
    first, second = (stop, keyword) if turned else (keyword, stop)
    text = f"{around[0]} {first} {around[1]} {second} {around[2]}"
    assert reading(text)[1:] == (ONE, keyword)


POLITE = [word.strip() for words in table.POLITE_WORDS.values() for word in words.split(",")]


@given(
    before=st.lists(st.sampled_from(POLITE), max_size=4),
    phrase=st.sampled_from(STOP_PHRASES),
    behind=st.lists(st.sampled_from(POLITE), max_size=4),
)
def test_any_courtesies_around_a_stop_word_do_not_matter(before, phrase, behind):
    assert STANDARD.read(" ".join([*before, phrase, *behind])).verdict is Verdict.OPT_OUT


@given(text=st.sampled_from(SENTENCES), outer=st.tuples(decoration, decoration))
def test_no_decoration_makes_a_sentence_a_stop(text, outer):
    assert STANDARD.read(f"{outer[0]} {text} {outer[1]}").verdict is not Verdict.OPT_OUT


@given(st.text())
def test_no_text_makes_the_reader_raise(text):
    STANDARD.read(text, keywords=KEYWORDS, keyword=text, any_keyword=True)
    STANDARD.question(text)


@given(st.text(), st.text())
def test_a_text_has_the_same_verdict_composed_and_decomposed(text, keyword):
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert normalized(composed) == normalized(decomposed)
    assert STANDARD.read(f"{composed} stop").verdict is STANDARD.read(f"{decomposed} stop").verdict
