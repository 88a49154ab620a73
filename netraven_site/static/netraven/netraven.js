// The little that the portal adds to the theme: filters that apply at once, live runs, tags as chips.
"use strict";

(() => {
  // --- filters --------------------------------------------------------------------------------
  function filters() {
    for (const select of document.querySelectorAll("select[data-nr-submit]")) {
      select.addEventListener("change", () => select.value || select.form.role === "search" ? submit(select.form) : null);
    }
    const bar = document.getElementById("changelist-search");
    if (bar) bar.addEventListener("submit", () => tidy(bar));
    document.addEventListener("keydown", (event) => {
      const free = !event.target.closest("input, textarea, select, [contenteditable]");
      const target = document.querySelector(`[data-nr-key="${CSS.escape(event.key)}"]`);
      if (free && target && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        target.focus();
        target.select();
      }
    });
  }

  function submit(form) {
    tidy(form);
    form.submit();
  }

  // Empty fields are left out, so that addresses stay short enough to be passed on.
  function tidy(form) {
    for (const field of form.elements) {
      if (field.name && field.value === "") field.disabled = true;
    }
    setTimeout(() => { for (const field of form.elements) field.disabled = false; }, 0);
  }

  // --- live runs -------------------------------------------------------------------------------
  function live() {
    const box = document.querySelector("[data-nr-poll]");
    if (!box) return;
    const tools = document.getElementById("nr-run-tools");
    let failures = 0;
    let status = "";
    function renew(buttons, run) {
      if (!buttons) return;
      const fresh = document.createElement("template");
      fresh.innerHTML = run.tools;
      const old = [...buttons.querySelectorAll("button")];
      const now = [...fresh.content.querySelectorAll("button")];
      // A button under the pointer stays the same one, or the click would hit nothing; its number is put right.
      if (run.status === status && old.length === now.length) {
        old.forEach((button, index) => { if (button.lastChild.data !== now[index].lastChild.data) button.lastChild.data = now[index].lastChild.data; });
      } else {
        buttons.innerHTML = run.tools;
      }
      status = run.status;
    }
    const every = Number(box.dataset.nrEvery);
    async function look() {
      try {
        const answer = await fetch(box.dataset.nrPoll + window.location.search, {
          headers: { Accept: "application/json" }, credentials: "same-origin",
        });
        if (!answer.ok || !(answer.headers.get("content-type") || "").includes("json")) throw new Error(answer.status);
        const run = await answer.json();
        failures = 0;
        // What a person is selecting or reading under the pointer is not pulled away.
        if (window.getSelection().isCollapsed || run.finished) box.innerHTML = run.html;
        renew(tools, run);
        if (run.finished) return;
      } catch (error) {
        failures += 1;
        if (failures > 30) return;
      }
      setTimeout(look, every * Math.min(1 + failures, 10));
    }
    setTimeout(look, every);
  }

  // --- tags -----------------------------------------------------------------------------------
  function tagBox(source) {
    const box = document.createElement("div");
    const typing = document.createElement("input");
    const options = document.createElement("div");
    let words = split(source.value);
    let at = -1;
    let asked = 0;
    box.className = "nr-tagbox";
    options.className = "nr-options";
    options.hidden = true;
    typing.type = "text";
    typing.autocomplete = "off";
    typing.setAttribute("aria-label", "Add a tag");
    source.after(box);
    source.type = "hidden";
    if (source.id) { typing.id = source.id; source.removeAttribute("id"); }

    function split(text) {
      return text.split(/[,;\n]/).map((word) => word.trim().replace(/\s+/g, " ")).filter(Boolean);
    }

    function draw() {
      for (const chip of box.querySelectorAll(".nr-tag")) chip.remove();
      words.forEach((word, index) => {
        const chip = document.createElement("span");
        const remove = document.createElement("button");
        chip.className = "nr-tag";
        chip.textContent = word;
        remove.type = "button";
        remove.textContent = "×";
        remove.setAttribute("aria-label", `Remove ${word}`);
        // Losing the focus here would draw the chips anew under the pointer, and the click would hit nothing.
        remove.addEventListener("mousedown", (event) => event.preventDefault());
        remove.addEventListener("click", () => { words.splice(index, 1); draw(); typing.focus(); });
        chip.append(remove);
        box.insertBefore(chip, typing);
      });
      source.value = words.join(", ");
    }

    function add(text) {
      for (const word of split(text)) {
        if (!words.some((each) => each.toLowerCase() === word.toLowerCase())) words.push(word);
      }
      typing.value = "";
      shut();
      draw();
    }

    // Also what was asked for and is still on its way is not shown any more.
    function shut() {
      asked += 1;
      options.hidden = true;
    }

    async function suggest() {
      const mine = (asked += 1);
      const answer = await fetch(`${source.dataset.nrTags}?q=${encodeURIComponent(typing.value.trim())}`);
      if (!answer.ok || mine !== asked) return;
      const free = (await answer.json()).tags.filter((tag) => !words.some((word) => word.toLowerCase() === tag.toLowerCase()));
      options.replaceChildren(...free.map((tag) => {
        const option = document.createElement("button");
        option.type = "button";
        option.textContent = tag;
        option.addEventListener("mousedown", (event) => { event.preventDefault(); add(tag); });
        return option;
      }));
      at = -1;
      options.hidden = free.length === 0 || document.activeElement !== typing;
    }

    typing.addEventListener("input", () => (/[,;]/.test(typing.value) ? add(typing.value) : suggest()));
    typing.addEventListener("focus", suggest);
    typing.addEventListener("blur", () => {
      shut();
      if (typing.value.trim()) add(typing.value);
    });
    typing.addEventListener("keydown", (event) => {
      const choices = [...options.children];
      if (event.key === "Enter") {
        if (typing.value.trim() || at >= 0) event.preventDefault();
        if (at >= 0 && !options.hidden) add(choices[at].textContent);
        else if (typing.value.trim()) add(typing.value);
      } else if (event.key === "Backspace" && !typing.value && words.length) {
        words.pop();
        draw();
      } else if (event.key === "Escape") {
        shut();
      } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && choices.length) {
        event.preventDefault();
        at = (at + (event.key === "ArrowDown" ? 1 : -1) + choices.length) % choices.length;
        choices.forEach((choice, index) => choice.classList.toggle("nr-on", index === at));
      }
    });
    box.addEventListener("click", (event) => { if (event.target === box) typing.focus(); });
    box.append(typing, options);
    draw();
  }

  // --- copy -------------------------------------------------------------------------------------
  function copies() {
    for (const button of document.querySelectorAll("[data-nr-copy]")) {
      button.addEventListener("click", async () => {
        const source = document.querySelector(button.dataset.nrCopy);
        source.select();
        try {
          await navigator.clipboard.writeText(source.value);
        } catch (error) {
          document.execCommand("copy");
        }
        button.lastChild.textContent = "Copied";
      });
    }
  }

  // A text that is not on the page: fetched when it is asked for.
  function copiesFrom() {
    for (const button of document.querySelectorAll("[data-nr-copy-from]")) {
      button.addEventListener("click", async () => {
        const answer = await fetch(button.dataset.nrCopyFrom, { credentials: "same-origin" });
        const text = answer.ok ? await answer.text() : "";
        let done = answer.ok;
        try {
          await navigator.clipboard.writeText(text);
        } catch (error) {
          const box = document.createElement("textarea");
          box.value = text;
          document.body.append(box);
          box.select();
          done = answer.ok && document.execCommand("copy");
          box.remove();
        }
        button.lastElementChild.textContent = done ? "Copied" : "Not copied";
      });
    }
  }

  // --- diffs --------------------------------------------------------------------------------------
  function folds() {
    const table = document.querySelector("[data-nr-lines]");
    if (!table) return;
    table.addEventListener("click", async (event) => {
      const button = event.target.closest("[data-nr-unfold]");
      if (!button) return;
      button.disabled = true;
      const answer = await fetch(`${table.dataset.nrLines}&${button.dataset.nrUnfold}`, { credentials: "same-origin" });
      if (answer.ok) button.closest("tr").outerHTML = await answer.text();
      else button.disabled = false;
    });
  }

  function suggestions() {
    for (const typing of document.querySelectorAll("input[data-nr-suggest]")) {
      const shown = typing.value;
      let asked = 0;
      typing.addEventListener("input", async () => {
        const mine = (asked += 1);
        const answer = await fetch(`${typing.dataset.nrSuggest}?q=${encodeURIComponent(typing.value.trim())}`);
        if (!answer.ok || mine !== asked) return;
        typing.list.replaceChildren(...(await answer.json()).names.map((name) => new Option(name, name)));
      });
      typing.addEventListener("change", () => { if (typing.value.trim() && typing.value !== shown) typing.form.submit(); });
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    filters();
    live();
    copies();
    copiesFrom();
    folds();
    suggestions();
    document.querySelectorAll("input[data-nr-tags]").forEach(tagBox);
  });
})();
