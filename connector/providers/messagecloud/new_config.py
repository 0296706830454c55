"""MessageCloud in a config that `connector init` writes."""

from collections.abc import Mapping

from connector.config.new_config import Keywords, NewProvider, Secret


def _lines(keywords: Keywords, secrets: Mapping[str, str]) -> list[str]:
    offers = [
        line
        for number, word in keywords
        for line in (
            f"  {word.lower()}:",
            "    service_id: the-id-of-your-service",
            f'    short_number: "{number}"',
            f"    keyword: {word}",
            "    price: 100",
            "    thank_you: https://www.example.org/thank-you",
            "    cancelled: https://www.example.org/another-time",
        )
    ]
    return [
        f"api: {{campaign_name: your-campaign, key: {secrets['api-key']}}}",
        *(["offers:", *offers] if offers else []),
    ]


NEW = NewProvider(
    region="NO",
    secrets=(Secret(name="api-key"),),
    lines=_lines,
    public={"subscribe": "/<name of the offer>", "return": ""},
)
