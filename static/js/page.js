// Small conveniences; every page works without them.
(() => {
  document.addEventListener("click", async (event) => {
    const toggle = event.target.closest("[data-toggles]");
    if (toggle) {
      const open = toggle.getAttribute("aria-expanded") !== "true";
      toggle.setAttribute("aria-expanded", String(open));
      document.getElementById(toggle.dataset.toggles).classList.toggle("is-open", open);
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
    const copy = event.target.closest("[data-copy], [data-copy-from]");
    if (copy) await copyText(copy);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  async function copyText(button) {
    const source = button.dataset.copyFrom;
    const text = source ? document.getElementById(source).textContent : button.dataset.copy;
    const announcer = document.getElementById("announcer");
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      announcer.textContent = "Copying is not allowed here: select the text and copy it yourself.";
      return;
    }
    announcer.textContent = "Copied.";
    button.classList.add("is-copied");
    setTimeout(() => button.classList.remove("is-copied"), 1500);
  }

  // One box that ticks all others of its form.
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.matches?.("[data-check-all]")) {
      for (const other of document.querySelectorAll(`input[name="${box.dataset.checkAll}"]`)) {
        other.checked = box.checked;
      }
    }
    // A form of filters goes off by itself when a choice is made.
    if (box.form?.matches("[data-auto-submit]") && box.matches("select, [type=checkbox]")) {
      box.form.requestSubmit();
    }
  });

  // The button of a form whose answer may take long says so, and is pressed once.
  document.addEventListener("submit", (event) => {
    const button = event.submitter?.closest("[data-busy]");
    if (!button) return;
    button.disabled = true;
    button.lastChild.textContent = button.dataset.busy;
    document.getElementById("announcer").textContent = button.dataset.busy;
  });
  // A page out of the browser's memory would still be busy.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted && document.querySelector("[data-busy]:disabled")) location.reload();
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const banner of document.querySelectorAll("[data-dismissible]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "banner-close";
      button.setAttribute("aria-label", "Dismiss");
      button.textContent = "×";
      button.addEventListener("click", () => banner.remove());
      banner.append(button);
    }
  });
})();
