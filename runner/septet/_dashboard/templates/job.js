// Shows how far a job is, and the page of its end.
(() => {
  "use strict";
  const state = document.getElementById("state");
  if (!("open" in state.dataset)) return;
  const bar = document.getElementById("bar"), note = document.getElementById("note");
  const stale = document.getElementById("stale");
  const notify = (text) => { stale.textContent = text; stale.hidden = !text; };
  const events = new EventSource(`/job-events?id=${encodeURIComponent(state.dataset.id)}`);
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    notify("");
    const words = job.stage ? `${job.state}: ${job.stage}` : job.state;
    const text = words.charAt(0).toUpperCase() + words.slice(1);
    if (state.textContent !== text) state.textContent = text;
    note.textContent = job.text;
    if (job.total) { bar.max = job.total; bar.value = job.done; } else bar.removeAttribute("value");
  });
  events.addEventListener("alive", () => notify(""));
  events.addEventListener("ended", () => { events.close(); location.reload(); });
  events.onerror = () => notify("No connection to septet dashboard.");
})();
