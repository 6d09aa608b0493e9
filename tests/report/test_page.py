from html.parser import HTMLParser

import pytest

from mho.report import Figure, Page, PageTable, render

HOSTILE = "<script>alert('x')</script> & \"quoted\""


class Collector(HTMLParser):
    """Every tag, and every attribute through which a browser fetches something."""

    def __init__(self):
        super().__init__()
        self.tags, self.fetched, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [
            v for k, v in attributes if k in ("src", "href", "srcset", "data", "poster", "action")
        ]

    def handle_data(self, data):
        self.text.append(data)


def parse(html):
    collector = Collector()
    collector.feed(html)
    return collector


@pytest.fixture
def page():
    return Page(
        title=HOSTILE,
        lead=[HOSTILE],
        facts=[("97 %", HOSTILE)],
        figures=[Figure(b"<svg/>", "image/svg+xml", alt=HOSTILE, caption=HOSTILE)],
        tables=[PageTable(HOSTILE, ["time", HOSTILE], [["1 s", HOSTILE]], notes=[["", HOSTILE]])],
        configuration={
            "kind": "X",
            HOSTILE: HOSTILE,
            "inner": {"kind": "devices.PCM", "list": [1, {"a": 2}]},
        },
        commands=[HOSTILE],
        software={"mho": HOSTILE},
    )


def test_every_text_is_escaped(page):
    collector = parse(render(page))
    assert "script" not in collector.tags
    assert sum(HOSTILE in text for text in collector.text) >= 10


def test_nothing_is_fetched_from_anywhere(page):
    html = render(page)
    fetched = parse(html).fetched
    assert fetched == ["data:image/svg+xml;base64,PHN2Zy8+"]
    assert "http://" not in html
    assert "https://" not in html
    assert "@import" not in html
    assert "url(" not in html


def test_the_configuration_is_there_in_full(page):
    text = " ".join(" ".join(parse(render(page)).text).split())
    assert "devices.PCM" in text
    assert "list" in text


def test_an_empty_page_is_a_page():
    collector = parse(render(Page(title="nothing")))
    assert "h1" in collector.tags
    assert "table" not in collector.tags
    assert "img" not in collector.tags


def test_a_table_of_uneven_rows_is_refused():
    with pytest.raises(ValueError, match="1 cells, the table has 2 columns"):
        PageTable("t", ["a", "b"], [["x"]])
    with pytest.raises(ValueError, match="1 rows of notes for 2 rows"):
        PageTable("t", ["a"], [["x"], ["y"]], notes=[["n"]])
