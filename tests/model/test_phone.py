"""The phone number parser: a number as people, phones and providers write it gives its owner, or nobody."""

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.model.consent_fields import ConsentFields
from connector.model.country import region_of
from connector.model.phone import USUAL, NumberFormat, Phone, parse_phone, possible_phones
from connector.model.record_number import NumberReader

# Mobile numbers of each country, without its code: how they begin, how many digits follow, and what stands before them at home.
PLANS = {
    "NO": (("40", "41", "45", "46", "47", "48", "90", "91", "92", "93", "95", "97", "98"), 6, ""),
    "DK": (("20", "21", "22", "25", "28", "30", "40", "42", "50", "60", "71", "81"), 6, ""),
    "SE": (("70", "72", "73", "76", "79"), 7, "0"),
    "US": (("212555", "305444", "479807", "907333"), 4, "1"),
    "GB": (("7400", "7712", "7911"), 6, "0"),
    "FI": (("40", "44", "50"), 7, "0"),
    "DE": (("151", "171", "1601"), 7, "0"),
}
REGIONS = tuple(PLANS)
MARKS = ["\u200b", "\u200e", "\u00ad", "\ufeff", "\u202a", "\u202c", "\u2066", "\u2069", "\x00", "\ufe0f"]
DIGITS = {"arabic": 0x0660, "full-width": 0xFF10, "devanagari": 0x0966}  # the zero of each


def as_people_write_it(text, region):
    return parse_phone(text, number_format=NumberFormat.NATIONAL, region=region)


def grouped(digits, gap):
    return gap.join([digits[:3], digits[3:5], digits[5:]])


# Each form is of the country code, the trunk prefix and the number at home.
WITH_CODE = {
    "e164": lambda code, _, home: f"+{code}{home}",
    "zeros": lambda code, _, home: f"00{code}{home}",
    "spaced": lambda code, _, home: f"+{code} {grouped(home, ' ')}",
    "zeros, spaced": lambda code, _, home: f"00 {code} {grouped(home, ' ')}",
    "no-break blanks": lambda code, _, home: f"+{code}\u00a0{grouped(home, chr(0x202F))}",
    "dashes": lambda code, _, home: f"+{code}-{grouped(home, '-')}",
    "en dashes": lambda code, _, home: f"+{code}\u2013{grouped(home, chr(0x2011))}",
    "minus signs": lambda code, _, home: f"+{code} {grouped(home, chr(0x2212))}",
    "dots": lambda code, _, home: f"+{code}.{grouped(home, '.')}",
    "slash": lambda code, _, home: f"+{code} {grouped(home, '/')}",
    "code in brackets": lambda code, _, home: f"(+{code}) {home}",
    "zeros in brackets": lambda code, _, home: f"(00{code}) {home}",
    "square brackets": lambda code, _, home: f"[+{code}] {home}",
    "trunk zero": lambda code, trunk, home: (
        f"+{code} ({trunk or 0}) {home}" if trunk != "1" else f"+{code} ({home[:3]}) {home[3:]}"
    ),
    "trunk zero without brackets": lambda code, trunk, home: f"00{code} {'' if trunk == '1' else '0'}{home}",
    "remark behind": lambda code, _, home: f"+{code} {home} (mobil)",
    "remark before": lambda code, _, home: f"Mob: +{code}{home}",
    "comma behind": lambda code, _, home: f"+{code} {home},",
    "semicolon behind": lambda code, _, home: f"+{code}{home};",
    "tel": lambda code, _, home: f"tel:+{code}-{home}",
    "extension": lambda code, _, home: f"+{code} {home} ext. 12",
    "hours": lambda code, _, home: f"+{code} {home} kl. 9-16",
    "full-width plus": lambda code, _, home: f"\uff0b{code} {home}",
    "two pluses": lambda code, _, home: f"++{code}{home}",
    "plus and zeros": lambda code, _, home: f"+00{code}{home}",
    "twice": lambda code, _, home: f"+{code}{home} / 00{code} {home}",
}
AT_HOME = {
    "plain": lambda trunk, home: home,
    "trunk": lambda trunk, home: trunk + home,
    "spaced": lambda trunk, home: trunk + grouped(home, " "),
    "brackets": lambda trunk, home: f"({trunk}{home[:3]}) {home[3:]}",
    "dashes": lambda trunk, home: trunk + grouped(home, "-"),
    "remark behind": lambda trunk, home: f"{trunk}{home} (mobil)",
    "remark before": lambda trunk, home: f"Mob: {trunk}{home}",
    "glued remark": lambda trunk, home: f"Mob{trunk}{home}",
    "comma behind": lambda trunk, home: f"{trunk}{home},",
    "counted": lambda trunk, home: f"{trunk}{home} (2)",
    "twice": lambda trunk, home: f"{trunk}{home}; {grouped(trunk + home, ' ')}",
}


@st.composite
def numbers(draw):
    """A region, a number of it, its country code, its trunk prefix, and the number at home."""
    region = draw(st.sampled_from(REGIONS))
    starts, length, trunk = PLANS[region]
    home = draw(st.sampled_from(starts)) + draw(st.text("0123456789", min_size=length, max_size=length))
    code = str(phonenumbers.country_code_for_region(region))
    phone = Phone(f"+{code}{home}")
    assume(phonenumbers.is_valid_number(phonenumbers.parse(phone.e164)))
    return region, phone, code, trunk, home


@st.composite
def decorated(draw, text):
    """The text with other digits, and with marks that nobody sees before, in and behind it."""
    digits = draw(st.sampled_from(["", "", *DIGITS]))
    if digits:
        text = text.translate({ord("0") + digit: chr(DIGITS[digits] + digit) for digit in range(10)})
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(MARKS)) + text[place:]
    return text


@given(
    number=numbers(), form=st.sampled_from(sorted(WITH_CODE)), in_use=st.sets(st.sampled_from(REGIONS)), data=st.data()
)
def test_a_number_with_its_country_code_is_read_as_itself_whatever_regions_are_in_use(number, form, in_use, data):
    _, phone, code, trunk, home = number
    text = data.draw(decorated(WITH_CODE[form](code, trunk, home)))
    assert possible_phones(text, sorted(in_use)) == (phone,)
    # Aliases of providers may begin with letters; a number behind a word and a colon is none.
    for number_format in NumberFormat:
        assert parse_phone(text, number_format=number_format, region="NO") == phone


@given(
    number=numbers(), form=st.sampled_from(sorted(AT_HOME)), in_use=st.sets(st.sampled_from(REGIONS)), data=st.data()
)
def test_a_number_without_its_country_code_is_read_as_itself_or_left_open(number, form, in_use, data):
    region, phone, _, trunk, home = number
    text = data.draw(decorated(AT_HOME[form](trunk, home)))
    assert as_people_write_it(text, region) == phone
    assert as_people_write_it(text, None) is None
    possible = possible_phones(text, [region, *sorted(in_use - {region})])
    assert phone in possible
    reader = NumberReader(default=region, others=tuple(sorted(in_use - {region})))
    assert reader.read(text).phone == (phone if possible == (phone,) else None)
    assert reader.read(text, region).phone == phone


@given(number=numbers(), region=st.sampled_from(REGIONS))
def test_a_provider_that_leaves_out_the_plus_means_the_owner_or_nobody(number, region):
    home, phone, code, _, national = number
    read = parse_phone(code + national, number_format=NumberFormat.INTERNATIONAL, region=region)
    assert read in {phone, None}
    assert region not in {"NO", "DK", home} or read == phone
    assert parse_phone(int(code + national), number_format=NumberFormat.INTERNATIONAL, region=region) == read


@given(number=numbers(), other=numbers())
def test_two_numbers_in_one_text_mean_nobody(number, other):
    region, phone, code, _, home = number
    _, others, their_code, _, theirs = other
    if phone == others:
        return
    for between in (" / ", ", ", "; ", " or ", "\n", " "):
        text = f"+{code}{home}{between}+{their_code}{theirs}"
        assert as_people_write_it(text, region) is None
        assert set(possible_phones(text, [region])) == {phone, others}


@pytest.mark.parametrize(
    "text",
    [
        "+90001009",  # too short for Turkey
        "+15551212",  # local, without its area code
        "+999123456789",  # no such country code
        "+4790000001 123456789",
        "+479000000123 (mobil)",
        "#28890000001",  # an alias
        "02800",  # a service
        "",
        None,
        True,
        12.5,
        "9" * 200,
        10**16,
        pytest.param(10**5000, id="an endless number"),
        -4790000001,
    ],
)
def test_a_text_that_is_no_number_belongs_to_nobody(text):
    assert possible_phones(text, ["NO", "DK"]) == ()


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("90001009", None),
        ("5551212", "US"),
        ("1125550199", "DK"),
        ("1125550199", "US"),
        ("2002", "NO"),
        ("SUPPORT", "NO"),
    ],
)
def test_the_first_digits_of_a_number_are_not_taken_for_another_country(text, region):
    assert parse_phone(text, number_format=NumberFormat.INTERNATIONAL, region=region) is None


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("90001009", "DK", "+4590001009"),
        ("4790001004", "NO", "+4790001004"),
        ("tel:+4790001004", "NO", "+4790001004"),
        ("47580000000000", "NO", "+47580000000000"),  # a machine
        ("+47580000000000", None, "+47580000000000"),
        ("4700000001", "NO", "+4700000001"),  # one of Strex's numbers for tests
        ("4700000001", "DK", None),
        ("A90000001", "NO", None),  # an alias
        ("43123456", "DK", None),  # in Denmark, or in Austria
    ],
)
def test_a_provider_that_leaves_out_the_country_means_its_own(text, region, e164):
    assert parse_phone(text, number_format=NumberFormat.INTERNATIONAL, region=region) == (Phone(e164) if e164 else None)


@pytest.mark.parametrize("text", ["47, 90000001", "47/90000001", "47 mob 90000001", "47 (mob) 900 00 001"])
def test_digits_before_a_number_may_be_its_country_code(text):
    assert as_people_write_it(text, "DK") is None
    assert as_people_write_it(text, "NO") == Phone("+4790000001")


READER = NumberReader(default="NO", others=("DK", "US"))


@pytest.mark.parametrize(
    ("written", "country", "e164"),
    [
        ("90 00 06 77", "DK", "+4590000677"),
        ("90 00 06 77", "Denmark", "+4590000677"),
        ("90 00 06 77", " danmark ", "+4590000677"),
        ("90 00 06 77", "Norge", "+4790000677"),
        ("90 00 06 77", None, None),
        ("90 00 06 77", "", None),
        ("90 00 06 77", "Atlantis", None),
        ("+47 90 00 06 77", "Atlantis", "+4790000677"),
        ("+47 90 00 06 77", "DK", "+4790000677"),
        ("(212) 555-1212", None, "+12125551212"),
        ("(212) 555-1212", "NO", None),
        ("(212) 555-1212", "Atlantis", None),
    ],
)
def test_a_records_country_shows_whose_its_number_is(written, country, e164):
    number = READER.read(written, country)
    assert number.phone == (Phone(e164) if e164 else None)


def test_with_one_region_in_use_a_number_without_its_country_is_of_that_region():
    assert NumberReader(default="NO").read("90 00 06 77").phone == Phone("+4790000677")
    assert NumberReader(others=("DK",)).read("90 00 06 77").phone is None


def test_an_external_id_shows_whose_an_unclear_number_is():
    consent = ConsentFields(object="Contact", flag="Out", phone="Mobile", country="Country")
    record = {"Mobile": "90 00 06 77"}
    assert READER.of(record, consent).is_unclear
    assert READER.of(record, consent, [None, "x-1", "+4590000677"]).phone == Phone("+4590000677")
    assert READER.of(record, consent, ["donor-4590000677"]).phone == Phone("+4590000677")
    assert READER.of(record, consent, ["+4590000678"]).is_unclear
    assert READER.of(record, consent, ["+4590000677 +4790000677"]).is_unclear
    assert READER.of({**record, "Country": "NO"}, consent, ["+4590000677"]).phone == Phone("+4790000677")


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("no", "NO"),
        ("Norway", "NO"),
        ("NORGE", "NO"),
        ("Sverige", "SE"),
        ("Suomi", "FI"),
        ("Deutschland", "DE"),
        ("Dänemark", "DK"),
        ("USA", "US"),
        ("U.S.A.", "US"),
        ("United Kingdom", "GB"),
        ("UK", "GB"),
        ("Færøerne", "FO"),
        ("Norwayland", None),
        ("", None),
        (None, None),
        (47, None),
    ],
)
def test_a_country_is_known_by_its_code_and_by_its_name(name, region):
    assert region_of(name) == region


@pytest.mark.parametrize("digits", range(8, 13))
def test_a_norwegian_number_of_any_length_is_read_without_the_number_plans(digits):
    number = "+47" + "9" * digits
    assert USUAL.fullmatch(number)
    assert parse_phone(number).e164 == number


@pytest.mark.parametrize("written", ["90000101.0", "4790000101.0", "+4790000101.0"])
def test_a_number_that_a_spreadsheet_took_for_a_decimal_one_is_read(written):
    assert [phone.e164 for phone in possible_phones(written, ("NO",))] == ["+4790000101"]
