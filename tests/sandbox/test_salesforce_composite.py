"""Several calls in one: order, independence, references, limits."""

from sandbox.test_salesforce_signin import V, signed_in


def upsert(name, key, *records, ref="r", **more):
    whole = [{"attributes": {"type": name}, **record} for record in records]
    url = f"{V}/composite/sobjects/{name}/{key}"
    return {"method": "PATCH", "url": url, "referenceId": ref, "body": {"records": whole, **more}}


async def test_parents_written_first_are_there_for_their_children_in_one_api_call():
    async with signed_in() as org:
        contacts = [{"SMS_Key__c": f"k{number}", "LastName": "x"} for number in range(200)]
        events = [{"Event_Key__c": f"e{number}", "Contact__r": {"SMS_Key__c": f"k{number}"}} for number in range(200)]
        parts = [
            upsert("Contact", "SMS_Key__c", *contacts, ref="contacts"),
            upsert("SMS_Event__c", "Event_Key__c", *events, ref="events"),
        ]
        status, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        assert status == 200
        first, second = body["compositeResponse"]
        assert (first["referenceId"], first["httpStatusCode"], len(first["body"])) == ("contacts", 200, 200)
        assert all(result["success"] for result in second["body"])
        assert (await org.control("GET", "stats"))[1]["api_calls"] == 1


async def test_a_refused_part_leaves_the_others_alone():
    async with signed_in() as org:
        parts = [
            upsert(
                "Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "x"}, {"SMS_Key__c": "k2", "Odd": 1}, ref="a"
            ),
            upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k3", "LastName": "x"}, ref="b"),
        ]
        _, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        refused, written = body["compositeResponse"]
        assert refused["httpStatusCode"] == 400
        assert refused["body"] == [
            {"message": "No such column &#39;Odd&#39; on sobject of type Contact", "errorCode": "INVALID_FIELD"}
        ]
        assert written["body"][0]["success"]
        assert [row["SMS_Key__c"] for row in await org.rows("Contact")] == ["k3"]


async def test_messages_of_failed_rows_are_escaped_in_a_composite_only():
    async with signed_in() as org:
        record = {"SMS_Key__c": "k1", "LastName": "x", "Gift_Interest__c": '<b>"'}
        _, plain = await org.upsert("Contact", "SMS_Key__c", record)
        _, body = await org.call("POST", "/composite", {"compositeRequest": [upsert("Contact", "SMS_Key__c", record)]})
        assert plain[0]["errors"][0]["message"].endswith('field: <b>"')
        assert body["compositeResponse"][0]["body"][0]["errors"][0]["message"].endswith("field: &lt;b&gt;&quot;")


async def test_all_or_none_halts_the_siblings_and_writes_nothing():
    async with signed_in() as org:
        parts = [
            upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k1", "LastName": "x"}, ref="a"),
            upsert("Contact", "SMS_Key__c", {"SMS_Key__c": "k2"}, ref="b"),
        ]
        _, body = await org.call("POST", "/composite", {"allOrNone": True, "compositeRequest": parts})
        halted, guilty = body["compositeResponse"]
        assert halted["httpStatusCode"] == 400
        assert halted["body"][0]["errorCode"] == "PROCESSING_HALTED"
        assert guilty["body"][0]["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
        assert await org.rows("Contact") == []


async def test_later_parts_may_refer_to_earlier_ones():
    async with signed_in() as org:
        parts = [
            {"method": "POST", "url": f"{V}/sobjects/Contact", "referenceId": "made", "body": {"LastName": "Ås"}},
            {
                "method": "POST",
                "url": f"{V}/sobjects/Task",
                "referenceId": "task",
                "body": {"Subject": "Call", "WhoId": "@{made.id}"},
            },
            {"method": "GET", "url": f"{V}/sobjects/Contact/@{{made.id}}?fields=LastName", "referenceId": "read"},
            {"method": "GET", "url": f"{V}/sobjects/Contact/@{{nobody.id}}", "referenceId": "lost"},
        ]
        _, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        made, task, read, lost = body["compositeResponse"]
        assert (made["httpStatusCode"], task["httpStatusCode"]) == (201, 201)
        assert read["body"]["LastName"] == "Ås"
        assert lost["body"][0]["errorCode"] == "PROCESSING_HALTED"
        assert (await org.rows("Task"))[0]["WhoId"] == made["body"]["id"]


async def test_five_queries_fit_and_a_sixth_or_a_twenty_sixth_part_does_not():
    async with signed_in() as org:
        await org.load("Contact", {"LastName": "Ås", "SMS_Key__c": "+4790000001"})
        url = f"{V}/query?q=SELECT+Id+FROM+Contact+WHERE+SMS_Key__c+IN+('%2B4790000001')"
        parts = [{"method": "GET", "url": url, "referenceId": f"q{number}"} for number in range(6)]
        status, body = await org.call("POST", "/composite", {"compositeRequest": parts[:5]})
        assert [part["body"]["totalSize"] for part in body["compositeResponse"]] == [1] * 5
        status, body = await org.call("POST", "/composite", {"compositeRequest": parts})
        assert (status, body[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
        many = [{"method": "GET", "url": f"{V}/limits", "referenceId": f"q{number}"} for number in range(26)]
        status, body = await org.call("POST", "/composite", {"compositeRequest": many})
        assert (status, body[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


async def test_where_collections_by_key_are_unknown_in_a_composite_they_still_work_alone():
    async with signed_in() as org:
        await org.control("POST", "faults", {"fault": "no_composite_upsert"})
        record = {"SMS_Key__c": "k1", "LastName": "x"}
        for _ in range(2):
            _, body = await org.call(
                "POST", "/composite", {"compositeRequest": [upsert("Contact", "SMS_Key__c", record)]}
            )
            assert body["compositeResponse"][0]["httpStatusCode"] == 404
        _, results = await org.upsert("Contact", "SMS_Key__c", record)
        assert results[0]["created"]


async def test_two_parts_with_one_name_or_a_foreign_url_are_refused():
    async with signed_in() as org:
        part = {"method": "GET", "url": f"{V}/limits", "referenceId": "a"}
        assert (await org.call("POST", "/composite", {"compositeRequest": [part, part]}))[0] == 400
        foreign = {**part, "url": "https://elsewhere.example/"}
        assert (await org.call("POST", "/composite", {"compositeRequest": [foreign]}))[0] == 400
