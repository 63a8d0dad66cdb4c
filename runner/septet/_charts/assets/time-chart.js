"use strict";
// A chart over time in one element: candles, lines, columns and marks in panes, from JSON data.
// It needs lightweight-charts and the markup of septet._charts.time_chart; docs: architecture.md.
globalThis.septetTimeChart = (() => {
  const MOST_BARS = 5000;
  const MOST_MARKS = 600;
  const TABLE_ROWS = 200;

  // ------------------------------------------------------------------ packed columns

  const inflated = async (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  // Bytes come as four planes, the lowest bytes of all values first: they compress better so.
  const column = async (packed) => {
    if (Array.isArray(packed)) return packed.slice();
    const planes = await inflated(packed.data);
    const count = planes.length / 4;
    const raw = new DataView(new ArrayBuffer(planes.length));
    for (let i = 0; i < count; i += 1)
      for (let k = 0; k < 4; k += 1) raw.setUint8(4 * i + k, planes[k * count + i]);
    const out = new Float64Array(count);
    let sum = 0;
    for (let i = 0; i < count; i += 1) {
      if (packed.kind === "float") out[i] = raw.getFloat32(4 * i, true);
      else out[i] = (sum += raw.getInt32(4 * i, true)) / packed.scale;
    }
    return out;
  };

  const levelOf = async (level) => {
    const names = Object.keys(level.columns);
    const lists = await Promise.all(names.map((name) => column(level.columns[name])));
    return { step: level.step, ...Object.fromEntries(names.map((name, i) => [name, lists[i]])) };
  };

  // The first place whose time is after `time`, less one: the bar that `time` falls into.
  const placeOf = (times, time) => {
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  };

  // ------------------------------------------------------------------ words and colours

  const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);
  const figure = (value, unit) => {
    if (!known(value)) return "n/a";
    if (unit === "%") return `${(100 * value).toFixed(1)} %`;
    const size = Math.abs(value);
    const digits = size >= 1000 ? 2 : size >= 1 ? 4 : 8;
    return Number(value.toPrecision(Math.max(7, digits))).toLocaleString("en", { maximumFractionDigits: digits });
  };
  const moment = (time) => new Date(1000 * time).toISOString().slice(0, 16).replace("T", " ");

  const painter = (node) => {
    const probe = node.ownerDocument.createElement("i");
    probe.hidden = true;
    node.append(probe);
    return (name, share = 1) => {
      probe.style.color = `var(--${name}, currentColor)`;
      const [r, g, b] = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
      return `rgba(${r}, ${g}, ${b}, ${share})`;
    };
  };

  const MARKS = {
    long: { shape: "arrowUp", position: "belowBar", paint: "accent" },
    short: { shape: "arrowDown", position: "aboveBar", paint: "accent" },
    "more-long": { shape: "arrowUp", position: "belowBar", paint: "accent" },
    "more-short": { shape: "arrowDown", position: "aboveBar", paint: "accent" },
    less: { shape: "circle", position: "inBar", paint: "accent" },
    gain: { shape: "circle", position: "aboveBar", paint: "contrast" },
    loss: { shape: "square", position: "aboveBar", paint: "contrast" },
    halt: { shape: "square", position: "aboveBar", paint: "bad", text: "halt" },
  };

  // ------------------------------------------------------------------ one chart

  class TimeChart {
    constructor(figureNode, data, levels) {
      Object.assign(this, { figure: figureNode, data, levels });
      this.canvas = figureNode.querySelector("[data-canvas]");
      this.status = figureNode.querySelector("[role=status]");
      this.legend = figureNode.querySelector("[data-legend]");
      this.table = figureNode.querySelector("[data-rows]");
      this.color = painter(figureNode);
      this.marks = [...(data.marks || [])].sort((a, b) => a.t - b.t);
      this.rows = levels[0].t.length;
      this.canvas.replaceChildren();
      figureNode.querySelectorAll(".moves, [data-rows]").forEach((each) => { each.hidden = false; });
      this.chart = LightweightCharts.createChart(this.canvas, {
        width: this.canvas.clientWidth, height: this.canvas.clientHeight, autoSize: true,
        layout: { attributionLogo: data.logo !== false },
      });
      this.makeSeries();
      this.paint();
      this.listen();
      this.showAll();
    }

    // -------------------------------------------------------------- series and colours

    makeSeries() {
      const kinds = {
        candles: LightweightCharts.CandlestickSeries,
        line: LightweightCharts.LineSeries,
        area: LightweightCharts.BaselineSeries,
        columns: LightweightCharts.HistogramSeries,
      };
      this.series = [];
      this.data.panes.forEach((pane, place) => pane.series.forEach((each) => {
        const made = this.chart.addSeries(kinds[each.kind],
          each.overlay ? { priceScaleId: `overlay-${each.column}` } : {}, place);
        this.series.push({ ...each, pane: place, unit: each.unit ?? pane.unit ?? "", made });
      }));
      this.data.panes.forEach((pane, place) =>
        this.chart.panes()[place].setStretchFactor(pane.share || 1));
      this.first = this.series[0];
      this.rule(this.data.lines || []);
      this.pins = LightweightCharts.createSeriesMarkers(this.first.made, []);
    }

    paint() {
      const color = this.color;
      this.chart.applyOptions({
        layout: {
          attributionLogo: this.data.logo !== false, background: { type: "solid", color: "rgba(0, 0, 0, 0)" },
          textColor: color("soft"), fontSize: 11,
          fontFamily: getComputedStyle(this.figure).fontFamily,
          panes: { separatorColor: color("line"), separatorHoverColor: color("line"), enableResize: true },
        },
        grid: { vertLines: { visible: false }, horzLines: { color: color("grid") } },
        rightPriceScale: { borderVisible: false, minimumWidth: 64, entireTextOnly: true },
        timeScale: {
          lockVisibleTimeRangeOnResize: true,
          borderColor: color("line"), timeVisible: true, secondsVisible: false, minBarSpacing: 0.05,
          rightOffset: 0, fixLeftEdge: false, fixRightEdge: false,
        },
        crosshair: { mode: 0, vertLine: { color: color("neutral"), labelBackgroundColor: color("neutral") },
          horzLine: { color: color("neutral"), labelBackgroundColor: color("neutral") } },
        handleScroll: { vertTouchDrag: false, mouseWheel: false },
        handleScale: { mouseWheel: false, pinch: true },
      });
      this.series.forEach((each) => each.made.applyOptions(this.look(each)));
    }

    look(each) {
      const color = this.color;
      const paint = each.color || "accent";
      const isPrice = each.kind === "candles";  // none is below zero, and the margin of its axis may be
      const format = { type: "custom", minMove: 1e-9,
        formatter: (v) => (isPrice && v < 0 ? "" : figure(v, each.unit)) };
      const plain = { priceFormat: format, lastValueVisible: false, priceLineVisible: false };
      if (each.kind === "candles") return {
        ...plain, borderUpColor: color("candle"), borderDownColor: color("candle"),
        wickUpColor: color("candle"), wickDownColor: color("candle"),
        upColor: color("card"), downColor: color("candle"),
      };
      if (each.kind === "columns") {
        if (each.overlay) each.made.priceScale().applyOptions({ scaleMargins: { top: 0.82, bottom: 0 } });
        return { ...plain, color: color(each.color || "neutral", 0.35), base: 0 };
      }
      const line = { lineWidth: each.thin ? 1 : 2, lineStyle: each.dash ? 2 : 0,
        lineType: each.steps ? 1 : 0, crosshairMarkerRadius: 3 };
      if (each.kind === "area") each.made.priceScale().applyOptions({ scaleMargins: { top: 0.16, bottom: 0.2 } });
      if (each.kind === "area") return {
        ...plain, ...line, lineWidth: 1, baseValue: { type: "price", price: 0 },
        topLineColor: color(paint), bottomLineColor: color(paint),
        topFillColor1: color(paint, 0.2), topFillColor2: color(paint, 0.2),
        bottomFillColor1: color(paint, 0.2), bottomFillColor2: color(paint, 0.2),
      };
      return { ...plain, ...line, color: color(paint) };
    }

    // -------------------------------------------------------------- what the chart holds

    // Places are counted in bars of the finest level: [from, to) of `this.rows`.
    show(from, to) {
      const width = Math.min(Math.max(to - from, 10), this.rows * 1.1);
      const middle = Math.min(Math.max((from + to) / 2, 0), this.rows);
      this.place([middle - width / 2, middle + width / 2], true);
    }

    showAll() {
      const span = this.data.span;
      const [from, to] = span ? span.map((time) => placeOf(this.levels[0].t, time)) : [0, this.rows];
      this.show(from - 0.01 * (to - from), to + 0.01 * (to - from));
    }

    levelFor(width) {
      const most = MOST_BARS / 3;
      return this.levels.find((level) => width / level.step <= most) || this.levels[this.levels.length - 1];
    }

    place([from, to], move) {
      this.range = [from, to];
      const width = to - from;
      const level = this.levelFor(width);
      const half = (MOST_BARS * level.step) / 2;
      const middle = (from + to) / 2;
      const low = Math.max(0, Math.floor((middle - half) / level.step));
      const high = Math.min(level.t.length, low + MOST_BARS);
      const held = this.held;
      const near = held && held.level === level
        && (held.low === 0 || from / level.step > held.low + 0.1 * MOST_BARS)
        && (held.high === level.t.length || to / level.step < held.high - 0.1 * MOST_BARS);
      this.busy = true;
      if (!near) {
        this.held = { level, low: Math.max(0, Math.min(low, level.t.length - MOST_BARS)), high };
        this.fill();
      }
      if (move || !near) {
        const { low: start } = this.held;
        this.chart.timeScale().setVisibleLogicalRange({
          from: from / level.step - start, to: to / level.step - start,
        });
        this.ignore();
      } else this.busy = false;
      this.announce();
    }

    // The library reports new data and a new range frames later, the old range among them.
    ignore() {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => {
        this.frame = requestAnimationFrame(() => { this.busy = false; });
      });
    }

    fill() {
      const { level, low, high } = this.held;
      const times = level.t;
      this.series.forEach((each) => {
        const out = [];
        let last; // the library draws a line across what is unknown: there it is made invisible
        // A step has the colour of the point it leads to: the invisible ones lie at the next value.
        const ahead = each.steps ? new Array(high - low) : [];
        for (let i = high - 1, next; each.steps && i >= low; i -= 1) {
          if (known(level[each.column][i])) next = level[each.column][i];
          ahead[i - low] = next;
        }
        for (let i = low; i < high; i += 1) {
          if (each.kind === "candles") out.push({ time: times[i], open: level.open[i], high: level.high[i],
            low: level.low[i], close: level.close[i] });
          else {
            const value = level[each.column][i];
            if (known(value)) { out.push({ time: times[i], value }); last = value; }
            else if (each.kind === "line" && last !== undefined)
              out.push({ time: times[i], value: ahead[i - low] ?? last, color: "rgba(0, 0, 0, 0)" });
            else out.push({ time: times[i] });
          }
        }
        each.made.setData(out);
      });
      this.pin();
    }

    pin() {
      const { level, low, high } = this.held;
      if (high <= low) return;
      const from = level.t[low];
      const to = high < level.t.length ? level.t[high] : Infinity;
      const here = this.marks.filter((mark) => mark.t >= from && mark.t < to);
      // Of many trades some are drawn whole, entry and exit, the same ones wherever the chart moves;
      // whatever belongs to no trade, such as a halt, always.
      const single = here.filter((mark) => mark.trade === undefined).length;
      const every = Math.max(1, Math.ceil((here.length - single) / MOST_MARKS));
      const drawn = here.filter((mark) => mark.trade === undefined || mark.trade % every === 0);
      this.pins.setMarkers(drawn.map((mark) => {
        const look = MARKS[mark.kind] || MARKS.halt;
        return { time: level.t[placeOf(level.t, mark.t)], shape: look.shape, position: look.position,
          color: this.color(look.paint), text: look.text || "", size: here.length > 200 ? 0.5 : 1 };
      }));
      this.thinned = every > 1 ? `${drawn.length} of ${here.length} marks are drawn, of whole trades.` : "";
    }

    // -------------------------------------------------------------- moves

    listen() {
      this.gone = new AbortController();
      const { signal } = this.gone;
      this.chart.timeScale().subscribeVisibleLogicalRangeChange((seen) => {
        if (!seen || this.busy || !this.held) return;
        const { level, low } = this.held;
        const range = [(seen.from + low) * level.step, (seen.to + low) * level.step];
        if (this.range && Math.abs(range[0] - this.range[0]) + Math.abs(range[1] - this.range[1]) < 1e-6) return;
        this.place(range, false);
      });
      this.chart.subscribeCrosshairMove((event) => this.hover(event));
      this.figure.querySelectorAll("[data-move]").forEach((button) =>
        button.addEventListener("click", () => this.move(button.dataset.move), { signal }));
      const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all",
        Home: "start", End: "end", n: "next", p: "previous" };
      this.canvas.addEventListener("keydown", (event) => {
        const name = keys[event.key];
        if (!name || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        this.move(name);
      }, { signal });
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
        this.paint();
        this.pin();
      }, { signal });
      if (this.table) this.table.addEventListener("toggle", () => this.tabulate(), { signal });
    }

    move(name) {
      const [from, to] = this.range;
      const width = to - from;
      const middle = (from + to) / 2;
      if (name === "left") this.show(from - 0.5 * width, to - 0.5 * width);
      else if (name === "right") this.show(from + 0.5 * width, to + 0.5 * width);
      else if (name === "in") this.show(middle - width / 4, middle + width / 4);
      else if (name === "out") this.show(middle - width, middle + width);
      else if (name === "start") this.show(0, width);
      else if (name === "end") this.show(this.rows - width, this.rows);
      else if (name === "next" || name === "previous") this.walk(name === "next" ? 1 : -1);
      else { this.at = undefined; this.showAll(); }
    }

    walk(by) {
      const entries = this.marks.filter((mark) => mark.kind !== "halt");
      if (!entries.length) { this.status.textContent = "There are no trades."; return; }
      const next = this.at === undefined ? (by > 0 ? 0 : entries.length - 1) : this.at + by;
      this.at = Math.min(Math.max(next, 0), entries.length - 1);
      const place = placeOf(this.levels[0].t, entries[this.at].t);
      const width = Math.min(this.range[1] - this.range[0], 200);
      this.show(place - width / 2, place + width / 2);
      this.status.textContent = `${this.at + 1} of ${entries.length}: ${moment(entries[this.at].t)}, ${entries[this.at].text}`;
    }

    // -------------------------------------------------------------- words

    shown() {
      const { level, low, high } = this.held;
      const from = Math.max(low, Math.ceil(this.range[0] / level.step));
      const to = Math.min(high, Math.ceil(this.range[1] / level.step));
      return [from, Math.max(to, from)];
    }

    announce() {
      clearTimeout(this.later);
      this.later = setTimeout(() => {
        const [from, to] = this.shown();
        const { level } = this.held;
        if (to <= from) return;
        const each = level.step * (this.data.joined || 1);
        const joined = each > 1 ? ` Each joins ${each} bars.` : "";
        const what = this.first.kind === "candles" ? "candles" : "points";
        this.words(`${(to - from).toLocaleString("en")} ${what}, ${moment(level.t[from])} to ${moment(level.t[to - 1])} UTC.${joined} ${this.thinned || ""}`);
        if (this.table && this.table.open) this.tabulate();
      }, 150);
    }

    words(text) {
      const note = this.figure.querySelector("[data-note]");
      if (note) note.textContent = text.trim();
    }

    hover(event) {
      if (!this.legend) return;
      const { level, low } = this.held;
      const at = event.logical === undefined || event.logical === null ? -1 : Math.round(event.logical) + low;
      if (at < 0 || at >= level.t.length) { this.legend.textContent = ""; return; }
      this.legend.textContent = [`${moment(level.t[at])} UTC`, ...this.cells(at).map(([name, text]) => `${name} ${text}`)].join("   ");
    }

    cells(at) {
      const { level } = this.held;
      return this.series.flatMap((each) => each.kind === "candles"
        ? ["open", "high", "low", "close"].map((name) => [name, figure(level[name][at], each.unit)])
        : [[each.name, figure(level[each.column][at], each.unit)]]);
    }

    tabulate() {
      if (!this.table.open) return;
      const make = (tag, text, numeric) => {
        const cell = document.createElement(tag);
        cell.textContent = text;
        if (numeric) cell.className = "n";
        if (tag === "th") cell.scope = "col";
        return cell;
      };
      const [from, to] = this.shown();
      const end = Math.min(to, from + TABLE_ROWS);
      const head = document.createElement("tr");
      const body = document.createElement("tbody");
      for (let i = from; i < end; i += 1) {
        const row = document.createElement("tr");
        const cells = this.cells(i);
        if (i === from) head.append(make("th", "Time (UTC)"), ...cells.map(([name]) => make("th", name, true)));
        row.append(make("td", moment(this.held.level.t[i])), ...cells.map(([, text]) => make("td", text, true)));
        body.append(row);
      }
      const table = document.createElement("table");
      const top = document.createElement("thead");
      top.append(head);
      table.append(top, body);
      const more = to - end;
      const note = document.createElement("p");
      note.className = "note";
      note.textContent = more > 0 ? `and ${more.toLocaleString("en")} more rows; zoom in to see them` : "";
      this.table.querySelector("[data-table]").replaceChildren(table, note);
    }

    // -------------------------------------------------------------- a live chart

    // One row of the finest level, by column name: a later time is added, the last time replaced.
    append(row) {
      const finest = this.levels[0];
      const at = finest.t.length - 1;
      const place = at >= 0 && finest.t[at] === row.t ? at : at + 1;
      if (at >= 0 && row.t < finest.t[at]) return;
      Object.keys(finest).forEach((name) => {
        if (name === "step") return;
        if (!Array.isArray(finest[name])) finest[name] = Array.from(finest[name]);
        finest[name][place] = row[name] ?? null;
      });
      this.levels = [finest];
      const follows = this.range[1] >= this.rows - 1;
      const grown = place + 1 - this.rows;
      this.rows = place + 1;
      this.held = undefined;
      const by = follows ? grown : 0;
      this.place([this.range[0] + by, this.range[1] + by], true);
    }

    // Prices of what rests at the venue, across the whole width: { price, text }.
    rule(lines) {
      (this.ruled || []).forEach((line) => this.first.made.removePriceLine(line));
      this.ruled = lines.map((line) => this.first.made.createPriceLine({ price: line.price, title: line.text,
        color: this.color("neutral"), lineWidth: 1, lineStyle: 1, axisLabelVisible: true }));
    }

    setMarks(marks) {
      this.marks = [...marks].sort((a, b) => a.t - b.t);
      this.pin();
    }

    addMark(mark) {
      this.marks.push(mark);
      this.marks.sort((a, b) => a.t - b.t);
      this.pin();
    }

    remove() {
      this.gone.abort();
      clearTimeout(this.later);
      this.chart.remove();
    }
  }

  // Draws into a figure that septet._charts.time_chart wrote; the still inside gives way.
  return async (figureNode, data) => {
    const levels = await Promise.all(data.levels.map(levelOf));
    return new TimeChart(figureNode, data, levels);
  };
})();
