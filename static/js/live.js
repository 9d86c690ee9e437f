// Live parts of a page replace themselves (hx-trigger="every …"). This keeps the reader's place:
// opened rows stay open, selected text stays selected, hidden tabs rest, changes are announced.
(() => {
  const HIDDEN_TAB_SECONDS = 30;
  let opened = new Map();
  let scrolled = new Map();
  let ticked = [];
  const lastPoll = new Map();
  const said = new Map();

  // A form in it was sent and not answered yet: a fresh copy of its button could be pressed again.
  const isBusy = (element) => Boolean(element.querySelector("[data-busy]:disabled"));

  const isPoll = (element) => (element?.getAttribute("hx-trigger") || "").startsWith("every");

  function isBeingRead(element) {
    const selection = document.getSelection();
    return Boolean(
      selection && !selection.isCollapsed && element.contains(selection.anchorNode),
    );
  }

  document.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    if (!isPoll(element)) return;
    const waited = Date.now() - (lastPoll.get(element.id) || 0);
    const rests = document.hidden && waited < HIDDEN_TAB_SECONDS * 1000;
    if (rests || isBeingRead(element)) event.preventDefault();
    else lastPoll.set(element.id, Date.now());
  });

  document.addEventListener("htmx:beforeSwap", (event) => {
    opened = new Map();
    scrolled = new Map();
    ticked = [...document.querySelectorAll("input[type=checkbox][id]:checked")].map((box) => box.id);
    for (const details of document.querySelectorAll("details[id]")) {
      opened.set(details.id, details.open);
    }
    for (const box of document.querySelectorAll("[data-keep-scroll][id]")) {
      scrolled.set(box.id, [box.scrollLeft, box.scrollTop]);
    }
    // The answer to a poll that began before the reader took hold of the text or sent a form.
    const target = event.detail.target;
    if (isPoll(event.detail.elt) && (isBeingRead(target) || isBusy(target))) {
      event.detail.shouldSwap = false;
    }
  });

  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, open] of opened) {
      const details = document.getElementById(id);
      if (details && details.open !== open) details.open = open;
    }
    for (const [id, [left, top]] of scrolled) {
      const box = document.getElementById(id);
      if (box) box.scrollTo(left, top);
    }
    for (const id of ticked) {
      const box = document.getElementById(id);
      if (box) box.checked = true;
    }
    announce();
    retitle();
  });

  // An address without what was left empty.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!event.detail.elt.matches("[data-lean]")) return;
    const sent = event.detail.formData;
    for (const [name, value] of [...sent.entries()]) if (value === "") sent.delete(name);
  });

  // Raw JSON is fetched when its row is opened; `hx-preserve` keeps it over refreshes.
  document.addEventListener(
    "toggle",
    (event) => {
      const details = event.target;
      const box = details.open && details.querySelector?.("[data-load]:not([data-loaded])");
      if (!box) return;
      box.dataset.loaded = "";
      htmx.ajax("GET", box.dataset.load, { target: box, swap: "innerHTML" });
    },
    true,
  );

  // Says only what is new, in one region that is never replaced.
  function announce() {
    const news = [];
    for (const element of document.querySelectorAll("[data-announce]")) {
      const words = element.dataset.announce;
      const before = said.get(element.id);
      if (before !== undefined && before !== words) news.push(words);
      said.set(element.id, words);
    }
    if (news.length) document.getElementById("announcer").textContent = news.join(" ");
  }

  // A refresh that fails leaves what is shown, and says so.
  const WHY = { 403: "signed-out", 503: "database" };

  function sayContact(why) {
    for (const banner of document.querySelectorAll("#no-contact [data-when]")) {
      const wanted = banner.dataset.when === why;
      if (wanted && banner.hidden) {
        document.getElementById("announcer").textContent = banner.textContent.trim();
      }
      banner.hidden = !wanted;
    }
  }

  document.addEventListener("htmx:responseError", (event) => {
    const { elt, xhr } = event.detail;
    if (isPoll(elt) && (xhr.status >= 500 || xhr.status in WHY)) {
      sayContact(WHY[xhr.status] || "no-answer");
    }
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (isPoll(event.detail.elt)) sayContact("no-answer");
    });
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    if (isPoll(event.detail.elt) && event.detail.successful) sayContact(null);
  });

  function retitle() {
    const title = document.querySelector("[data-page-title]")?.dataset.pageTitle;
    if (title && document.title !== title) document.title = title;
  }

  // A finished job's page may be restored from the browser's memory: nothing to do then but look.
  announce();
  retitle();
})();
