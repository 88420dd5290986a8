// What another score to alert from would have meant. Figures that no cost changes come from Python, step by step; money
// is computed here as evaluation/explorer.py does it.
const given = part("explorer-data");
if (given) {
  const { bins, steps, start, cost, pace, normal } = JSON.parse(given.textContent);
  const [dial, budget, price, fault] = ["dial", "dial-budget", "dial-cost", "dial-fault"].map(part);
  const money = (step, review) => {
    const [total, squares] = [bins.amount.at(-1), bins.squares.at(-1)];
    const [alerts, frauds, caught, caughtSquares] = step < 0 ? [0, 0, 0, 0] : [bins.alerts[step], bins.frauds[step], bins.amount[step], bins.squares[step]];
    const more = review ** 2 * (1 / bins.share - 1);
    let saved, variance, blanket;
    if (total <= review * bins.rows) {
      saved = caught - review * alerts;
      variance = caughtSquares - 2 * review * caught + review ** 2 * alerts + more * Math.max(alerts - frauds, 1 / bins.share);
      blanket = total;
    } else {
      const [quiet, missed] = [bins.rows - alerts, total - caught];
      saved = review * quiet - missed;
      variance = review ** 2 * quiet - 2 * review * missed + (squares - caughtSquares) + more * (quiet - (bins.frauds.at(-1) - frauds));
      blanket = review * bins.rows;
    }
    const half = normal * Math.sqrt(Math.max(variance, 0));
    return { saved, low: saved - half, high: saved + half, share: blanket ? saved / blanket : 0 };
  };
  const minus = (text) => text.replace("-", "\u2212");
  const figure = (value) => minus(Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(2))));
  const percent = (value) => `${figure(100 * value)}\u00a0%`;
  const between = (word, value, low, high) => `${word(value)} [${word(low)}, ${word(high)}]`;
  const put = (id, text, values) => {
    fill(part(id), text);
    part(id).dataset.values = JSON.stringify(values);
  };
  const draw = (svg, points, now, [low, high]) => {
    const [left, right, top, bottom] = [40, 310, 10, 190];
    const make = (name, attributes, text) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      Object.entries(attributes).forEach(([key, value]) => node.setAttribute(key, value));
      if (text !== undefined) node.textContent = text;
      return node;
    };
    const place = ([x, y]) => [left + x * (right - left), bottom - ((Math.max(y, low) - low) / (high - low)) * (bottom - top)];
    const lines = [low, (low + high) / 2, high].flatMap((y) => {
      const [, height] = place([0, y]);
      return [make("line", { x1: left, x2: right, y1: height, y2: height, class: "grid" }), make("text", { x: left - 4, y: height + 4, class: "tick end" }, percent(y))];
    });
    const shown = points.map(place).map((point) => point.map((value) => value.toFixed(1)).join(",")).join(" ");
    const marks = now ? [make("circle", { cx: place(now)[0], cy: place(now)[1], r: 5, class: "now" })] : [];
    svg.replaceChildren(...lines, make("polyline", { points: shown, class: "curve" }), ...marks);
    return make;
  };
  const label = (svg, make, texts) => texts.forEach(([share, text]) => svg.append(make("text", { x: 40 + share * 270, y: 208, class: `tick ${share === 1 ? "end" : share === 0 ? "start" : ""}` }, text)));
  const show = () => {
    const step = Number(dial.value), now = steps[step + 1]; // the first alerts on nothing
    const score = step < 0 ? "above all" : Number(bins.score[step].toPrecision(3)).toString();
    part("dial-score").textContent = score;
    dial.setAttribute("aria-valuetext", `${score}: ${now.alerts[0]} alerts on the test set`);
    for (const key of ["alerts", "frauds", "false_alarms"]) {
      put(`of-${key}`, between(figure, ...now[key].map((value) => value * pace)), now[key].map((value) => value * pace));
      put(`all-${key}`, now[key][0].toLocaleString("en-US"), now[key][0]);
    }
    const frauds = bins.frauds.at(-1);
    put("all-missed", (frauds - now.frauds[0]).toLocaleString("en-US"), frauds - now.frauds[0]);
    put("of-missed", figure((frauds - now.frauds[0]) * pace), (frauds - now.frauds[0]) * pace);
    const passed = bins.rows - frauds - now.false_alarms[0];
    put("all-passed", passed.toLocaleString("en-US"), passed);
    put("of-passed", figure(passed * pace), passed * pace);
    for (const key of ["precision", "recall"]) put(`all-${key}`, now[key] ? between(percent, ...now[key]) : "\u2013", now[key]);
    const make = draw(part("curve-precision"), steps.slice(1).map((each) => [each.recall[0], each.precision[0]]), now.precision && [now.recall[0], now.precision[0]], [0, 1]);
    label(part("curve-precision"), make, [[0, "0\u00a0%"], [0.5, "recall"], [1, "100\u00a0%"]]);
    if (!price) return;
    const review = Number(price.value), made = money(step, review);
    put("of-saved", between(figure, made.saved * pace, made.low * pace, made.high * pace), [made.saved * pace, made.low * pace, made.high * pace]);
    put("all-saved", between(figure, made.saved, made.low, made.high), [made.saved, made.low, made.high]);
    put("all-share", percent(made.share), made.share);
    const shares = bins.alerts.map((alerts, place) => [Math.log(alerts) / Math.log(bins.rows), money(place, review).share]);
    const curve = part("curve-saved");
    const drawn = draw(curve, shares, step < 0 ? [0, made.share] : shares[step], [-0.5, 1]);
    label(curve, drawn, [[0, "1"], [0.5, "alerts"], [1, bins.rows.toLocaleString("en-US")]]);
  };
  const number = (field) => field.value.trim() !== "" && Number.isFinite(Number(field.value)) && Number(field.value) >= 0;
  const fields = [budget, price].filter(Boolean);
  const check = () => {
    const bad = fields.find((field) => field.value.trim() !== "" && !number(field)) ?? (price && !number(price) ? price : null);
    fault.hidden = !bad;
    if (bad) fault.textContent = "Write a number of at least 0; the figures below are those of the last one.";
    return !bad;
  };
  dial.max = bins.score.length - 1;
  dial.value = start;
  if (price) price.value = cost;
  dial.addEventListener("input", () => { budget.value = ""; show(); });
  budget.addEventListener("input", () => {
    if (!check() || !number(budget)) return;
    dial.value = bins.alerts.filter((alerts) => alerts * pace <= Number(budget.value)).length - 1;
    show();
  });
  if (price) price.addEventListener("input", () => { if (check()) show(); });
  part("explorer").hidden = false;
  show();
}
