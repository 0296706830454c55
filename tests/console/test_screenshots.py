"""`make screenshots` takes a picture of each screen that README and docs show."""

from console.harness import IN_ONE_LOOP
from console.screenshots import IMAGES, take_pictures

pytestmark = IN_ONE_LOOP


async def test_each_picture_of_the_docs_can_be_taken_again(browser, tmp_path):
    base, images = tmp_path / "world", tmp_path / "images"
    base.mkdir()
    images.mkdir()
    await take_pictures(browser, base, images)
    assert {one.name for one in images.iterdir()} == {one.name for one in IMAGES.iterdir()}
