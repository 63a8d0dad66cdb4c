  // Rows are sorted by what a cell holds in data-v, else by its text; cells without a value last.
  const sorting = (table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const key = (row, place) => row.cells[place].dataset.v ?? row.cells[place].textContent;
    const compare = (numeric) => (a, b) =>
      numeric ? Number(a) - Number(b) : a < b ? -1 : a > b ? 1 : 0;
    heads.forEach((head, place) => {
      const button = head.querySelector("button");
      button.disabled = false;
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.setAttribute("aria-sort", other === head ? (down ? "descending" : "ascending") : "none"));
        const order = compare(head.classList.contains("n"));
        const known = [];
        const empty = [];
        [...body.rows].forEach((row) => (key(row, place) === "" ? empty : known).push(row));
        known.sort((a, b) => (down ? -1 : 1) * order(key(a, place), key(b, place)));
        body.append(...known, ...empty);
      });
    });
  };

  // A row is shown if each word stands somewhere in it.
  const searching = (box) => {
    const input = box.querySelector("input");
    const status = box.querySelector("[role=status]");
    const table = document.getElementById(input.getAttribute("aria-controls"));
    box.hidden = false;
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...table.tBodies[0].rows];
      let shown = 0;
      rows.forEach((row) => {
        const text = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) shown += 1;
      });
      status.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
  };

  document.querySelectorAll("table[data-sorts]").forEach(sorting);
  document.querySelectorAll(".search").forEach(searching);

