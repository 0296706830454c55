"""`connector retention`, and the alarm before something is deleted."""

from datetime import timedelta

from admin.scene import NOW, report

from connector.admin.retention import deletion_alarms, keep_of
from connector.store.retention import Held, Kind


async def joined(scene):
    await scene.receive(report("Subscribe"))
    await scene.plan()
    await scene.settle("salesforce")


def test_each_kind_of_data_is_shown_with_the_reason_for_its_retention(home):
    home.on_the_road(joined)
    said = home.run("retention")
    assert said.exit_code == 0, said.output
    assert "delivered" in said.output
    assert "ledger, for ever: the proof of consent" in said.output
    kinds = {one["kind"]: one for one in home.json("retention")["kinds"]}
    assert kinds.keys() == {kind.value for kind in Kind}
    assert (kinds["delivered"]["kept"], kinds["delivered"]["count"]) == ("90d", 1)
    assert (kinds["raw"]["kept"], kinds["gone_records"]["kept"]) == ("30d", "16d")
    assert all(one["why"] for one in kinds.values())


def test_the_old_setting_delivered_also_applies_to_ignored_events(home):
    home.config.write_text(home.config.read_text().replace("store: {", "store: {retention: {delivered: 20d}, "))
    home.on_the_road(joined)
    kinds = {one["kind"]: one["kept"] for one in home.json("retention")["kinds"]}
    assert (kinds["delivered"], kinds["ignored"]) == ("20d", "20d")


def test_an_alarm_is_raised_before_dead_letters_are_deleted(home):
    async def keep(scene):
        return keep_of(scene.loaded)

    held = [
        Held(kind=Kind.DEAD, count=3, oldest=NOW, due=0, soon=2),
        Held(kind=Kind.UNREADABLE, count=1, oldest=NOW, due=0, soon=0),
        Held(kind=Kind.DELIVERED, count=9, oldest=NOW - timedelta(days=90), due=1, soon=9),
    ]
    alarms = deletion_alarms(held, home.on_the_road(keep))
    assert alarms.keys() == {Kind.DEAD, Kind.UNREADABLE}
    assert alarms[Kind.UNREADABLE] is None
    assert alarms[Kind.DEAD].message.startswith("2 dead letters are deleted within 14 days")
    assert "connector dead list" in alarms[Kind.DEAD].cure
