"""Pages on a telephone, 390 pixels wide: what fits is not scrolled, and can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from septet._sweep.page import write_page
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import Dashboard, stored
from tests.dashboard.test_run_page import key_of
from tests.dashboard.test_strategies import TEXT, put
from tests.report.reading import needs_chromium
from tests.sweep.synthetic import make_manifest, make_table

pytestmark = needs_chromium
CUT = "[...document.querySelectorAll(%r)].filter(e => e.scrollWidth > e.clientWidth + 1).length"
SHOWN = "[...document.querySelectorAll(%r)].filter(e => e.getClientRects().length).length"


@pytest.fixture
def narrow(dashboard: Dashboard, tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as browser:
        browser.look(width=390)
        browser.log_in(dashboard.host, dashboard.codes[-1])
        yield browser


@pytest.mark.timeout(180)
def test_months_plugins_problems_and_configuration_fit(
    dashboard: Dashboard, narrow: Browser
) -> None:
    run = stored(dashboard.root)
    narrow.open(f"http://{dashboard.host}/run?{urlencode({'run': key_of(run.folder)})}")
    months = "[aria-label='Returns by month']"
    assert narrow.run(SHOWN % f"{months} td") == 3, "two months and the year"
    assert narrow.run(CUT % months) == 0
    narrow.open(f"http://{dashboard.host}/plugins")
    assert narrow.run(SHOWN % "[aria-label=Plugins] tbody tr") > 100
    assert narrow.run(CUT % ".scroll") == 0
    put(dashboard, "cross.yaml", TEXT)
    narrow.open(f"http://{dashboard.host}/strategy?file=cross.yaml")
    narrow.submit("main form", "button:not([formaction])")
    assert narrow.run(SHOWN % "[aria-label=Configuration] tbody tr") > 20
    assert narrow.run(SHOWN % "[aria-label=Problems] tbody tr") == 1
    assert narrow.run(CUT % ".scroll") == 0


@pytest.mark.timeout(180)
def test_the_map_of_a_sweep_is_seen_whole_with_letters_that_can_be_read(
    narrow: Browser, tmp_path: Path
) -> None:
    axes = {"features.fast.period": [5, 10, 15, 20], "features.slow.period": [40, 80, 120]}
    manifest = make_manifest({key: [str(each) for each in axes[key]] for key in axes})
    narrow.open(write_page(tmp_path, make_table(axes, days=400), manifest).as_uri())
    assert narrow.run(SHOWN % "#chart-map svg") == 1
    assert narrow.run(CUT % "#chart-map") == 0
    size = "document.querySelector('#chart-map .narrow-still text').getBoundingClientRect().height"
    assert narrow.run(size) >= 10
