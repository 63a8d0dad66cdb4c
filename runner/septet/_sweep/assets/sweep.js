  // One map is shown: of the chosen pair of keys, the best or the middle of each place.
  const maps = [...document.querySelectorAll("[data-map]")];
  const pair = document.getElementById("pick-pair");
  const buttons = [...document.querySelectorAll("[data-show]")];
  let show = "best";
  const again = () => maps.forEach((node) => {
    node.hidden = node.dataset.map !== (pair ? pair.value : "0") || node.dataset.value !== show;
  });
  if (pair) pair.addEventListener("change", again);
  buttons.forEach((button) => button.addEventListener("click", () => {
    show = button.dataset.show;
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    again();
  }));
