// The interactive part of report.html. It reads the figures embedded in the page, draws them with uPlot, on canvases and as
// SVG, and changes nothing else: without it the page shows the same charts as pictures. It asks no network and keeps nothing
// but the theme.
"use strict";
(() => {
  const source = document.getElementById("data");
  if (!source || typeof uPlot === "undefined") return;
  const data = JSON.parse(source.textContent);
  const root = document.documentElement;
  root.classList.add("scripted");

  // ---- small things ----

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "class") element.className = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const svg = (tag, attributes = {}, ...children) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const tone = (variant) => data.tones[variant % data.tones.length][dark() ? 1 : 0];
  const narrow = () => innerWidth < 600;

  const digits = (value, significant) => {
    if (value === 0) return "0";
    const decimals = Math.max(0, significant - 1 - Math.floor(Math.log10(Math.abs(value)) + 1e-9));
    return value.toFixed(Math.min(decimals, 12));
  };
  const trimmed = (value, decimals) => String(Number(value.toFixed(decimals)));
  const unit = (seconds) =>
    seconds === 0 || seconds >= 1 ? [1, "s"] : seconds >= 1e-3 ? [1e3, "ms"] : seconds >= 1e-6 ? [1e6, "µs"] : [1e9, "ns"];
  const duration = (seconds) => {
    const [scale, name] = unit(seconds * (1 + 1e-9));
    return digits(seconds * scale, 3) + " " + name;
  };
  const tickDuration = (seconds) => {
    const [scale, name] = unit(seconds * (1 + 1e-9));
    return trimmed(seconds * scale, 3) + " " + name;
  };
  const percent = (share) => {
    const distance = Math.min(share, 1 - share) * 100;
    const decimals = distance > 0 ? Math.min(5, Math.max(0, 1 - Math.floor(Math.log10(distance)))) : 0;
    return trimmed(share * 100, decimals) + " %";
  };
  const moment = (seconds) =>
    data.duration > 600 ? trimmed(seconds / 60, 2) + " min" : trimmed(seconds, 3) + " s";
  const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];
  const timeTicks = (min, max, count) => {
    let step = TIMES.find((step) => max - min <= step * count);
    if (!step || max - min <= 4) {
      const rough = (max - min) / count, decade = 10 ** Math.floor(Math.log10(rough));
      step = [1, 2, 5, 10].find((factor) => factor * decade >= rough * 0.999) * decade;
    }
    const ticks = [];
    for (let tick = Math.ceil(min / step - 1e-9); tick * step <= max + 1e-9 * step; tick++) ticks.push(Number((tick * step).toPrecision(12)));
    return ticks;
  };
  const timeNames = (ticks) => {
    const inMinutes = data.duration > 600 && ticks.every((tick) => tick % 60 === 0);
    return ticks.map((tick) => (inMinutes ? tick / 60 + " min" : trimmed(tick, 6) + " s"));
  };

  // ---- which variants are shown ----

  const shown = data.variants.map(() => true);
  const watchers = [];
  const redraw = () => watchers.forEach((watcher) => watcher());

  const path = (variant, r) => {
    const n = 0.45 * r, w = 1.35 * r;
    return [
      null,
      [[-r, -r], [r, -r], [r, r], [-r, r]],
      [[0, -1.3 * r], [1.25 * r, r], [-1.25 * r, r]],
      [[0, -1.4 * r], [1.4 * r, 0], [0, 1.4 * r], [-1.4 * r, 0]],
      [[0, 1.3 * r], [1.25 * r, -r], [-1.25 * r, -r]],
      [[-n, -w], [n, -w], [n, -n], [w, -n], [w, n], [n, n], [n, w], [-n, w], [-n, n], [-w, n], [-w, -n], [-n, -n]],
    ][variant % 6];
  };
  const marker = (context, x, y, variant, r) => {
    const outline = path(variant, r);
    context.beginPath();
    if (!outline) context.arc(x, y, r, 0, 2 * Math.PI);
    else {
      outline.forEach(([dx, dy]) => context.lineTo(x + dx, y + dy));
      context.closePath();
    }
    context.fill();
  };
  const swatch = (variant) => {
    const outline = path(variant, 4.2);
    const shape = outline
      ? svg("polygon", { points: outline.map(([x, y]) => x + 13 + "," + (y + 8)).join(" ") })
      : svg("circle", { cx: 13, cy: 8, r: 4.2 });
    const line = svg("line", { x1: 1, y1: 8, x2: 25, y2: 8, "stroke-width": 2.4 });
    const paint = () => {
      line.setAttribute("stroke", tone(variant));
      shape.setAttribute("fill", tone(variant));
    };
    paint();
    watchers.push(paint);
    return svg("svg", { width: 26, height: 16, viewBox: "0 0 26 16", "aria-hidden": "true", class: "swatch" }, line, shape);
  };

  const bar = document.getElementById("variants");
  if (bar && data.variants.length > 1) {
    const boxes = data.variants.map((name, variant) => {
      const box = make("input", {
        type: "checkbox",
        checked: true,
        onchange: () => {
          shown[variant] = box.checked;
          redraw();
        },
      });
      bar.append(make("label", { class: "variant" }, box, swatch(variant), make("span", {}, name)));
      return box;
    });
    const all = make("button", {
      type: "button",
      onclick: () => {
        const every = shown.every(Boolean);
        boxes.forEach((box, variant) => (shown[variant] = box.checked = !every || variant === data.best));
        redraw();
      },
    });
    const name = () => (all.textContent = shown.every(Boolean) ? "only the best" : "all");
    watchers.push(name);
    name();
    bar.append(all);
    bar.hidden = false;
  }

  // ---- theme ----

  const themes = document.getElementById("theme");
  const remember = (theme) => {
    try {
      if (theme === undefined) return localStorage.getItem("meshsim-theme");
      localStorage.setItem("meshsim-theme", theme);
    } catch {
      // A page from a file may not be allowed to keep anything.
    }
    return null;
  };
  const setTheme = (theme) => {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    themes?.setAttribute("aria-pressed", String(dark()));
    redraw();
  };
  const intervals = document.getElementById("intervals");
  intervals?.addEventListener("click", () => {
    intervals.setAttribute("aria-pressed", String(root.classList.toggle("telling")));
  });
  if (themes) {
    document.getElementById("view").hidden = false;
    themes.addEventListener("click", () => {
      const theme = dark() ? "light" : "dark";
      setTheme(theme);
      remember(theme);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme());
  }

  // ---- what charts have in common ----

  // A row of buttons of which one is pressed.
  const choice = (name, options, chosen, choose) => {
    const group = make("div", { class: "choice", role: "group", "aria-label": name });
    const buttons = options.map(([key, label]) =>
      make("button", {
        type: "button",
        "aria-pressed": String(key === chosen),
        onclick: () => {
          buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(options[index][0] === key)));
          choose(key);
        },
      }, label));
    group.append(...buttons);
    return group;
  };

  // A table that is made when it is first opened.
  const tableOf = (words, header, rows) => {
    const details = make("details", { class: "figures" }, make("summary", {}, words));
    const fill = () => {
      details.querySelector(".wide")?.remove();
      const head = make("tr", {}, ...header().map((cell) => make("th", { scope: "col" }, cell)));
      const body = rows().map((row) =>
        make("tr", {}, ...row.map((cell, column) =>
          column === 0 ? make("th", { scope: "row" }, cell) : make("td", {}, cell))));
      const table = make("table", {}, make("caption", {}, words), make("thead", {}, head), make("tbody", {}, ...body));
      details.append(make("div", { class: "wide tall", tabindex: "0", role: "region", "aria-label": words }, table));
    };
    details.addEventListener("toggle", () => details.open && fill());
    return { details, refresh: () => details.open && fill() };
  };

  const title = (figure) => figure.querySelector(".title").textContent;

  // Puts something live in the place of a picture.
  const live = (figure, ...children) => {
    const place = make("div", { class: "live" }, ...children);
    figure.querySelector(".static").after(place);
    figure.classList.add("is-live");
    return place;
  };

  const logTicks = (min, max) => {
    const ticks = [];
    for (let decade = Math.floor(Math.log10(min)); decade <= Math.ceil(Math.log10(max)); decade++)
      for (const factor of max / min < 10 ? [1, 1.5, 2, 3, 5, 7] : max / min < 3e3 ? [1, 2, 5] : [1]) {
        const tick = factor * 10 ** decade;
        if (tick >= min && tick <= max) ticks.push(Number(tick.toPrecision(2)));
      }
    return ticks;
  };

  // What names of variants take at the ends of their curves, where there is room for them.
  const ruler = document.createElement("canvas").getContext("2d");
  const NAMES = "12px system-ui, sans-serif";
  const fitted = (context, text, room) => {
    let short = text;
    while (short.length > 2 && context.measureText(short).width > room) short = short.slice(0, -2) + "…";
    return short;
  };
  const nameRoom = (u, ids) => {
    if (ids.length < 2 || u.width < 700) return 0;
    ruler.font = NAMES;
    return Math.min(150, Math.max(...ids.map((variant) => ruler.measureText(data.variants[variant]).width)) + 20);
  };
  // The names at the ends of the curves, pushed apart where they would lie upon each other.
  const nameCurves = (u, ids, offset) => {
    const room = nameRoom(u, ids), ratio = devicePixelRatio || 1, { left, top, width, height } = u.bbox;
    if (!room) return;
    const ends = [];
    ids.forEach((variant, index) => {
      const ys = u.data[offset + index + 1];
      let last = ys.length - 1;
      while (last >= 0 && (ys[last] == null || u.data[0][last] > u.scales.x.max)) last--;
      if (last >= 0 && u.data[0][last] >= u.scales.x.min) ends.push({ variant, y: u.valToPos(ys[last], "y", true) });
    });
    ends.sort((a, b) => a.y - b.y);
    const high = 14 * ratio;
    ends.forEach((end, index) => (end.y = Math.max(end.y, index ? ends[index - 1].y + high : top + high / 2)));
    for (let index = ends.length - 1, most = top + height - high / 2; index >= 0; index--, most -= high) ends[index].y = Math.min(ends[index].y, most);
    const { ctx } = u;
    ctx.save();
    ctx.font = 12 * ratio + "px system-ui, sans-serif";
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const { variant, y } of ends) {
      ctx.fillStyle = tone(variant);
      ctx.fillText(fitted(ctx, data.variants[variant], (room - 10) * ratio), left + width + 6 * ratio, y);
    }
    ctx.restore();
  };

  // Faults and warm-up behind the curves, markers on them, names at their ends.
  const decorations = (withSpans, ids, offset) => ({
    hooks: {
      drawClear: (u) => {
        const { ctx } = u, { left, top, width, height } = u.bbox;
        if (!withSpans) return;
        ctx.save();
        ctx.beginPath();
        ctx.rect(left, top, width, height);
        ctx.clip();
        for (const span of data.spans) {
          const from = u.valToPos(span.from, "x", true), to = u.valToPos(span.to, "x", true);
          ctx.fillStyle = css(span.fault ? "--fault" : "--warmup");
          ctx.fillRect(from, top, Math.max(to - from, 1.5), height);
        }
        ctx.restore();
      },
      draw: (u) => {
        const { ctx } = u, { left, top, width, height } = u.bbox;
        const ratio = devicePixelRatio || 1;
        ctx.save();
        ctx.beginPath();
        ctx.rect(left, top - 18 * ratio, width, height + 18 * ratio);
        ctx.clip();
        if (withSpans) {
          ctx.font = 11.5 * ratio + "px system-ui, sans-serif";
          ctx.textAlign = "left";
          ctx.textBaseline = "top";
          const free = [];
          for (const span of data.spans) {
            const from = u.valToPos(span.from, "x", true), to = u.valToPos(span.to, "x", true);
            const long = ctx.measureText(span.label).width;
            if (to < left || from > left + width) continue;
            const x = Math.max(left + 3 * ratio, Math.min(from + 3 * ratio, left + width - long - 3 * ratio));
            let row = free.findIndex((until) => until <= x);
            if (row < 0) row = free.length;
            if (row > 3) continue;
            free[row] = x + long + 8 * ratio;
            ctx.fillStyle = css(span.fault ? "--fault-ink" : "--muted");
            ctx.fillText(span.label, x, top + (row === 0 ? -16 : 3 + (row - 1) * 14) * ratio);
          }
        }
        ids.forEach((variant, index) => {
          const series = u.series[offset + index + 1];
          if (!series.show) return;
          ctx.fillStyle = tone(variant);
          const step = width / 7, xs = u.data[0], ys = u.data[offset + index + 1];
          let next = left + step * ((0.25 + 0.31 * variant) % 1);
          for (let i = 0; i < xs.length; i++) {
            if (ys[i] == null) continue;
            const x = u.valToPos(xs[i], "x", true);
            if (x < next) continue;
            if (x > left + width) break;
            marker(ctx, x, u.valToPos(ys[i], series.scale, true), variant, 4 * ratio);
            next = x + step;
          }
        });
        ctx.restore();
        nameCurves(u, ids, offset);
      },
    },
  });

  const plots = new Map();
  const resize = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = plots.get(target);
      const width = Math.floor(target.clientWidth);
      if (plot && width > 0 && plot.width !== width) plot.setSize({ width, height: plot.height });
    }
  });
  const axis = (options) => ({
    stroke: () => css("--muted"),
    grid: { stroke: () => css("--line"), width: 1 },
    ticks: { stroke: () => css("--line"), width: 1, size: 5 },
    font: "12px system-ui, sans-serif",
    ...options,
  });

  // A plot of variants `ids` in a box of its own, with a read-out; those `behind` are grey.
  const plot = (box, { height, xs, values, ids, behind = [], x, y, withSpans, level, onScale, say }) => {
    const options = {
      width: Math.max(box.clientWidth, 200),
      height,
      padding: [withSpans && data.spans.length ? 22 : 10, (u) => nameRoom(u, ids) || 32, 0, 0],
      legend: { show: false },
      cursor: {
        points: { size: 7 },
        drag: { x: withSpans, y: false, setScale: true },
        sync: withSpans ? { key: "time", setSeries: false, scales: ["x", null] } : undefined,
      },
      scales: { x: { time: false, ...x.scale }, y: y.scale },
      axes: [axis({ size: 34, ...x.axis }), axis(y.axis)],
      series: [
        {},
        ...behind.map(() => ({ stroke: () => css("--behind"), width: 1, points: { show: false } })),
        ...ids.map((variant) => ({
          label: data.variants[variant],
          stroke: () => tone(variant),
          width: 2,
          spanGaps: false,
          points: { show: false },
        })),
      ],
      plugins: [decorations(withSpans, ids, behind.length)],
      hooks: {
        setCursor: [(u) => say && say(u.cursor.idx)],
        setScale: [(u, key) => key === "x" && onScale && onScale(u)],
        draw: level == null ? [] : [(u) => {
          const at = u.valToPos(level.at, "y", true), { left, top, width, height: high } = u.bbox;
          if (at < top || at > top + high) return;
          u.ctx.strokeStyle = css("--fault-ink");
          u.ctx.lineWidth = 1.5;
          u.ctx.beginPath();
          u.ctx.moveTo(left, at);
          u.ctx.lineTo(left + width, at);
          u.ctx.stroke();
          const ratio = devicePixelRatio || 1;
          u.ctx.font = 11.5 * ratio + "px system-ui, sans-serif";
          u.ctx.textAlign = "left";
          u.ctx.textBaseline = "bottom";
          u.ctx.fillStyle = css("--fault-ink");
          u.ctx.fillText(level.name, left + 4 * ratio, at - 3 * ratio);
        }],
      },
    };
    const made = new uPlot(options, [xs, ...[...behind, ...ids].map((variant) => values[variant])], box);
    plots.set(box, made);
    resize.observe(box);
    return made;
  };
  const forget = (box) => {
    resize.unobserve(box);
    plots.get(box)?.destroy();
    plots.delete(box);
  };

  // Arrows move the cursor; + and - zoom, 0 shows everything again.
  const keys = (box, made, zoom) => {
    box.tabIndex = 0;
    box.setAttribute("role", "group");
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) {
        const last = made.data[0].length - 1;
        const index = Math.min(last, Math.max(0, (made.cursor.idx ?? -step) + step * (event.shiftKey ? 10 : 1)));
        made.setCursor({ left: made.valToPos(made.data[0][index], "x"), top: 10 });
      } else if (zoom && ["+", "=", "-", "0"].includes(event.key)) zoom({ "+": "in", "=": "in", "-": "out", 0: "all" }[event.key]);
      else return;
      event.preventDefault();
    });
  };

  // ---- values over time ----

  const timed = new Set();
  let range = null;
  let isSharing = false;
  const share = (from) => {
    if (isSharing || !from.scales.x || from.scales.x.min == null) return;
    const { min, max } = from.scales.x;
    const end = data.duration;
    range = min <= 1e-9 && max >= end - 1e-9 ? null : [min, max];
    isSharing = true;
    for (const other of timed)
      if (other !== from && (other.scales.x.min !== min || other.scales.x.max !== max)) other.setScale("x", { min, max });
    isSharing = false;
  };
  const zoom = (how) => {
    const end = data.duration;
    let [min, max] = range ?? [0, end];
    const width = max - min, middle = (min + max) / 2;
    if (how === "all") [min, max] = [0, end];
    else if (how === "in") [min, max] = [middle - width / 4, middle + width / 4];
    else if (how === "out") [min, max] = [middle - width, middle + width];
    else {
      const by = (how === "left" ? -0.25 : 0.25) * width;
      [min, max] = min + by < 0 ? [0, width] : max + by > end ? [end - width, end] : [min + by, max + by];
    }
    [min, max] = [Math.max(0, min), Math.min(end, max)];
    const [any] = timed;
    if (any && max > min) any.setScale("x", { min, max });
  };

  const bounds = (u, min, max, series) => {
    let low = Infinity, high = -Infinity;
    for (const values of series) for (const value of values) if (value != null) (low = Math.min(low, value)), (high = Math.max(high, value));
    return low <= high ? [low, high] : [min ?? 0, max ?? 1];
  };
  const latencyScale = (low, high) => {
    if (high <= low * 4) {
      const margin = Math.max(high - low, high * 0.02) * 0.08;
      return { scale: { range: () => [Math.max(0, low - margin), high + margin] }, axis: { values: (u, ticks) => ticks.map(tickDuration), size: 66 } };
    }
    const [min, max] = [low / 1.15, high * 1.15];
    return {
      scale: { distr: 3, log: 10, range: () => [min, max] },
      axis: { splits: () => logTicks(min, max), filter: (u, ticks) => ticks, values: (u, ticks) => ticks.map(tickDuration), size: 66 },
    };
  };
  const shareScale = (low) => {
    const least = Math.min(low, 0.99);
    const min = Math.max(0, least - (1 - least) * 0.06);
    return { scale: { range: () => [min, 1 + (1 - min) * 0.02] }, axis: { values: (u, ticks) => ticks.map((tick) => (tick > 1.000001 ? "" : trimmed(tick * 100, 3) + " %")), size: 66 } };
  };
  const budgetScale = (high) => ({
    scale: { range: () => [0, Math.max(1.08, high * 1.05)] },
    axis: { values: (u, ticks) => ticks.map((tick) => trimmed(tick, 3) + "×"), size: 66 },
  });
  const KINDS = {
    latency_over_time: { metrics: [["p99", "p99"], ["p90", "p90"], ["p50", "p50"]], y: (low, high) => latencyScale(low, high), tell: duration, what: "Latency" },
    availability_over_time: { metrics: [["availability", "availability"]], y: (low) => shareScale(low), tell: percent, what: "Availability" },
    error_budget_over_time: { metrics: [["budget", "budget"]], y: (low, high) => budgetScale(high), tell: (value) => digits(value, 3) + "×", what: "Error budget used up", level: { at: 1, name: "the whole budget" } },
  };

  // Many curves in one plot are told apart by nobody.
  const usual = data.variants.length > 5 ? "panels" : "overlay";
  const groups = (layout, ids) => (layout === "panels" ? ids.map((variant) => [variant]) : ids.length ? [ids] : []);
  const layoutChoice = (layout, choose) => choice("Layout", [["overlay", "together"], ["panels", "side by side"]], layout, choose);
  // A box for the plot of these variants, with the name of one that stands alone.
  const panel = (boxes, group, words) => {
    const name = group.length === 1 && data.variants.length > 1 ? data.variants[group[0]] : "";
    const box = make("div", { class: "plot", "aria-label": [words, name].filter(Boolean).join(", ") });
    boxes.append(make("div", {}, ...(name ? [make("p", { class: "name" }, swatch(group[0]), " " + name)] : []), box));
    return box;
  };

  const overTime = (figure, kind, series) => {
    const { metrics, y, tell, what, level } = KINDS[kind];
    const known = metrics.filter(([key]) => series[key]?.some((values) => values.some((value) => value != null)));
    if (!known.length) return;
    // A percentile of which much is missing, for want of requests, is not the first to be seen.
    const part = (key) => {
      const values = series[key].flat();
      return values.filter((value) => value != null).length / Math.max(1, values.length);
    };
    let metric = (known.find(([key]) => part(key) > 0.9) ?? known[0])[0];
    let layout = usual;
    const xs = series.at;
    const readout = make("p", { class: "readout", role: "status" });
    const boxes = make("div", { class: "plots" });
    let made = [];
    const ids = () => data.variants.map((_, variant) => variant).filter((variant) => shown[variant]);
    const say = (index) => {
      readout.textContent = index == null ? hint : moment(xs[index]) + ": " + ids().map((variant) => {
        const value = series[metric][variant][index];
        return data.variants[variant] + " " + (value == null ? "n/a" : tell(value));
      }).join(" · ");
    };
    const hint = "Drag to zoom, double-click for everything; with the keyboard: arrows, +, − and 0.";
    readout.textContent = hint;
    const table = tableOf(
      title(figure) + ", as a table",
      () => ["time", ...ids().map((variant) => data.variants[variant])],
      () => xs.map((at, index) => [moment(at), ...ids().map((variant) => {
        const value = series[metric][variant][index];
        return value == null ? "n/a" : tell(value);
      })]));
    const build = () => {
      made.forEach(({ box, u }) => (timed.delete(u), forget(box)));
      made = [];
      boxes.replaceChildren();
      boxes.classList.toggle("panels", layout === "panels");
      const values = series[metric];
      const [low, high] = bounds(null, 0, 1, values.filter((_, variant) => shown[variant]));
      for (const group of groups(layout, ids())) {
        const box = panel(boxes, group, `${what}, ${metric}`);
        const u = plot(box, {
          height: layout === "panels" ? 170 : narrow() ? 240 : 300,
          xs,
          values,
          ids: group,
          behind: ids().filter((variant) => !group.includes(variant)),
          x: {
            scale: { range: (u, min, max) => [min ?? 0, max ?? data.duration] },
            axis: {
              splits: (u, index, min, max) => timeTicks(min, max, Math.max(2, Math.floor(u.width / 85))),
              filter: (u, ticks) => ticks,
              values: (u, ticks) => timeNames(ticks),
            },
          },
          y: y(low, high),
          withSpans: true,
          level,
          onScale: share,
          say,
        });
        keys(box, u, zoom);
        timed.add(u);
        made.push({ box, u });
        const [min, max] = range ?? [0, data.duration];
        u.setScale("x", { min, max });
        // A double click shows the whole run, not only where there are points.
        u.over.addEventListener("dblclick", () => zoom("all"));
      }
      table.refresh();
    };
    const tools = make("div", { class: "tools" });
    if (known.length > 1) tools.append(choice("Percentile", known, metric, (key) => ((metric = key), build())));
    if (data.variants.length > 1)
      tools.append(layoutChoice(layout, (key) => ((layout = key), build())));
    const button = (how, label, name) => make("button", { type: "button", title: name, "aria-label": name, onclick: () => zoom(how) }, label);
    tools.append(make("div", { class: "choice", role: "group", "aria-label": "Zoom" },
      button("in", "+", "Zoom in"), button("out", "−", "Zoom out"), button("left", "◂", "Earlier"),
      button("right", "▸", "Later"), button("all", "all", "Show all of the run")));
    live(figure, tools, boxes, readout, table.details);
    build();
    watchers.push(build);
  };

  // ---- latency by percentile ----

  const byPercentile = (figure, curves) => {
    const xs = curves.shares.map((part) => -Math.log10(1 - part));
    const ids = () => data.variants.map((_, variant) => variant).filter((variant) => shown[variant]);
    const marks = [0, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999].map((part) => -Math.log10(1 - part));
    const told = (x) => trimmed((1 - 10 ** -x) * 100, 6) + " %";
    const boxes = make("div", { class: "plots" });
    const readout = make("p", { class: "readout", role: "status" });
    const hint = "Point at a percentile, or move with the arrow keys.";
    readout.textContent = hint;
    const value = (variant, index) => {
      const seconds = curves.seconds[variant][index];
      return seconds == null ? "n/a" : duration(seconds);
    };
    const table = tableOf(title(figure) + ", as a table",
      () => ["percentile", ...ids().map((variant) => data.variants[variant])],
      () => xs.map((x, index) => [trimmed(curves.shares[index] * 100, 5) + " %", ...ids().map((variant) => value(variant, index))]));
    const say = (index) => {
      readout.textContent = index == null ? hint
        : trimmed(curves.shares[index] * 100, 5) + " % are as fast as: " + ids().map((variant) => data.variants[variant] + " " + value(variant, index)).join(" · ");
    };
    let layout = usual, made = [];
    const build = () => {
      made.forEach(forget);
      made = [];
      boxes.replaceChildren();
      boxes.classList.toggle("panels", layout === "panels");
      const [low, high] = bounds(null, 1e-3, 1, curves.seconds.filter((_, variant) => shown[variant]).map((values) => values.filter((_, index) => curves.shares[index] >= 0.02)));
      const last = xs[xs.length - 1];
      for (const group of groups(layout, ids())) {
        const box = panel(boxes, group, "Latency by percentile");
        const u = plot(box, {
          height: layout === "panels" ? 190 : narrow() ? 260 : 360,
          xs,
          values: curves.seconds,
          ids: group,
          behind: ids().filter((variant) => !group.includes(variant)),
          x: {
            scale: { range: () => [0, last] },
            axis: {
              // Those for whose names there is room.
              splits: (u) => {
                const wide = (u.width - 92) / last;
                let free = -1;
                return marks.filter((mark) => mark <= last + 1e-9 && mark * wide > free && ((free = mark * wide + 54), true));
              },
              filter: (u, ticks) => ticks,
              values: (u, ticks) => ticks.map(told),
              space: 30,
            },
          },
          y: latencyScale(low, high),
          withSpans: false,
          say,
        });
        keys(box, u, null);
        made.push(box);
      }
      table.refresh();
    };
    const tools = make("div", { class: "tools" });
    if (data.variants.length > 1) tools.append(layoutChoice(layout, (key) => ((layout = key), build())));
    live(figure, tools, boxes, readout, table.details);
    build();
    watchers.push(build);
  };

  // ---- load per endpoint over time ----

  const heat = (figure, services) => {
    let variant = data.best;
    const canvas = make("canvas", { role: "img", tabindex: "0", "aria-label": "Load of each endpoint over time against an even share of its service" });
    const readout = make("p", { class: "readout", role: "status" });
    const hint = "Point at a cell for its load; arrow keys move.";
    readout.textContent = hint;
    const scroller = make("div", { class: "heat" }, canvas);
    const context = canvas.getContext("2d");
    let rows = [], left = 0, cell = 0, place = null;
    const many = services.reduce((sum, service) => sum + service.endpoints.length, 0);
    const high = many > 80 ? 8 : many > 30 ? 12 : 16;
    const mix = (load) => {
      const part = Math.min(1, Math.abs(load / 100 - 1)) * 0.85;
      return [tone(load < 100 ? 0 : 1), part];
    };
    const draw = () => {
      const ratio = devicePixelRatio || 1;
      const padding = getComputedStyle(scroller);
      const width = Math.max(scroller.clientWidth - parseFloat(padding.paddingLeft) - parseFloat(padding.paddingRight), 280);
      left = narrow() ? 92 : 150;
      rows = [];
      let y = 20;
      for (const service of services) {
        y += 20;
        service.endpoints.forEach((name, index) => {
          rows.push({ service, index, name, y });
          y += high;
        });
        y += 8;
      }
      const height = y + 24;
      canvas.width = width * ratio;
      canvas.height = height * ratio;
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.clearRect(0, 0, width, height);
      const columns = Math.max(...services.map((service) => service.columns));
      cell = (width - left - 8) / columns;
      context.textBaseline = "middle";
      const scale = (width - left - 8) / data.duration;
      const fit = (text, room) => {
        let short = text;
        while (short.length > 2 && context.measureText(short).width > room) short = "…" + short.slice(2);
        return short;
      };
      for (const row of rows) {
        if (row.index === 0) {
          context.font = "600 12.5px system-ui, sans-serif";
          context.fillStyle = css("--ink");
          context.textAlign = "left";
          context.fillText(row.service.service, 0, row.y - 9);
        }
        const loads = row.service.loads[variant]?.[row.index] ?? [];
        context.globalAlpha = 1;
        context.fillStyle = css("--soft");
        context.fillRect(left, row.y, width - left - 8, high - 1);
        loads.forEach((load, column) => {
          if (load == null) return;
          const [colour, alpha] = mix(load);
          const from = left + column * row.service.seconds * scale;
          context.globalAlpha = alpha;
          context.fillStyle = colour;
          context.fillRect(from, row.y, Math.min(row.service.seconds * scale, width - 8 - from) + 0.3, high - 1);
        });
        context.globalAlpha = 1;
        if (high >= 12 || row.index % 2 === 0) {
          context.font = (high >= 12 ? 11 : 9) + "px system-ui, sans-serif";
          context.fillStyle = css("--muted");
          context.textAlign = "right";
          context.fillText(fit(row.name, left - 10), left - 6, row.y + high / 2);
        }
      }
      context.font = "11.5px system-ui, sans-serif";
      let free = 0;
      for (const span of data.spans) {
        if (!span.fault) continue;
        context.strokeStyle = css("--fault-ink");
        context.lineWidth = 1.2;
        for (const at of [span.from, span.to]) {
          context.beginPath();
          context.moveTo(left + at * scale, 16);
          context.lineTo(left + at * scale, height - 22);
          context.stroke();
        }
        const long = context.measureText(span.label).width;
        const x = Math.max(0, Math.min(left + span.from * scale, width - long - 8));
        if (x >= free) {
          context.fillStyle = css("--fault-ink");
          context.textAlign = "left";
          context.fillText(span.label, x, 8);
          free = x + long + 8;
        }
      }
      context.fillStyle = css("--muted");
      context.textAlign = "center";
      const ticks = timeTicks(0, data.duration, Math.max(2, Math.floor((width - left) / 90)));
      timeNames(ticks).forEach((name, index) => {
        const x = left + ticks[index] * scale;
        context.textAlign = x > width - 24 ? "right" : "center";
        context.fillText(name, Math.min(x, width - 1), height - 10);
      });
      if (place && rows[place.row]) {
        const row = rows[place.row];
        context.strokeStyle = css("--ink");
        context.lineWidth = 2;
        context.strokeRect(left + place.column * row.service.seconds * scale, row.y, row.service.seconds * scale, high - 1);
      }
    };
    const say = () => {
      const row = place && rows[place.row];
      const load = row?.service.loads[variant]?.[row.index]?.[place.column];
      readout.textContent = !row ? hint
        : `${row.service.service}/${row.name}, ${moment(place.column * row.service.seconds)}, ${data.variants[variant]}: ` +
          (load == null ? "no requests" : `${trimmed(load / 100, 2)} times an even share`);
    };
    canvas.addEventListener("pointermove", (event) => {
      const at = canvas.getBoundingClientRect();
      const y = event.clientY - at.top, x = event.clientX - at.left;
      const row = rows.findIndex((row) => y >= row.y && y < row.y + high);
      place = row < 0 || x < left ? null : { row, column: Math.floor(((x - left) / (at.width - left - 8)) * data.duration / rows[row].service.seconds) };
      say();
    });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!step) return;
      event.preventDefault();
      place ??= { row: 0, column: 0 };
      place.row = Math.min(rows.length - 1, Math.max(0, place.row + step[0]));
      place.column = Math.min(rows[place.row].service.columns - 1, Math.max(0, place.column + step[1]));
      draw();
      say();
    });
    const tools = make("div", { class: "tools" });
    if (data.variants.length > 1)
      tools.append(choice("Variant", data.variants.map((name, index) => [index, name]), variant, (index) => ((variant = index), draw(), say(), table.refresh())));
    const shades = [0, 50, 100, 150, 200].map((load) => {
      const cellOf = svg("rect", { width: 22, height: 12 });
      const paint = () => {
        const [colour, alpha] = mix(load);
        cellOf.setAttribute("fill", colour);
        cellOf.setAttribute("fill-opacity", alpha);
      };
      paint();
      watchers.push(paint);
      return svg("svg", { width: 22, height: 12, "aria-hidden": "true" }, cellOf);
    });
    tools.append(make("span", { class: "scale" }, "idle ", ...shades, " twice the even share, or more"));
    const table = tableOf("Load over time, as a table",
      () => ["endpoint, load over an even share", ...Array.from({ length: services[0].columns }, (_, column) => moment(column * services[0].seconds))],
      () => rows.map((row) => [row.service.service + "/" + row.name, ...(row.service.loads[variant]?.[row.index] ?? []).map((load) => (load == null ? "n/a" : trimmed(load / 100, 2)))]));
    live(figure, tools, scroller, readout, table.details);
    draw();
    watchers.push(() => (draw(), table.refresh()));
    new ResizeObserver(() => draw()).observe(scroller);
  };

  // ---- who calls whom ----

  const mesh = (figure, { nodes, edges, width, height }) => {
    let first = data.best, second = -1;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height + 16}`, role: "img", class: "mesh", width, height: height + 16 });
    const scroller = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Who calls whom" }, picture);
    const note = make("p", { class: "readout", role: "status" });
    const select = (name, options, value, choose) => {
      const list = make("select", { onchange: () => choose(Number(list.value)) }, ...options.map(([key, label]) => make("option", { value: key, selected: key === value }, label)));
      return make("label", { class: "select" }, name + " ", list);
    };
    const options = data.variants.map((name, index) => [index, name]);
    const table = tableOf("Edges, as a table",
      () => ["edge", ...[first, second].filter((v) => v >= 0).flatMap((v) => ["calls", "latency", "failed"].map((word) => `${word}, ${data.variants[v]}`))],
      () => edges.map((edge) => [edge.name, ...[first, second].filter((v) => v >= 0).flatMap((v) => edge.words[v] ?? ["n/a", "n/a", "n/a"])]));
    // `215 → 213 ms`: a unit that both have is said once.
    const joined = (a, b) => {
      const [unit] = b.match(/ \S+$/) ?? [""];
      return `${unit && a.endsWith(unit) ? a.slice(0, -unit.length) : a} → ${b}`;
    };
    const bare = (failed) => failed.replace(/ failed$/, "");
    const changed = (edge) => {
      const a = edge.p99[first], b = edge.p99[second];
      if (!a || !b || a[1] == null || b[1] == null) return 0;
      return b[1] > a[2] ? 1 : b[2] < a[1] ? -1 : 0;
    };
    const draw = () => {
      picture.replaceChildren();
      const isPair = second >= 0 && second !== first;
      const labels = svg("g");
      for (const edge of edges) {
        const words = edge.words[first];
        if (!words) continue;
        const [x1, y1] = edge.begin, [x2, y2] = edge.end, straight = edge.label, middle = (x1 + straight) / 2;
        const change = isPair ? changed(edge) : 0;
        const kind = isPair ? ["better", "same", "worse"][change + 1] : "t" + edge.trouble[first];
        const other = isPair ? edge.words[second] ?? ["n/a", "n/a", "n/a"] : null;
        const told = svg("title", {}, edge.name + ": " + words.join(", ") + (other ? ` → ${other.join(", ")}` : ""));
        const line = svg("path", {
          d: `M${x1} ${y1 + 8}C${middle} ${y1 + 8} ${middle} ${y2 + 8} ${straight} ${y2 + 8}L${x2 - 7} ${y2 + 8}`,
          "stroke-width": edge.width[first],
          class: "edge " + kind,
        });
        const tip = svg("path", { d: `M${x2 - 9} ${y2 + 8 - 6}L${x2} ${y2 + 8}L${x2 - 9} ${y2 + 8 + 6}Z`, class: "tip " + kind });
        picture.append(svg("g", {}, told, line, tip));
        const text = (x, y, words, anchor, look) => labels.append(svg("text", { x, y, "text-anchor": anchor, class: look }, words));
        const [left, right] = [straight + 4, x2 - 12];
        const errors = isPair && words[2] !== other[2] ? "err " + joined(bare(words[2]), bare(other[2])) : "";
        const room = isPair ? Math.max(5, 23 - errors.length) : 13;
        const operation = edge.operation.length > room ? edge.operation.slice(0, room - 1) + "…" : edge.operation;
        text(left, y2 + 2, operation, "start", "op");
        if (!isPair) {
          text(right, y2 + 2, words[0], "end", "soft");
          text(left, y2 + 23, words[1], "start", "soft");
          if (words[2]) text(right, y2 + 23, "err " + bare(words[2]), "end", ["soft", "op", "bad"][edge.trouble[first]]);
        } else {
          text(left, y2 + 23, joined(words[1], other[1].replace(/^\S+ /, "")), "start", "soft");
          text(right, y2 + 23, ["▼", "", "▲"][change + 1], "end", ["good", "", "bad"][change + 1]);
          if (errors) text(right, y2 + 2, errors, "end", "op");
        }
      }
      picture.append(labels);
      for (const node of nodes)
        picture.append(
          svg("rect", { x: node.x, y: node.y + 8, width: data.node, height: node.height, rx: 6, class: node.is_client ? "node client" : "node" }),
          svg("text", { x: node.x + data.node / 2, y: node.y + 8 + node.height / 2 + 4, "text-anchor": "middle", class: "who" },
            node.name.length > 15 ? node.name.slice(0, 14) + "…" : node.name, svg("title", {}, node.name)));
      picture.setAttribute("aria-label", isPair
        ? `Who calls whom: from ${data.variants[first]} to ${data.variants[second]}`
        : `Who calls whom, under ${data.variants[first]}`);
      note.textContent = isPair
        ? `Latency from ${data.variants[first]} to ${data.variants[second]}; ▼ better, ▲ worse: the 95 % intervals of the p99 do not overlap. The share that fails (err) where it differs. Width: calls a second under ${data.variants[first]}.`
        : "Operation and calls a second above each edge, latency of successful calls and the share that fails (err) below. Amber: 0.1 % or more fail; red: 1 % or more.";
      table.refresh();
    };
    figure.querySelector(".title").textContent = "Who calls whom";
    const tools = make("div", { class: "tools" });
    if (data.variants.length > 1)
      tools.append(
        select("Variant", options, first, (index) => ((first = index), draw())),
        select("compared with", [[-1, "nothing"], ...options], second, (index) => ((second = index), draw())));
    live(figure, tools, scroller, note, table.details);
    draw();
  };

  // ---- pictures whose values change over time ----

  const listed = (figure, kind, { seconds, names, values }) => {
    const tell = kind === "failures_over_time" ? (value) => digits(value, 3) + "/s" : percent;
    const table = tableOf(title(figure) + ", as a table",
      () => ["time", ...names],
      () => (values[0] ?? []).map((_, index) => [moment((index + 0.5) * seconds), ...values.map((column) => (column[index] == null ? "n/a" : tell(column[index])))]));
    figure.append(make("div", { class: "live" }, table.details));
  };

  // ---- all of it ----

  setTheme(remember());
  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const { chart, of } = figure.dataset;
    const start = () => {
      if (chart in KINDS && data.time[of]) overTime(figure, chart, data.time[of]);
      else if (chart === "latency_cdf" && data.cdf[of]) byPercentile(figure, data.cdf[of]);
      else if (chart === "load_over_time" && data.heat.length) heat(figure, data.heat);
      else if (chart === "topology" && data.mesh) mesh(figure, data.mesh);
      else {
        const [, tables] = data.tables.find(([kind]) => kind === chart) ?? [, []];
        const [, columns] = tables.find(([name]) => name === of) ?? [];
        if (columns?.names.length) listed(figure, chart, columns);
      }
    };
    start();
  }
  root.classList.add("drawn");
})();
