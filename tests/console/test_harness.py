"""The watch over each page sees what it must see; else the other tests prove nothing."""

import pytest
from console.harness import IN_ONE_LOOP, PHONE, chromium, fits, is_accessible

pytestmark = IN_ONE_LOOP
BAD = """() => {
    const script = document.createElement('script');
    script.textContent = 'document.title = "pwned"';
    document.body.append(script);
    document.body.append(Object.assign(new Image(), {src: 'http://localhost:9/x.png'}));
    document.body.insertAdjacentHTML('beforeend', '<p style="color: red">x</p>');
    fetch('/console/now?number=%2B4790000001');
    console.log('hello');
    setTimeout(() => { throw new Error('a bug'); });
}"""


async def test_the_watch_reports_scripts_styles_other_hosts_numbers_and_bugs(visit):
    page = await visit("viewer")
    watch = visit.watches[-1]
    async with page.expect_event("pageerror"):
        await page.evaluate(BAD)
    said = "\n".join(watch.complaints)
    watch.complaints.clear()
    for words in (
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "a number in an address",
        "console: hello",
        "page error: a bug",
    ):
        assert words in said, said
    assert await page.title() != "pwned"


async def test_without_the_browser_tests_fail_in_ci_and_are_skipped_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match=r"apt-get install .* chromium"):
        async with chromium(tmp_path / "chromium"):
            pass
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=r"apt-get install .* chromium"):
        async with chromium(tmp_path / "chromium"):
            pass


async def test_a_page_that_is_too_wide_or_has_errors_is_found(visit):
    page = await visit("viewer", **PHONE)
    await page.evaluate("document.querySelector('h1').style.width = '900px'")
    await page.evaluate("document.querySelector('h1').append(Object.assign(new Image(), {src: '/favicon.ico'}))")
    with pytest.raises(AssertionError, match="pixels wide"):
        await fits(page)
    with pytest.raises(AssertionError, match="image-alt"):
        await is_accessible(page)
