// Selects in the text what a problem is about.
(() => {
  "use strict";
  const field = document.getElementById("text");
  document.querySelectorAll("a[data-line]").forEach((link) => {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const lines = field.value.split("\n");
      const line = Math.min(Number(link.dataset.line), lines.length) - 1;
      const before = lines.slice(0, line).reduce((sum, each) => sum + each.length + 1, 0);
      // A column counts characters, a text area UTF-16 units.
      const left = [...lines[line]].slice(0, Math.max(Number(link.dataset.column) - 1, 0)).join("");
      field.focus();
      field.setSelectionRange(before + left.length, before + lines[line].length);
      field.scrollTop = (line / lines.length) * field.scrollHeight - field.clientHeight / 2;
    });
  });
})();
