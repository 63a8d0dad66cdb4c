// Draws the charts of the page in place of their stills; `septetGrew` brings what came since.
(() => {
  "use strict";
  const holder = document.getElementById("charts");
  if (!holder || !globalThis.septetTimeChart) return;
  const charts = new Map();
  const address = (name, after) => {
    const found = new URL(`/chart?${holder.dataset.charts}`, location.href);
    found.searchParams.set("name", name);
    if (after !== undefined) found.searchParams.set("after", String(after));
    return found;
  };
  const ask = async (name, after) => {
    const answer = await fetch(address(name, after), { credentials: "same-origin" });
    if (answer.redirected || !answer.ok) throw new Error(String(answer.status));
    return answer.json();
  };
  const figures = [...holder.querySelectorAll("[data-time-chart]")];
  Promise.all(figures.map(async (figure) => {
    charts.set(figure.id, await globalThis.septetTimeChart(figure, await ask(figure.id)));
  })).then(() => { document.documentElement.dataset.drawn = String(charts.size); }, () => {
    document.documentElement.dataset.drawn = "none";
  });
  globalThis.septetGrew = () => Promise.all([...charts].map(async ([name, chart]) => {
    const times = chart.levels[0].t;
    const found = await ask(name, times[times.length - 1]);
    found.rows.forEach((row) => chart.append(row));
    chart.setMarks(found.marks);
    chart.rule(found.lines);
  }));
})();
