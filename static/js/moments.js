// Keeps "3 min ago" true on an open page. The server says the same words (templatetags: relative).
(() => {
  function inWords(seconds) {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  }

  function relative(moment) {
    const seconds = (Date.now() - moment) / 1000;
    if (Math.abs(seconds) < 3) return "now";
    return seconds > 0 ? `${inWords(seconds)} ago` : `in ${inWords(-seconds)}`;
  }

  function tick() {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const words = relative(Date.parse(time.dateTime));
      if (time.textContent !== words) time.textContent = words;
    }
  }

  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
})();
