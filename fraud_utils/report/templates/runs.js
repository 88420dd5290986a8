// Compares the two runs that are chosen, from what is in the page. All texts come from Python; here they are laid out.
const source = part("compared-data");
if (source) {
  const { runs, measures, notes, pairs } = JSON.parse(source.textContent);
  const [a, b] = ["run-a", "run-b"].map(part);
  const row = (texts) => {
    const line = document.createElement("tr");
    texts.forEach((text, place) => {
      const cell = document.createElement(place ? "td" : "th");
      if (!place) cell.scope = "row";
      fill(cell, text);
      line.append(cell);
    });
    return line;
  };
  const groups = ["data", "parameter", "compared", "version"]; // what went in; what came out is the choice
  const show = () => {
    const [one, other] = [runs[a.value], runs[b.value]];
    const [note, differences] = pairs[`${a.value} ${b.value}`] ?? ["", measures.map(() => ["", "the same run"])];
    const facts = new Map();
    [one, other].forEach((run, place) => run.facts.forEach(([group, name, text]) => {
      const key = JSON.stringify([group, name]);
      if (!facts.has(key)) facts.set(key, [`${group}: ${name}`, "–", "–"]);
      facts.get(key)[place + 1] = text;
    }));
    const ofGroup = (group) => [...facts].filter(([key, [, first, second]]) => JSON.parse(key)[0] === group && first !== second);
    const [choices, differing] = [ofGroup("choice"), groups.flatMap(ofGroup)];
    part("choices").replaceChildren(...choices.map(([, texts]) => row(texts)));
    part("facts").replaceChildren(...differing.map(([, texts]) => row(texts)));
    const proven = differences.map(([, reading]) => reading.includes("by more than"));
    part("figures").replaceChildren(...measures.map((label, place) => {
      const [difference, reading] = differences[place];
      const line = row([label, one.figures[place], other.figures[place], difference || "–", reading]);
      line.classList.toggle("differs", proven[place]);
      return line;
    }));
    part("difference").textContent = `A is ${one.name} (${one.about}). B is ${other.name} (${other.about}). Figures that differ by more than sampling noise: `
      + `${proven.filter(Boolean).length}. Differences in the choice: ${choices.length}; `
      + `in what went in: ${groups.map((group) => `${group} ${ofGroup(group).length}`).join(", ")}.`;
    part("note").textContent = note === "" ? "" : notes[note];
    part("choice-table").hidden = !choices.length;
    part("facts-table").hidden = !differing.length;
  };
  for (const select of [a, b]) {
    select.append(...runs.map((run, place) => {
      const option = document.createElement("option");
      option.value = place;
      option.textContent = run.name;
      return option;
    }));
    select.addEventListener("change", show);
  }
  a.value = 1; // what was before, and the newest
  b.value = 0;
  show();
  part("comparison").hidden = false;
}
