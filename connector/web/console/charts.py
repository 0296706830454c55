"""Pictures that the server draws: positions and sizes for the SVG in the templates. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

BOX_WIDTH, BOX_HEIGHT, GAP = 170, 52, 14
COLUMNS = (0, 265, 530, 795)
MARGIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One station of the flow."""

    name: str
    text: str  # what it did or holds
    paused: bool = False
    x: int = 0
    y: int = 0

    @property
    def middle(self) -> int:
        """The y of its middle, where lines meet it."""
        return self.y + BOX_HEIGHT // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """The flow from the providers to the sinks, with a place for each box and line."""

    boxes: Sequence[Box]
    lines: Sequence[tuple[int, int, int, int]]  # x and y of both ends
    width: int
    height: int


def flow(sources: Sequence[Box], inbox: Box, outbox: Box, sinks: Sequence[Box]) -> Flow:
    """Place the boxes in four columns, each in the middle of the height, and join them."""
    columns = [list(sources), [inbox], [outbox], list(sinks)]
    rows = max(len(column) for column in columns)
    height = rows * (BOX_HEIGHT + GAP) - GAP
    placed = [_place(column, x, height) for column, x in zip(columns, COLUMNS, strict=True)]
    lines = [
        (left.x + BOX_WIDTH, left.middle, right.x, right.middle)
        for here, there in pairwise(placed)
        for left in here
        for right in there
    ]
    boxes = [box for column in placed for box in column]
    return Flow(boxes=boxes, lines=lines, width=COLUMNS[-1] + BOX_WIDTH + 2 * MARGIN, height=height + 2 * MARGIN)


def _place(column: Sequence[Box], x: int, height: int) -> list[Box]:
    top = (height - (len(column) * (BOX_HEIGHT + GAP) - GAP)) // 2
    return [
        Box(name=one.name, text=one.text, paused=one.paused, x=x + MARGIN, y=MARGIN + top + row * (BOX_HEIGHT + GAP))
        for row, one in enumerate(column)
    ]


CHART_WIDTH, CHART_HEIGHT, AXIS = 960, 130, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar of a chart."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Bars over time, and a label below some of them."""

    bars: Sequence[Bar]
    labels: Sequence[tuple[float, str]]  # x and text
    width: int
    height: int
    most: int  # of all values


def bars(values: Sequence[tuple[str, int, str]], *, every: int) -> Bars:
    """A chart of values, each with its label and title. Every `every`th label is shown."""
    most = max((value for _, value, _ in values), default=0)
    step = CHART_WIDTH / max(len(values), 1)
    room = CHART_HEIGHT - AXIS
    drawn = []
    for place, (_, value, title) in enumerate(values):
        # Even the smallest value can be seen.
        height = max(2.0, room * value / most) if value else 0.0
        drawn.append(
            Bar(x=round(place * step + 2, 1), y=room - height, width=round(step - 4, 1), height=height, title=title)
        )
    labels = [(round(place * step + 2, 1), label) for place, (label, _, _) in enumerate(values) if place % every == 0]
    return Bars(bars=drawn, labels=labels, width=CHART_WIDTH, height=CHART_HEIGHT, most=most)
