"use strict";
// Charts of the report. No library and no network: data comes from the page itself, texts go in by textContent only.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const tip = document.getElementById("tip");
  const SVG = "http://www.w3.org/2000/svg";
  const el = (name, attributes = {}, parent = null) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (parent) parent.append(node);
    return node;
  };
  const html = (name, text = "", className = "") => {
    const node = document.createElement(name);
    if (text !== "") node.textContent = text;
    if (className) node.className = className;
    return node;
  };
  const number = (value) => {
    const size = Math.abs(value);
    const digits = size >= 100 || Number.isInteger(value) ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };
  const FORMATS = {
    count: number,
    rate: (value) => number(value) + "/s",
    ms: (value) => number(value) + " ms",
    s: (value) => number(value) + " s",
    percent: (value) => number(value) + " %",
    bytes: (value) => number(value) + " MB/s",
  };
  const clock = (second) => {
    const s = Math.abs(second) % 60, m = Math.floor(Math.abs(second) / 60) % 60, h = Math.floor(Math.abs(second) / 3600);
    const two = (value) => String(value).padStart(2, "0");
    return (second < 0 ? "-" : "") + (h ? h + ":" + two(m) : m) + ":" + two(s);
  };
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

  function ticksOf(top, wanted) {
    if (!(top > 0)) return [0, 1];
    const raw = top / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw) * power;
    const ticks = [];
    for (let at = 0; at < top + step * 0.999; at += step) ticks.push(Number(at.toPrecision(12)));
    return ticks;
  }

  // Bands that touch or overlap, as one: two findings of one time are not twice as red.
  function joined(bands) {
    const sorted = bands.map(({ from, to }) => ({ from, to })).sort((a, b) => a.from - b.from), whole = [];
    for (const band of sorted) {
      const last = whole[whole.length - 1];
      if (last && band.from <= last.to + 1) last.to = Math.max(last.to, band.to);
      else whole.push(band);
    }
    return whole;
  }

  // One chart. `view()` gives what to draw: {unit, log, first, width, series: [{name, key, values, dash, area}], bands, marks}.
  class Chart {
    constructor(host, view, group, label) {
      Object.assign(this, { host, view, group, label, hidden: new Set(), at: null });
      group.push(this);
      new ResizeObserver(() => this.draw()).observe(host);
    }

    draw() {
      const width = this.host.clientWidth;
      if (!width) return;
      const shown = this.view(), height = this.host.classList.contains("tall") ? 260 : 200;
      const series = shown.series.filter((one) => !this.hidden.has(one.name));
      this.box = { left: 54, right: width - 8, top: 8, bottom: height - 22 };
      this.shown = shown;
      this.visible = series;
      const svg = el("svg", { viewBox: `0 0 ${width} ${height}`, height, tabindex: 0, role: "img", "aria-label": this.label });
      this.svg = svg;
      const count = Math.max(...shown.series.map((one) => one.values.length), 1);
      this.count = count;
      this.scale(series, shown.log);
      this.axes(svg, shown, width);
      for (const band of joined(shown.bands)) {
        const from = this.x((band.from - shown.first) / shown.width), to = this.x((band.to + 1 - shown.first) / shown.width);
        el("rect", { class: "band", x: from, width: Math.max(to - from, 3), y: this.box.top, height: this.box.bottom - this.box.top }, svg);
      }
      for (const mark of shown.marks) {
        const x = this.x((mark.at - shown.first) / shown.width);
        el("line", { class: "mark", x1: x, x2: x, y1: this.box.top, y2: this.box.bottom }, svg);
      }
      for (const one of series) this.line(svg, one);
      this.cross = el("line", { class: "cross", y1: this.box.top, y2: this.box.bottom, visibility: "hidden" }, svg);
      this.listen(svg);
      this.host.replaceChildren(this.legend(shown), svg);
    }

    scale(series, log) {
      const values = series.flatMap((one) => one.values).filter((value) => value !== null && (!log || value > 0));
      const top = values.reduce((most, value) => Math.max(most, value), 0);
      const { top: y0, bottom: y1 } = this.box;
      if (log && values.length) {
        const least = values.reduce((low, value) => Math.min(low, value), Infinity);
        const from = Math.floor(Math.log10(least)), to = Math.max(Math.ceil(Math.log10(top)), from + 1);
        this.ticks = Array.from({ length: to - from + 1 }, (_, step) => 10 ** (from + step));
        this.y = (value) => y1 - ((Math.log10(Math.max(value, 10 ** from)) - from) / (to - from)) * (y1 - y0);
      } else {
        this.ticks = ticksOf(top, 4);
        const most = this.ticks[this.ticks.length - 1];
        this.y = (value) => y1 - (value / most) * (y1 - y0);
      }
    }

    x(at) {
      const ratio = Math.min(Math.max(at / Math.max(this.count, 1), 0), 1);
      return this.box.left + ratio * (this.box.right - this.box.left);
    }

    axes(svg, shown, width) {
      for (const tick of this.ticks) {
        const y = Math.round(this.y(tick)) + 0.5;
        el("line", { class: "grid", x1: this.box.left, x2: this.box.right, y1: y, y2: y }, svg);
        el("text", { class: "axis", x: this.box.left - 7, y: y + 3.5, "text-anchor": "end" }, svg).textContent = number(tick);
      }
      const span = this.count * shown.width, most = Math.max(Math.floor(width / 75), 2);
      const step = STEPS_S.find((one) => span / one <= most) || Math.ceil(span / most / 86400) * 86400;
      for (let second = Math.ceil(shown.first / step) * step; second <= shown.first + span; second += step) {
        const x = this.x((second - shown.first) / shown.width);
        el("text", { class: "axis", x, y: this.box.bottom + 16, "text-anchor": x > this.box.right - 14 ? "end" : "middle" }, svg).textContent = clock(second);
      }
    }

    line(svg, one) {
      let path = "", area = "", open = null, last = null;
      const close = () => {
        if (open !== null && one.area) area += `L${last} ${this.box.bottom}L${open} ${this.box.bottom}Z`;
        open = null;
      };
      one.values.forEach((value, at) => {
        if (value === null || (this.shown.log && value <= 0)) return close();
        const x = this.x(at + 0.5).toFixed(1), y = this.y(value).toFixed(1);
        // A point between two gaps has no line: it is drawn as a dot.
        const lone = open === null && (one.values[at + 1] === null || one.values[at + 1] === undefined);
        if (lone) el("circle", { class: "dot " + one.key, cx: x, cy: y, r: 3 }, svg);
        path += (open === null ? "M" : "L") + x + " " + y;
        area += (open === null ? "M" : "L") + x + " " + y;
        if (open === null) open = x;
        last = x;
      });
      close();
      if (one.area) el("path", { class: "area " + one.key, d: area }, svg);
      el("path", { class: "s " + one.key + (one.dash ? " dash" : ""), d: path }, svg);
    }

    legend(shown) {
      const legend = html("div", "", "legend");
      for (const one of shown.series) {
        const button = html("button");
        button.type = "button";
        button.append(html("i", "", one.key), one.name);
        button.setAttribute("aria-pressed", String(!this.hidden.has(one.name)));
        button.addEventListener("click", () => {
          if (!this.hidden.delete(one.name)) this.hidden.add(one.name);
          this.draw();
        });
        legend.append(button);
      }
      legend.append(html("span", shown.title, "unit"));
      return legend;
    }

    listen(svg) {
      const move = (event) => {
        const ratio = (event.clientX - svg.getBoundingClientRect().left - this.box.left) / (this.box.right - this.box.left);
        const at = Math.floor(ratio * this.count);
        if (at < 0 || at >= this.count) return this.leave();
        this.point(at, event.clientX, event.clientY);
      };
      svg.addEventListener("pointermove", move);
      svg.addEventListener("pointerdown", move);
      svg.addEventListener("pointerleave", () => this.leave());
      svg.addEventListener("blur", () => this.leave());
      svg.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
        if (by === undefined) return;
        event.preventDefault();
        const at = Math.min(Math.max((this.at === null ? 0 : this.at) + by, 0), this.count - 1);
        const place = svg.getBoundingClientRect();
        this.point(at, place.left + this.x(at + 0.5), place.top + 30);
      });
    }

    // Show a window here with its figures, and where the same time is in the other charts of the run.
    point(at, clientX, clientY) {
      this.at = at;
      const begin = this.shown.first + at * this.shown.width, end = begin + this.shown.width;
      for (const chart of this.group) chart.follow((begin + end) / 2);
      tip.replaceChildren(html("b", this.shown.width > 1 ? clock(begin) + " – " + clock(end) : clock(begin)));
      for (const one of this.visible) {
        const row = html("div"), value = one.values[at];
        row.append(html("i", "", one.key), one.name, html("em", value === null || value === undefined ? "–" : FORMATS[this.shown.unit](value)));
        tip.append(row);
      }
      for (const band of this.shown.bands) if (band.from < end && band.to >= begin) tip.append(html("p", band.text));
      for (const mark of this.shown.marks) if (mark.at < end && mark.at >= begin) tip.append(html("p", mark.text));
      tip.hidden = false;
      const { width, height } = tip.getBoundingClientRect();
      tip.style.left = Math.max(clientX + 16 + width > innerWidth ? clientX - width - 16 : clientX + 16, 4) + "px";
      tip.style.top = Math.max(Math.min(clientY - height / 2, innerHeight - height - 8), 8) + "px";
    }

    follow(second) {
      if (!this.cross) return;
      const x = this.x((second - this.shown.first) / this.shown.width);
      this.cross.setAttribute("x1", x);
      this.cross.setAttribute("x2", x);
      this.cross.setAttribute("visibility", "visible");
    }

    leave() {
      this.at = null;
      tip.hidden = true;
      for (const chart of this.group) if (chart.cross) chart.cross.setAttribute("visibility", "hidden");
    }
  }

  // Counts of windows as rates; the last window ends with the load.
  function rates(run, counts) {
    const { width, load_s: load } = run, last = counts.length - 1;
    return counts.map((count, at) => {
      const lasted = at === last ? Math.min(Math.max(load - (run.first + at * width), width / 2), width) : width;
      return count / lasted;
    });
  }

  const HOST_VIEWS = [
    ["core", "busiest core", "percent", 0.1], ["cpu", "all cores", "percent", 0.1], ["stall", "longest stall of an event loop", "ms", 0.001],
    ["run_queue", "share of a second runnable without a core", "percent", 0.1], ["lag", "worst lag of an iteration", "ms", 0.001],
    ["memory", "memory in use", "percent", 0.1], ["steal", "stolen by the hypervisor", "percent", 0.1],
    ["sent", "sent", "bytes", null], ["received", "received", "bytes", null], // null: a count in each window
  ];

  for (const article of document.querySelectorAll("article.run")) {
    const run = data[Number(article.dataset.run)], group = [];
    const common = { first: run.first, width: run.width, bands: run.bands, marks: run.marks, log: false };
    const host = (name) => article.querySelector(`[data-chart=${name}]`);

    const load = [
      { name: "started", key: "k1", values: rates(run, run.started) }, { name: "ended", key: "k4", values: rates(run, run.ended) },
      { name: "failed", key: "kbad", values: rates(run, run.failed), area: true },
    ];
    if (run.dropped.some((count) => count)) load.push({ name: "dropped", key: "k6", values: rates(run, run.dropped), area: true });
    // Last, so that it lies dashed upon what was started: both are one line where the schedule was kept.
    if (run.asked) load.push({ name: "asked", key: "kgrey", values: rates(run, run.asked), dash: true });
    new Chart(host("rate"), () => ({ ...common, unit: "rate", title: "iterations per second", series: load }), group, "Rate of iterations over time");
    const flight = [{ name: "in flight", key: "k5", values: run.in_flight, area: true }];
    new Chart(host("in_flight"), () => ({ ...common, unit: "count", title: "iterations at once", series: flight }), group, "Iterations in flight over time");

    const pick = article.querySelector("[data-pick=latency]"), log = article.querySelector("[data-log=latency]");
    run.latencies.forEach((one, at) => {
      const option = html("option", one.name);
      option.value = at;
      pick.append(option);
    });
    const latency = new Chart(host("latency"), () => {
      const one = run.latencies[Number(pick.value || 0)] || { p50: [], p95: [], p99: [] };
      // From ten seconds on, milliseconds have too many digits to be read.
      const most = one.p99.reduce((top, value) => Math.max(top, value || 0), 0), isLong = most >= 1e7;
      const scaled = (values) => values.map((value) => (value === null ? null : value / (isLong ? 1e6 : 1e3)));
      const series = [
        { name: "99%ile", key: "k3", values: scaled(one.p99) }, { name: "95%ile", key: "k2", values: scaled(one.p95) },
        { name: "median", key: "k1", values: scaled(one.p50) },
      ];
      return { ...common, unit: isLong ? "s" : "ms", title: isLong ? "seconds" : "milliseconds", log: log.checked, series };
    }, group, "Latency percentiles over time");
    pick.addEventListener("change", () => latency.draw());
    log.addEventListener("change", () => latency.draw());

    if (!host("hosts")) continue;
    const what = article.querySelector("[data-pick=hosts]");
    for (const [key, name] of HOST_VIEWS) {
      const option = html("option", name);
      option.value = key;
      what.append(option);
    }
    what.value = "stall";
    const hosts = new Chart(host("hosts"), () => {
      const [key, name, unit, factor] = HOST_VIEWS.find((one) => one[0] === what.value);
      const scale = factor === null ? 1e-6 / run.host_width : factor;
      const series = run.hosts.map((one, at) => ({
        name: one.agent, key: "k" + ((at % 6) + 1), dash: at % 12 > 5, values: one[key].map((value) => (value === null ? null : value * scale)),
      }));
      return { ...common, first: run.host_first, width: run.host_width, unit, title: { ms: "ms", percent: "%", bytes: "MB/s" }[unit], series };
    }, group, "Load hosts over time");
    what.addEventListener("change", () => hosts.draw());
  }
  document.documentElement.dataset.drawn = "yes";
})();
