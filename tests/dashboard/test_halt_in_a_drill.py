"""A person halts a live run through the page, in a real Chromium, while a drill tests that run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TypeGuard
from urllib.parse import urlencode

from septet import messages as m
from septet._journal.reader import Reader
from tests.dashboard.browser import Browser
from tests.dashboard.conftest import listening_to
from tests.drill.test_drill import drill, found
from tests.report.reading import needs_chromium, needs_library

STATE = "document.getElementById('live-state').textContent"


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read what the drill reports, until a line holds this text."""
    assert process.stderr is not None
    lines = list[str]()
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return
    raise AssertionError(f"the drill ended without {text!r}: {lines}")


def act(browser: Browser, action: str, reason: str) -> None:
    """Fill in the form as a person does, and press the button."""
    for name, value in (("name", "Mara"), ("reason", reason)):
        browser.run(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")
    browser.submit('form[action="/act"]', f"button[value={action}]")


def is_hers(event: m.Event) -> TypeGuard[m.Operated]:
    return isinstance(event, m.Operated) and event.name == "Mara (dashboard)"


@needs_chromium
@needs_library
def test_a_person_halts_and_resumes_a_run_of_a_drill(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    process = drill(folder, "--seed", "5", "--faults", "N1,E9", "--times", "3")
    with (
        process,
        listening_to(folder / "runs", tmp_path) as dashboard,
        Browser(tmp_path / "profile") as browser,
    ):
        browser.log_in(dashboard.host, dashboard.codes[-1])
        wait_for(process, "1 of 6")
        (journal,) = (folder / "runs").rglob("journal.sqlite")
        key = f"{journal.parent.parent.name}/{journal.parent.name}"
        address = f"http://{dashboard.host}/run?{urlencode({'run': key})}"
        browser.open(address)
        browser.until(f"{STATE}.includes('Running')")
        act(browser, "halt", "the news")
        wait_for(process, "Mara (dashboard) has halted the run: the drill waits for")
        browser.open(address)
        assert browser.run(f"{STATE}.includes('No entries: halted by Mara (dashboard): the news')")
        act(browser, "resume", "it is over")
        browser.open(address)
        # The page follows the journal by itself: nobody loads it again.
        browser.until(f"!{STATE}.includes('Mara')")
        assert browser.console == []
        document = found(process)
    assert document["ok"], document
    with Reader(journal) as reader:
        entries = list(reader.read())
    events = [each.event for each in entries]
    acts = [(at, event) for at, event in enumerate(events) if is_hers(event)]
    (halted, halt), (resumed, resume) = acts
    assert (halt.action, halt.reason) == ("halt", "the news")
    assert (resume.action, resume.reason) == ("resume", "it is over")
    sent = [each for entry in entries[halted:resumed] for each in entry.commands]
    assert not [each for each in sent if isinstance(each, m.Submit) and not each.reduces]
    after = [each for entry in entries[resumed:] for each in entry.commands]
    assert [each for each in after if isinstance(each, m.Submit)]
