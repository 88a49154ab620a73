// The form of a limit, shortened to what the chosen scope needs; without this script all of it is shown.
"use strict";

(() => {
  const FIELD_OF = { site: "site", tag: "tag", domain: "domain" };

  function choose(scope) {
    for (const [value, name] of Object.entries(FIELD_OF)) {
      const row = document.getElementById(`id_${name}`)?.closest(".form-row");
      if (row) row.hidden = scope.value !== value && row.querySelector(".errorlist") === null;
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const scope = document.getElementById("id_scope");
    if (!scope) return;
    scope.addEventListener("change", () => choose(scope));
    choose(scope);
  });
})();
