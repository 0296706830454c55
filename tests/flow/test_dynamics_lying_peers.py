"""False answers of Dynamics 365: no false confirmation, and recovery within a minute of health."""

from contextlib import asynccontextmanager

from contract.crms import DYNAMICS
from flow.lying import LIES, PAGE, always, as_json, http, lying
from flow.test_lying_peers import lied_to, memory_watched, pass_a_minute
from flow.world import a_world, config_of

from connector.telemetry.log_events import Alarm

BOUNDARY = b"--batchresponse_1"
PART = BOUNDARY + b"\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
DONE = b"HTTP/1.1 204 No Content\r\nOData-Version: 4.0\r\n\r\n"
NOBODY = b'{"contactid": "00000000-0000-4000-8000-000000000001"}'


def shown(body, status=b"200 OK"):
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n\r\n" + body


def parts(one, *, more=0, end=BOUNDARY + b"--\r\n"):
    """A batch in which each write has this answer."""

    def lie(path, body):
        writes = body.count(b"\r\nPATCH ")
        if not writes:
            return None
        whole = (PART + one + b"\r\n") * (writes + more) + end
        return http(whole, Content_Type=f"multipart/mixed; boundary={BOUNDARY[2:].decode()}")

    return lie


DYNAMICS_LIES = {
    **{name: always(answer) for name, answer in LIES.items()},
    "one answer too few": parts(DONE, more=-1),
    "one answer too many": parts(DONE, more=1),
    "an answer without its end": parts(DONE, end=b""),
    "an answer that another boundary ends": parts(DONE, end=b"--batchresponse_2--\r\n"),
    "a success of another record": parts(shown(NOBODY)),
    "a success of no record": parts(shown(b"{}")),
    "a success that is a list": parts(shown(b"[]")),
    "a success that is a text": parts(shown(b'"done"')),
    "an id that is a number": parts(shown(b'{"contactid": 7}')),
    "an id that is no GUID": parts(shown(b'{"contactid": "1"}')),
    "a page in a part": parts(shown(PAGE)),
    "a part without a status": parts(b"HTTP/1.1 OK\r\n\r\n"),
    "an interim answer": parts(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a redirect in a part": parts(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n"),
    "an error without a message": parts(shown(b'{"error": {"code": "0x80040265"}}', b"400 Bad Request")),
    "an error that is a text": parts(shown(b'{"error": "bad"}', b"400 Bad Request")),
    "an error in an old form": parts(shown(b'{"Message": "An error has occurred."}', b"500 Server Error")),
    "a page of records": lambda path, body: as_json({"value": []}) if b"PATCH" in body else None,
}


@asynccontextmanager
async def a_liars_world(base):
    async with a_world(base, crm=DYNAMICS) as world, lying(world.crm_url, world.http) as crm:
        text = config_of(DYNAMICS).format(dynamics=crm.url, strex=world.strex, mappings=base / "mappings")
        (base / "config.yaml").write_text(text)
        async with world.running():
            await world.poll()
            yield world, crm


async def test_false_replies_of_dynamics_confirm_no_opt_out_and_delivery_resumes_in_a_minute(tmp_path, secrets):
    async with a_liars_world(tmp_path) as (world, crm):
        for place, (name, lie) in enumerate(DYNAMICS_LIES.items()):
            number = f"+479000{place:04}"
            await world.phone(number, "KATT")
            await world.settled()
            await world.poll()
            before = world.counts().get("delivered", 0)
            crm.begin(lie, "/api/data/")
            with memory_watched(name):
                await world.phone(number, "STOP KATT")
                await lied_to(world, crm, "dynamics")
            assert world.counts().get("delivered", 0) == before, name
            assert (await world.contact(number))["opted_out"] is False, name
            crm.end()
            await pass_a_minute(world, "dynamics", world.feed)
            await world.settled()
            assert (await world.contact(number))["opted_out"] is True, name
        assert world.balanced()
        assert "dead" not in world.counts()
        emitted = [one for one in world.emitted(Alarm) if one.kind == "unexpected_answer"]
        assert any("`url:`" in one.cure and "proxy or a firewall" in one.cure for one in emitted)
