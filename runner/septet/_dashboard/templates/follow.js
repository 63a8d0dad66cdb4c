// Reloads the figures when a run of the page has written something, and shows when it no longer can.
(() => {
  "use strict";
  const stale = document.getElementById("stale");
  const address = new URL("/events", location.href);
  const runs = new URL(location.href).searchParams.getAll("run");
  runs.forEach((each) => address.searchParams.append("run", each));
  const what = runs.length > 1 ? "a run" : "the run";
  let mark = document.querySelector("[data-mark]").dataset.mark;
  let read = new Date(), received = Date.now(), loading = false, again = false;
  const notify = (text) => { stale.textContent = text; stale.hidden = !text; };
  const asOf = () => `The figures are those of ${read.toISOString().slice(11, 19)} UTC.`;
  async function load() {
    if (loading) { again = true; return; }
    loading = true; again = false;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) { notify(`The session has ended: log in again. ${asOf()}`); return; }
      if (!answer.ok) { notify(`${what[0].toUpperCase()}${what.slice(1)} cannot be shown (${answer.status}). ${asOf()}`); return; }
      const text = await answer.text();
      const part = text.slice(text.indexOf("<main"), text.indexOf("</main>"));
      const page = new DOMParser().parseFromString(part, "text/html");
      document.querySelectorAll("[data-live]").forEach((each) => {
        const made = page.getElementById(each.id);
        if (made) each.replaceChildren(...made.childNodes);
      });
      mark = page.querySelector("[data-mark]").dataset.mark;
      if (globalThis.septetGrew) await globalThis.septetGrew();
      read = new Date();
      notify("");
    } catch {
      notify(`No connection to septet dashboard. ${asOf()}`);
    } finally {
      loading = false;
      if (again) setTimeout(load, 500);
    }
  }
  const events = new EventSource(address);
  events.addEventListener("alive", (event) => {
    received = Date.now();
    if (!stale.hidden || (event.data && event.data !== mark)) load();
  });
  events.addEventListener("grew", () => { received = Date.now(); load(); });
  events.addEventListener("gone", () => {
    events.close();
    received = Infinity;
    notify(`The folder of ${what} is gone. ${asOf()}`);
  });
  events.onerror = () => notify(`No connection to septet dashboard. ${asOf()}`);
  setInterval(() => {
    if (Date.now() - received > 15000) notify(`Nothing was received for 15 seconds. ${asOf()}`);
  }, 5000);
})();
