  const data = JSON.parse(document.getElementById("chart-data").textContent);
  const phone = () => window.innerWidth < 640;
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = [];

  const color = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const faded = (name, share) => `rgb(${color(`${name}-rgb`)} / ${share})`;

  const config = () => ({
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    // Nothing leaves the page: plotly's own way to upload a chart has no button and no address.
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage", "sendChartToCloud"],
    plotlyServerURL: "",
    doubleClick: "reset",
  });

  const axis = (more) => ({
    gridcolor: color("grid"),
    linecolor: color("line"),
    zerolinecolor: color("line"),
    tickfont: { size: 11, color: color("soft") },
    title: { font: { size: 11, color: color("soft") }, standoff: 6 },
    automargin: true,
    ...more,
  });

  const titled = (text) => ({ text, font: { size: 11, color: color("soft") }, standoff: 6 });

  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: color("ink") },
    margin: { l: 8, r: 8, t: 26, b: 8 },
    hovermode: "x unified",
    hoverlabel: {
      bgcolor: color("card"),
      bordercolor: color("line"),
      font: { size: 12, color: color("ink") },
    },
    legend: { orientation: "h", x: 0, y: 1.0, yanchor: "bottom", font: { size: 12 }, itemsizing: "constant" },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("soft"), activecolor: color("ink") },
    dragmode: touch ? false : "zoom",
    ...more,
  });

  const place = (id, draw) => {
    const node = document.getElementById(id);
    if (!node) return;
    const paint = () => draw(node);
    drawn.push(paint);
    paint();
  };

  // Called last: a page that was drawn says so, and is drawn again in another light.
  const finish = () => {
    dark.addEventListener("change", () => drawn.forEach((paint) => paint()));
    document.documentElement.dataset.drawn = String(drawn.length);
  };

