// Sends a file that is dropped or chosen, and opens the fields with it.
(() => {
  "use strict";
  const place = document.getElementById("drop"), notice = document.getElementById("notice");
  const chosen = document.getElementById("upload");
  const notify = (text) => { notice.textContent = text; };
  const add = async (file) => {
    if (!file) return;
    const most = Number(place.dataset.most);
    if (file.size > most) {
      notify(`${file.name} is larger than ${most / 1048576} MiB: put it into the folder by hand.`);
      return;
    }
    notify(`Adding ${file.name}`);
    try {
      const address = `/own-data-file?name=${encodeURIComponent(file.name)}`;
      const answer = await fetch(address, { method: "POST", body: file });
      const found = (answer.headers.get("content-type") || "").includes("json")
        ? await answer.json() : { ok: false, message: await answer.text(), hint: "" };
      if (found.ok) location.assign(`/own-data?data=${encodeURIComponent(found.file)}`);
      else notify(found.hint ? `${found.message}: ${found.hint}` : found.message);
    } catch {
      notify("No connection to septet dashboard.");
    }
  };
  chosen.addEventListener("change", () => add(chosen.files[0]));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    add(event.dataTransfer.files[0]);
  });
})();
