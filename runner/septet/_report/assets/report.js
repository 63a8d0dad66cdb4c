  // A halt is a dotted line through every panel.
  const haltLines = () =>
    data.halts.map((halt) => ({
      type: "line", xref: "x", yref: "paper", x0: halt.t, x1: halt.t, y0: 0, y1: 1,
      line: { color: color("bad"), width: 1.2, dash: "dot" },
    }));

  const reach = (list) => {
    const known = list.filter((v) => v !== null);
    return Math.max(...known) - Math.min(...known);
  };

  const curve = (node) => {
    const c = data.curve;
    if (!c.t.length) return;
    // Where holding moved so much more that equity would look flat, equity gets its own panel.
    const apart = c.hold.length > 0 && reach(c.hold) > 3 * reach(c.equity);
    const line = (y, name, paint, more) => ({
      type: "scatter", mode: "lines", x: c.t, y, name,
      line: { color: paint, width: 1.6 }, hoverlabel: { namelength: -1 }, ...more,
    });
    const equity = (more) => line(c.equity, "equity", color("accent"), { hovertemplate: "%{y:,.2f}", ...more });
    const traces = [
      equity({}),
      line(c.drawdown, "drawdown", color("contrast"), {
        yaxis: "y2", fill: "tozeroy", fillcolor: faded("contrast", 0.22), showlegend: false,
        hovertemplate: "%{y:.1%}", line: { color: color("contrast"), width: 1.1 },
      }),
    ];
    const side = (y, name, paint) => {
      if (y.some((v) => v)) traces.push(line(y, name, color(paint), {
        x: c.exposure.t, yaxis: "y3", fill: "tozeroy", fillcolor: faded(paint, 0.2), showlegend: false,
        hovertemplate: "%{y:.1%}", line: { color: color(paint), width: 1.1, shape: "hv" },
      }));
    };
    side(c.exposure.long, "long", "accent");
    side(c.exposure.short, "short", "contrast");
    if (c.hold.length)
      traces.splice(1, 0, line(c.hold, "buy and hold", color("neutral"), {
        yaxis: apart ? "y4" : "y", hovertemplate: "%{y:,.2f}",
        line: { color: color("neutral"), width: 1.1 },
      }));
    if (apart) traces.push(equity({ yaxis: "y4", showlegend: false, hoverinfo: "skip", hovertemplate: undefined }));
    node.classList.toggle("taller", apart);
    const money = (domain, title) => axis({ domain, title: titled(title), tickformat: "~s", nticks: 6 });
    const share = (domain, title, more) =>
      axis({ domain, title: titled(title), tickformat: "~%", nticks: 4, ...more });
    const panels = apart
      ? { yaxis: money([0.66, 1], data.currency), yaxis4: money([0.36, 0.62], `${data.currency}, both`) }
      : { yaxis: money([0.47, 1], data.currency) };
    Plotly.react(node, traces, layout({
      xaxis: axis({ type: "date", anchor: "y3", hoverformat: "%Y-%m-%d %H:%M" }),
      ...panels,
      yaxis2: share(apart ? [0.18, 0.32] : [0.22, 0.42], "drawdown", {}),
      yaxis3: share(apart ? [0, 0.14] : [0, 0.17], "exposure", { rangemode: "tozero" }),
      shapes: haltLines(),
    }), config());
  };

  const rolling = (node) => {
    const r = data.rolling;
    const line = (y, name, yaxis, paint) => ({
      type: "scatter", mode: "lines", x: r.t, y, name, yaxis, connectgaps: false,
      line: { color: color(paint), width: 1.4 }, hovertemplate: "%{y:.2f}",
    });
    const both = r.beta.length > 0;
    const traces = [line(r.sharpe, "Sharpe", "y", "accent")];
    if (both) traces.push(line(r.beta, "beta", "y2", "contrast"));
    const figure = (domain, title) => axis({ domain, title: titled(title), tickformat: "~g", nticks: 5 });
    Plotly.react(node, traces, layout({
      showlegend: false, margin: { l: 8, r: 8, t: 8, b: 8 },
      xaxis: axis({ type: "date", anchor: both ? "y2" : "y", hoverformat: "%Y-%m-%d" }),
      yaxis: figure(both ? [0.54, 1] : [0, 1], "Sharpe"),
      ...(both ? { yaxis2: figure([0, 0.46], "beta") } : {}),
      shapes: haltLines(),
    }), config());
  };

  // What is held above what was asked for; a name stands for both, and for both sides.
  const weights = (node) => {
    const w = data.weights;
    const both = w.target.rows.length > 0;
    const paint = (name) => (w.names[name] === "others" && name === w.names.length - 1 && w.others
      ? "neutral" : `series-${name + 1}`);
    const named = new Set();
    const area = (part, yaxis, what) => part.rows.map((row) => {
      const first = !named.has(row.name);
      named.add(row.name);
      return {
        type: "scatter", mode: "lines", x: part.t, y: row.values, name: w.names[row.name], yaxis,
        legendgroup: String(row.name), legendrank: row.name, showlegend: first,
        stackgroup: `${yaxis} ${row.side}`, fillcolor: color(paint(row.name)),
        line: { color: color("card"), width: 0.4, shape: "hv" },
        hovertemplate: `${what} %{y:.1%}`, hoverlabel: { namelength: -1 },
      };
    });
    const share = (domain, title) =>
      axis({ domain, title: titled(title), tickformat: "~%", nticks: 6, rangemode: "tozero" });
    Plotly.react(node, [...area(w.held, "y", "held"), ...area(w.target, "y2", "target")], layout({
      xaxis: axis({ type: "date", anchor: both ? "y2" : "y", hoverformat: "%Y-%m-%d %H:%M" }),
      yaxis: share(both ? [0.53, 1] : [0, 1], "held"),
      ...(both ? { yaxis2: share([0, 0.47], "target") } : {}),
      shapes: haltLines(),
    }), config());
  };

  // Candles in view are joined until they are wide enough to read; zooming in parts them again.
  const joined = (price, from, to, most) => {
    let a = price.t.findIndex((t) => t >= from);
    if (a < 0) a = 0;
    let b = price.t.length;
    while (b > a + 1 && price.t[b - 1] > to) b -= 1;
    const step = Math.max(1, Math.ceil((b - a) / most));
    const out = { t: [], o: [], h: [], l: [], c: [], step };
    for (let i = a; i < b; i += step) {
      const end = Math.min(i + step, b);
      let high = -Infinity;
      let low = Infinity;
      for (let j = i; j < end; j += 1) {
        if (price.h[j] > high) high = price.h[j];
        if (price.l[j] < low) low = price.l[j];
      }
      out.t.push(price.t[i]);
      out.o.push(price.o[i]);
      out.c.push(price.c[end - 1]);
      out.h.push(high);
      out.l.push(low);
    }
    return out;
  };

  const marks = (price, from, to) => {
    const t = price.trades;
    const style = {
      "long in": { x: [], y: [], text: [], symbol: "triangle-up", paint: color("accent") },
      "short in": { x: [], y: [], text: [], symbol: "triangle-down", paint: color("accent") },
      "out, gain": { x: [], y: [], text: [], symbol: "circle", paint: color("contrast") },
      "out, loss": { x: [], y: [], text: [], symbol: "x", paint: color("contrast") },
    };
    const put = (name, x, y, text) => {
      if (x < from || x > to) return;
      style[name].x.push(x);
      style[name].y.push(y);
      style[name].text.push(text);
    };
    for (let i = 0; i < t.side.length; i += 1) {
      put(t.side[i] === "short" ? "short in" : "long in", t.entry_t[i], t.entry[i], `in at ${t.entry[i]}`);
      if (t.reason[i] === "open") continue;
      const made = t.pnl[i] > 0 ? "out, gain" : "out, loss";
      put(made, t.exit_t[i], t.exit[i], `out at ${t.exit[i]}, net ${t.pnl[i]} ${data.currency}`);
    }
    const crowd = Object.values(style).reduce((sum, s) => sum + s.x.length, 0);
    const size = crowd > 600 ? 4 : crowd > 200 ? 6 : 9;
    return Object.entries(style).filter(([, s]) => s.x.length).map(([name, s]) => ({
      type: "scatter", mode: "markers", name, x: s.x, y: s.y, text: s.text,
      hovertemplate: "%{x|%Y-%m-%d %H:%M}<br>%{text}<extra></extra>",
      marker: { symbol: s.symbol, size, color: s.paint, line: { width: size > 6 ? 1 : 0.4, color: color("card") } },
    }));
  };

  let zoom = null;
  const whole = (item) => {
    const last = item.t[item.t.length - 1];
    return [Math.max(item.t[0], data.first_decision - (last - data.first_decision) * 0.03), last];
  };
  const shown = () => data.price[Number((document.getElementById("symbol") || { value: 0 }).value)];
  const moves = {
    in: (a, b) => [b - (b - a) / 3, b],
    out: (a, b) => [b - (b - a) * 3, b],
    left: (a, b) => [a - (b - a) * 0.6, b - (b - a) * 0.6],
    right: (a, b) => [a + (b - a) * 0.6, b + (b - a) * 0.6],
  };
  const move = (name) => {
    const [first, last] = whole(shown());
    if (!moves[name]) zoom = null;
    else {
      const [a, b] = moves[name](...(zoom || [first, last]));
      const width = Math.min(b - a, last - first);
      const end = Math.min(Math.max(b, first + width), last);
      zoom = [end - width, end];
    }
    price(document.getElementById("chart-price"));
  };
  const price = (node) => {
    const item = shown();
    if (!item || !item.t.length) return;
    const [from, to] = zoom || whole(item);
    const view = joined(item, from, to, Math.max(60, Math.floor(node.clientWidth / 6)));
    const candle = (fill) => ({ line: { color: color("candle"), width: 1 }, fillcolor: color(fill) });
    const traces = [{
      type: "candlestick", name: item.symbol, x: view.t, open: view.o, high: view.h, low: view.l, close: view.c,
      increasing: candle("card"), decreasing: candle("candle"), showlegend: false, hoverinfo: "x+y",
    }, ...marks(item, from, to)];
    const note = document.getElementById("price-note");
    const each = view.step * item.joined;
    const some = item.trades.side.length < item.trades.all
      ? ` ${item.trades.side.length} of ${item.trades.all} trades are drawn.` : "";
    note.textContent = (each > 1
      ? `Each candle joins about ${each} bars; zoom in for finer ones.` : "Each candle is one bar.") + some;
    Plotly.react(node, traces, layout({
      hovermode: "closest",
      xaxis: axis({ type: "date", range: [from, to], rangeslider: { visible: false } }),
      yaxis: axis({ title: titled(item.unit), side: "right", tickformat: "~g", fixedrange: true }),
      shapes: haltLines(),
    }), config());
    if (node.dataset.bound) return;
    node.dataset.bound = "yes";
    node.on("plotly_relayout", (change) => {
      if ("xaxis.range[0]" in change) {
        const stamp = (value) => typeof value === "number" ? value : Date.parse(`${String(value).replace(" ", "T")}Z`);
        zoom = [stamp(change["xaxis.range[0]"]), stamp(change["xaxis.range[1]"])];
      } else if (change["xaxis.autorange"]) zoom = null;
      else return;
      price(node);
    });
    node.on("plotly_doubleclick", () => { zoom = null; price(node); return false; });
  };

  const calibration = (node) => {
    const rows = data.calibration;
    const top = Math.max(...rows.map((r) => r[2]));
    Plotly.react(node, [{
      type: "scatter", mode: "lines", x: [0, 1], y: [0, 1], name: "said = seen", hoverinfo: "skip",
      line: { color: color("neutral"), dash: "dash", width: 1.2 },
    }, {
      type: "scatter", mode: "markers", name: "bins", x: rows.map((r) => r[0]), y: rows.map((r) => r[1]),
      error_y: {
        type: "data", symmetric: false, color: faded("accent", 0.6), thickness: 1.4, width: 4,
        array: rows.map((r) => r[4] - r[1]), arrayminus: rows.map((r) => r[1] - r[3]),
      },
      text: rows.map((r) => `${r[2]} rows`),
      hovertemplate: "said %{x:.1%}<br>seen %{y:.1%}<br>%{text}<extra></extra>",
      marker: { color: color("accent"), size: rows.map((r) => 6 + 12 * Math.sqrt(r[2] / top)), opacity: 0.9 },
    }], layout({
      hovermode: "closest", showlegend: false, margin: { l: 8, r: 8, t: 8, b: 8 },
      xaxis: axis({ title: titled("probability of up, said"), range: [0, 1], tickformat: ".0%", zeroline: false }),
      yaxis: axis({ title: titled("share of ups, seen"), range: [0, 1], tickformat: ".0%", zeroline: false }),
    }), config());
  };

  const importance = (node) => {
    const f = data.importance;
    const back = (list) => [...list].reverse();
    const mean = back(f.mean);
    node.style.height = `${Math.max(200, 70 + 24 * f.features.length)}px`;
    Plotly.react(node, [{
      type: "bar", orientation: "h", x: mean, y: back(f.features), marker: { color: color("accent"), opacity: 0.85 },
      error_x: f.models > 1 ? {
        type: "data", symmetric: false, color: color("soft"), thickness: 1.2, width: 3,
        array: back(f.high).map((v, i) => v - mean[i]), arrayminus: back(f.low).map((v, i) => mean[i] - v),
      } : undefined,
      hovertemplate: "%{y}: %{x:.1%}<extra></extra>",
    }], layout({
      hovermode: "closest", margin: { l: 8, r: 12, t: 8, b: 8 }, bargap: 0.35,
      xaxis: axis({ tickformat: ".0%", rangemode: "tozero", title: titled("share of importance") }),
      yaxis: axis({ type: "category", gridcolor: "rgba(0,0,0,0)", ticksuffix: " " }),
    }), config());
  };

  const psi = (node) => {
    const name = (m) => m.metric.replace(/^psi[:.]/, "") + (m.symbol ? ` ${m.symbol}` : "");
    const worst = (m) => Math.max(...m.value.map((v) => v || 0));
    const rows = [...data.psi].sort((a, b) => worst(a) - worst(b)).slice(-24);
    const stamps = [...new Set(rows.flatMap((m) => m.t))].sort((a, b) => a - b);
    const at = new Map(stamps.map((t, i) => [t, i]));
    const level = { ok: 0, warn: 1, retrain: 2, halt: 3 };
    const grid = (read) => rows.map((m) => {
      const line = new Array(stamps.length).fill(null);
      m.t.forEach((t, i) => { line[at.get(t)] = read(m, i); });
      return line;
    });
    // While a verdict is ok the shade says how near the threshold is.
    const shade = (m, i) => level[m.verdict[i]]
      ? level[m.verdict[i]] + 0.5
      : Math.min(0.99, m.threshold[i] ? (m.value[i] || 0) / m.threshold[i] : 0);
    const scale = [[0, color("calm")], [0.25, color("near")],
      ...["caution-mark", "contrast", "bad"].flatMap((name, i) =>
        [[(i + 1) / 4, color(name)], [(i + 2) / 4, color(name)]])];
    node.style.height = `${Math.max(120, 44 + 22 * rows.length)}px`;
    Plotly.react(node, [{
      type: "heatmap", x: stamps, y: rows.map(name), z: grid(shade),
      customdata: grid((m, i) => [m.value[i], m.threshold[i], m.verdict[i]]),
      zmin: 0, zmax: 4, colorscale: scale, showscale: false, ygap: 3, hoverongaps: false,
      hovertemplate: "%{y}<br>%{x|%Y-%m-%d %H:%M}<br>PSI %{customdata[0]:.3f}, threshold %{customdata[1]:.3f}: %{customdata[2]}<extra></extra>",
    }], layout({
      hovermode: "closest", margin: { l: 8, r: 8, t: 6, b: 8 },
      xaxis: axis({ type: "date", showgrid: false, ticks: "" }),
      yaxis: axis({ type: "category", showgrid: false, ticks: "", ticksuffix: " " }),
    }), config());
  };

  const shapes = { ok: "circle", warn: "triangle-up", block: "square", retrain: "diamond", halt: "x" };
  const paints = { ok: "accent", warn: "caution", block: "bad", retrain: "contrast", halt: "bad" };
  const health = (metric) => (node) => {
    const lines = data.health.filter((m) => m.metric === metric);
    const traces = lines.map((m) => ({
      type: "scatter", mode: "lines+markers", x: m.t, y: m.value, name: m.symbol || metric, text: m.verdict,
      line: { color: color("accent"), width: 1.3 }, showlegend: false,
      customdata: m.t.map((_, i) => [m.compared[i] ?? m.value[i], m.threshold[i]]),
      hovertemplate: "%{x|%Y-%m-%d %H:%M}<br>%{y:.4g}, compared %{customdata[0]:.4g} with %{customdata[1]:.4g}: %{text}<extra></extra>",
      marker: {
        symbol: m.verdict.map((v) => shapes[v] || "circle"),
        color: m.verdict.map((v) => color(paints[v] || "neutral")),
        size: m.verdict.map((v) => (v === "ok" || !v ? 3 : 8)),
        opacity: 1, line: { width: 0 },
      },
    }));
    lines.filter((m) => m.compared.length).forEach((m) => traces.push({
      type: "scatter", mode: "lines", x: m.t, y: m.compared, showlegend: false, hoverinfo: "skip",
      line: { color: color("accent"), width: 1, dash: "dot" },
    }));
    if (lines[0] && lines[0].threshold.some((v) => v !== null)) traces.push({
      type: "scatter", mode: "lines", x: lines[0].t, y: lines[0].threshold, showlegend: false, hoverinfo: "skip",
      line: { color: color("bad"), width: 1.1, dash: "dash", shape: "hv" },
    });
    Plotly.react(node, traces, layout({
      hovermode: "closest", margin: { l: 8, r: 8, t: 6, b: 8 },
      xaxis: axis({ type: "date", nticks: 5 }), yaxis: axis({ nticks: 5, tickformat: "~g" }),
    }), config());
  };

  place("chart-curve", curve);
  if (data.rolling.t.length) place("chart-rolling", rolling);
  if (data.weights.names.length) place("chart-weights", weights);
  place("chart-price", price);
  if (data.calibration.length) place("chart-calibration", calibration);
  if (data.importance.features.length) place("chart-importance", importance);
  if (data.psi.length) place("chart-psi", psi);
  document.querySelectorAll("[data-metric]").forEach((node) => place(node.id, health(node.dataset.metric)));
  const chosen = document.getElementById("symbol");
  if (chosen) chosen.addEventListener("change", () => { zoom = null; price(document.getElementById("chart-price")); });
  document.querySelectorAll("[data-zoom]").forEach((button) =>
    button.addEventListener("click", () => move(button.dataset.zoom)));
  finish();
