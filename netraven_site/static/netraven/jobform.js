// The form of a job, shortened to what the chosen kind and schedule need; without this script all of it is shown.
"use strict";

(() => {
  const BY_RECURRENCE = {
    none: [],
    cron: ["cron", "jitter", "time_zone", "overlap"],
    interval: ["every", "jitter", "overlap"],
    once: ["start_at", "time_zone", "overlap"],
  };
  const SCHEDULE = ["cron", "every", "jitter", "start_at", "time_zone", "overlap"];
  const WAIT_MS = 300;

  function field(name) {
    return document.getElementById(`id_${name}`);
  }

  // A field that has an error is shown in any case, so that nothing is refused out of sight.
  function show(element, wanted) {
    if (element) element.hidden = !(wanted || element.querySelector(".errorlist, .errors") !== null);
  }

  function cell(name) {
    const found = field(name);
    return found && found.closest(".field-line");
  }

  function tidyRows() {
    for (const row of document.querySelectorAll(".nr-schedule .form-row")) {
      row.hidden = [...row.querySelectorAll(".field-line")].every((each) => each.hidden);
    }
  }

  function chooseKind() {
    const chosen = field("kind").value;
    let onDevices = true;
    for (const part of document.querySelectorAll("fieldset.nr-kind")) {
      show(part, part.classList.contains(`nr-kind-${chosen}`));
    }
    for (const text of document.querySelectorAll("[data-nr-kind-text]")) {
      text.hidden = text.dataset.nrKindText !== chosen;
      if (!text.hidden) onDevices = text.dataset.nrOnDevices === "yes";
    }
    for (const part of document.querySelectorAll("fieldset.nr-on-devices")) show(part, onDevices);
  }

  function chooseRecurrence() {
    const wanted = BY_RECURRENCE[field("recurrence").value] || SCHEDULE;
    for (const name of SCHEDULE) show(cell(name), wanted.includes(name));
    tidyRows();
  }

  // --- the next starts, while they are typed -------------------------------------------------------
  let asked = 0;
  let timer = 0;

  async function preview(box) {
    const mine = (asked += 1);
    if (field("recurrence").value === "none") {
      box.replaceChildren();
      return;
    }
    const url = new URL(box.dataset.nrStarts, window.location.href);
    for (const name of ["name", "recurrence", ...SCHEDULE]) {
      if (field(name)) url.searchParams.set(name, field(name).value);
    }
    const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok || mine !== asked) return;
    const found = await answer.json();
    const lines = Object.values(found.errors).flat();
    const head = document.createElement("b");
    head.textContent = lines.length ? lines.join(" ") : found.words;
    box.classList.toggle("nr-wrong", lines.length > 0);
    box.replaceChildren(head, ...found.starts.map((start) => {
      const line = document.createElement("span");
      line.textContent = start;
      return line;
    }));
  }

  document.addEventListener("DOMContentLoaded", () => {
    const box = document.querySelector("[data-nr-starts]");
    if (!field("kind") || !field("recurrence")) return;
    field("kind").addEventListener("change", chooseKind);
    field("recurrence").addEventListener("change", chooseRecurrence);
    chooseKind();
    chooseRecurrence();
    if (!box) return;
    const soon = () => {
      clearTimeout(timer);
      timer = setTimeout(() => preview(box).catch(() => box.replaceChildren()), WAIT_MS);
    };
    for (const name of ["recurrence", ...SCHEDULE]) {
      for (const event of ["input", "change"]) field(name)?.addEventListener(event, soon);
    }
    soon();
  });
})();
