  const share = ["total_return", "win_rate", "max_drawdown"].includes(data.goal);
  const format = share ? ".1%" : ".2f";
  const ticks = share ? "~%" : "~g";
  const wording = data.goal_name;
  const write = (v) => (v === null ? "n/a" : share ? `${(100 * v).toFixed(1)} %` : v.toFixed(2));
  let show = "best";
  // Nothing to zoom into: the buttons would only cover the legend.
  const still = () => ({ ...config(), displayModeBar: false });

  const picked = (which, other) => {
    const node = document.getElementById(`pick-${which}`);
    return node ? node.value : other;
  };

  // A map is stored once for a pair of keys; asked the other way round it is turned over.
  const turned = (rows) => rows[0].map((_, i) => rows.map((row) => row[i]));
  const mapOf = (x, y) => {
    const found = data.maps.find((m) => m.x === x && m.y === y);
    if (found) return found;
    const other = data.maps.find((m) => m.x === y && m.y === x);
    const parts = ["best", "middle", "setting", "of", "tried"];
    return { x, y, ...Object.fromEntries(parts.map((name) => [name, turned(other[name])])) };
  };

  // Good is blue and bad is orange, with the bare card at zero where zero has a meaning.
  const scale = (rows) => {
    const known = rows.flat().filter((v) => v !== null);
    const low = Math.min(...known);
    const high = Math.max(...known);
    const good = color("accent");
    const bad = color("contrast");
    const bare = color("calm");
    if (!data.more_is_better) return { zmin: Math.min(0, low), zmax: high, colors: [[0, bare], [1, bad]] };
    const most = Math.max(Math.abs(low), Math.abs(high));
    if (low < 0 && high > 0 && data.goal !== "profit_factor")
      return { zmin: -most, zmax: most, colors: [[0, bad], [0.5, bare], [1, good]] };
    if (high <= 0) return { zmin: low, zmax: Math.max(high, low + 1e-12), colors: [[0, bad], [1, bare]] };
    return { zmin: low, zmax: Math.max(high, low + 1e-12), colors: [[0, bare], [1, good]] };
  };

  const map = (node) => {
    const first = data.maps[0];
    const m = mapOf(picked("x", first.x), picked("y", first.y));
    const across = data.axes[m.x];
    const up = data.axes[m.y];
    const z = m[show];
    const shade = scale(z);
    const text = z.map((row, j) => row.map((_, i) => {
      const at = `${across.name} ${across.labels[i]}<br>${up.name} ${up.labels[j]}`;
      if (!m.of[j][i]) return `${at}<br>${m.tried[j][i] ? "no result" : "not tried"}`;
      const best = `best ${write(m.best[j][i])}, setting ${m.setting[j][i]}`;
      return m.of[j][i] > 1 ? `${at}<br>${best}<br>middle ${write(m.middle[j][i])} of ${m.of[j][i]}` : `${at}<br>${best}`;
    }));
    const width = node.clientWidth;
    const rowHeight = Math.max(14, Math.min(34, 420 / up.labels.length));
    node.style.height = `${Math.round(130 + rowHeight * up.labels.length)}px`;
    const traces = [{
      type: "heatmap", z, text, x: across.labels.map((_, i) => i), y: up.labels.map((_, i) => i),
      zmin: shade.zmin, zmax: shade.zmax, colorscale: shade.colors, hoverongaps: false,
      hovertemplate: "%{text}<extra></extra>", xgap: 1, ygap: 1,
      colorbar: {
        orientation: "h", x: 0.5, xanchor: "center", y: 1.02, yanchor: "bottom", thickness: 8,
        len: phone() ? 0.8 : 0.4, outlinewidth: 0, nticks: 5, tickformat: ticks,
        tickfont: { size: 11, color: color("soft") },
      },
    }];
    // Two rings, so that one of them stands out on any shade.
    const ring = Math.max(10, Math.min(18, rowHeight * 0.6));
    if (data.best) ["card", "ink"].forEach((paint, i) => traces.push({
      type: "scatter", mode: "markers", hoverinfo: "skip",
      x: [data.best.places[m.x]], y: [data.best.places[m.y]],
      marker: { symbol: "circle-open", size: ring + 4 * (1 - i), color: color(paint), line: { width: i ? 2 : 3 } },
    }));
    const labels = (axisData, room) => {
      const step = Math.max(1, Math.ceil(axisData.labels.length / room));
      const places = axisData.labels.map((_, i) => i).filter((i) => i % step === 0);
      return { tickvals: places, ticktext: places.map((i) => axisData.ticks[i]) };
    };
    const widest = Math.max(...across.ticks.map((tick) => tick.length));
    Plotly.react(node, traces, layout({
      hovermode: "closest", showlegend: false, dragmode: false, margin: { l: 8, r: 8, t: 44, b: 8 },
      xaxis: axis({ title: titled(across.name), showgrid: false, zeroline: false, ticks: "",
        range: [-0.5, across.labels.length - 0.5], fixedrange: true,
        ...labels(across, Math.max(3, Math.floor((width - 80) / (7 * widest + 12)))) }),
      yaxis: axis({ title: titled(up.name), showgrid: false, zeroline: false, ticks: "", ticksuffix: " ",
        range: [-0.5, up.labels.length - 0.5], fixedrange: true, ...labels(up, 30) }),
    }), still());
  };

  const line = (node) => {
    const l = data.line;
    const at = data.best ? l.setting.indexOf(data.best.setting) : -1;
    const traces = [{
      type: "scatter", mode: l.x.length > 300 ? "lines" : "lines+markers", x: l.x, y: l.y,
      text: l.text.map((text, i) => `${text}, setting ${l.setting[i]}`),
      hovertemplate: `%{text}<br>%{y:${format}}<extra></extra>`, connectgaps: false,
      line: { color: color("accent"), width: 1.5 }, marker: { size: 5, color: color("accent") },
    }];
    if (at >= 0) traces.push({
      type: "scatter", mode: "markers", x: [l.x[at]], y: [l.y[at]], hoverinfo: "skip",
      marker: { symbol: "circle-open", size: 14, color: color("ink"), line: { width: 2 } },
    });
    Plotly.react(node, traces, layout({
      hovermode: "closest", showlegend: false, margin: { l: 8, r: 12, t: 10, b: 8 },
      xaxis: axis({ title: titled(l.title), zeroline: false }),
      yaxis: axis({ title: titled(wording), tickformat: ticks }),
    }), config());
  };

  const spread = (node) => {
    const s = data.spread;
    const top = Math.max(...s.counts) * 1.04;
    const mark = (value, name, paint, dash) => ({
      type: "scatter", mode: "lines", x: [value, value], y: [0, top], name: `${name} ${write(value)}`,
      line: { color: paint, width: 2, dash }, hoverinfo: "skip",
    });
    const pad = 0.02 * (s.edges[s.edges.length - 1] - s.edges[0]);
    const reached = [s.edges[0], s.edges[s.edges.length - 1], ...(data.luck === null ? [] : [data.luck])];
    const centers = s.counts.map((_, i) => (s.edges[i] + s.edges[i + 1]) / 2);
    const traces = [{
      type: "bar", x: centers, y: s.counts, width: s.edges.slice(1).map((edge, i) => edge - s.edges[i]),
      text: s.counts.map((_, i) => `${write(s.edges[i])} to ${write(s.edges[i + 1])}`),
      textposition: "none", showlegend: false, hovertemplate: "%{text}<br>%{y} settings<extra></extra>",
      marker: { color: color("neutral"), opacity: 0.55, line: { width: 0.5, color: color("card") } },
    }, mark(s.middle, "middle", color("soft"), "dash")];
    if (data.luck !== null) traces.push(mark(data.luck, "luck", color("contrast"), "dot"));
    if (data.best) traces.push(mark(data.best.value, "best", color("accent"), "solid"));
    Plotly.react(node, traces, layout({
      hovermode: "closest", dragmode: false, margin: { l: 8, r: 12, t: 30, b: 8 }, bargap: 0,
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      xaxis: axis({ title: titled(wording), tickformat: ticks, zeroline: false,
        range: [Math.min(...reached) - pad, Math.max(...reached) + pad] }),
      yaxis: axis({ title: titled("settings"), range: [0, top] }),
    }), still());
  };

  const ranks = (node) => {
    const size = 100 / data.ranks.length;
    const half = data.ranks.length / 2;
    const part = (name, paint, keep) => ({
      type: "bar", name, x: data.ranks.map((_, i) => (i + 0.5) * size), width: size,
      y: data.ranks.map((v, i) => (keep(i) ? v : null)),
      text: data.ranks.map((_, i) => `better than ${i * size} to ${(i + 1) * size} % of settings`),
      textposition: "none", hovertemplate: "%{text}<br>%{y:.1%} of splits<extra></extra>",
      marker: { color: color(paint), opacity: 0.85, line: { width: 0.5, color: color("card") } },
    });
    Plotly.react(node, [
      part("not above the middle", "contrast", (i) => i < half),
      part("above", "accent", (i) => i >= half),
    ], layout({
      hovermode: "closest", dragmode: false, margin: { l: 8, r: 12, t: 30, b: 8 }, bargap: 0, barmode: "overlay",
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
      xaxis: axis({ title: titled("place in the other half: 0 is worst, 100 is best"), range: [0, 100], zeroline: false }),
      yaxis: axis({ title: titled("share of splits"), tickformat: "~%" }),
    }), still());
  };

  if (data.maps.length) place("chart-map", map);
  if (data.line) place("chart-line", line);
  if (data.spread) place("chart-spread", spread);
  if (data.ranks.length) place("chart-ranks", ranks);

  const again = () => map(document.getElementById("chart-map"));
  const picks = ["x", "y"].map((which) => document.getElementById(`pick-${which}`));
  // The two keys stay different: taking the other's key hands it one's own.
  picks.forEach((node, i) => {
    if (!node) return;
    let before = node.value;
    node.addEventListener("focus", () => { before = node.value; });
    node.addEventListener("change", () => {
      const other = picks[1 - i];
      if (other.value === node.value) other.value = before;
      before = node.value;
      again();
    });
  });
  const buttons = [...document.querySelectorAll("[data-show]")];
  buttons.forEach((button) => button.addEventListener("click", () => {
    show = button.dataset.show;
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    again();
  }));
  finish();
