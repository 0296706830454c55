"""The Metadata API's messages about a rejected deployment, and the advice for them."""

import pytest

from connector.crm.salesforce.setup.metadata import cure


@pytest.mark.parametrize(
    ("said", "helps"),
    [
        ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: 00D", "in some minutes"),
        (
            "… temporarily lock your organization's administration setup … already been locked by another change.",
            "in some minutes",
        ),
        ("duplicate value found: <unknown> duplicates value on record with id: <unknown>", "has this name"),
        ("duplicate value found: &lt;unknown&gt; duplicates value on record with id: &lt;unknown&gt;", "has this name"),
        ("duplicate value found: SMS_Key__c duplicates value on record with id: 003", "holds a value twice"),
        ("something else", "Deployment Status"),
    ],
)
def test_a_refused_deployment_is_reported_with_the_cure(said, helps):
    assert helps in cure(said)
