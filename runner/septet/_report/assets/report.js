  // Each chart over time takes the still's place; a page that was drawn records how many were.
  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const figures = [...document.querySelectorAll("[data-time-chart]")];
  const charts = new Map();
  const draw = async (figure, place) => {
    const before = charts.get(figure);
    if (before) before.remove();
    charts.set(figure, await globalThis.septetTimeChart(figure, data[figure.id][place]));
  };
  const chosen = document.getElementById("symbol");
  const priced = document.getElementById("chart-price");
  if (globalThis.septetTimeChart) {
    Promise.all(figures.map((figure) => draw(figure, 0))).then(() => {
      document.documentElement.dataset.drawn = String(charts.size);
    });
    if (chosen) chosen.addEventListener("change", () => draw(priced, Number(chosen.value)));
  }
