"""Numbers as people write them, and the pattern that finds them. Pure."""

import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.crm.candidates import Candidate, Candidates, choose
from connector.crm.salesforce.write.match_candidates import Search, SearchTerm, pattern
from connector.crm.salesforce.write.writes import Write
from connector.model.operation import IfMany, IfNone, Match, RecordWrite
from connector.model.phone import NumberFormat, Phone, parse_phone
from connector.model.record_number import NO_REGION
from connector.ports import Task

TRUNK = {"SE": "0", "GB": "0", "US": "1"}  # what stands before a number within its country
REGIONS = {"NO": "+4790000001", "DK": "+4520123456", "SE": "+46701234567", "GB": "+447700900123", "US": "+12125551212"}
GAPS = ["", "", "", " ", " ", "-", ".", " - ", "\u00a0", "/", "\u2013"]
MAX = 40  # characters of a phone field in Salesforce
DONOR = Phone("+4790000001")


def as_people_write_it(text, region):
    return parse_phone(text, number_format=NumberFormat.NATIONAL, region=region)


def like(text, written):
    """SOQL's LIKE."""
    parts = (".*" if one == "%" else re.escape(one) for one in text)
    return re.fullmatch("".join(parts), written, re.DOTALL) is not None


@st.composite
def as_people_write(draw):
    """A region, a number of it, and one way to write it."""
    region, e164 = draw(st.sampled_from(sorted(REGIONS.items())))
    number = phonenumbers.parse(e164)
    national = phonenumbers.national_significant_number(number)
    trunk = TRUNK.get(region, "")
    start = draw(st.sampled_from(["+", "00", "(+", "trunk", ""]))
    code = str(number.country_code)
    if start == "trunk":
        head = trunk
    elif start == "":
        head = ""
    else:
        zero = draw(st.sampled_from(["", " (0)"])) if trunk == "0" else ""
        head = f"{start}{code}{')' if start == '(+' else ''}{zero}{draw(st.sampled_from(['', ' ', '-']))}"
    gaps = [draw(st.sampled_from(GAPS)) if draw(st.booleans()) else "" for _ in national[1:]]
    body = "".join(digit + gap for digit, gap in zip(national, [*gaps, ""], strict=True))
    cut = draw(st.integers(0, 4))
    if cut and start in {"", "trunk"}:
        body = f"({national[:cut]}) {national[cut:]}"
    return region, Phone(e164), head + body


@given(as_people_write())
@example(("DK", Phone("+4520123456"), "0045 20 - 1 - 23 - 4 - 56"))
def test_a_number_is_found_and_read_in_any_spelling(written):
    region, phone, text = written
    if len(text) > MAX or len(re.sub(r"\s", "", text)) > 24:
        return
    assert like(pattern(phone), text.replace("\u00a0", " "))
    assert as_people_write_it(text, region) == phone


@pytest.mark.parametrize("text", ["", " ", "-", "unknown", "0", "+", "n/a", None, 0, "90000001 or 90000002"])
def test_a_text_that_is_no_number_is_not_read(text):
    assert as_people_write_it(text, "NO") is None


def test_a_national_number_is_read_only_with_its_country():
    assert as_people_write_it("900 00 001", "NO") == DONOR
    assert as_people_write_it("900 00 001", None) is None
    assert as_people_write_it("0045 90000001", "NO") == Phone("+4590000001")


def person(record_id, created="2020", *, mobile=None, home=None, key=""):
    phones = [NO_REGION.read(mobile), NO_REGION.read(home)]
    return Candidate(record_id=record_id, created=created, key=key, flag=False, phones=phones)


def match(many=IfMany.OLDEST):
    return Match(phone=DONOR, fields=("MobilePhone", "HomePhone"), none=IfNone.PARK, many=many)


def test_candidates_are_ordered_by_age_and_then_by_id():
    candidates = Candidates(
        [person("3", mobile=DONOR.e164), person("1", "2021", mobile=DONOR.e164), person("2", mobile=DONOR.e164)]
    )
    same_number_records = candidates.with_number(match())
    assert [one.record_id for one in same_number_records] == ["2", "3", "1"]
    assert choose(match(), same_number_records).record_id == "2"
    assert choose(match(IfMany.NEWEST), same_number_records).record_id == "1"
    assert [one.record_id for one in choose(match(IfMany.PARK), same_number_records)] == ["2", "3", "1"]


def test_a_record_with_the_number_in_two_fields_is_one_candidate():
    same_number_records = Candidates([person("1", mobile=DONOR.e164, home=DONOR.e164)]).with_number(match(IfMany.PARK))
    assert choose(match(IfMany.PARK), same_number_records).record_id == "1"


def test_a_record_with_another_number_is_no_candidate():
    assert choose(match(), Candidates([person("1", mobile="+4790000002")]).with_number(match())) == []


def test_a_query_for_200_people_is_within_the_limit_of_soql():
    write = RecordWrite(sink="crm", object="Contact", key_field="SMS_Key__c", key="+4790000001' OR Name != '")
    of = Write(task=Task(write), original=write, index=0)
    search = Search(terms=[SearchTerm(write=of, match=match()) for _ in range(200)], flag="SMS_Opt_Out__c")
    assert len(search.soql) < 30_000
    assert search.soql.startswith(
        "SELECT Id,CreatedDate,MobilePhone,HomePhone,SMS_Key__c,SMS_Opt_Out__c FROM Contact WHERE "
        "MobilePhone LIKE '%9%0%0%0%0%0%0%1%' OR HomePhone LIKE '%9%0%0%0%0%0%0%1%' OR "
    )
    assert r"+4790000001\' OR Name != \'" in search.soql
