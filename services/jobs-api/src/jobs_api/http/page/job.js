"use strict";
// The server writes every word of the page. Here the bar moves, and when the job's state changes the page's
// main part is fetched anew. Text goes in as text, never as HTML.
(() => {
  const find = (id) => document.getElementById(id);

  const localTimes = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      time.title = time.textContent;
      time.textContent = "clock" in time.dataset
        ? moment.toLocaleTimeString()
        : moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    }
  };

  let asked = 0;
  const refresh = async () => {
    const mine = ++asked;
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("main");
    if (mine !== asked || !answer.ok || !fresh) return;
    const open = document.querySelector("details")?.open ?? false;
    document.querySelector("main").replaceWith(fresh);
    document.title = page.title;
    const details = document.querySelector("details");
    if (details) details.open = open;
    localTimes();
    if (!fresh.dataset.events) source.close();
  };

  localTimes();
  const events = document.querySelector("main").dataset.events;
  if (!events) return;
  const source = new EventSource(events);
  source.addEventListener("progress", (message) => {
    const { progress, message: words } = JSON.parse(message.data);
    const bar = document.querySelector("progress");
    if (!bar) return;
    bar.value = progress;
    find("percent").textContent = `${progress} %`;
    if (words !== undefined) find("step").textContent = words;
    document.title = document.title.replace(/^(\d+ % · )?/, `${progress} % · `);
  });
  for (const name of ["state", "started", "completed", "failed"]) {
    source.addEventListener(name, () => refresh().catch(() => {}));
  }
  const lost = (gone) => {
    const hint = find("lost");
    if (hint) hint.hidden = !gone;
  };
  source.onopen = () => lost(false);
  source.onerror = () => lost(true);
})();
